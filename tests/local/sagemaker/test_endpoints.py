import io
import json
import tarfile
import threading
import time

import psutil
import pytest
from botocore.exceptions import ClientError

from tests.local.sagemaker.account import ROLE, until

PHOTO = {"Body": b"photo", "ContentType": "image/jpeg"}


def configure(account, name, *, instances=1, container=None, **model):
    """A model of this name that behaves as `model` says, and an endpoint configuration of the same name."""
    if container is None:
        url = f"s3://artifacts/{name}/model.tar.gz"
        account.put(url, archive({"count": 3, **model}))
        container = {"Image": "serve:1", "ModelDataUrl": url, "Environment": {"COLOUR": "blue"}}
    account.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": name,
        "InitialInstanceCount": instances,
        "InstanceType": "ml.c7i.large",
        "InitialVariantWeight": 1.0,
    }
    account.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])


def archive(model):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        text = json.dumps(model).encode()
        entry = tarfile.TarInfo("model.json")
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
    return content.getvalue()


def settled(account, name="tally"):
    def look():
        described = account.sagemaker.describe_endpoint(EndpointName=name)
        return described if described["EndpointStatus"] in ("InService", "Failed") else None

    return until(look)


def create(account, name="tally", config="one"):
    account.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    described = settled(account, name)
    assert described["EndpointStatus"] == "InService", described["FailureReason"]
    return described


def count(account, name="tally", **more):
    answer = account.runtime.invoke_endpoint(EndpointName=name, **{**PHOTO, **more})
    return json.load(answer["Body"])["count"]


def servers(account):
    """Model servers of this account that run."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(account.folder) in process.environ().get("TALLY_ML_ROOT", ""):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def test_an_endpoint_is_created_answers_and_is_deleted_with_its_server(account):
    configure(account, "one", instances=2)
    assert account.sagemaker.create_endpoint(EndpointName="tally", EndpointConfigName="one")["EndpointArn"].endswith(
        "endpoint/tally"
    )
    assert account.sagemaker.describe_endpoint(EndpointName="tally")["EndpointStatus"] == "Creating"
    with pytest.raises(ClientError, match=r"ValidationError.*Endpoint tally of account 123456789012 not found"):
        count(account)
    described = settled(account)
    [variant] = described["ProductionVariants"]
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "one")
    assert (variant["VariantName"], variant["CurrentInstanceCount"]) == ("AllTraffic", 2)
    answer = account.runtime.invoke_endpoint(EndpointName="tally", CustomAttributes="trace-1", **PHOTO)
    assert (answer["InvokedProductionVariant"], answer["ContentType"]) == ("AllTraffic", "application/json")
    expected = {"count": 3, "bytes": 5, "type": "image/jpeg", "attributes": "trace-1", "colour": "blue"}
    assert json.load(answer["Body"]) == expected
    assert len(servers(account)) == 1
    account.sagemaker.delete_endpoint(EndpointName="tally")
    account.sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="tally", WaiterConfig={"Delay": 1})
    assert servers(account) == []
    assert [d["EndpointStatus"] for d in account.told("Endpoint State")] == ["CREATING", "IN_SERVICE", "DELETING"]


def test_an_update_is_never_noticed_by_a_client_that_asks_all_the_while(account):
    configure(account, "one", instances=2)
    create(account)
    account.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="tally", DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": 4}]
    )
    configure(account, "two", instances=1, count=4)
    seen, problems, over = [], [], threading.Event()

    def ask():
        client = account.client("sagemaker-runtime")
        while not over.is_set():
            try:
                seen.append(json.load(client.invoke_endpoint(EndpointName="tally", **PHOTO)["Body"])["count"])
            except Exception as error:
                problems.append(error)

    clients = [threading.Thread(target=ask) for _ in range(3)]
    for client in clients:
        client.start()
    account.sagemaker.update_endpoint(EndpointName="tally", EndpointConfigName="two", RetainAllVariantProperties=True)
    assert account.sagemaker.describe_endpoint(EndpointName="tally")["EndpointStatus"] == "Updating"
    described = settled(account)
    time.sleep(0.2)
    over.set()
    for client in clients:
        client.join()
    assert problems == []
    assert len(seen) > 20
    assert set(seen) == {3, 4}
    assert seen[-1] == 4
    assert described["EndpointConfigName"] == "two"
    assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 4  # what scaling had set
    assert len(servers(account)) == 1


def test_requests_in_flight_are_finished_by_the_old_server(account):
    configure(account, "one", seconds=2)
    create(account)
    configure(account, "two", count=4)
    answers = []
    request = threading.Thread(target=lambda: answers.append(count(account)))
    request.start()
    time.sleep(0.3)
    account.sagemaker.update_endpoint(EndpointName="tally", EndpointConfigName="two")
    settled(account)
    request.join()
    assert answers == [3]
    assert count(account) == 4


def test_closing_waits_for_no_request_and_leaves_no_server(account):
    configure(account, "one", seconds=30)
    create(account)
    problems = []

    def ask():
        try:
            count(account)
        except ClientError as error:
            problems.append(error.response["Error"]["Code"])

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.3)
    account.sagemaker.delete_endpoint(EndpointName="tally")  # waits for the request
    began = time.monotonic()
    account.service.close()
    assert time.monotonic() - began < 5
    asking.join()
    assert len(problems) == 1  # the client was told, not left waiting
    assert servers(account) == []


def test_an_update_that_fails_leaves_the_old_model_in_service_with_the_reason(account):
    configure(account, "one")
    create(account)
    configure(account, "broken", broken=True)
    account.sagemaker.update_endpoint(EndpointName="tally", EndpointConfigName="broken")
    described = settled(account)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "one")
    assert "did not become ready (exit code 1); last lines:\nthe model is broken" in described["FailureReason"]
    assert count(account) == 3


def test_an_endpoint_whose_server_does_not_start_has_failed_and_can_be_deleted(account):
    configure(account, "one", container={"Image": "serve:1", "ModelDataUrl": "s3://artifacts/none.tar.gz"})
    account.sagemaker.create_endpoint(EndpointName="tally", EndpointConfigName="one")
    described = settled(account)
    assert described["EndpointStatus"] == "Failed"
    assert "does not exist" in described["FailureReason"]
    account.sagemaker.delete_endpoint(EndpointName="tally")
    account.sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="tally", WaiterConfig={"Delay": 1})


def test_two_endpoints_serve_side_by_side(account):
    configure(account, "one")
    create(account, "tally-dev", "one")
    configure(account, "two", count=5)
    create(account, "tally-prod", "two")
    assert (count(account, "tally-dev"), count(account, "tally-prod")) == (3, 5)
    listed = account.sagemaker.list_endpoints(NameContains="tally-", SortBy="Name", SortOrder="Ascending")["Endpoints"]
    assert [item["EndpointName"] for item in listed] == ["tally-dev", "tally-prod"]


def test_an_error_of_the_container_is_a_model_error_with_its_status(account):
    configure(account, "one", status=415)
    create(account)
    with pytest.raises(ClientError, match=r"Received client error \(415\) from primary") as caught:
        count(account)
    response = caught.value.response
    assert (response["Error"]["Code"], response["OriginalStatusCode"]) == ("ModelError", 415)
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert json.loads(response["OriginalMessage"])["count"] == 3


def test_a_request_of_more_than_six_megabytes_is_refused(account):
    configure(account, "one")
    create(account)
    with pytest.raises(ClientError, match="exceeded 6291456 bytes"):
        count(account, Body=b"x" * (6 * 1024 * 1024 + 1))


def test_a_model_may_be_a_model_package(account):
    account.sagemaker.create_model_package_group(ModelPackageGroupName="tally")
    account.put("s3://artifacts/model.tar.gz", archive({"count": 3}))
    arn = account.sagemaker.create_model_package(
        ModelPackageGroupName="tally",
        InferenceSpecification={
            "Containers": [{"Image": "serve:1", "ModelDataUrl": "s3://artifacts/model.tar.gz"}],
            "SupportedContentTypes": ["image/jpeg"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    )["ModelPackageArn"]
    configure(account, "one", container={"ModelPackageName": arn})
    create(account)
    assert count(account) == 3
    model = account.sagemaker.describe_model(ModelName="one")
    assert model["PrimaryContainer"] == {"ModelPackageName": arn}


def test_what_does_not_exist_and_what_is_busy_is_said(account):
    with pytest.raises(ClientError, match='Could not find model "arn:aws:sagemaker:eu-west-1:123456789012:model/x"'):
        account.sagemaker.describe_model(ModelName="x")
    with pytest.raises(ClientError, match=r'Could not find endpoint configuration ".*endpoint-config/x"'):
        account.sagemaker.create_endpoint(EndpointName="tally", EndpointConfigName="x")
    with pytest.raises(ClientError, match=r'Could not find endpoint ".*endpoint/tally"'):
        account.sagemaker.describe_endpoint(EndpointName="tally")
    configure(account, "one")
    with pytest.raises(ClientError, match="Cannot create already existing model"):
        account.sagemaker.create_model(ModelName="one", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "serve:1"})
    account.sagemaker.create_endpoint(EndpointName="tally", EndpointConfigName="one")
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        account.sagemaker.update_endpoint(EndpointName="tally", EndpointConfigName="one")


def test_scaling_targets_are_kept(account):
    scaling = account.client("application-autoscaling")
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/tally/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=4)
    [found] = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (found["ResourceId"], found["MaxCapacity"]) == (target["ResourceId"], 4)
    with pytest.raises(ClientError, match="No scalable target found"):
        scaling.deregister_scalable_target(**{**target, "ResourceId": "endpoint/other/variant/AllTraffic"})
