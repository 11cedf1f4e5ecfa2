import pytest
from botocore.exceptions import ClientError

from tests.local.sagemaker.account import Account

REQUEST = {
    "ModelPackageGroupName": "tally",
    "InferenceSpecification": {
        "Containers": [{"Image": "serve:1", "ModelDataUrl": "s3://artifacts/model.tar.gz"}],
        "SupportedContentTypes": ["image/jpeg"],
        "SupportedResponseMIMETypes": ["application/json"],
    },
    "CustomerMetadataProperties": {"verdict": "promote", "gain": "0.1"},
}


def register(account, **more):
    return account.sagemaker.create_model_package(**{**REQUEST, **more})["ModelPackageArn"]


@pytest.fixture
def group(account):
    account.sagemaker.create_model_package_group(ModelPackageGroupName="tally")
    return account


def test_packages_get_versions_and_wait_for_approval(group):
    arns = [register(group), register(group)]
    assert arns[1] == "arn:aws:sagemaker:eu-west-1:123456789012:model-package/tally/2"
    described = group.sagemaker.describe_model_package(ModelPackageName=arns[1])
    assert (described["ModelPackageVersion"], described["ModelApprovalStatus"]) == (2, "PendingManualApproval")
    assert described["InferenceSpecification"]["Containers"][0]["ModelDataUrl"] == "s3://artifacts/model.tar.gz"
    listed = group.sagemaker.list_model_packages(ModelPackageGroupName="tally", SortOrder="Ascending")
    assert [item["ModelPackageArn"] for item in listed["ModelPackageSummaryList"]] == arns
    approved = group.sagemaker.list_model_packages(ModelPackageGroupName="tally", ModelApprovalStatus="Approved")
    assert approved["ModelPackageSummaryList"] == []


def test_an_update_merges_metadata_and_tells_what_changed(group):
    arn = register(group)
    update = group.sagemaker.update_model_package
    update(ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="smoke test passed")
    update(ModelPackageArn=arn, ModelApprovalStatus="Approved")  # nothing changes, so nobody hears of it
    update(ModelPackageArn=arn, CustomerMetadataProperties={"replaces": "none"})
    update(ModelPackageArn=arn, CustomerMetadataPropertiesToRemove=["gain"])
    described = group.sagemaker.describe_model_package(ModelPackageName=arn)
    assert described["CustomerMetadataProperties"] == {"verdict": "promote", "replaces": "none"}
    assert (described["ModelApprovalStatus"], described["ApprovalDescription"]) == ("Approved", "smoke test passed")
    told = group.told("Model Package State")
    assert [(detail["ModelApprovalStatus"], detail.get("UpdatedModelPackageFields")) for detail in told] == [
        ("PendingManualApproval", None),
        ("Approved", ["ApprovalDescription", "ModelApprovalStatus"]),
        ("Approved", ["CustomerMetadataProperties"]),
        ("Approved", ["CustomerMetadataProperties"]),
    ]
    assert (told[1]["ModelPackageArn"], told[1]["ModelPackageGroupName"]) == (arn, "tally")


def test_a_group_is_deleted_only_when_it_is_empty_and_versions_are_never_used_twice(group):
    arn = register(group)
    with pytest.raises(ClientError, match=r"ConflictException.*still contains 1 Model Packages"):
        group.sagemaker.delete_model_package_group(ModelPackageGroupName="tally")
    group.sagemaker.delete_model_package(ModelPackageName=arn)
    with pytest.raises(ClientError, match=f"ValidationException.*{arn} does not exist"):
        group.sagemaker.describe_model_package(ModelPackageName=arn)
    second = register(group)
    assert second.endswith("tally/2")
    group.sagemaker.delete_model_package(ModelPackageName=second)
    group.sagemaker.delete_model_package_group(ModelPackageGroupName="tally")
    with pytest.raises(ClientError, match="model-package-group/tally does not exist"):
        register(group)


def test_a_later_process_has_the_packages_again_once_its_group_is_created(group, image, tmp_path):
    arn = register(group)
    group.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    before = group.sagemaker.describe_model_package(ModelPackageName=arn)
    later = Account(tmp_path, image.containers)
    try:
        assert later.sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"] == []
        later.sagemaker.create_model_package_group(ModelPackageGroupName="tally")
        after = later.sagemaker.describe_model_package(ModelPackageName=arn)
        assert {**after, "ResponseMetadata": 0} == {**before, "ResponseMetadata": 0}
        assert register(later).endswith("tally/2")
    finally:
        later.close()


def test_an_unknown_status_is_refused_as_aws_does(group):
    arn = register(group)
    with pytest.raises(ClientError, match="enum value set"):
        group.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Fine")


def test_packages_groups_and_models_carry_tags(group):
    arn = register(group)
    group.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "bins"}, {"Key": "cost", "Value": "1"}])
    group.sagemaker.delete_tags(ResourceArn=arn, TagKeys=["cost"])
    assert group.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "bins"}]
