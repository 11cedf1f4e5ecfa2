"""GET /health and GET /openapi.json: how the API is, and what it is. API Gateway calls it (proxy event of a REST API).

Nothing of the request but its path is read, and nothing a caller sends reaches AWS.

Environment: ENDPOINT_NAME. IAM: sagemaker:DescribeEndpoint on endpoint/NAME; DescribeEndpointConfig on
endpoint-config/*; DescribeModel on model/*.
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from aws_clients import client
from deadline import Deadline, in_time
from document import document
from incoming import request_id
from problems import ProblemError, render, respond
from record import cause, elapsed, internal
from settings import variable

SECONDS = 12.0  # below the 15 s after which Lambda ends the function
KEEP_SECONDS = 5.0  # how long an answer of AWS holds: its limits are few calls a second for the whole account
# While an update or its rollback runs, DescribeEndpoint names the configuration that still takes the traffic.
_SERVING = ("InService", "Updating", "SystemUpdating", "RollingBack")
_PACKAGE = re.compile(r".*:model-package/([^/]+)/([1-9][0-9]*)")

_endpoints: dict[str, tuple[float, dict[str, Any]]] = {}
_models: dict[str, dict[str, Any]] = {}  # by configuration, which never changes


def handler(event: Any, context: object = None) -> dict[str, Any]:
    """Answer one request, whatever it is; nothing is raised."""
    began = time.perf_counter()
    event = event if isinstance(event, Mapping) else {}
    name = request_id(event, context)
    line: dict[str, Any] = {"event": "about", "request_id": name}
    problem: ProblemError | None = None
    try:
        resource = event.get("resource")
        answer = _ANSWERS.get(resource) if isinstance(resource, str) and event.get("httpMethod") == "GET" else None
        if not answer:
            raise ProblemError("not_found", f"here are GET {' and GET '.join(_ANSWERS)}")
        line["path"] = resource
        response = answer(name)
    except ProblemError as error:
        problem = error
    except Exception as error:
        problem = internal(error)
    if problem:
        line |= {"code": problem.code, "cause": cause(problem)}
        response = render(problem, name)
    print(json.dumps({**line, "status": response["statusCode"], "ms": elapsed(began)}))
    return response


def _openapi(_request_id: str) -> dict[str, Any]:
    # The same for everybody, but behind the key: for the caller's own cache only.
    return respond(200, document(), {"Cache-Control": "private, max-age=300"})


def _health(name: str) -> dict[str, Any]:
    deadline = Deadline(SECONDS)
    try:
        endpoint = in_time(lambda: _endpoint(variable("ENDPOINT_NAME")), deadline)
        status = endpoint["EndpointStatus"]
        if status not in _SERVING:
            raise ProblemError("no_model", _not_serving(status), retry_after=60)
        model = in_time(lambda: _model(endpoint["EndpointConfigName"]), deadline)
    except TimeoutError as error:
        raise ProblemError("timeout", "the state of the model could not be found out in time; ask again") from error
    return respond(200, {"status": "ok", "endpoint": status, "model": model, "request_id": name})


def _not_serving(status: str) -> str:
    if status == "Creating":
        return "the first model is being put into service"
    return "no model is in service: the endpoint failed or is being removed; tell the operators"


def _endpoint(name: str) -> dict[str, Any]:
    """What DescribeEndpoint says, or said a moment ago; ProblemError no_model where there is none."""
    now = time.monotonic()
    if name in _endpoints and now < _endpoints[name][0]:
        return _endpoints[name][1]
    endpoint = _ask("describe_endpoint", EndpointName=name)
    _endpoints[name] = (now + KEEP_SECONDS, endpoint)
    return endpoint


def _model(config: str) -> dict[str, Any]:
    """{"package", "version"} of the model that a configuration serves; both None where it comes from no package."""
    if config not in _models:
        variants = _ask("describe_endpoint_config", EndpointConfigName=config)["ProductionVariants"]
        model = _ask("describe_model", ModelName=variants[0]["ModelName"])
        container = model.get("PrimaryContainer") or (model.get("Containers") or [{}])[0]
        match = _PACKAGE.fullmatch(container.get("ModelPackageName") or "")
        _models[config] = {"package": match[1] if match else None, "version": int(match[2]) if match else None}
    return _models[config]


def _ask(operation: str, **request: str) -> dict[str, Any]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer: dict[str, Any] = getattr(client("sagemaker"), operation)(**request)
    except BotoCoreError as error:
        raise TimeoutError("SageMaker could not be reached") from error
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("ThrottlingException", "Throttling"):
            detail = "the state of the model is asked for too often; ask again"
            raise ProblemError("busy", detail, retry_after=5) from error
        if code in ("ValidationException", "ResourceNotFound"):  # removed, perhaps since the call before
            raise ProblemError("no_model", "no model is in service yet", retry_after=60) from error
        raise
    return answer


_ANSWERS: dict[str, Callable[[str], dict[str, Any]]] = {"/health": _health, "/openapi.json": _openapi}
