"""The account's setting that lets API Gateway write logs."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.constructs.permissions import allow

_ACTIONS = (  # those of AWS's managed policy for this role; API Gateway refuses a role with fewer
    "logs:CreateLogGroup",
    "logs:CreateLogStream",
    "logs:DescribeLogGroups",
    "logs:DescribeLogStreams",
    "logs:PutLogEvents",
    "logs:GetLogEvents",
    "logs:FilterLogEvents",
)


class AccountLogging(Construct):
    """A role for API Gateway's logs, set for the whole account and region: there is one such setting, and a stage with
    logs cannot be made before it.

    Environments that share an account set it one after the other, each to a role that may do the same, so it does not
    matter which is in force. That must stay true after one of them is destroyed, or the logs of the others would end
    without a word: role and setting are retained, and a leftover role is the price.
    """

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("apigateway.amazonaws.com"),
            description="API Gateway writes its logs with this role, for every API of the account",
        )
        allow(
            role,
            "Logs",
            _ACTIONS,
            ["*"],
            why_wildcard="The account has one such role for the log groups of all its APIs, whoever makes them.",
        )
        self.account = apigateway.CfnAccount(self, "Account", cloud_watch_role_arn=role.role_arn)
        self.account.node.add_dependency(role.node.find_child("DefaultPolicy"))  # API Gateway checks it
        for part in (role, self.account):
            part.apply_removal_policy(RemovalPolicy.RETAIN)
