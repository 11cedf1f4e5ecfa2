"""What an environment decides: `environments` in cdk.json, as frozen dataclasses.

Every key has a default here; cdk.json says only what differs. A key that is unknown, of another type or out of range is
a SettingsError that names it, as in `environments.prod.serving.max_instances`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from infra.names import Names
from infra.reading import SettingsError as SettingsError
from infra.reading import in_range, read, refuse

RETENTION_DAYS = (
    1,
    3,
    5,
    7,
    14,
    30,
    60,
    90,
    120,
    150,
    180,
    365,
    400,
    545,
    731,
    1096,
    1827,
    2192,
    2557,
    2922,
    3288,
    3653,
)


# Of prefixes that S3_SOURCES lists and IAM policies name: in the one a comma separates, in the others * ? and $ are not
# themselves. Without the slash, photos would allow photos-of-others too. Keys with the parts . and .. are never read.
_PREFIX = r"((?!\.\.?/)[A-Za-z0-9!_.'()-]+/)*"
_BUCKET = r"(?![^/]*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_SAFE = "letters, digits and !_.'()-, no part . or .., with a slash at the end"

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = rf"(?=.{{1,253}}\Z)({_LABEL}\.)+(?=[a-z]){_LABEL}"
_CERTIFICATE = r"arn:aws[a-z-]*:acm:(?P<region>[a-z0-9-]+):\d{12}:certificate/[A-Za-z0-9-]+"


@dataclass(frozen=True, kw_only=True)
class Images:
    """Container images by URI, with a tag that is never moved. None: built from model_code/Dockerfile at deploy, which
    needs Docker."""

    train: str | None = None
    serve: str | None = None


@dataclass(frozen=True, kw_only=True)
class Network:
    """Where jobs and endpoint run. Neither given nor created: in SageMaker's own network, isolated all the same."""

    create_vpc: bool = False
    vpc_id: str | None = None
    subnet_ids: tuple[str, ...] = ()
    security_group_ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        given = (self.vpc_id, self.subnet_ids, self.security_group_ids)
        if any(given) and not all(given):
            refuse("subnet_ids", self.subnet_ids, "vpc_id, subnet_ids and security_group_ids given together, or none")
        if self.create_vpc and self.vpc_id:
            refuse("create_vpc", True, "false where vpc_id is given")


@dataclass(frozen=True, kw_only=True)
class Training:
    """The pipeline. `parameters` are the defaults of pipeline parameters here, for example {"Epochs": 10}."""

    gpu: bool = True  # train on GPUs; false: on CPUs
    spot: bool = True
    pretrained: bool = True
    weights_uri: str | None = None
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str | int | float] = field(default_factory=dict)
    preprocess_instance_price: int | float | None = None  # of one hour of one instance: Preprocess projects its cost
    weekly_run: bool = False
    weekly_prefix: str = "photos"  # what the weekly run trains on
    weekly_schedule: str = "cron(0 3 ? * SUN *)"  # UTC

    def __post_init__(self) -> None:
        price = self.preprocess_instance_price
        if price is not None and not 0 < price <= 10_000:
            refuse("preprocess_instance_price", price, "above 0 and at most 10000, or null")
        if not re.fullmatch(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*", self.weekly_prefix):
            refuse(
                "weekly_prefix", self.weekly_prefix, "a prefix such as photos or deliveries/2026-11, without end slash"
            )
        if not re.fullmatch(r"(cron|rate|at)\(.+\)", self.weekly_schedule):
            refuse("weekly_schedule", self.weekly_schedule, "an expression such as cron(0 3 ? * SUN *)")


@dataclass(frozen=True, kw_only=True)
class Serving:
    """The endpoint, its scaling and its releases."""

    instance_type: str = "ml.c5.large"
    min_instances: int = 1
    max_instances: int = 4
    invocations_per_instance: int = 600  # per minute, what one instance is kept at
    concurrent_requests_per_instance: int = 4  # what slow requests are scaled by
    scale_out_seconds: int = 60  # cooldowns
    scale_in_seconds: int = 300
    canary_percent: int = 20
    bake_minutes: int = 10  # how long alarms are watched before and after all traffic is shifted
    latency_alarm_ms: int = 2000
    capture_percent: int = 10  # requests whose input and output are kept

    def __post_init__(self) -> None:
        in_range(self, min_instances=(1, 100), max_instances=(1, 100), canary_percent=(1, 50), bake_minutes=(0, 60))
        in_range(self, invocations_per_instance=(1, 1_000_000), concurrent_requests_per_instance=(1, 1000))
        in_range(self, scale_out_seconds=(0, 3600), scale_in_seconds=(0, 3600), latency_alarm_ms=(1, 60_000))
        in_range(self, capture_percent=(0, 100))
        if self.max_instances < self.min_instances:
            refuse("max_instances", self.max_instances, f"at least min_instances, which is {self.min_instances}")
        if not re.fullmatch(r"ml\.[a-z0-9-]+\.[a-z0-9]+", self.instance_type):
            refuse("instance_type", self.instance_type, "a SageMaker instance type such as ml.c5.large")


@dataclass(frozen=True, kw_only=True)
class Api:
    """The HTTPS API.

    `s3_uri` may name objects whose key begins with one of `raw_prefixes` in the raw bucket, or that lie in one of
    `extra_sources`, BUCKET/PREFIX. A prefix ends with a slash; an empty one is the whole bucket.

    `decision` is `pass` where the expected count has at least `pass_probability`, `fail` where it has at most
    `fail_probability`. The bounds keep the two apart from the count itself: what has more than half is the most
    probable of five, what has less than a fifth is not.
    """

    auth: Literal["api_key", "iam"] = "api_key"
    requests_per_second: int = 20
    burst: int = 40
    requests_per_day: int = 20_000
    requests_per_ip: int = 1000  # in five minutes, above which the WAF blocks the address
    allow_http: bool = False  # image_url with http:// as well as https://
    raw_prefixes: tuple[str, ...] = ("photos/",)
    extra_sources: tuple[str, ...] = ()
    pass_probability: float = 0.8
    fail_probability: float = 0.05
    domain_name: str | None = None
    certificate_arn: str | None = None  # of domain_name, in the API's region

    def __post_init__(self) -> None:
        in_range(self, requests_per_second=(1, 10_000), burst=(1, 5000), requests_per_day=(1, 100_000_000))
        in_range(self, requests_per_ip=(10, 2_000_000_000))
        if not 0.5 < self.pass_probability <= 1:
            refuse("pass_probability", self.pass_probability, "above 0.5, and at most 1")
        if not 0 <= self.fail_probability < 0.2:
            refuse("fail_probability", self.fail_probability, "at least 0, and below 0.2")
        for prefix in self.raw_prefixes:
            if not re.fullmatch(_PREFIX, prefix):
                refuse(
                    "raw_prefixes", prefix, f"prefixes such as photos/, or an empty one for the whole bucket; {_SAFE}"
                )
        for source in self.extra_sources:
            if not re.fullmatch(f"{_BUCKET}/{_PREFIX}", source):
                refuse("extra_sources", source, f"places such as BUCKET/photos/, or BUCKET/ for all of it; {_SAFE}")
        self._check_domain()

    def _check_domain(self) -> None:
        if (self.domain_name is None) != (self.certificate_arn is None):
            refuse("domain_name", self.domain_name, "given together with certificate_arn, or neither")
        if self.domain_name is not None and not re.fullmatch(_HOST, self.domain_name):
            allowed = "a host name such as tally.example.com: small letters, digits, - and dots, without https://"
            refuse("domain_name", self.domain_name, allowed)
        if self.certificate_arn is not None and not re.fullmatch(_CERTIFICATE, self.certificate_arn):
            example = "arn:aws:acm:eu-central-1:123456789012:certificate/ID"
            refuse("certificate_arn", self.certificate_arn, f"the ARN of an ACM certificate, as in {example}")


@dataclass(frozen=True, kw_only=True)
class Operations:
    """Notices, logs, money, and what outlives `destroy`."""

    emails: tuple[str, ...] = ()
    monthly_budget_usd: int = 200
    log_retention_days: int = 90
    keep_data: bool = True  # destroy leaves buckets, key and model packages

    def __post_init__(self) -> None:
        in_range(self, monthly_budget_usd=(1, 10_000_000))
        if self.log_retention_days not in RETENTION_DAYS:
            allowed = f"one of CloudWatch's: {', '.join(map(str, RETENTION_DAYS))}"
            refuse("log_retention_days", self.log_retention_days, allowed)
        for address in self.emails:
            if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", address):
                refuse("emails", address, "e-mail addresses")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One environment. Account and region None: those of the credentials that deploy."""

    environment: str
    prefix: str = "tally"
    account: str | None = None
    region: str | None = None
    images: Images = field(default_factory=Images)
    network: Network = field(default_factory=Network)
    training: Training = field(default_factory=Training)
    serving: Serving = field(default_factory=Serving)
    api: Api = field(default_factory=Api)
    operations: Operations = field(default_factory=Operations)

    def __post_init__(self) -> None:
        for key in ("environment", "prefix"):
            if not re.fullmatch(r"[a-z][a-z0-9]{0,9}", getattr(self, key)):
                refuse(key, getattr(self, key), "1 to 10 small letters and digits, beginning with a letter")
        if self.account is not None and not re.fullmatch(r"\d{12}", self.account):
            refuse("account", self.account, "an account id of 12 digits, in quotes")
        if self.region is not None and not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", self.region):
            refuse("region", self.region, "a region such as eu-central-1")
        certificate = re.fullmatch(_CERTIFICATE, self.api.certificate_arn or "")
        if certificate and self.region not in (None, certificate["region"]):
            allowed = f"a certificate in {self.region}, the region of the API"
            refuse("api.certificate_arn", self.api.certificate_arn, allowed)

    @property
    def names(self) -> Names:
        """What things are called."""
        return Names(self.prefix, self.environment)


def read_settings(environments: Any, name: Any, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Settings of the environment `name` of cdk.json's `environments`, with `overrides` (same shape) merged over them.

    SettingsError names the key, the value and what is allowed.
    """
    if not isinstance(environments, Mapping) or not environments:
        raise SettingsError("cdk.json: context has no 'environments'; it maps names such as dev to settings")
    if name not in environments:
        known = ", ".join(sorted(environments))
        raise SettingsError(
            f"environment {name!r} is not in cdk.json, which has {known}; choose one: ENV={min(environments)}"
        )
    path = f"environments.{name}"
    if not isinstance(environments[name], Mapping):
        raise SettingsError(f"{path} is {environments[name]!r}; it must be an object of settings")
    values = _merged(environments[name], overrides or {})
    if "environment" in values:
        raise SettingsError(f"{path}.environment cannot be set; the environment's name is its key, {name!r}")
    settings: Settings = read(Settings, {**values, "environment": name}, path)
    return settings


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(base)
    for key, value in over.items():
        nested = isinstance(value, Mapping) and isinstance(both.get(key), Mapping)
        both[key] = _merged(both[key], value) if nested else value
    return both
