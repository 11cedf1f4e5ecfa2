"""InvokeEndpoint: a request passed on to a model server, its answer or its error passed back."""

from collections.abc import Mapping
from typing import Any

from local.sagemaker.arns import ACCOUNT, REGION
from local.sagemaker.endpoints import Endpoints
from local.sagemaker.errors import ApiError
from local.sagemaker.fleet import Fleet
from local.server import Answer

LONGEST_BODY = 6 * 1024 * 1024  # bytes of a request, as on SageMaker
_PASSED_ON = {
    "ContentType": "Content-Type",
    "Accept": "Accept",
    "CustomAttributes": "X-Amzn-SageMaker-Custom-Attributes",
    "InferenceId": "X-Amzn-SageMaker-Inference-Id",
}


class Invocations:
    """Answers InvokeEndpoint."""

    def __init__(self, endpoints: Endpoints):
        self._endpoints = endpoints

    def invoke(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Members as the runtime API names them, `Body` in bytes.

        ApiError: ValidationError when there is no such endpoint in service, ModelError (424, with the container's own
        status) when the container answers with an error.
        """
        name, body = request["EndpointName"], request["Body"]
        if len(body) > LONGEST_BODY:
            raise ApiError("413", f"HTTP content length exceeded {LONGEST_BODY} bytes.", 413)
        fleet = self._endpoints.enter(name)
        if fleet is None:
            raise ApiError("ValidationError", f"Endpoint {name} of account {ACCOUNT} not found.")
        with fleet.entered():
            return self._pass_on(name, body, request, fleet)

    def _pass_on(self, name: str, body: bytes, request: Mapping[str, Any], fleet: Fleet) -> dict[str, Any]:
        variant = fleet.choose(request.get("TargetVariant"))
        headers = {header: request[key] for key, header in _PASSED_ON.items() if request.get(key)}
        try:
            answer = variant.server.invoke(body, headers)
        except TimeoutError as error:
            text = "Your invocation timed out while waiting for a response from container primary. Review the latency "
            raise _model_error(name, 0, f"{text}metrics for each container in Amazon CloudWatch") from error
        except OSError as error:
            ended = "" if variant.server.returncode is None else "; its process ended"
            raise ApiError("ServiceUnavailable", f"the container does not answer: {error}{ended}", 503) from error
        if answer.status >= 400:
            raise _model_error(name, answer.status, answer.body.decode("utf-8", "replace"))
        return _success(answer, variant.name)


def _success(answer: Answer, variant: str) -> dict[str, Any]:
    return {
        "Body": answer.body,
        "ContentType": answer.headers.get("content-type", "application/octet-stream"),
        "InvokedProductionVariant": variant,
        "CustomAttributes": answer.headers.get("x-amzn-sagemaker-custom-attributes", ""),
    }


def _model_error(endpoint: str, status: int, text: str) -> ApiError:
    kind = "client" if 400 <= status < 500 else "server"
    log = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/sagemaker/Endpoints/{endpoint}"
    message = (
        f'Received {kind} error ({status}) from primary with message "{text}". See {log} in account {ACCOUNT} for more '
        "information."
    )
    fields = {"OriginalStatusCode": status, "OriginalMessage": text, "LogStreamArn": log}
    return ApiError("ModelError", message, 424, fields)
