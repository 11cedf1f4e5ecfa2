"""The AWS account of an environment: one session, its clients, its stacks' outputs."""

import os
import threading
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from infra.names import STACKS, Names
from infra.settings import Settings
from ops.errors import OpsError, code

_CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 8},
    max_pool_connections=32,
    user_agent_extra="tally-ops",
    connect_timeout=10,
)
# The emulator throttles nobody, and a proxy on the way to the Internet is none on the way to this machine.
_EMULATOR_CONFIG = _CONFIG.merge(Config(retries={"mode": "standard", "max_attempts": 3}, proxies={}))
_LAPTOP = "laptop"
_NO_STACK = ("ValidationError", "StackNotFoundException")


class Account:
    """Where an environment lives. `environ` stands for the process's environment variables: credentials, AWS_PROFILE,
    AWS_REGION, and AWS_ENDPOINT_URL, which leads to the laptop's emulator instead of AWS."""

    def __init__(self, settings: Settings, environ: Mapping[str, str] | None = None):
        self.settings = settings
        self.environ: Mapping[str, str] = os.environ if environ is None else environ
        self._clients: dict[str, Any] = {}
        self._making = threading.Lock()

    @property
    def names(self) -> Names:
        """What things are called here."""
        return self.settings.names

    @property
    def environment(self) -> str:
        """The environment's name: dev, prod, laptop."""
        return self.settings.environment

    @property
    def endpoint_url(self) -> str | None:
        """The emulator's address; None on AWS."""
        return self.environ.get("AWS_ENDPOINT_URL") or None

    @cached_property
    def session(self) -> boto3.Session:
        """Made from `environ` and the settings. OpsError without a region."""
        get = self.environ.get
        key = get("AWS_ACCESS_KEY_ID")
        session = boto3.Session(
            aws_access_key_id=key,
            aws_secret_access_key=get("AWS_SECRET_ACCESS_KEY") if key else None,
            aws_session_token=get("AWS_SESSION_TOKEN") if key else None,
            profile_name=None if key else get("AWS_PROFILE"),
            region_name=self.settings.region or get("AWS_REGION") or get("AWS_DEFAULT_REGION"),
        )
        if not session.region_name:
            remedy = f"set environments.{self.environment}.region in cdk.json, or the variable AWS_REGION"
            if self.environment == _LAPTOP:
                remedy = f"the environment {_LAPTOP} lives in what make up runs: make up, then . build/run/aws.env"
            raise OpsError(f"no region: {remedy}")
        return session

    @property
    def region(self) -> str:
        """The region that everything is in."""
        return str(self.session.region_name)

    @property
    def partition(self) -> str:
        """First part of ARNs: aws, aws-cn or aws-us-gov."""
        return str(self.session.get_partition_for_region(self.region))

    @cached_property
    def account_id(self) -> str:
        """Account of the credentials. OpsError when cdk.json says that the environment is in another one."""
        found = str(self.client("sts").get_caller_identity()["Account"])
        if self.settings.account not in (None, found):
            raise OpsError(
                f"these credentials belong to account {found}, and environment {self.environment} is in "
                f"{self.settings.account} (cdk.json); choose another AWS_PROFILE"
            )
        return found

    def client(self, service: str) -> Any:
        """The boto3 client of a service; made once. Callable from several threads."""
        with self._making:  # boto3's session is not made for threads, its clients are
            if service not in self._clients:
                config = _EMULATOR_CONFIG if self.endpoint_url else _CONFIG
                self._clients[service] = self.session.client(service, endpoint_url=self.endpoint_url, config=config)
            return self._clients[service]

    def stack(self, kind: str) -> dict[str, Any] | None:
        """DescribeStacks of one of our stacks by kind (data, serving, ...); None when it is not deployed."""
        try:
            return dict(self.client("cloudformation").describe_stacks(StackName=self.names.stack(kind))["Stacks"][0])
        except ClientError as error:
            if code(error) in _NO_STACK:
                return None
            raise

    def stacks(self) -> dict[str, dict[str, Any]]:
        """Our deployed stacks by kind, in the order of deployment."""
        found = {kind: self.stack(kind) for kind in STACKS}
        return {kind: stack for kind, stack in found.items() if stack}

    def outputs(self, kind: str) -> dict[str, str]:
        """Outputs of a stack by name. OpsError when the stack is not deployed."""
        stack = self.stack(kind)
        if stack is None:
            raise OpsError(self.not_deployed(kind))
        return {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}

    def output(self, kind: str, name: str) -> str:
        """One output of a stack. OpsError when the stack or its output is missing."""
        outputs = self.outputs(kind)
        if name not in outputs:
            stack = self.stack(kind) or {}
            raise OpsError(
                f"stack {self.names.stack(kind)} ({stack.get('StackStatus')}) has no output {name}; "
                f"deploy it again: python -m ops deploy --env {self.environment}"
            )
        return outputs[name]

    def not_deployed(self, kind: str) -> str:
        """What to say when a stack is missing."""
        return (
            f"stack {self.names.stack(kind)} does not exist in account {self.account_id}, {self.region}; "
            f"deploy it: python -m ops deploy --env {self.environment}, or check AWS_PROFILE and the region"
        )


def parameter(stack: Mapping[str, Any], name: str) -> str:
    """A parameter of a described stack; empty when it has none of that name."""
    values = {item["ParameterKey"]: item.get("ParameterValue", "") for item in stack.get("Parameters", [])}
    return str(values.get(name, ""))
