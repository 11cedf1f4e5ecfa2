"""What a benchmark leaves: raw figures for programs, a table for people, and that table's place in the docs."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchError


def publish(out: Path, name: str, document: Mapping[str, Any], text: str) -> None:
    """Print `text`, and write it to `<name>.md` and `document` to `<name>.json` in `out`."""
    print(text)
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (out / f"{name}.md").write_text(text + "\n", encoding="utf-8")


def inserted(page: str, name: str, text: str) -> str:
    """`page` with `text` between its lines `<!-- name -->` and `<!-- end of name -->`; BenchError without them."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    place = re.compile(f"(?s)(?<={re.escape(begin)}\n).*?(?={re.escape(end)})")
    if len(place.findall(page)) != 1:
        raise BenchError(f"the page has no one place for {name}: put the lines {begin} and {end} where it belongs")
    return place.sub(lambda _: text.rstrip("\n") + "\n", page)
