"""One run on the laptop: photos in, the pipeline's own definition executed, a served prediction out."""

import contextlib
import fcntl
import secrets
import shutil
import signal
import string
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO, cast

import psutil

from local.cloud import REGION
from local.definition import Definition
from local.display import Display, PatientStream, make_display
from local.engine import Engine
from local.errors import LocalError, StepError
from local.events import Event
from local.execution import Execution
from local.files import write_json
from local.jobs.containers import Containers
from local.laptop import CHAMPION_ARN, REPOSITORY, Laptop, code_commit, code_version
from local.reports import collect_reports, output_uri
from local.serving import UnseenPhoto, predict
from local.settings import ARTIFACTS_BUCKET, GROUP, RAW_BUCKET, RunSettings, check_surroundings
from local.steps.base import ExecutionInfo
from local.summary import LIMITS, outcome, print_summary, summarize, write_summary

_EXIT_CODES = {"succeeded": 0, "refused": 0, "failed": 1, "stopped": 130}
_ID_ALPHABET = string.ascii_lowercase + string.digits
_KEPT_EXECUTIONS = 10
# Loader processes would take turns with the ranks and cost memory. Batch statistics over all ranks make training
# independent of their number, but through gloo their many small exchanges more than halve its speed.
_TWO_CORES = {"workers": "0", "sync_batchnorm": "false"}


def run(settings: RunSettings, stream: TextIO, image: Path = REPOSITORY / "model_code") -> int:
    """Execute one run and return the exit code: 0 also when the gate refuses, 1 failed, 130 stopped.

    `image` is the folder whose package `tally` stands for both container images.
    LocalError when the run cannot start: bad data, an unwritable build directory, another run at work there.
    """
    started = time.monotonic()
    stream = cast(TextIO, PatientStream(stream))
    check_surroundings(settings)
    with _only_run(settings.build), make_display(stream) as display:
        (settings.build / "summary.json").unlink(missing_ok=True)
        photos = settings.data or sample_photos(settings, display)
        summary = _Run(settings, display, image).execute(photos, started)
    write_summary(settings.build, summary)
    print_summary(summary, settings.build, stream)
    return _EXIT_CODES[summary["status"]]


class _Run:
    """What belongs together while one run lasts."""

    def __init__(self, settings: RunSettings, display: Display, image: Path):
        self._settings = settings
        self._display = display
        self._image = image
        self._unseen = UnseenPhoto(settings.seed)
        self._engine: Engine | None = None

    def execute(self, photos: Path, started: float) -> dict[str, Any]:
        """Open the emulated account, run the pipeline in it, ask the served model, tidy up."""
        containers = Containers(python_path=self._image, environment={"TALLY_GIT_COMMIT": code_commit()})
        with Laptop(self._settings, self._display.listen, self._smoke_photo, containers) as laptop:
            self._laptop = laptop
            self._engine = engine = self._prepare(photos)
            with _stop_on_signals(engine):
                execution = engine.run()
                prediction, problem = self._predict(execution)
            return self._finish(execution, prediction, problem, started)

    def _prepare(self, photos: Path) -> Engine:
        settings, laptop = self._settings, self._laptop
        upload = laptop.upload(photos)
        self._display.say(
            f"{photos}: {upload.objects} files in the raw bucket, {upload.changed} new or changed, "
            f"{upload.removed} removed"
        )
        laptop.save()
        definition = Definition.parse(pipeline_definition(settings, laptop, code_version(self._image)))
        identity = "".join(secrets.choice(_ID_ALPHABET) for _ in range(12))
        info = ExecutionInfo(GROUP, identity, time.time(), REGION)
        folder = settings.build / "executions" / identity
        _forget_old_executions(folder.parent)
        self._display.expect(list(definition.steps))
        self._display.say(f"execution {identity}; logs under {folder}")
        self._display.say(LIMITS)
        return Engine(
            definition,
            laptop.runners(),
            info,
            parameters=settings.pipeline_parameters(upload.revision),
            folder=folder,
            read_json=laptop.read_json,
            cache=laptop.cache,
            listen=self._listen,
        )

    def _listen(self, event: Event) -> None:
        self._display.listen(event)
        if event.kind == "succeeded" and not event.cached:
            self._laptop.save()

    def _smoke_photo(self) -> tuple[bytes, str]:
        if self._engine is None:
            raise StepError("no execution has prepared photos yet")
        photo = self._unseen.get(self._laptop, self._engine.execution)
        return photo.content, photo.name

    def _predict(self, execution: Execution) -> tuple[dict[str, Any] | None, str | None]:
        if outcome(execution) == "stopped":
            return None, None
        try:
            return predict(self._laptop, execution, self._unseen), None
        except StepError as failure:
            return None, f"no prediction: {failure.reason}"

    def _finish(
        self, execution: Execution, prediction: dict[str, Any] | None, problem: str | None, started: float
    ) -> dict[str, Any]:
        laptop, build = self._laptop, self._settings.build
        if (deploy := execution.steps.get("Deploy")) and laptop.deployer.server and deploy.status == "Succeeded":
            deploy.peak_mb = laptop.deployer.server.peak_mb
        uri = output_uri(execution, "Evaluate", "evaluation")
        evaluation = laptop.read_json(f"{uri}/evaluation.json") if uri else None
        reports = collect_reports(laptop.cloud.clients.s3, execution, build)
        record = {**execution.describe(), "Steps": execution.describe_steps()}
        write_json(build / "executions" / execution.info.execution_id / "execution.json", record)
        laptop.save()
        laptop.tidy(_worth_keeping(execution))
        return summarize(
            execution,
            seconds=time.monotonic() - started,
            peak_mb=laptop.workspace.meter.peak_mb + psutil.Process().memory_info().rss / 1e6,
            evaluation=evaluation,
            prediction=prediction,
            reports=reports,
            prediction_failure=problem,
        )


def pipeline_definition(settings: RunSettings, laptop: Laptop, version: str) -> dict[str, Any]:
    """The deployed pipeline's definition, with the names of the emulated account; `version` becomes the images' tag."""
    from pipeline.definition import build  # the SageMaker SDK takes seconds to import: not for --help
    from pipeline.settings import example_settings

    weights = settings.weights
    return build(
        example_settings(
            name=GROUP,
            region=REGION,
            raw_bucket=RAW_BUCKET,
            artifacts_bucket=ARTIFACTS_BUCKET,
            train_image=f"tally-train:{version}",
            serve_image=f"tally-serve:{version}",
            champion_function_arn=CHAMPION_ARN,
            deploy_queue_url=laptop.queue_url,
            model_package_group=GROUP,
            spot=False,
            pretrained=weights is not None,
            hyperparameters=_TWO_CORES,
            weights_uri=laptop.upload_weights(weights, settings.backbone) if weights else None,
        )
    )


def sample_photos(settings: RunSettings, display: Display) -> Path:
    """Generate the sample photos of this number and seed once, and return their directory."""
    from local.sample_data import generate

    folder = settings.build / "sample" / f"{settings.sample_photos}-photos-seed-{settings.seed}"
    if not folder.is_dir():
        display.say(f"generating {settings.sample_photos} sample photos in {folder}")
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        generate(partial, photos=settings.sample_photos, seed=settings.seed)
        partial.rename(folder)
    return folder


def _worth_keeping(execution: Execution) -> list[str]:
    """S3 prefixes of this execution that a person may still want: all but the trials of a search."""
    steps = [record.name for record in execution.steps.values() if record.type != "Tuning"]
    root = f"s3://{ARTIFACTS_BUCKET}/executions/{execution.info.execution_id}"
    return [f"s3://{ARTIFACTS_BUCKET}/weights/", *(f"{root}/{name}/" for name in steps)]


def _forget_old_executions(folder: Path) -> None:
    """Keep the logs of the last executions, and no trees that a failed or killed one left."""
    if folder.is_dir():
        for old in sorted(folder.iterdir(), key=lambda p: p.stat().st_mtime)[: -_KEPT_EXECUTIONS + 1]:
            shutil.rmtree(old, ignore_errors=True)
        for tree in folder.glob("**/trees"):
            shutil.rmtree(tree, ignore_errors=True)


@contextlib.contextmanager
def _only_run(build: Path) -> Iterator[None]:
    with (build / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LocalError(f"another run is at work in {build}; wait for it or choose another --build") from error
        yield


@contextlib.contextmanager
def _stop_on_signals(engine: Engine) -> Iterator[None]:
    def stop(number: int, _frame: object) -> None:
        engine.stop(f"stopped by {signal.Signals(number).name}")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
