"""Executes a pipeline definition: order, parallel branches, conditions, retries, caching, stop.

Knows nothing of terminals, jobs or AWS: kinds of steps come as `StepRunner`s, what happens goes to a listener. When a
step fails, nothing new starts and running steps are asked to stop, so that the first reason is the one that is seen.
"""

import queue
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from local.cache import StepCache, Success
from local.definition import Definition, Step
from local.errors import StepError, StoppedError
from local.events import Event, Listener, silent
from local.execution import Execution, StepRecord
from local.expressions import Scope, resolve
from local.retries import Retries
from local.steps.base import ExecutionInfo, StepContext, StepResult, StepRunner
from local.stopping import StopSignal


class Engine:
    """Runs one execution of `definition` with `parameters` (names to values; defaults fill the rest).

    `read_json(uri)` reads a JSON object from S3, for Std:JsonGet. `folder` gets one subfolder per step. `parallel`:
    most steps at a time, None for any number.
    """

    def __init__(
        self,
        definition: Definition,
        runners: Mapping[str, StepRunner],
        info: ExecutionInfo,
        *,
        parameters: Mapping[str, Any],
        folder: Path,
        read_json: Callable[[str], Any],
        cache: StepCache | None = None,
        listen: Listener = silent,
        parallel: int | None = None,
    ):
        self._definition = definition
        self._runners = runners
        self._folder = folder
        self._read_json = read_json
        self._cache = cache
        self._listen = listen
        self._parallel = parallel or len(definition.steps)
        self._stop = StopSignal()
        self._ended: queue.Queue[str] = queue.Queue()
        values = definition.values(parameters)
        self.execution = Execution(
            info, values, {name: StepRecord(name, s.type) for name, s in definition.steps.items()}
        )

    def stop(self, reason: str) -> None:
        """Ask all running steps to stop and start no new ones; safe from a signal handler or another thread."""
        self.execution.stopping = True
        self._stop.set(reason)

    def run(self) -> Execution:
        """Execute until every step ended or cannot be reached, and return the execution with its status."""
        self.execution.status = "Executing"
        running: set[str] = set()
        while True:
            if not self._stop.is_set():
                running |= self._start_ready(self._parallel - len(running))
            if not running:
                break
            running.discard(self._ended.get())
        self._close()
        return self.execution

    # which steps may start

    def _start_ready(self, most: int) -> set[str]:
        started: set[str] = set()
        for step in self._definition.steps.values():
            record = self.execution.steps[step.name]
            if record.status != "Waiting":
                continue
            if self._unreachable(step):
                record.status = "NotReached"
                self._listen(Event("skipped", step.name))
            elif len(started) < most and self._ready(step):
                record.start()
                started.add(step.name)
                threading.Thread(target=self._run_step, args=(step,), name=step.name, daemon=True).start()
        return started

    def _ready(self, step: Step) -> bool:
        return all(self.execution.steps[name].status == "Succeeded" for name in step.depends_on)

    def _unreachable(self, step: Step) -> bool:
        if any(self.execution.steps[name].status == "NotReached" for name in step.depends_on):
            return True
        if step.branch is None:
            return False
        condition = self.execution.steps[step.branch[0]]
        return condition.status == "Succeeded" and condition.outputs["Outcome"] is not step.branch[1]

    # one step

    def _run_step(self, step: Step) -> None:
        """Run a step in its thread; whatever happens, also to the listener, the main thread hears that it ended."""
        try:
            self._execute(step)
        except Exception as error:
            self._fail(self.execution.steps[step.name], f"{type(error).__name__}: {error}")
        finally:
            self._ended.put(step.name)

    def _execute(self, step: Step) -> None:
        record = self.execution.steps[step.name]
        self._listen(Event("started", step.name))
        try:
            arguments = resolve(step.arguments, self._scope())
            result = self._cached(step, arguments) if step.cache_expiry is not None else None
            if result is None:
                result = self._with_retries(step, arguments)
                if step.cache_expiry is not None and self._cache is not None:
                    success = Success(result.outputs, record.metadata, self.execution.info.arn)
                    self._cache.store(step.name, step.type, arguments, success)
            record.end("Succeeded", outputs=result.outputs, peak_mb=result.peak_mb, details=result.details)
        except StepError as failure:
            self._fail(record, failure.reason)
        except StoppedError:
            record.end("Stopped", reason=self._stop.reason)
        except Exception as error:
            self._fail(record, f"{type(error).__name__}: {error}\n{traceback.format_exc()}")
        kind = record.status.lower()
        self._listen(Event(kind, step.name, record.reason or "", cached=record.cached, seconds=record.seconds))

    def _fail(self, record: StepRecord, reason: str) -> None:
        self._stop.set(f"step {record.name} failed")
        record.end("Failed", reason=reason)

    def _cached(self, step: Step, arguments: Any) -> StepResult | None:
        if self._cache is None:
            return None
        success = self._cache.find(step.name, step.type, arguments, step.cache_expiry or "")
        if success is None:
            return None
        record = self.execution.steps[step.name]
        record.cached, record.cached_from = True, success.execution_arn
        record.metadata.update(success.metadata)
        return StepResult(success.outputs)

    def _with_retries(self, step: Step, arguments: Any) -> StepResult:
        if step.type not in self._runners:
            known = ", ".join(sorted(self._runners))
            raise StepError(f"step {step.name} is of type {step.type}; this runner knows {known}")
        retries = Retries(step.retries)
        attempt = 1
        while True:
            folder = self._folder / (step.name if attempt == 1 else f"{step.name}-attempt-{attempt}")
            folder.mkdir(parents=True, exist_ok=True)
            record = self.execution.steps[step.name]
            record.attempts = attempt
            info = self.execution.info
            context = StepContext(info, step, folder, self._stop, self._listen, attempt, record.metadata)
            try:
                return self._runners[step.type].run(arguments, context)
            except StepError as failure:
                wait = retries.wait_after(failure.kind)
                if wait is None:
                    raise
                self._listen(Event("retry", step.name, f"{failure.kind}: {failure.reason}; again in {wait:g} s"))
                if self._stop.wait(wait):
                    raise StoppedError from failure
            attempt += 1

    # what expressions see

    def _scope(self) -> Scope:
        info = self.execution.info
        records = self.execution.steps
        return Scope(
            parameters=self.execution.parameters,
            execution={
                "PipelineName": info.pipeline_name,
                "PipelineArn": info.pipeline_arn,
                "PipelineExecutionId": info.execution_id,
                "PipelineExecutionArn": info.arn,
                "StartDateTime": _iso(info.started),
                "CurrentDateTime": _iso(time.time()),
            },
            outputs={name: record.outputs for name, record in records.items() if record.status == "Succeeded"},
            property_file=self._property_file,
            s3_json=self._read_json,
        )

    def _property_file(self, step_name: str, file_name: str) -> Any:
        step = self._definition.steps[step_name]
        if file_name not in step.property_files:
            known = ", ".join(step.property_files) or "none"
            raise StepError(f"step {step_name} declares no property file {file_name}; it declares {known}")
        output, path = step.property_files[file_name]
        outputs = self.execution.steps[step_name].outputs["ProcessingOutputConfig"]["Outputs"]
        for item in outputs:
            if item["OutputName"] == output:
                return self._read_json(f"{item['S3Output']['S3Uri'].rstrip('/')}/{path}")
        raise StepError(f"property file {file_name} is in output {output}, which step {step_name} does not have")

    def _close(self) -> None:
        records = self.execution.steps.values()
        failed = [r for r in records if r.status == "Failed"]
        for record in records:
            if record.status == "Waiting":
                record.status = "NotReached"
                self._listen(Event("skipped", record.name))
        if failed:
            first = min(failed, key=lambda r: r.ended or 0.0)
            self.execution.finish("Failed", f"step {first.name}: {first.reason}")
        elif self._stop.is_set():
            self.execution.finish("Stopped", self._stop.reason)
        else:
            self.execution.finish("Succeeded", None)


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
