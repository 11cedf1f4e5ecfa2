"""Secure defaults in one place: every bucket, queue, topic, log group and function of every stack is made here.

Encrypted with the platform's key, reachable over TLS only, private, logged and with a retention. What a caller may not
leave out is a required argument; what nobody should switch off is no argument at all.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from aws_cdk import Acknowledgment, Duration, RemovalPolicy, Validations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct, IConstruct

from infra.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
LAMBDA_RUNTIME = lambda_.Runtime.PYTHON_3_14
NOT_CODE = ("**/__pycache__", "**/*.pyc", ".*")


def removal(settings: Settings) -> RemovalPolicy:
    """What `destroy` does with data: it stays where `operations.keep_data` is true."""
    return RemovalPolicy.RETAIN if settings.operations.keep_data else RemovalPolicy.DESTROY


def bucket(
    scope: Construct,
    id_: str,
    *,
    settings: Settings,
    name: str,
    key: kms.IKey | None,
    access_logs: s3.IBucket | None,
    lifecycle_rules: Sequence[s3.LifecycleRule],
) -> s3.Bucket:
    """A private, versioned bucket, TLS 1.2 or newer only. `key` None: encrypted by S3, for the bucket of access logs.

    A bucket is never emptied by a stack: `destroy` fails on one that still has objects, whatever `keep_data` says.
    """
    return s3.Bucket(
        scope,
        id_,
        bucket_name=name,
        encryption=s3.BucketEncryption.KMS if key else s3.BucketEncryption.S3_MANAGED,
        encryption_key=key,
        bucket_key_enabled=True if key else None,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        versioned=True,
        enforce_ssl=True,
        minimum_tls_version=1.2,
        server_access_logs_bucket=access_logs,
        server_access_logs_prefix=f"{id_.lower()}/" if access_logs else None,
        lifecycle_rules=list(lifecycle_rules),
        removal_policy=removal(settings),
    )


def log_group(scope: Construct, id_: str, *, settings: Settings, key: kms.IKey, name: str) -> logs.LogGroup:
    """A log group of a fixed name, encrypted, kept for `operations.log_retention_days`."""
    return logs.LogGroup(
        scope,
        id_,
        log_group_name=name,
        encryption_key=key,
        retention=_RETENTION[settings.operations.log_retention_days],
        removal_policy=RemovalPolicy.DESTROY,
    )


def topic(scope: Construct, id_: str, *, name: str, key: kms.IKey) -> sns.Topic:
    """An encrypted topic that refuses publishers without TLS."""
    return sns.Topic(scope, id_, topic_name=name, master_key=key, enforce_ssl=True)


def queue(
    scope: Construct,
    id_: str,
    *,
    settings: Settings,
    key: kms.IKey,
    task: str,
    visibility: Duration | None = None,
    dead_letters: sqs.IQueue | None = None,
    max_receives: int = 3,
) -> sqs.Queue:
    """An encrypted queue, TLS only, that keeps messages for 14 days; `dead_letters` gets those received too often."""
    made = sqs.Queue(
        scope,
        id_,
        queue_name=settings.names.queue(task),
        encryption=sqs.QueueEncryption.KMS,
        encryption_master_key=key,
        enforce_ssl=True,
        retention_period=Duration.days(14),
        visibility_timeout=visibility,
        dead_letter_queue=sqs.DeadLetterQueue(queue=dead_letters, max_receive_count=max_receives)
        if dead_letters
        else None,
        removal_policy=RemovalPolicy.DESTROY,
    )
    if dead_letters is None:
        for rule in ("AwsSolutions-SQS3", "Serverless-SQSRedrivePolicy"):
            acknowledge(made, rule, "Messages end here, for a person to read.")
    return made


def function(
    scope: Construct,
    id_: str,
    *,
    settings: Settings,
    key: kms.IKey,
    task: str,
    folder: str,
    description: str,
    timeout: Duration,
    memory: int,
    environment: Mapping[str, str],
    handler: str = "handler.handler",
    dead_letters: sqs.IQueue | None = None,
) -> lambda_.Function:
    """A function from `lambda/FOLDER` with a role of its own that may write its log and its traces, and nothing more.

    Give `dead_letters` where events call the function: Lambda sends there what failed three times. `memory` is in MB.
    """
    name = settings.names.function(task)
    log = log_group(scope, f"{id_}Log", settings=settings, key=key, name=f"/aws/lambda/{name}")
    role = iam.Role(
        scope,
        f"{id_}Role",
        description=f"Execution role of the function {name}",
        assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
    )
    made = lambda_.Function(
        scope,
        id_,
        function_name=name,
        description=description,
        runtime=LAMBDA_RUNTIME,
        architecture=lambda_.Architecture.ARM_64,
        code=lambda_.Code.from_asset(str(ROOT / "lambda" / folder), exclude=list(NOT_CODE)),
        handler=handler,
        role=role,
        timeout=timeout,
        memory_size=memory,
        environment=dict(environment),
        environment_encryption=key,
        tracing=lambda_.Tracing.ACTIVE,
        log_group=log,
        logging_format=lambda_.LoggingFormat.JSON,
        dead_letter_queue=dead_letters,
    )
    log.grant_write(role)
    key.grant_decrypt(role)  # its own environment variables
    if dead_letters:
        key.grant(role, "kms:GenerateDataKey")
    acknowledge(role, "AwsSolutions-IAM5[Resource::*]", "X-Ray's PutTraceSegments knows no resources.")
    return made


def role_of(made: lambda_.Function) -> iam.Role:
    """The role that `function` gave it."""
    return cast(iam.Role, made.role)


def acknowledge(construct: IConstruct, rule: str, reason: str) -> None:
    """Accept one finding of cdk-nag on this construct and those below; `rule` as in AwsSolutions-IAM5[Resource::*]."""
    Validations.of(construct).acknowledge(Acknowledgment(id=rule, reason=reason))


_RETENTION = {
    1: logs.RetentionDays.ONE_DAY,
    3: logs.RetentionDays.THREE_DAYS,
    5: logs.RetentionDays.FIVE_DAYS,
    7: logs.RetentionDays.ONE_WEEK,
    14: logs.RetentionDays.TWO_WEEKS,
    30: logs.RetentionDays.ONE_MONTH,
    60: logs.RetentionDays.TWO_MONTHS,
    90: logs.RetentionDays.THREE_MONTHS,
    120: logs.RetentionDays.FOUR_MONTHS,
    150: logs.RetentionDays.FIVE_MONTHS,
    180: logs.RetentionDays.SIX_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
    400: logs.RetentionDays.THIRTEEN_MONTHS,
    545: logs.RetentionDays.EIGHTEEN_MONTHS,
    731: logs.RetentionDays.TWO_YEARS,
    1096: logs.RetentionDays.THREE_YEARS,
    1827: logs.RetentionDays.FIVE_YEARS,
    2192: logs.RetentionDays.SIX_YEARS,
    2557: logs.RetentionDays.SEVEN_YEARS,
    2922: logs.RetentionDays.EIGHT_YEARS,
    3288: logs.RetentionDays.NINE_YEARS,
    3653: logs.RetentionDays.TEN_YEARS,
}
