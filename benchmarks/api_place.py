"""The API of a platform on this machine, as those who measure it need it: where it is, photos, a key, its processes."""

import contextlib
from collections.abc import Iterator

import psutil
import urllib3

from benchmarks.api_requests import JPEG, Place
from infra.names import Names
from local.emulator.client import EmulatorProcess
from local.errors import LocalError
from local.settings import PREFIX, RAW_BUCKET
from ops import predict
from ops.account import Account

ACCOUNT, API, ABOUT = "emulated account", "function api", "function about"  # what `processes` calls them
_PHOTOS = 8
_SECONDS = 40.0


def find_place(account: Account, key: str) -> Place:
    """The deployed API with some photos of the raw bucket that it can count; LocalError when there are none."""
    api, s3 = predict.api(account), account.client("s3")
    keys, photo, said = [], b"", b"none"
    listed = s3.list_objects_v2(Bucket=RAW_BUCKET, Prefix=f"{PREFIX}/bin-images/", MaxKeys=5 * _PHOTOS)

    def ask(body: bytes) -> urllib3.BaseHTTPResponse:
        headers = JPEG | {"x-api-key": key}
        return urllib3.request("POST", api.predictions, body=body, headers=headers, retries=False, timeout=_SECONDS)

    for name in (item["Key"] for item in listed.get("Contents", ())):
        content = s3.get_object(Bucket=RAW_BUCKET, Key=name)["Body"].read()
        answer = ask(content)
        said = answer.data[:300]
        if answer.status == 503:
            raise LocalError(f"no model is in service ({said!r}); make run puts one there")
        if answer.status == 200:
            keys.append(name)
            photo = photo or content
        if len(keys) == _PHOTOS:
            break
    if not keys:
        folder = f"s3://{RAW_BUCKET}/{PREFIX}/bin-images/"
        raise LocalError(f"{folder} has no photo that is counted (the last answer: {said!r}); make run uploads some")
    decodes = ask(photo[: len(photo) // 2]).status != 200
    return Place(api.url, key, RAW_BUCKET, tuple(keys), photo, decodes)


@contextlib.contextmanager
def own_key(account: Account) -> Iterator[str]:
    """An API key of the load's own, whose plan has no limits worth speaking of; the stage's are lifted meanwhile."""
    gateway, name = account.client("apigateway"), f"{account.names.base}-load"
    (plan,) = (plan for plan in gateway.get_usage_plans()["items"] if plan["name"] == account.names.base)
    where = {"restApiId": plan["apiStages"][0]["apiId"], "stageName": plan["apiStages"][0]["stage"]}
    limits = gateway.get_stage(**where)["methodSettings"]["*/*"]
    key = gateway.create_api_key(name=name, enabled=True)
    own = gateway.create_usage_plan(name=name, apiStages=plan["apiStages"])
    gateway.create_usage_plan_key(usagePlanId=own["id"], keyId=key["id"], keyType="API_KEY")
    gateway.update_stage(**where, patchOperations=_stage_limits(10_000, 5_000))
    try:
        yield key["value"]
    finally:
        lifted = _stage_limits(limits["throttlingRateLimit"], limits["throttlingBurstLimit"])
        gateway.update_stage(**where, patchOperations=lifted)
        gateway.delete_usage_plan_key(usagePlanId=own["id"], keyId=key["id"])
        gateway.delete_usage_plan(usagePlanId=own["id"])
        gateway.delete_api_key(apiKey=key["id"])


def _stage_limits(rate: object, burst: object) -> list[dict[str, str]]:
    values = {"/*/*/throttling/rateLimit": rate, "/*/*/throttling/burstLimit": burst}
    return [{"op": "replace", "path": path, "value": str(value)} for path, value in values.items()]


def processes(emulator: EmulatorProcess, names: Names) -> Iterator[tuple[str, psutil.Process]]:
    """The emulated account, and the processes that run the API's functions."""
    account = psutil.Process(emulator.pid)
    yield ACCOUNT, account
    functions = {names.function("api"): API, names.function("about"): ABOUT}
    for child in account.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            function = functions.get(child.environ().get("AWS_LAMBDA_FUNCTION_NAME", ""))
            if function:
                yield function, child
