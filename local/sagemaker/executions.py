"""Executions of pipelines: each is an engine in a thread of its own.

Executions share the machine, the input cache, the step cache and the registry; nothing else. An execution keeps the
definition that it was started with.
"""

import secrets
import string
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.cache import StepCache
from local.callbacks import Callbacks
from local.engine import Engine
from local.errors import LocalError
from local.events import Event
from local.journal import JournalWriter
from local.sagemaker.arns import ACCOUNT, REGION
from local.sagemaker.errors import ApiError, conflict, invalid, not_found
from local.sagemaker.execution_events import ExecutionEvents
from local.sagemaker.jobs import Listen
from local.sagemaker.listing import listed, page
from local.sagemaker.packages import Emit
from local.sagemaker.pipelines import Pipeline, Pipelines
from local.steps.base import ExecutionInfo, StepRunner

_ID_ALPHABET = string.ascii_lowercase + string.digits
_ID_LENGTH = 12
_NOT_EMULATED = {"SelectiveExecutionConfig", "PipelineVersionId"}  # ignored, they would run something else
_DEFAULT_NAME = "execution-"


@dataclass
class Run:
    """One execution: its engine, what it was started with and its thread."""

    engine: Engine
    pipeline: Pipeline
    request: Mapping[str, Any]
    thread: threading.Thread | None = None

    def describe(self) -> dict[str, Any]:
        """What DescribePipelineExecution answers, and members that the lists show."""
        info = self.engine.execution.info
        described = self.engine.execution.describe()
        return {
            "PipelineExecutionDisplayName": f"{_DEFAULT_NAME}{round(info.started * 1000)}",
            **{key: value for key, value in self.request.items() if key.startswith("PipelineExecution")},
            "ParallelismConfiguration": _parallelism(self.pipeline, self.request),
            **described,
            "StartTime": info.started,
            "PipelineExecutionFailureReason": described.get("FailureReason"),
        }


class Executions:
    """All executions of this process; `folder` gets one subfolder each."""

    def __init__(
        self,
        pipelines: Pipelines,
        runners: Mapping[str, StepRunner],
        callbacks: Callbacks,
        *,
        folder: Path,
        read_json: Callable[[str], Any],
        cache: StepCache,
        emit: Emit,
        listen: Listen,
    ):
        self._pipelines = pipelines
        self._runners = runners
        self._callbacks = callbacks
        self._folder = folder
        self._read_json = read_json
        self._cache = cache
        self._emit = emit
        self._listen = listen
        self._lock = threading.RLock()
        self._runs: dict[str, Run] = {}
        self._tokens: dict[tuple[str, str], str] = {}

    def operations(self) -> dict[str, Any]:
        """Operation name -> function."""
        return {
            "DeletePipeline": self._delete_pipeline,
            "StartPipelineExecution": self._start,
            "StopPipelineExecution": self._stop,
            "DescribePipelineExecution": lambda request: self._find(request).describe(),
            "ListPipelineExecutions": self._list,
            "ListPipelineExecutionSteps": self._list_steps,
            "DescribePipelineDefinitionForExecution": self._definition,
            "ListPipelineParametersForExecution": self._parameters,
            "SendPipelineExecutionStepSuccess": self._success,
            "SendPipelineExecutionStepFailure": self._failure,
        }

    def close(self, seconds: float) -> None:
        """Stop all executions and wait up to `seconds` for their ends."""
        running = [run for run in list(self._runs.values()) if run.thread and run.thread.is_alive()]
        for run in running:
            run.engine.stop("the emulator ends")
        deadline = time.monotonic() + seconds
        for run in running:
            while run.thread and run.thread.is_alive() and time.monotonic() < deadline:
                self._callbacks.end("the emulator ends")  # nobody else will answer
                run.thread.join(0.1)

    # start and end

    def _start(self, request: Mapping[str, Any]) -> dict[str, Any]:
        pipeline = self._pipelines.find(request["PipelineName"])
        for member in sorted(_NOT_EMULATED & set(request)):
            raise invalid(f"{member} is not emulated; start the execution without it")
        key = (pipeline.name, request["ClientRequestToken"])
        with self._lock:
            arn = self._tokens.get(key) or self._begin(pipeline, request)
            self._tokens[key] = arn
        return {"PipelineExecutionArn": arn}

    def _begin(self, pipeline: Pipeline, request: Mapping[str, Any]) -> str:
        given = {item["Name"]: item["Value"] for item in request.get("PipelineParameters", [])}
        identity = "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_LENGTH))
        info = ExecutionInfo(pipeline.name, identity, time.time(), REGION, ACCOUNT)
        folder = self._folder / identity
        events = ExecutionEvents(self._emit)

        def listen(event: Event) -> None:
            journal.listen(event)
            self._listen(identity, event)
            events.step(run.engine.execution, event)

        try:
            engine = Engine(
                pipeline.parse(),
                self._runners,
                info,
                parameters=given,
                folder=folder,
                read_json=self._read_json,
                cache=self._cache,
                listen=listen,
                parallel=(_parallelism(pipeline, request) or {}).get("MaxParallelExecutionSteps"),
            )
        except LocalError as error:
            raise invalid(str(error)) from error
        journal = JournalWriter(folder)
        run = Run(engine, pipeline, request)
        run.thread = threading.Thread(target=self._execute, args=(run, journal, events), name=identity, daemon=True)
        self._runs[info.arn] = run
        self._pipelines.started(pipeline, info.started)
        run.thread.start()
        return info.arn

    def _execute(self, run: Run, journal: JournalWriter, events: ExecutionEvents) -> None:
        execution = run.engine.execution
        try:
            events.execution(execution, run.describe())
            run.engine.run()
        except Exception as error:  # a listener's, say: the disk is full
            execution.finish("Failed", f"{type(error).__name__}: {error}")
        journal.close(execution)
        events.execution(execution, run.describe())

    def _stop(self, request: Mapping[str, Any]) -> dict[str, Any]:
        run = self._find(request)
        execution = run.engine.execution
        if execution.ended is not None:
            raise conflict(
                f"Only pipelines with 'Executing' status can be stopped; {execution.info.arn} is {execution.status}."
            )
        run.engine.stop("StopPipelineExecution")
        return {"PipelineExecutionArn": execution.info.arn}

    def _delete_pipeline(self, request: Mapping[str, Any]) -> dict[str, Any]:
        pipeline = self._pipelines.find(request["PipelineName"])
        with self._lock:
            at_work = [r for r in self._of(pipeline) if r.engine.execution.ended is None]
            if at_work:
                raise conflict(
                    f"Pipeline {pipeline.name} has {len(at_work)} running executions; stop "
                    f"{at_work[0].engine.execution.info.arn} first."
                )
            self._pipelines.remove(pipeline)
        return dict(pipeline.describe)

    # looking at them

    def _find(self, request: Mapping[str, Any]) -> Run:
        arn = request.get("PipelineExecutionArn", "")
        if arn not in self._runs:
            raise not_found(f"Pipeline execution with ARN {arn} does not exist.")
        return self._runs[arn]

    def _of(self, pipeline: Pipeline) -> list[Run]:
        return [run for run in list(self._runs.values()) if run.pipeline.name == pipeline.name]

    def _list(self, request: Mapping[str, Any]) -> dict[str, Any]:
        runs = self._of(self._pipelines.find(request["PipelineName"]))
        by_arn = {"PipelineExecutionArn": lambda shown: shown["PipelineExecutionArn"]}
        return listed(
            [run.describe() for run in runs],
            request,
            "PipelineExecutionSummaries",
            name="PipelineExecutionArn",
            sort_keys=by_arn,
        )

    def _list_steps(self, request: Mapping[str, Any]) -> dict[str, Any]:
        steps = self._find(request).engine.execution.describe_steps()
        if request.get("SortOrder", "Descending") == "Descending":
            steps.reverse()
        return page(steps, request, "PipelineExecutionSteps")

    def _definition(self, request: Mapping[str, Any]) -> dict[str, Any]:
        run = self._find(request)
        return {"PipelineDefinition": run.pipeline.text, "CreationTime": run.engine.execution.info.started}

    def _parameters(self, request: Mapping[str, Any]) -> dict[str, Any]:
        values = self._find(request).engine.execution.parameters
        shown = [{"Name": name, "Value": _text(value)} for name, value in values.items()]
        return page(shown, request, "PipelineParameters")

    # callbacks

    def _success(self, request: Mapping[str, Any]) -> dict[str, Any]:
        outputs = {item["Name"]: item["Value"] for item in request.get("OutputParameters", [])}
        return self._answer(lambda: self._callbacks.success(request["CallbackToken"], outputs))

    def _failure(self, request: Mapping[str, Any]) -> dict[str, Any]:
        reason = request.get("FailureReason", "")
        return self._answer(lambda: self._callbacks.failure(request["CallbackToken"], reason))

    @staticmethod
    def _answer(answer: Callable[[], str]) -> dict[str, Any]:
        try:
            return {"PipelineExecutionArn": answer()}
        except KeyError as error:
            raise ApiError("ResourceNotFound", f"{error.args[0]}: unknown, expired or answered already") from error


def _parallelism(pipeline: Pipeline, request: Mapping[str, Any]) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = {**pipeline.describe, **request}.get("ParallelismConfiguration")
    return found


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
