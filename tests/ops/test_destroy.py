"""Taking an environment down: what is said beforehand, what is emptied, in which order, and what is left."""

from typing import Any

import pytest

from infra.settings import Operations, Settings
from ops import buckets, destroy
from ops.account import Account
from ops.cdk import CdkError
from ops.errors import OpsError
from tests.ops.conftest import ARTIFACTS, RAW, bucket, template
from tests.ops.fakes import FakeSageMaker


class FakeCdk:
    """Deletes stacks through CloudFormation, as the CLI does, and remembers in which order."""

    def __init__(self, account: Account):
        self.account = account
        self.calls: list[str] = []
        self.late_logs = 0

    def synth(self) -> None:
        self.calls.append("synth")

    def destroy(self, kinds: Any) -> None:
        self.calls.append(" ".join(kinds))
        if "data" in kinds:
            for name in (RAW, ARTIFACTS):
                assert buckets.content(self.account, name).versions == 0
            if self.late_logs:
                self.late_logs -= 1
                self.account.client("s3").put_object(Bucket=RAW, Key="late", Body=b"log")
                raise CdkError("failed", "DELETE_FAILED | The bucket you tried to delete is not empty")
        for kind in kinds:
            self.account.client("cloudformation").delete_stack(StackName=self.account.names.stack(kind))


@pytest.fixture
def versions(account: Account, data_stack: str) -> None:
    """Objects with versions, a delete marker and an unfinished upload."""
    s3 = account.client("s3")
    for body in (b"a", b"bb"):
        s3.put_object(Bucket=data_stack, Key="photos/1.jpg", Body=body)
    s3.delete_object(Bucket=data_stack, Key="photos/1.jpg")
    s3.create_multipart_upload(Bucket=data_stack, Key="huge")


@pytest.mark.usefixtures("versions")
def test_a_bucket_is_emptied_with_versions_markers_and_unfinished_uploads(account: Account) -> None:
    assert str(buckets.content(account, RAW)) == f"{RAW}: 3 object versions, 0.0 MB"
    assert buckets.empty(account, RAW) == 3
    s3 = account.client("s3")
    left = s3.list_object_versions(Bucket=RAW)
    assert ("Versions" in left, "DeleteMarkers" in left) == (False, False)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=RAW)
    s3.delete_bucket(Bucket=RAW)


def test_a_bucket_of_many_pages_is_emptied(account: Account, data_stack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "10")  # on a page
    for number in range(25):
        account.client("s3").put_object(Bucket=data_stack, Key=f"{number}", Body=b"")
    assert account.client("s3").list_object_versions(Bucket=data_stack)["IsTruncated"]
    assert buckets.empty(account, data_stack) == 25


def test_a_bucket_that_is_gone_is_empty(account: Account) -> None:
    assert buckets.empty(account, "gone-bucket") == 0
    assert str(buckets.content(account, "gone-bucket")) == "gone-bucket: empty"


@pytest.mark.usefixtures("versions")
def test_the_environment_goes_in_an_order_that_works(account: Account, serving_stack: None) -> None:
    cdk, said = FakeCdk(account), []
    assert destroy.plan(account).lines() == [
        "will be lost:",
        "  stack tally-dev-data",
        "  stack tally-dev-serving",
        f"  bucket {RAW}: 3 object versions, 0.0 MB",
        f"  bucket {ARTIFACTS}: empty",
    ]
    cdk.late_logs = 1
    assert destroy.destroy(account, cdk, said.append) == []  # type: ignore[arg-type]
    assert cdk.calls == ["synth", "serving", "operations api training release", "data", "data"]
    assert f"emptied {RAW}: 3 object versions" in said
    assert "an access log arrived late; emptying again" in said
    assert account.client("s3").list_buckets()["Buckets"] == []


def test_what_is_kept_is_named_and_not_touched(account: Account, environ: dict[str, str]) -> None:
    kept = Account(Settings(environment="dev", operations=Operations(keep_data=True)), environ)
    body = template({"Raw": bucket(RAW, DeletionPolicy="Retain"), "Artifacts": bucket(ARTIFACTS)})
    account.client("cloudformation").create_stack(StackName="tally-dev-data", TemplateBody=body)
    account.client("s3").put_object(Bucket=RAW, Key="photos/1.jpg", Body=b"photo")
    plan = destroy.plan(kept)
    assert plan.kept == [f"AWS::S3::Bucket {RAW}"]
    assert [content.bucket for content in plan.contents] == [ARTIFACTS]
    assert f"  AWS::S3::Bucket {RAW}" in plan.lines()[plan.lines().index("will stay:") :]


def test_nothing_deployed_is_said(account: Account) -> None:
    assert destroy.plan(account).lines() == ["will be lost:", "  nothing: no stack is deployed"]


@pytest.mark.usefixtures("data_stack")
def test_a_bucket_that_never_gets_empty_is_an_error(account: Account) -> None:
    cdk = FakeCdk(account)
    cdk.late_logs = 9
    with pytest.raises(OpsError, match="failed"):
        destroy.destroy(account, cdk, print)  # type: ignore[arg-type]
    assert cdk.calls.count("data") == 3


class _Registry(FakeSageMaker):
    """Model packages, which moto cannot delete."""

    def __init__(self, cdk: FakeCdk):
        super().__init__()
        self.cdk = cdk
        self.packages = ["arn:package/1", "arn:package/2"]

    def get_paginator(self, operation: str) -> "_Registry":
        assert operation == "list_model_packages"
        return self

    def paginate(self, **request: str) -> list[dict[str, Any]]:
        assert request == {"ModelPackageGroupName": "tally-dev"}
        return [{"ModelPackageSummaryList": [{"ModelPackageArn": arn}]} for arn in self.packages]

    def delete_model_package(self, **request: str) -> None:
        assert self.cdk.calls == ["synth", "serving"]  # after the endpoint, before the group
        self.packages.remove(request["ModelPackageName"])


def test_packages_go_after_the_endpoint_and_before_their_group(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = "arn:aws:sagemaker:eu-west-1:123456789012:model-package-group/tally-dev"
    group = destroy._Resource("AWS::SageMaker::ModelPackageGroup", arn, kept=False)
    monkeypatch.setattr(destroy, "_resources", lambda _account: [group])
    cdk = FakeCdk(account)
    registry = account._clients["sagemaker"] = _Registry(cdk)
    assert "  2 model packages" in destroy.plan(account).lines()
    destroy.destroy(account, cdk, lambda _text: None)  # type: ignore[arg-type]
    assert registry.packages == []


# As it is listed, described twice before it is stopped, and listed until it has stopped.
LIFE = ("Executing", "Executing", "Stopping", "Stopping", "Stopped", "Stopped", "Stopped", "Stopped")


def test_running_executions_are_stopped_and_waited_for(account: Account, data_stack: str) -> None:
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "training"}}
    account.client("cloudformation").create_stack(
        StackName="tally-dev-training", TemplateBody=template({"Topic": topic})
    )
    fake = FakeSageMaker()
    arn = fake.run("abc", *[(status, []) for status in LIFE])
    account._clients["sagemaker"] = fake
    said: list[str] = []
    fake.on_list = lambda: fake.looks["abc"].__delitem__(slice(0, len(fake.stopped)))
    destroy.destroy(account, FakeCdk(account), said.append)  # type: ignore[arg-type]
    assert fake.stopped == [arn]
    assert said[:2] == ["stopping run abc", "waiting: run abc is Stopping"]
