import json
import shutil
import tarfile
import time
from pathlib import Path

import pytest

from local.callbacks import Callbacks
from local.deployer import Deployer, DeployerSettings
from local.jobs.containers import Containers

IMAGE = Path(__file__).with_name("fake_image")


@pytest.fixture
def stage(cloud, tmp_path, put):
    """A running deployer, and a function that asks it to deploy a package with the given metadata."""
    image = tmp_path / "image"
    shutil.copytree(IMAGE, image, ignore=shutil.ignore_patterns("__pycache__"))
    (image / "behaviour.json").write_text("{}")
    (tmp_path / "model.json").write_text("{}")
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "model.json", "model.json")
    put("s3://artifacts/model.tar.gz", (tmp_path / "model.tar.gz").read_bytes())
    cloud.clients.sagemaker.create_model_package_group(ModelPackageGroupName="tally")
    queue_url = cloud.create_queue("deploy")
    callbacks = Callbacks()
    events = []
    settings = DeployerSettings(queue_url, "serve:1", tmp_path / "servers", lambda: (b"photo", "1.jpg"))
    deployer = Deployer(cloud.clients, callbacks, Containers(python_path=image), settings, events.append)
    deployer.start()

    def register(url="s3://artifacts/model.tar.gz", **metadata: str) -> str:
        return cloud.clients.sagemaker.create_model_package(
            ModelPackageGroupName="tally",
            ModelApprovalStatus="PendingManualApproval",
            InferenceSpecification={
                "Containers": [{"Image": "serve:1", "ModelDataUrl": url}],
                "SupportedContentTypes": ["image/jpeg"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            CustomerMetadataProperties=metadata,
        )["ModelPackageArn"]

    def ask(arn: str, token: str | None = None):
        token = token or callbacks.open()
        body = json.dumps({"token": token, "arguments": {"model_package_arn": arn, "model_package_group": "tally"}})
        cloud.clients.sqs.send_message(QueueUrl=queue_url, MessageBody=body)
        return token

    def approval(arn: str) -> tuple[str, dict]:
        package = cloud.clients.sagemaker.describe_model_package(ModelPackageName=arn)
        return package["ModelApprovalStatus"], package["CustomerMetadataProperties"]

    yield deployer, callbacks, register, ask, approval, events
    deployer.stop()


def test_a_promoted_package_is_served_approved_and_keeps_its_metadata(stage):
    deployer, callbacks, register, ask, approval, _ = stage
    arn = register(verdict="promote", reason="better")
    outputs, _ = callbacks.answer(ask(arn), 20)
    assert outputs == {"endpoint_name": "tally-laptop", "model_package_arn": arn}
    assert approval(arn) == ("Approved", {"verdict": "promote", "reason": "better"})
    assert deployer.server.predict(b"photo", "1.jpg").body["count"] == 3
    assert deployer.package_arn == arn


def test_a_second_release_replaces_the_first_server(stage):
    deployer, callbacks, register, ask, _, _ = stage
    callbacks.answer(ask(register(verdict="promote")), 20)
    first = deployer.server
    callbacks.answer(ask(register(verdict="promote")), 20)
    assert deployer.server is not first
    assert deployer.server.predict(b"photo", "1.jpg").status == 200
    with pytest.raises(OSError, match="refused"):
        first.predict(b"photo", "1.jpg")


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"verdict": "reject"}, "its gate verdict is 'reject', and only 'promote' is deployed"),
        ({"owner": "somebody"}, "its gate verdict is None"),
        ({"verdict": "promote", "url": "s3://artifacts/gone.tar.gz"}, "NoSuchKey"),
    ],
    ids=["rejected", "never judged", "model is gone"],
)
def test_a_package_that_cannot_be_released_stays_unapproved_and_the_token_hears_why(stage, metadata, reason):
    deployer, callbacks, register, ask, approval, _ = stage
    arn = register(**metadata)
    outputs, why = callbacks.answer(ask(arn), 20)
    assert outputs is None
    assert reason in why
    assert approval(arn)[0] == "PendingManualApproval"
    assert deployer.server is None


def test_an_unknown_package_is_a_failure_not_a_dead_deployer(stage):
    _, callbacks, register, ask, _, _ = stage
    arn = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/tally/99"
    assert "not found" in callbacks.answer(ask(arn), 20)[1]
    assert callbacks.answer(ask(register(verdict="promote")), 20)[0]


def test_an_answer_to_a_closed_token_is_noted(stage):
    _, _, register, ask, _, events = stage
    ask(register(verdict="promote"), token="gonegonego")
    deadline = time.monotonic() + 20
    while not any("the answer came too late" in event.text for event in events):
        assert time.monotonic() < deadline
        time.sleep(0.05)
