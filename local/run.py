"""One run on the laptop: the platform deployed, photos uploaded, the pipeline they start, an answer of the API."""

import contextlib
import fcntl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TextIO, cast

from local.display import Display, PatientStream, make_display
from local.errors import LocalError, StepError
from local.heldout import HeldOutPhoto, choose_photo
from local.journal import ExecutionRecord, follow, read_record
from local.memory import TreeMeter
from local.platform import Platform, deployed
from local.reports import collect_reports, output_uri
from local.samples import sample_photos
from local.settings import ARTIFACTS_BUCKET, PREFIX, RAW_BUCKET, REPOSITORY, RunSettings, check_surroundings
from local.stopping import stopping_on_signals
from local.summary import LIMITS, print_summary, summarize, write_summary
from ops import upload
from ops.photos import check_extras, photo_files

_EXIT_CODES = {"succeeded": 0, "refused": 0, "failed": 1, "stopped": 130}


def run(settings: RunSettings, stream: TextIO, image: Path = REPOSITORY / "model_code") -> int:
    """Execute one run and return the exit code: 0 also when the gate refuses, 1 failed, 130 stopped.

    `image` is the folder whose package `tally` stands for both container images. A platform that `make up` keeps
    running is used and left running; otherwise one is started, and ended with the run.
    LocalError when the run cannot start: bad data, a stack that does not deploy, another run at work in the folder.
    """
    started = time.monotonic()
    stream = cast(TextIO, PatientStream(stream))
    check_surroundings(settings)
    with only_one(settings.build), make_display(stream) as display:
        (settings.build / "summary.json").unlink(missing_ok=True)
        with _photos(settings, display) as photos, TreeMeter() as meter, deployed(settings, display, image) as platform:
            meter.add(platform.pid)
            if settings.data is None:  # two files a photo, which are still drawn
                upload.prepare(2 * settings.sample_photos)
            summary = _Run(settings, display, platform, meter).execute(photos(), started)
    write_summary(settings.build, summary)
    print_summary(summary, settings.build, stream)
    return _EXIT_CODES[summary["status"]]


class _Run:
    """What belongs together while one run lasts."""

    def __init__(self, settings: RunSettings, display: Display, platform: Platform, meter: TreeMeter):
        self._settings = settings
        self._display = display
        self._platform = platform
        self._meter = meter

    def execute(self, photos: Path, started: float) -> dict[str, Any]:
        """Upload the photos, follow the execution that they start, ask the API, keep what is worth keeping."""
        settings, platform = self._settings, self._platform
        execution = platform.start_by_upload(photos)
        folder = platform.executions / execution
        self._display.say(f"_SUCCESS started execution {execution}; logs under {folder}")
        self._display.say(LIMITS)
        self._display.expect(platform.step_names())
        with stopping_on_signals(lambda: platform.stop_execution(execution)):
            for event in follow(folder, platform.check):
                self._display.listen(event)
        record = read_record(folder)
        if record is None:
            raise LocalError(f"{folder} has no record of the execution although it has ended; see {platform.log}")
        with ThreadPoolExecutor(1) as aside:  # the function behind the API takes a moment to start
            answer = aside.submit(self._predict, record)
            uri = output_uri(record, "Evaluate", "evaluation")
            evaluation = platform.read_json(f"{uri}/evaluation.json") if uri else None
            reports = collect_reports(platform.client("s3"), record, settings.build)
            platform.save(_worth_keeping(record))
        prediction, problem = answer.result()
        return summarize(
            record,
            seconds=time.monotonic() - started,
            peak_mb=self._meter.peak_mb,
            evaluation=evaluation,
            prediction=prediction,
            reports=reports,
            prediction_failure=problem,
        )

    def _predict(self, record: ExecutionRecord) -> tuple[dict[str, Any] | None, str | None]:
        """POST the held-out photo's address to the API; (None, None) when no model is in service."""
        if record.outcome == "stopped" or (package := self._platform.model_in_service()) is None:
            return None, None
        try:
            photo = self._unseen_photo(record)
            answer = self._platform.predict(f"s3://{RAW_BUCKET}/{PREFIX}/{photo.name}")
        except (StepError, LocalError) as error:
            return None, f"no prediction: {error}"
        deployed = record.steps.get("Deploy")
        return {
            **answer,
            "label": photo.count,
            "photo": photo.name,
            "from": "deployed" if deployed and deployed.status == "Succeeded" else "champion",
            "package": package,
        }, None

    def _unseen_photo(self, record: ExecutionRecord) -> HeldOutPhoto:
        test = output_uri(record, "Preprocess", "test")
        if test is None:
            raise StepError("there is no test split to take a photo from: Preprocess did not succeed")
        return choose_photo(self._platform.client("s3"), test, f"s3://{RAW_BUCKET}/{PREFIX}/", self._settings.seed)


def _photos(settings: RunSettings, display: Display) -> AbstractContextManager[Callable[[], Path]]:
    """What gives the folder of the run's photos, once the platform wants them."""
    if (photos := settings.data) is None:
        check_extras(settings.groups, settings.listing)
        return sample_photos(settings, display)
    photo_files(photos, settings.groups, settings.listing)  # what is wrong with them is better said at once
    return contextlib.nullcontext(lambda: photos)


@contextlib.contextmanager
def only_one(build: Path) -> Iterator[None]:
    """Hold the build directory's lock; LocalError when another run holds it."""
    with (build / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LocalError(f"another run is at work in {build}; wait for it or choose another folder") from error
        yield


def _worth_keeping(record: ExecutionRecord) -> list[str]:
    """S3 prefixes of this execution that a person may still want: all but the trials of a search."""
    steps = [name for name, step in record.steps.items() if step.type != "Tuning"]
    root = f"s3://{ARTIFACTS_BUCKET}/executions/{record.execution_id}"
    return [f"s3://{ARTIFACTS_BUCKET}/weights/", *(f"{root}/{name}/" for name in steps)]
