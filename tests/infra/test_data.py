"""The data stack: photos and models stay private, encrypted, and where they are needed."""

import json
from typing import Any

import pytest

from tests.infra.conftest import AppOf
from tests.infra.synth import Synthesized, text

BUCKETS = ("raw", "artifacts", "access-logs")


def bucket(app: Synthesized, kind: str) -> dict[str, Any]:
    """A bucket's properties, and its policies of what is kept."""
    found = {
        text(resource["Properties"]["BucketName"]): resource
        for resource in app.templates["data"]["Resources"].values()
        if resource["Type"] == "AWS::S3::Bucket"
    }
    (resource,) = [each for name, each in found.items() if name.startswith(f"{app.base}-{kind}-")]
    return resource


@pytest.mark.parametrize("kind", BUCKETS)
def test_a_bucket_is_private_and_versioned(dev: Synthesized, kind: str) -> None:
    made = bucket(dev, kind)["Properties"]
    assert set(made["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(made["PublicAccessBlockConfiguration"]) == 4
    assert made["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert made["VersioningConfiguration"] == {"Status": "Enabled"}


def test_every_bucket_refuses_requests_without_modern_tls(dev: Synthesized) -> None:
    policies = dev.resources("data", "AWS::S3::BucketPolicy").values()
    assert len(policies) == len(BUCKETS)
    for policy in policies:
        conditions = [
            each.get("Condition") for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Deny"
        ]
        assert {"Bool": {"aws:SecureTransport": "false"}} in conditions
        assert {"NumericLessThan": {"s3:TlsVersion": 1.2}} in conditions


def test_photos_and_artifacts_are_encrypted_with_the_platforms_key(dev: Synthesized) -> None:
    (key,) = dev.resources("data", "AWS::KMS::Key")
    for kind in ("raw", "artifacts"):
        (rule,) = bucket(dev, kind)["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        default = rule["ServerSideEncryptionByDefault"]
        assert default == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": {"Fn::GetAtt": [key, "Arn"]}}
        assert rule["BucketKeyEnabled"] is True  # else every one of half a million photos asks KMS


def test_access_logs_are_written_and_can_be_delivered(dev: Synthesized) -> None:
    """S3 delivers access logs only to a bucket that S3's own keys encrypt."""
    (rule,) = bucket(dev, "access-logs")["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    prefixes = {
        bucket(dev, kind)["Properties"]["LoggingConfiguration"]["LogFilePrefix"] for kind in ("raw", "artifacts")
    }
    assert prefixes == {"raw/", "artifacts/"}


def test_new_objects_of_the_raw_bucket_become_events(dev: Synthesized) -> None:
    notifications = bucket(dev, "raw")["Properties"]["NotificationConfiguration"]
    assert notifications == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}


def test_models_never_expire_and_nothing_forgotten_is_paid_for(dev: Synthesized) -> None:
    """A model that expired would break the endpoint when it next scales out, and every roll-back."""
    for kind in BUCKETS:
        rules = bucket(dev, kind)["Properties"]["LifecycleConfiguration"]["Rules"]
        everything = [rule for rule in rules if "Prefix" not in rule]
        assert [rule["AbortIncompleteMultipartUpload"] for rule in everything] == [{"DaysAfterInitiation": 7}]
        assert everything[0]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
        expiring = {rule.get("Prefix", "") for rule in rules if "ExpirationInDays" in rule}
        assert expiring == {"raw": set(), "artifacts": {"capture/"}, "access-logs": {""}}[kind]
    rules = bucket(dev, "artifacts")["Properties"]["LifecycleConfiguration"]["Rules"]
    (executions,) = [rule for rule in rules if rule.get("Prefix") == "executions/"]
    moved = [transition["StorageClass"] for transition in executions["Transitions"]]
    assert moved == ["INTELLIGENT_TIERING"]  # which an endpoint can still read at once


@pytest.mark.parametrize(("environment", "kept"), [("dev", "Delete"), ("prod", "Retain")])
def test_keep_data_decides_what_destroy_leaves(app_of: AppOf, environment: str, kept: str) -> None:
    app = app_of(environment)
    for stack, kind in (
        ("data", "AWS::S3::Bucket"),
        ("data", "AWS::KMS::Key"),
        ("training", "AWS::SageMaker::ModelPackageGroup"),
    ):
        found = [each for each in app.templates[stack]["Resources"].values() if each["Type"] == kind]
        assert found
        assert {each["DeletionPolicy"] for each in found} == {kept}
        assert {each["UpdateReplacePolicy"] for each in found} == {kept}


def test_the_key_rotates_and_services_may_use_it_for_our_things_only(dev: Synthesized) -> None:
    key = dev.only("data", "AWS::KMS::Key")
    assert key["EnableKeyRotation"] is True
    services = {}
    for statement in key["KeyPolicy"]["Statement"]:
        if "Service" in statement["Principal"]:
            services[statement["Sid"]] = statement
    assert services.keys() == {"Notices", "Queues", "Logs", "LogGroupsAskWhetherTheKeyIsThere"}
    arns = {
        sid: text(value)
        for sid, statement in services.items()
        for value in statement.get("Condition", {}).get("ArnLike", {}).values()
    }
    account = "<AWS::Region>:<AWS::AccountId>"
    assert arns == {
        "Notices": f"arn:<AWS::Partition>:sns:{account}:tally-dev-notices",
        "Queues": f"arn:<AWS::Partition>:sqs:{account}:tally-dev-*",
        "Logs": f"arn:<AWS::Partition>:logs:{account}:log-group:*",
    }
    assert services["LogGroupsAskWhetherTheKeyIsThere"]["Action"] == "kms:DescribeKey"


def test_notices_reach_people_from_this_accounts_alarms_and_budgets_only(tailored: Synthesized) -> None:
    subscribed = {each["Endpoint"] for each in tailored.resources("data", "AWS::SNS::Subscription").values()}
    assert subscribed == {"ops@example.com", "ml@example.com"}
    topic = tailored.only("data", "AWS::SNS::Topic")
    assert "KmsMasterKeyId" in topic
    statements = tailored.only("data", "AWS::SNS::TopicPolicy")["PolicyDocument"]["Statement"]
    allowed = {each["Principal"]["Service"]: each["Condition"] for each in statements if each["Effect"] == "Allow"}
    account = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    assert allowed == {"cloudwatch.amazonaws.com": account, "budgets.amazonaws.com": account}
    denied = [each["Condition"] for each in statements if each["Effect"] == "Deny"]
    assert denied == [{"Bool": {"aws:SecureTransport": "false"}}]


def test_ops_finds_its_outputs(dev: Synthesized) -> None:
    assert {"RawBucket", "ArtifactsBucket", "NoticesTopic"} <= dev.templates["data"]["Outputs"].keys()


def test_a_made_vpc_leads_to_our_buckets_and_nowhere_else(prod: Synthesized, dev: Synthesized) -> None:
    kinds = {resource["Type"] for resource in prod.templates["data"]["Resources"].values()}
    assert not kinds & {"AWS::EC2::InternetGateway", "AWS::EC2::NatGateway", "AWS::EC2::Route"}
    subnets = prod.resources("data", "AWS::EC2::Subnet").values()
    assert len({json.dumps(subnet["AvailabilityZone"]) for subnet in subnets}) == 2
    endpoint = prod.only("data", "AWS::EC2::VPCEndpoint")
    assert text(endpoint["ServiceName"]).endswith(".s3")
    assert len(endpoint["RouteTableIds"]) == len(subnets)
    (statement,) = endpoint["PolicyDocument"]["Statement"]
    buckets = {text(resource).split(".")[0] for resource in statement["Resource"]}
    assert len(statement["Resource"]) == 4
    assert len(buckets) == 2
    log = prod.only("data", "AWS::EC2::FlowLog")
    assert log["TrafficType"] == "ALL"
    assert log["LogGroupName"]["Ref"] in prod.resources("data", "AWS::Logs::LogGroup")
    assert not [each for each in dev.templates["data"]["Resources"].values() if "EC2" in each["Type"]]
