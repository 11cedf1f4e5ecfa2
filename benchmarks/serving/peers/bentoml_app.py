"""BentoML: `bentoml serve bentoml_app:Counter`."""

import os
from typing import Any

import bentoml
from peer_model import Torch
from PIL import Image

_workers = int(os.environ.get("BENCH_WORKERS", "0"))


@bentoml.service(**({"workers": _workers} if _workers else {}))
class Counter:
    """One network a worker."""

    def __init__(self) -> None:
        self._count = Torch()

    @bentoml.api(route="/invocations")
    def invocations(self, photo: Image.Image, /) -> dict[str, Any]:
        """The photo is the body."""
        return self._count(photo)
