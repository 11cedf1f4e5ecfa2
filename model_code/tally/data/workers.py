"""Preprocess on all cores: a pool of forked processes, each preparing whole shards, with a bounded number in flight.

A worker decodes one photo at a time, holds few in their stored form, and writes its shard itself, so no pixel travels
between processes.
"""

import gc
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import TypeVar

from tally.data.duplicates import Fingerprint, fingerprint, full_hash
from tally.data.files import explain_write_errors, replacing
from tally.data.findings import Findings, Quarantined
from tally.data.looks import Look, Rows, look_rows
from tally.data.photos import Checked, check_photo
from tally.data.shard_writer import Prepared, write_manifest_lines, write_shard
from tally.data.shards import Shard
from tally.data.sources import Entry, RejectedError, Source
from tally.errors import TallyError

TICK_SECONDS = 2.0

_WAITING_PIXELS = 1 << 20
"""Stored photos are measured and written some at a time, of about so many pixels: right after a photo was decoded, the
code for that is no longer in the CPU's caches, and takes twice as long."""

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Job:
    """What every worker knows; forked, never sent."""

    source: Source
    stored_side: int
    max_pixels: int
    done: "Synchronized[int]"


@dataclass(frozen=True)
class ShardTask:
    """One shard to write. `photos`: index into the source's entries, group, and why to refuse it though it is fine."""

    directory: Path
    split: str
    index: int
    photos: tuple[tuple[int, str, RejectedError | None], ...]


@dataclass(frozen=True)
class ShardResult:
    """`shard` is None when no photo of it was usable; `manifest` holds its manifest lines until they are merged,
    `looks` a row a photo."""

    split: str
    index: int
    shard: Shard | None
    manifest: Path
    looks: Rows
    findings: Findings


_job: Job


class Pool:
    """Worker processes around one job; use `with open_pool(...) as pool`."""

    def __init__(self, executor: ProcessPoolExecutor, workers: int) -> None:
        self._executor = executor
        self._in_flight = 2 * workers

    def run(
        self, function: Callable[[Task], Result], tasks: Iterable[Task], tick: Callable[[], None] = lambda: None
    ) -> Iterator[Result]:
        """Yield results as they arrive, with a bounded number of tasks handed out; call `tick` at least every 2 s.

        Raises:
            TallyError: what a worker raised, or a worker was killed.
        """
        waiting = iter(tasks)
        flying: set[Future[Result]] = set()
        try:
            while True:
                for task in waiting:
                    flying.add(self._executor.submit(function, task))
                    if len(flying) >= self._in_flight:
                        break
                if not flying:
                    return
                landed, flying = wait(flying, timeout=TICK_SECONDS, return_when=FIRST_COMPLETED)
                for future in landed:
                    yield future.result()
                tick()
        except BrokenProcessPool as error:
            raise TallyError(
                "a worker process was killed, most likely for want of memory; "
                "use an instance with more memory, a smaller --max-pixels or fewer --workers"
            ) from error


@contextmanager
def open_pool(job: Job, workers: int) -> Iterator[Pool]:
    """Start the workers; on the way out, with or without an error, nothing is left running."""
    # A worker's garbage collector would write to every page of what it inherits, and so copy the list of all photos.
    gc.freeze()
    context = multiprocessing.get_context("fork")
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(job,))
    try:
        yield Pool(executor, workers)
    finally:
        executor.shutdown(cancel_futures=True)


def _start_worker(job: Job) -> None:
    global _job
    _job = job
    obey_parent()


def obey_parent() -> None:
    """Of a new worker process: its parent decides what Ctrl-C means, and when the parent ends, it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed cannot stop its workers; they would wait for tasks for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def fingerprint_range(bounds: tuple[int, int]) -> list[tuple[int, Fingerprint | None]]:
    """Fingerprint the entries from bounds[0] up to, not including, bounds[1]."""
    return [(index, fingerprint(_path(_job.source.entries[index]))) for index in range(*bounds)]


def hash_entries(indices: list[int]) -> list[tuple[int, str | None]]:
    """Hash these entries whole."""
    return [(index, full_hash(_path(_job.source.entries[index]))) for index in indices]


def prepare_shard(task: ShardTask) -> ShardResult:
    """Check and shrink the task's photos and write those that pass; TallyError when the shard cannot be written."""
    findings = Findings()
    looks: list[Look] = []
    shard, photos = write_shard(task.directory, task.index, _prepared(task, findings, looks))
    manifest = task.directory / f"shard-{task.index:05d}.jsonl"
    with replacing(manifest) as file:
        write_manifest_lines(file, photos)
    findings.place(task.split, photos, looks)
    if not photos:
        with explain_write_errors(task.directory):
            (task.directory / shard.name).unlink()
    rows = look_rows(photos, looks)
    return ShardResult(task.split, task.index, shard if photos else None, manifest, rows, findings)


def _prepared(task: ShardTask, findings: Findings, looks: list[Look]) -> Iterator[Prepared]:
    source = _job.source
    waiting: list[tuple[Prepared, Checked]] = []
    for index, group, refusal in task.photos:
        entry = source.entries[index]
        try:
            count = source.label(entry)
            checked = check_photo(_path(entry), stored_side=_job.stored_side, max_pixels=_job.max_pixels)
            if refusal is not None:
                raise refusal
        except RejectedError as error:
            findings.quarantined.append(Quarantined(entry.id, entry.file, error.reason, error.detail))
        else:
            prepared = Prepared(
                id=entry.id,
                count=count,
                group=group,
                source=source.origins.get(entry.id, ""),
                sha256=checked.sha256,
                width=checked.width,
                height=checked.height,
                jpeg=checked.jpeg,
            )
            waiting.append((prepared, checked))
            if sum(photo.width * photo.height for photo, _ in waiting) > _WAITING_PIXELS:
                yield from _measured(waiting, looks)
        with _job.done.get_lock():
            _job.done.value += 1
    yield from _measured(waiting, looks)


def _measured(waiting: list[tuple[Prepared, Checked]], looks: list[Look]) -> Iterator[Prepared]:
    """Take the photos out of `waiting` and their looks into `looks`."""
    looks += [checked.look for _, checked in waiting]
    yield from (prepared for prepared, _ in waiting)
    waiting.clear()


def _path(entry: Entry) -> Path:
    return _job.source.root / entry.file
