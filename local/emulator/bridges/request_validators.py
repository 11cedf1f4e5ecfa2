"""API Gateway refuses a body that its model forbids; ministack's data plane does too, but its CloudFormation neither
creates the RequestValidator nor tells the Method about it, so that every body would reach the function. And it holds a
body of any content type against the model for JSON, where API Gateway checks only the content types that have a model,
or `$default`.
"""

import json
from collections.abc import Mapping
from typing import Any

from ministack.services import apigateway_v1
from ministack.services.cloudformation.provisioners import _RESOURCE_HANDLERS, _physical_name

from local.emulator.bridges.handlers import Properties, Result, around

_TYPE = "AWS::ApiGateway::RequestValidator"


def install() -> None:
    """Create validators, attach them to the methods that name them, and choose models as API Gateway does."""
    _RESOURCE_HANDLERS[_TYPE] = {"create": _create, "update": _update, "delete": _delete}
    around("AWS::ApiGateway::Method", after=_attach)
    check = apigateway_v1._check_request_validation

    def check_by_content_type(method: Properties, api_id: str, request: Any, headers: Any, *rest: Any) -> Any:
        return check({**method, "requestModels": _models(method, headers)}, api_id, request, headers, *rest)

    apigateway_v1._check_request_validation = check_by_content_type


def _create(logical_id: str, properties: Properties, stack: str) -> Result:
    name = properties.get("Name") or _physical_name(stack, logical_id)
    _, _, body = apigateway_v1._create_request_validator(properties["RestApiId"], {"name": name, **_rules(properties)})
    answer = json.loads(body)
    if "id" not in answer:
        raise ValueError(f"{_TYPE} {logical_id}: {answer.get('message', answer)}")
    return answer["id"], {"RequestValidatorId": answer["id"]}


def _update(physical_id: str, old: Properties, new: Properties, stack: str) -> Result:
    if any(old.get(key) != new.get(key) for key in ("RestApiId", "Name")):
        return _create(physical_id, new, stack)
    changes = [{"op": "replace", "path": f"/{key}", "value": str(value).lower()} for key, value in _rules(new).items()]
    apigateway_v1._update_request_validator(new["RestApiId"], physical_id, {"patchOperations": changes})
    return physical_id, {"RequestValidatorId": physical_id}


def _delete(physical_id: str, properties: Properties) -> None:
    apigateway_v1._delete_request_validator(properties["RestApiId"], physical_id)


def _rules(properties: Properties) -> dict[str, bool]:
    return {
        "validateRequestBody": _true(properties.get("ValidateRequestBody")),
        "validateRequestParameters": _true(properties.get("ValidateRequestParameters")),
    }


def _true(value: Any) -> bool:
    return str(value).lower() == "true"


def _attach(method: Properties) -> None:
    resource = apigateway_v1._resources[method["RestApiId"]][method["ResourceId"]]
    resource["resourceMethods"][method["HttpMethod"]]["requestValidatorId"] = method.get("RequestValidatorId")


def _models(method: Properties, headers: Mapping[str, Any]) -> dict[str, Any]:
    """The one model that ministack is to use, under the name that it looks for; none where API Gateway uses none."""
    models = method.get("requestModels") or {}
    given = apigateway_v1._header_ci(headers, "content-type") or "application/json"
    model = models.get(given.partition(";")[0].strip().lower(), models.get("$default"))
    return {"application/json": model} if model else {}
