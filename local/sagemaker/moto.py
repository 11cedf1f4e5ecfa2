"""What this package does not emulate itself, answered by moto in this process: Application Auto Scaling, and those
operations of SageMaker that the platform does not use."""

import contextlib
import json
import threading
from collections.abc import Mapping
from typing import Any

from werkzeug.test import Client

from local.sagemaker.arns import REGION
from local.sagemaker.errors import ApiError
from local.sagemaker.shapes import service_model


class Moto:
    """Calls moto's own web application without a socket. Its state is global to the process.

    The first call loads moto, and each service's first one that service: half a second each.
    """

    def __init__(self) -> None:
        self._client: Client | None = None
        self._lock = threading.Lock()  # moto's state is not made for threads

    def load(self, service: str) -> None:
        """Load moto and this service of it, while nobody waits for its answer."""
        with contextlib.suppress(ApiError):  # a question that nobody asks
            self.call(service, "", {})

    def call(self, service: str, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer an operation; ApiError as moto answers it, or for what moto does not know either."""
        model = service_model(service)
        metadata = model.metadata
        scope = f"Credential=local/20260101/{REGION}/{service}/aws4_request"
        with self._lock:
            if self._client is None:
                from moto.server import DomainDispatcherApplication, create_backend_app

                self._client = Client(DomainDispatcherApplication(create_backend_app))
            response = self._client.post(
                "/",
                data=json.dumps(request, default=str),
                headers={
                    "X-Amz-Target": f"{metadata['targetPrefix']}.{operation}",
                    "Content-Type": f"application/x-amz-json-{metadata['jsonVersion']}",
                    "Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=none",
                },
            )
        text = response.get_data(as_text=True)
        if response.status_code == 200:
            answer: dict[str, Any] = json.loads(text) if text else {}
            return answer
        raise _error(operation, response.status_code, text)


def _error(operation: str, status: int, text: str) -> ApiError:
    try:
        body = json.loads(text)
    except ValueError:
        body = {}
    if "__type" not in body:
        return ApiError("UnknownOperationException", f"{operation} is not emulated")
    return ApiError(body["__type"].rpartition("#")[2], body.get("message", body.get("Message", "")), status)
