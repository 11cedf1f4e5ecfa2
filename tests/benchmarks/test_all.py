"""`make bench`: which parts run, what is renewed in the docs, and that a failure is not lost."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.__main__ import DOCS, PARTS, main
from benchmarks.errors import BenchError
from benchmarks.modules import ROOT
from benchmarks.outcome import inserted

PAGE = "before\n<!-- api_memory -->\nold\n<!-- end of api_memory -->\nafter\n"


def test_a_part_renews_its_table_in_the_docs(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    out = tmp_path / "out"
    assert main(["--only", "api-memory", "--out", str(out), "--docs", str(page)]) == 0
    table = (out / "api_memory.md").read_text()
    assert page.read_text() == PAGE.replace("old\n", table)
    assert table in capfd.readouterr().out


def test_a_quick_run_leaves_the_docs_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    words = ["--only", "api-memory,serving-resnet50", "--quick", "--out", str(tmp_path), "--docs", str(page)]
    assert main(words) == 0
    assert page.read_text() == PAGE
    assert "serving-resnet50: not in a quick run" in capfd.readouterr().err


def test_a_part_that_fails_is_named_after_the_others(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text("no place for a table")
    assert main(["--only", "api-memory", "--out", str(tmp_path), "--docs", str(page)]) == 1
    said = capfd.readouterr().err
    assert "put the lines <!-- api_memory --> and <!-- end of api_memory --> where it belongs" in said
    assert "error: api-memory failed" in said


def test_a_part_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "api,apis"])
    assert "--only names apis; there are serving, " in capsys.readouterr().err


@given(st.text(), st.text(), st.text())
def test_only_the_named_place_changes(before: str, text: str, after: str) -> None:
    begin, end = "<!-- name -->\n", "<!-- end of name -->"
    if "<!--" in before + text + after:
        return
    first = inserted(f"{before}{begin}{end}{after}", "name", text)
    assert first == before + begin + text.rstrip("\n") + "\n" + end + after
    assert inserted(first, "name", "x") == f"{before}{begin}x\n{end}{after}"


def test_a_place_that_is_there_twice_is_no_place() -> None:
    with pytest.raises(BenchError, match="no one place for api_memory"):
        inserted(PAGE + PAGE, "api_memory", "new")


def test_the_docs_have_a_place_for_every_table() -> None:
    page = (ROOT / DOCS).read_text()
    for table in (name for part in PARTS.values() for name in part.tables):
        assert inserted(page, table, "") is not None
    assert set(re.findall(r"<!-- end of (\w+) -->", page)) == {name for part in PARTS.values() for name in part.tables}
