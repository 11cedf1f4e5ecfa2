"""Lambda steps: the real handler in a process of its own, with the environment a deployment would give it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.errors import StepError, StoppedError
from local.steps.base import StepContext, StepResult

_ENTRY = Path(__file__).with_name("lambda_entry.py")
_POLL_SECONDS = 0.1
_STEP_SECONDS = 600  # a Lambda step ends after 10 minutes
_INHERITED = ("PATH", "HOME", "LANG", "TMPDIR")


@dataclass(frozen=True)
class LambdaFunction:
    """A function: the folder that would be its package, `module.function` in it, and its environment variables."""

    folder: Path
    handler: str = "handler.handler"
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: float = 60.0


@dataclass(frozen=True)
class LambdaRunner:
    """Calls functions by their ARN."""

    functions: Mapping[str, LambdaFunction]

    def run(self, arguments: Any, context: StepContext) -> StepResult:
        """Call the handler; its outputs are what the step declares. StepError with the exception's text."""
        arn = context.step.body["FunctionArn"]
        if arn not in self.functions:
            raise StepError(f"no Lambda function {arn} on the laptop; there is: {', '.join(self.functions) or 'none'}")
        function = self.functions[arn]
        answer = self._call(function, arguments, context)
        declared = [item["OutputName"] for item in context.step.body.get("OutputParameters", [])]
        missing = [name for name in declared if not isinstance(answer, dict) or name not in answer]
        if missing:
            raise StepError(f"the function answered {answer!r}, without the declared output {', '.join(missing)}")
        return StepResult({"OutputParameters": {name: answer[name] for name in declared}})

    def _call(self, function: LambdaFunction, event: Any, context: StepContext) -> Any:
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        answer = context.folder / "answer.json"
        log = context.folder / "handler.log"
        command = [sys.executable, str(_ENTRY), function.handler, str(answer)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=function.folder,
                env={**inherited, **function.environment, "AWS_LAMBDA_FUNCTION_NAME": function.folder.name},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._feed(process, event)
            self._wait(process, min(function.timeout_seconds, _STEP_SECONDS), context)
        if not answer.exists():
            tail = log.read_text("utf-8", "replace").strip()[-1000:]
            raise StepError(f"the function ended with exit code {process.returncode} and no answer: {tail}")
        result = json.loads(answer.read_text("utf-8"))
        if "error" in result:
            raise StepError(f"{result['type']}: {result['error']} (log: {log})")
        return result["answer"]

    @staticmethod
    def _feed(process: "subprocess.Popen[bytes]", event: Any) -> None:
        assert process.stdin is not None  # noqa: S101 - Popen was asked for a pipe
        with process.stdin as stream:
            stream.write(json.dumps(event).encode())

    @staticmethod
    def _wait(process: "subprocess.Popen[bytes]", seconds: float, context: StepContext) -> None:
        left = seconds
        while True:
            try:
                process.wait(_POLL_SECONDS)
                return
            except subprocess.TimeoutExpired:
                left -= _POLL_SECONDS
            if left <= 0 or context.stop.is_set():
                process.kill()
                process.wait()
                if context.stop.is_set():
                    raise StoppedError
                raise StepError(f"the function ran past its {seconds:g} seconds and was ended")
