"""The simulation behind docs/adr/0016, in short."""

import pytest

from benchmarks import gate_tests


def test_the_simulation_prints_a_row_for_every_way_in_which_groups_come_about(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["gate_tests", "--runs", "20"])
    monkeypatch.setattr(gate_tests, "GROUPS", (30,))
    gate_tests.main()
    title, header, *rows = capsys.readouterr().out.splitlines()
    assert title == "share of 20 comparisons with p < 0.05"
    assert header.split()[-4:] == ["tally", "Obuchowski", "Durkalski", "McNemar"]
    assert len(rows) == len(gate_tests.LEANS) * len(gate_tests.SIZES)
    found = {row[:34].rstrip(): [float(value) for value in row.split()[-4:]] for row in rows}
    assert all(0 <= share <= 1 for shares in found.values() for share in shares)
    # Twenty comparisons cannot show 5%, but what ignoring groups costs they can.
    crowded = [shares for name, shares in found.items() if name.startswith("correlated") and "real" not in name]
    assert sum(shares[3] for shares in crowded) > sum(shares[0] for shares in crowded)
