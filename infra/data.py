"""The data stack: the key, the buckets and the topic that every other stack builds on."""

from collections.abc import Sequence
from typing import cast

from aws_cdk import Aws, CfnOutput, Duration, Environment, Fn, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra import secure
from infra.settings import Settings

EXECUTIONS = "executions"  # prefix of the artifacts bucket under which every run of the pipeline has a folder
CAPTURE = "capture"  # and under which the endpoint keeps sampled requests

ACCESS_LOG_DAYS = 365
CAPTURE_DAYS = 30
NONCURRENT_DAYS = 30
COLD_DAYS = 30

_READ_AND_WRITE = ("kms:Decrypt", "kms:GenerateDataKey*")


class DataStack(Stack):
    """Read-only: `key`, the buckets `raw`, `artifacts` and `access_logs`, and the topic `notices`."""

    def __init__(self, scope: Construct, settings: Settings) -> None:
        super().__init__(
            scope,
            settings.names.stack("data"),
            env=Environment(account=settings.account, region=settings.region),
            description="Tally: key, buckets and notices",
        )
        self.settings = settings
        self.key = self._key()
        self.access_logs = self._bucket("AccessLogs", "access-logs", None, [_forgotten(days=ACCESS_LOG_DAYS)])
        self.raw = self._bucket("Raw", "raw", self.key, [_forgotten()])
        self.artifacts = self._bucket("Artifacts", "artifacts", self.key, _artifact_rules())
        # By override: CDK's own switch adds a custom resource, with a function that nobody asked for.
        raw = cast(s3.CfnBucket, self.raw.node.default_child)
        raw.add_property_override("NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled", True)
        self.notices = secure.topic(self, "Notices", name=settings.names.topic(), key=self.key)
        self._allow_publishing("Alarms", "cloudwatch")
        self._allow_publishing("Budgets", "budgets")
        for address in settings.operations.emails:
            self.notices.add_subscription(subscriptions.EmailSubscription(address))
        secure.acknowledge(
            self.notices,
            "Serverless-SNSRedrivePolicy",
            "Nobody would look for a lost e-mail in a queue; alarms keep their state, and runs their steps.",
        )
        CfnOutput(self, "RawBucket", value=self.raw.bucket_name)
        CfnOutput(self, "ArtifactsBucket", value=self.artifacts.bucket_name)
        CfnOutput(self, "NoticesTopic", value=self.notices.topic_arn)

    @property
    def availability_zones(self) -> list[str]:
        """The region's first two, chosen when deployed. CDK would look them up in the account while it synthesizes."""
        return [Fn.select(index, Fn.get_azs()) for index in range(2)]

    def _bucket(self, id_: str, kind: str, key: kms.IKey | None, rules: Sequence[s3.LifecycleRule]) -> s3.Bucket:
        return secure.bucket(
            self,
            id_,
            settings=self.settings,
            name=self.settings.names.bucket(kind, self.account, self.region),
            key=key,
            access_logs=self.access_logs if key else None,
            lifecycle_rules=rules,
        )

    def _key(self) -> kms.Key:
        """The key of everything at rest. IAM policies of the account say who may use it, but for AWS's own services,
        which have none: each is named here with the topic, queues or log groups that it serves.

        KMS is told those by the encryption context, whichever service calls. The source account, the usual condition,
        is not sent by every one of them: EventBridge publishing to an encrypted queue does not.
        """
        names = self.settings.names
        key = kms.Key(
            self,
            "Key",
            description=f"Everything at rest of {names.base}",
            alias=f"alias/{names.base}",
            enable_key_rotation=True,
            removal_policy=secure.removal(self.settings),
        )
        topic, queues, groups = (
            f"arn:{Aws.PARTITION}:{service}:{self.region}:{self.account}:{resource}"
            for service, resource in (("sns", names.topic()), ("sqs", f"{names.base}-*"), ("logs", "log-group:*"))
        )
        for sid, services, actions, context, arn in (
            ("Notices", ("cloudwatch", "budgets"), _READ_AND_WRITE, "sns:topicArn", topic),
            ("Queues", ("events",), _READ_AND_WRITE, "sqs:arn", queues),
            ("Logs", (f"logs.{self.region}",), (*_READ_AND_WRITE, "kms:Encrypt", "kms:ReEncrypt*"), "logs:arn", groups),
        ):
            key.add_to_resource_policy(
                iam.PolicyStatement(
                    sid=sid,
                    principals=[iam.ServicePrincipal(f"{service}.amazonaws.com") for service in services],
                    actions=list(actions),
                    resources=["*"],  # in the policy of a key: this key
                    conditions={"ArnLike": {f"kms:EncryptionContext:aws:{context}": arn}},
                )
            )
        key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="LogGroupsAskWhetherTheKeyIsThere",  # a call that carries no encryption context
                principals=[iam.ServicePrincipal(f"logs.{self.region}.amazonaws.com")],
                actions=["kms:DescribeKey"],
                resources=["*"],
            )
        )
        return key

    def _allow_publishing(self, sid: str, service: str) -> None:
        self.notices.add_to_resource_policy(
            iam.PolicyStatement(
                sid=sid,
                principals=[iam.ServicePrincipal(f"{service}.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.notices.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            )
        )


def _artifact_rules() -> list[s3.LifecycleRule]:
    """Nothing under executions/ expires: the model in service lies there, which every new instance of the endpoint
    reads, and those that can be rolled back to, and the outputs that the step cache hands on for 30 days."""
    tiering = s3.Transition(
        storage_class=s3.StorageClass.INTELLIGENT_TIERING, transition_after=Duration.days(COLD_DAYS)
    )
    return [
        _forgotten(),
        s3.LifecycleRule(prefix=f"{EXECUTIONS}/", transitions=[tiering]),
        s3.LifecycleRule(prefix=f"{CAPTURE}/", expiration=Duration.days(CAPTURE_DAYS)),
    ]


def _forgotten(*, days: int | None = None) -> s3.LifecycleRule:
    """Ends what nobody looks at again: replaced versions, uploads never completed, and objects older than `days`."""
    return s3.LifecycleRule(
        abort_incomplete_multipart_upload_after=Duration.days(7),
        noncurrent_version_expiration=Duration.days(NONCURRENT_DAYS),
        expiration=Duration.days(days) if days else None,
    )
