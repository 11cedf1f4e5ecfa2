"""The Preprocess job: raw photos in; checked, split, shrunk and packed photos out, with a report on the data.

    python -m tally preprocess --image-size 160

Reads processing input `photos`; writes processing outputs `train`, `validation`, `test` and `report`. With several
instances each does its share of the shards, and the shards are the same bytes whatever their number.
"""

import argparse
import importlib
import multiprocessing
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tally.container import Cluster
from tally.cpus import usable_cpus
from tally.data.duplicates import refuse_duplicates, same_key
from tally.data.files import make_folder, replacing
from tally.data.findings import Findings, Quarantined
from tally.data.grouping import SIDES, Place, place_all, stable_hash
from tally.data.looks import Rows, write_looks
from tally.data.photos import MAX_PIXELS, MAX_PIXELS_CEILING
from tally.data.projection import PUBLIC_PHOTOS, Pace, price_problem, project, sentences
from tally.data.shard_writer import write_part
from tally.data.shards import manifest_name
from tally.data.sources import RejectedError, Source, read_source
from tally.data.workers import (
    TICK_SECONDS,
    Job,
    Pool,
    ShardResult,
    ShardTask,
    fingerprint_range,
    hash_entries,
    open_pool,
    prepare_shard,
)
from tally.errors import TallyError
from tally.paths import MlPaths

if TYPE_CHECKING:
    from tally.data.report import Run

SHARD_PHOTOS = 1000
"""Photos a shard of a large set: some 25 MB, half a million photos in a few hundred shards."""

_CHUNK = 500


@dataclass(frozen=True)
class PreprocessSettings:
    """What a person may set; validated on construction, TallyError names the option."""

    image_size: int = 160
    max_pixels: int = MAX_PIXELS
    min_photos: int = 1
    workers: int = 1
    instance_price: float | None = None

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("image-size", self.image_size, 32, 2048),
            ("max-pixels", self.max_pixels, 10_000, MAX_PIXELS_CEILING),
            ("min-photos", self.min_photos, 1, 10**9),
            ("workers", self.workers, 1, 1024),
        ):
            if not least <= value <= most:
                raise TallyError(f"--{name} is {value}; it must be from {least} to {most}")
        if self.instance_price is not None and (problem := price_problem(self.instance_price)):
            raise TallyError(problem)

    @property
    def stored_side(self) -> int:
        """Long side of stored photos in pixels: a quarter more than the network sees leaves room for random crops."""
        return -(-5 * self.image_size // 4)

    @classmethod
    def parse(cls, argv: list[str]) -> "PreprocessSettings":
        """Read the command line; argparse ends the process on --help and on unknown options."""
        parser = argparse.ArgumentParser(
            prog="python -m tally preprocess", description="Check, split, shrink and pack bin photos."
        )
        parser.add_argument(
            "--image-size", type=int, default=cls.image_size, help="side the network sees, pixels (default %(default)s)"
        )
        parser.add_argument("--max-pixels", type=int, default=MAX_PIXELS, help="quarantine photos with more pixels")
        parser.add_argument(
            "--min-photos", type=int, default=1, help="fewest usable photos a split may have (default 1)"
        )
        parser.add_argument("--workers", type=int, default=usable_cpus(), help="processes (default: one a core)")
        parser.add_argument(
            "--instance-price", type=float, help="of one hour of one instance, in any currency: costs are projected"
        )
        return cls(**vars(parser.parse_args(argv)))


def main(argv: list[str], paths: MlPaths) -> None:
    """Run the job; TallyError says what stopped it."""
    settings = PreprocessSettings.parse(argv)
    cluster = Cluster.read(paths.processing_config / "resourceconfig.json")
    started = time.monotonic()
    source = read_source(paths.processing_input("photos"))
    places = place_all((entry.id for entry in source.entries), source.groups)
    require_photos(dict.fromkeys(SIDES, 0) | _listed(places), settings.min_photos, len(places))
    outputs = {side: paths.processing_output(side) for side in SIDES}
    for directory in outputs.values():
        make_folder(directory)

    findings = Findings()
    results: dict[str, list[ShardResult]] = {side: [] for side in SIDES}
    done = multiprocessing.get_context("fork").Value("q", 0)
    job = Job(source, settings.stored_side, settings.max_pixels, done)
    with open_pool(job, settings.workers) as pool:
        refused = _duplicates(pool, source, places)
        compared = time.monotonic()
        # What draws the report takes a while to load; until the shards are written this process has time for that.
        threading.Thread(target=importlib.import_module, args=("tally.data.report",)).start()
        tasks = list(_tasks(source, places, refused, outputs, cluster))
        progress = _Progress(job, sum(len(task.photos) for task in tasks))
        for result in pool.run(prepare_shard, tasks, progress.tick):
            findings.add(result.findings)
            results[result.split].append(result)
        progress.show()
    looks = {
        side: _merge(directory, side, results[side], settings.stored_side, cluster)
        for side, directory in outputs.items()
    }

    guard: list[str] = []
    if cluster.index == 0:  # what no shard stands for is told once
        guard = sorted(key for key, place in places.items() if place.guard)
        findings.quarantined += [Quarantined(at.id, at.file, why.reason, why.detail) for at, why in source.refused]
    ended, parts = time.monotonic(), len(cluster.hosts)
    pace = Pace.of(len(source.entries), compared - started, ended - compared, parts)
    from tally.data.report import Run, write_reports

    run = Run(
        source=source,
        findings=findings,
        looks=looks,
        guard=guard,
        outputs=outputs,
        stored_side=settings.stored_side,
        part=cluster.index,
        parts=parts,
        seconds=ended - started,
        projection=tuple(project(pace, (len(source.entries), PUBLIC_PHOTOS), settings.instance_price)),
    )
    report = write_reports(paths.processing_output("report"), run)
    _tell(report, run, settings)
    if run.parts == 1:
        used = {side: report["splits"][side]["photos"] for side in SIDES}
        require_photos(used, settings.min_photos, report["photos_seen"], report["reasons"])


def _tell(report: Mapping[str, Any], run: "Run", settings: PreprocessSettings) -> None:
    for warning in report["warnings"]:
        print(f"warning: {warning}", flush=True)
    print(
        f"photos_seen={report['photos_seen']} photos_used={report['photos_used']} guard={len(run.guard)} "
        f"quarantined={len(report['quarantined'])} seconds={report['seconds']} "
        f"photos_per_second={report['photos_per_second']}",
        flush=True,
    )
    for line in sentences(run.projection):
        print(line, flush=True)
    if settings.instance_price is None:
        print("cost: hours x instances x the price of an hour, which --instance-price gives", flush=True)


def require_photos(photos: Mapping[str, int], least: int, seen: int, reasons: Mapping[str, int] | None = None) -> None:
    """Raise TallyError unless every split has at least `least` photos."""
    short = [side for side in SIDES if photos[side] < least]
    if short:
        shares = ", ".join(f"{side} {photos[side]}" for side in SIDES)
        lost = "".join(f", {reason} {number}" for reason, number in (reasons or {}).items())
        raise TallyError(
            f"too few photos: of {seen} photos found, usable are {shares}{lost}; every split needs at least {least}. "
            "Add photos: blocks of 20 neighbouring ids stay together, so about 400 ids fill all splits"
        )


def _listed(places: Mapping[str, Place]) -> dict[str, int]:
    listed: dict[str, int] = defaultdict(int)
    for place in places.values():
        listed[place.side] += not place.guard
    return listed


def _duplicates(pool: Pool, source: Source, places: Mapping[str, Place]) -> dict[int, RejectedError]:
    """Find identical files among all photos that may be used: every instance does, so that all agree."""
    size = len(source.entries)
    ranges = ((start, min(start + _CHUNK, size)) for start in range(0, size, _CHUNK))
    prints = (pair for found in pool.run(fingerprint_range, ranges) for pair in found)
    alike = same_key((index, key) for index, key in prints if not places[source.entries[index].id].guard)
    hashes = (pair for found in pool.run(hash_entries, alike) for pair in found)
    return refuse_duplicates(same_key(hashes), source.entries, places, source.label)


def shard_count(photos: int) -> int:
    """Shards of a split: large ones, but even a small set gives several cores and instances something to do."""
    return max(-(-photos // SHARD_PHOTOS), min(16, -(-photos // 50)))


def _tasks(
    source: Source,
    places: Mapping[str, Place],
    refused: Mapping[int, RejectedError],
    outputs: Mapping[str, Path],
    cluster: Cluster,
) -> Iterator[ShardTask]:
    """This instance's shards. A group goes to one shard, by hash; the number of shards depends on the listing alone."""
    shards = {side: shard_count(photos) for side, photos in _listed(places).items()}
    photos: dict[tuple[str, int], list[tuple[int, str, RejectedError | None]]] = defaultdict(list)
    for index, entry in enumerate(source.entries):
        place = places[entry.id]
        if not place.guard:
            shard = stable_hash("shard", place.group) % shards[place.side]
            if shard % len(cluster.hosts) == cluster.index:
                photos[place.side, shard].append((index, place.group, refused.get(index)))
    for side, shard in sorted(photos):
        yield ShardTask(outputs[side], side, shard, tuple(photos[side, shard]))


def _merge(directory: Path, split: str, results: list[ShardResult], stored_side: int, cluster: Cluster) -> Rows:
    """Join the shards' manifest lines and looks in the order of the shards, then vouch for the part."""
    results = sorted(results, key=lambda result: result.index)
    part, parts = cluster.index, len(cluster.hosts)
    with replacing(directory / manifest_name(part, parts)) as manifest:
        for result in results:
            with result.manifest.open("rb") as lines:
                shutil.copyfileobj(lines, manifest)
    for result in results:
        result.manifest.unlink()
    looks = write_looks(directory, part, parts, (result.looks for result in results))
    shards = [result.shard for result in results if result.shard is not None]
    write_part(directory, split=split, part=part, parts=parts, stored_side=stored_side, shards=shards)
    return looks


class _Progress:
    """One line every two seconds, and a last one."""

    def __init__(self, job: Job, photos: int) -> None:
        self._done = job.done
        self._photos = photos
        self._started = self._shown = time.monotonic()

    def tick(self) -> None:
        if time.monotonic() - self._shown >= TICK_SECONDS:
            self.show()

    def show(self) -> None:
        self._shown = time.monotonic()
        done = self._done.value
        rate = done / max(self._shown - self._started, 1e-3)
        print(f"progress photos={done}/{self._photos} photos_per_second={rate:.0f}", flush=True)
