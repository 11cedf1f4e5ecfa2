"""What CloudFormation must be allowed to deploy our stacks, instead of AdministratorAccess: an IAM policy to bootstrap
with. Everything that can be named is narrowed to names that begin with the project's prefix.

Not proved on AWS: the emulator checks no permission. A missing action shows as AccessDenied in a stack's event, which
names it.
"""

from typing import Any

from ops.account import Account

MOST_CHARACTERS = 6144  # of a managed policy, without white space

_S3 = (
    "CreateBucket DeleteBucket GetBucket* PutBucket* DeleteBucketPolicy ListBucket Get*Configuration Put*Configuration"
)
_ROLES = (
    "CreateRole DeleteRole GetRole UpdateRole UpdateAssumeRolePolicy TagRole UntagRole ListRoleTags PassRole "
    "PutRolePolicy DeleteRolePolicy GetRolePolicy ListRolePolicies AttachRolePolicy DetachRolePolicy "
    "ListAttachedRolePolicies"
)
_KEYS = (
    "DescribeKey GetKeyPolicy PutKeyPolicy GetKeyRotationStatus EnableKeyRotation UpdateKeyDescription EnableKey "
    "ScheduleKeyDeletion ListResourceTags TagResource UntagResource CreateAlias UpdateAlias DeleteAlias CreateGrant "
    "Encrypt Decrypt GenerateDataKey*"
)
_GROUPS = (
    "CreateLogGroup DeleteLogGroup PutRetentionPolicy DeleteRetentionPolicy AssociateKmsKey DisassociateKmsKey "
    "TagResource UntagResource ListTagsForResource"
)
_DELIVERY = (
    "DescribeLogGroups CreateLogDelivery GetLogDelivery UpdateLogDelivery DeleteLogDelivery ListLogDeliveries "
    "PutResourcePolicy DescribeResourcePolicies"
)
_MODELS = "CreateModel DescribeModel DeleteModel CreateEndpointConfig DescribeEndpointConfig DeleteEndpointConfig"
_SCALING = (
    "RegisterScalableTarget DeregisterScalableTarget PutScalingPolicy DeleteScalingPolicy DescribeScalableTargets "
    "DescribeScalingPolicies TagResource UntagResource ListTagsForResource"
)
_VPC = (
    "CreateVpc* DeleteVpc* ModifyVpc* *Subnet* *RouteTable* *SecurityGroup* *FlowLogs CreateTags DeleteTags Describe*"
)


def execution_policy(account: Account) -> dict[str, Any]:
    """The policy document for all environments of the project in this account and region."""
    where, prefix = f"{account.region}:{account.account_id}", account.names.prefix
    aws = f"arn:{account.partition}"

    def named(service: str, *resources: str) -> list[str]:
        return [f"{aws}:{service}:{where}:{resource}" for resource in resources]

    statements = {
        "Buckets": (_actions("s3", _S3), [f"{aws}:s3:::{prefix}-*"]),
        "Assets": (["s3:GetObject", "s3:ListBucket"], [f"{aws}:s3:::cdk-*-assets-{account.account_id}-*"]),
        "Roles": (_actions("iam", _ROLES), [f"{aws}:iam::{account.account_id}:role/{prefix}-*"]),
        "ServiceRoles": (["iam:CreateServiceLinkedRole"], [f"{aws}:iam::{account.account_id}:role/aws-service-role/*"]),
        "NewKey": (["kms:CreateKey", "kms:ListAliases"], ["*"]),
        "Keys": (_actions("kms", _KEYS), named("kms", "key/*", f"alias/{prefix}-*")),
        "Functions": (["lambda:*"], named("lambda", f"function:{prefix}-*", "event-source-mapping:*")),
        "Mappings": (["lambda:CreateEventSourceMapping", "lambda:ListEventSourceMappings"], ["*"]),
        "Messages": (["sqs:*", "sns:*"], named("sqs", f"{prefix}-*") + named("sns", f"{prefix}-*")),
        "Events": (
            ["events:*", "scheduler:*"],
            named("events", f"rule/{prefix}-*") + named("scheduler", f"schedule/*/{prefix}-*"),
        ),
        "Logs": (_actions("logs", _GROUPS), named("logs", "log-group:*")),
        "LogDelivery": (_actions("logs", _DELIVERY), ["*"]),
        "Watching": (["cloudwatch:*"], named("cloudwatch", f"alarm:{prefix}-*")),
        "Dashboards": (
            _actions("cloudwatch", "PutDashboard GetDashboard DeleteDashboards"),
            [f"{aws}:cloudwatch::{account.account_id}:dashboard/{prefix}-*"],
        ),
        "Budgets": (
            _actions("budgets", "ViewBudget ModifyBudget TagResource UntagResource ListTagsForResource"),
            [f"{aws}:budgets::{account.account_id}:budget/{prefix}-*"],
        ),
        "SageMaker": (
            ["sagemaker:*"],
            named("sagemaker", *(f"{kind}/{prefix}-*" for kind in ("endpoint", "pipeline", "model-package*"))),
        ),
        "Models": (
            [*_actions("sagemaker", _MODELS), "sagemaker:AddTags", "sagemaker:ListTags", "sagemaker:DeleteTags"],
            named("sagemaker", "model/*", "endpoint-config/*"),
        ),
        "NewEndpoint": (  # asks for the configuration as well, whose name CloudFormation makes up
            ["sagemaker:CreateEndpoint", "sagemaker:UpdateEndpoint"],
            named("sagemaker", "endpoint-config/*"),
        ),
        "Scaling": (_actions("application-autoscaling", _SCALING), ["*"]),
        "Api": (["apigateway:*"], [f"{aws}:apigateway:{account.region}::/*"]),
        "Firewall": (
            ["wafv2:*"],
            [*named("wafv2", f"regional/webacl/{prefix}-*", "regional/managedruleset/*"), f"{aws}:apigateway:*::/*"],
        ),
        "Network": (_actions("ec2", _VPC), ["*"]),
    }
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
            for sid, (actions, resources) in statements.items()
        ],
    }


def _actions(service: str, names: str) -> list[str]:
    return [f"{service}:{name}" for name in names.split()]
