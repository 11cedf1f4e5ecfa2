"""What shards found, added up: the same whichever worker is done first."""

from tally.data.findings import BLURRED, Findings
from tally.data.looks import Look
from tally.data.shards import Photo


def photo(name: str) -> Photo:
    return Photo(name, 1, name, "", "0" * 64, 32, 24, "train-00000.tar", 0, 1)


def found(names: list[str]) -> Findings:
    """One shard of equally blurred photos."""
    findings = Findings()
    findings.place("train", [photo(name) for name in names], [Look(32, 24, 90, 0, 0, 0, 0)] * len(names))
    return findings


def test_photos_that_are_equally_blurred_are_shown_in_the_order_of_ids_whoever_found_them_first() -> None:
    names = [f"{number:02d}" for number in range(2 * BLURRED)]
    shards = [found(names[BLURRED:]), found(names[:BLURRED])]
    shown = []
    for order in (shards, shards[::-1]):
        both = Findings()
        for shard in order:
            both.add(shard)
        shown.append([item.photo.id for item in both.blurred])
    assert shown == [names[:BLURRED]] * 2
