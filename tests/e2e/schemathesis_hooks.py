"""Photos, which schemathesis cannot invent: of what it sends as images some are whole, some cut, the rest noise."""

import os
from pathlib import Path

import schemathesis
from hypothesis import strategies as st

_PHOTO = Path(os.environ["TALLY_PHOTO"]).read_bytes()
_PHOTOS = st.sampled_from([_PHOTO, _PHOTO[:1000], _PHOTO[:3], b""]) | st.binary(max_size=2000)

for kind in ("image/jpeg", "image/png", "image/webp"):
    schemathesis.openapi.media_type(kind, _PHOTOS)
