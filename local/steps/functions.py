"""Lambda steps: the deployed function, called through the API."""

import json
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.errors import StepError
from local.steps.base import StepContext, StepResult


@dataclass(frozen=True)
class FunctionRunner:
    """Invokes through `client`, a boto3 client of Lambda. A function that runs is waited for, also by an execution
    that was asked to stop: SageMaker cannot stop one either."""

    client: Any

    def run(self, arguments: Any, context: StepContext) -> StepResult:
        """Call the function; its outputs are what the step declares. StepError with the exception's text."""
        arn = context.step.body["FunctionArn"]
        shown = context.metadata["Lambda"] = {"Arn": arn}
        answer = self._invoke(arn, arguments)
        declared = [item["OutputName"] for item in context.step.body.get("OutputParameters", [])]
        missing = [name for name in declared if not isinstance(answer, dict) or name not in answer]
        if missing:
            raise StepError(f"the function answered {answer!r}, without the declared output {', '.join(missing)}")
        outputs = {name: answer[name] for name in declared}
        shown["OutputParameters"] = [{"Name": name, "Value": str(value)} for name, value in outputs.items()]
        return StepResult({"OutputParameters": outputs})

    def _invoke(self, arn: str, event: Any) -> Any:
        try:
            response = self.client.invoke(FunctionName=arn, Payload=json.dumps(event).encode())
        except ClientError as error:
            code = error.response["Error"]["Code"]
            raise StepError(f"{arn} cannot be called: {error}", _retryable(code)) from error
        except BotoCoreError as error:
            raise StepError(f"{arn} cannot be called: {error}", "Step.SERVICE_FAULT") from error
        text = response["Payload"].read()
        answer = json.loads(text) if text else None
        if "FunctionError" in response:
            told = answer if isinstance(answer, dict) else {"errorMessage": answer}
            raise StepError(f"{told.get('errorType', response['FunctionError'])}: {told.get('errorMessage', told)}")
        return answer


def _retryable(code: str) -> str | None:
    return {"TooManyRequestsException": "Step.THROTTLING", "ServiceException": "Step.SERVICE_FAULT"}.get(code)
