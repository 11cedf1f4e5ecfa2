"""One port for everything: who gets a request, and how answers and errors look to boto3 and to bare HTTP."""

import asyncio
import http.client
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.emulator.gateway import Gateway
from tests.local.emulator.conftest import Account


def bare(account: Account, path: str, headers: dict[str, str], body: bytes = b"{}") -> tuple[int, bytes]:
    """POST without an SDK."""
    connection = http.client.HTTPConnection("127.0.0.1", account.port)
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_sdks_reach_both_sides_of_the_port(account: Account) -> None:
    group = account.client("sagemaker").create_model_package_group(ModelPackageGroupName="gateway")
    assert group["ModelPackageGroupArn"].endswith("/gateway")
    assert account.client("sts").get_caller_identity()["Account"] == "123456789012"
    scaling = account.client("application-autoscaling")
    answer = scaling.register_scalable_target(
        ServiceNamespace="sagemaker",
        ResourceId="endpoint/x/variant/AllTraffic",
        ScalableDimension="sagemaker:variant:DesiredInstanceCount",
        MinCapacity=1,
        MaxCapacity=2,
    )
    assert "endpoint/x/variant/AllTraffic" in answer["ScalableTargetARN"]


def test_an_error_has_its_code_and_message(account: Account) -> None:
    with pytest.raises(ClientError) as caught:
        account.client("sagemaker").describe_endpoint(EndpointName="nobody")
    assert caught.value.response["Error"] == {
        "Code": "ValidationException",
        "Message": "Could not find Endpoint 'nobody'.",
    }


def test_an_error_of_an_invocation_has_its_code_and_message(account: Account) -> None:
    with pytest.raises(ClientError, match=r"ValidationException.*Endpoint nobody not found"):
        account.client("sagemaker-runtime").invoke_endpoint(EndpointName="nobody", Body=b"")


def test_an_unsigned_request_is_known_by_its_target(account: Account) -> None:
    status, body = bare(account, "/", {"X-Amz-Target": "SageMaker.DescribeEndpoint"}, b'{"EndpointName": "nobody"}')
    assert (status, b"Could not find" in body) == (400, True)


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff"], ids=["cut", "list", "bytes"])
def test_a_body_that_is_not_an_object_is_refused(account: Account, body: bytes) -> None:
    status, answer = bare(account, "/", {"X-Amz-Target": "SageMaker.ListModels"}, body)
    assert (status, b"SerializationException" in answer) == (400, True)


def test_an_unknown_operation_is_refused(account: Account) -> None:
    status, answer = bare(account, "/", {"X-Amz-Target": "SageMaker.CreateNothing"})
    assert (status, b"UnknownOperationException" in answer) == (400, True)


def test_what_only_looks_like_an_invocation_is_not_ours(account: Account) -> None:
    s3 = account.client("s3")
    s3.create_bucket(Bucket="endpoints", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="endpoints", Key="x/invocations", Body=b"photo")
    assert s3.get_object(Bucket="endpoints", Key="x/invocations")["Body"].read() == b"photo"


@pytest.mark.parametrize(
    ("path", "host", "expected"),
    [
        ("/restapis/abc/v1/_user_request_/predictions", "localhost:4566", 503),
        ("/v1/health", "abc.execute-api.localhost:4566", 503),
        ("/bucket/restapis/abc/v1/_user_request_/predictions", "localhost:4566", 200),
        ("/restapis/abc/stages/v1", "localhost:4566", 200),
        ("/bucket/key", "localhost:4566", 200),
    ],
)
def test_while_it_ends_deployed_apis_take_no_more_requests_and_all_else_goes_on(
    path: str, host: str, expected: int
) -> None:
    async def rest(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nobody reads the body")

    gateway: Any = Gateway(None, rest)  # type: ignore[arg-type]  # nobody asks SageMaker
    scope = {"type": "http", "method": "GET", "path": path, "headers": [(b"host", host.encode())]}
    asyncio.run(gateway(scope, receive, send))
    gateway.end()
    asyncio.run(gateway(scope, receive, send))
    starts = [message for message in sent if message["type"] == "http.response.start"]
    assert [start["status"] for start in starts] == [200, expected]
    if expected == 503:
        assert (b"connection", b"close") in starts[1]["headers"]
