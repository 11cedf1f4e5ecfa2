"""What an environment decides: `environments` in cdk.json, as frozen dataclasses.

Every key has a default here; cdk.json says only what differs. A key that is unknown, of another type or out of range is
a SettingsError that names it, as in `environments.prod.serving.max_instances`.
"""

import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

from infra.names import Names

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


class SettingsError(Exception):
    """A setting cannot be used. The message names the key, the value and what is allowed."""


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
            _refuse("subnet_ids", self.subnet_ids, "vpc_id, subnet_ids and security_group_ids given together, or none")
        if self.create_vpc and self.vpc_id:
            _refuse("create_vpc", True, "false where vpc_id is given")


@dataclass(frozen=True, kw_only=True)
class Training:
    """The pipeline. `parameters` are the defaults of pipeline parameters here, for example {"Epochs": 10}."""

    gpu: bool = True  # train on GPUs; false: on CPUs
    spot: bool = True
    pretrained: bool = True
    weights_uri: str | None = None
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str | int | float] = field(default_factory=dict)
    weekly_run: bool = False
    weekly_prefix: str = "photos"  # what the weekly run trains on
    weekly_schedule: str = "cron(0 3 ? * SUN *)"  # UTC

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*", self.weekly_prefix):
            _refuse(
                "weekly_prefix", self.weekly_prefix, "a prefix such as photos or deliveries/2026-11, without end slash"
            )
        if not re.fullmatch(r"(cron|rate|at)\(.+\)", self.weekly_schedule):
            _refuse("weekly_schedule", self.weekly_schedule, "an expression such as cron(0 3 ? * SUN *)")


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
        _in_range(self, min_instances=(1, 100), max_instances=(1, 100), canary_percent=(1, 50), bake_minutes=(0, 60))
        _in_range(self, invocations_per_instance=(1, 1_000_000), concurrent_requests_per_instance=(1, 1000))
        _in_range(self, scale_out_seconds=(0, 3600), scale_in_seconds=(0, 3600), latency_alarm_ms=(1, 60_000))
        _in_range(self, capture_percent=(0, 100))
        if self.max_instances < self.min_instances:
            _refuse("max_instances", self.max_instances, f"at least min_instances, which is {self.min_instances}")
        if not re.fullmatch(r"ml\.[a-z0-9-]+\.[a-z0-9]+", self.instance_type):
            _refuse("instance_type", self.instance_type, "a SageMaker instance type such as ml.c5.large")


@dataclass(frozen=True, kw_only=True)
class Api:
    """The HTTPS API. `extra_buckets` may be read by s3_uri beside the raw bucket: each allows the whole bucket."""

    auth: Literal["api_key", "iam"] = "api_key"
    requests_per_second: int = 20
    burst: int = 40
    requests_per_day: int = 20_000
    requests_per_ip: int = 1000  # in five minutes, above which the WAF blocks the address
    allow_http: bool = False  # image_url with http:// as well as https://
    extra_buckets: tuple[str, ...] = ()
    domain_name: str | None = None
    certificate_arn: str | None = None  # of domain_name, in the API's region

    def __post_init__(self) -> None:
        _in_range(self, requests_per_second=(1, 10_000), burst=(1, 5000), requests_per_day=(1, 100_000_000))
        _in_range(self, requests_per_ip=(10, 2_000_000_000))
        if bool(self.domain_name) != bool(self.certificate_arn):
            _refuse("domain_name", self.domain_name, "given together with certificate_arn, or neither")


@dataclass(frozen=True, kw_only=True)
class Operations:
    """Notices, logs, money, and what outlives `destroy`."""

    emails: tuple[str, ...] = ()
    monthly_budget_usd: int = 200
    log_retention_days: int = 90
    keep_data: bool = True  # destroy leaves buckets, key and model packages

    def __post_init__(self) -> None:
        _in_range(self, monthly_budget_usd=(1, 10_000_000))
        if self.log_retention_days not in RETENTION_DAYS:
            allowed = f"one of CloudWatch's: {', '.join(map(str, RETENTION_DAYS))}"
            _refuse("log_retention_days", self.log_retention_days, allowed)
        for address in self.emails:
            if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", address):
                _refuse("emails", address, "e-mail addresses")


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
                _refuse(key, getattr(self, key), "1 to 10 small letters and digits, beginning with a letter")
        if self.account is not None and not re.fullmatch(r"\d{12}", self.account):
            _refuse("account", self.account, "an account id of 12 digits, in quotes")
        if self.region is not None and not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", self.region):
            _refuse("region", self.region, "a region such as eu-central-1")

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
    settings: Settings = _read(Settings, {**values, "environment": name}, path)
    return settings


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(base)
    for key, value in over.items():
        nested = isinstance(value, Mapping) and isinstance(both.get(key), Mapping)
        both[key] = _merged(both[key], value) if nested else value
    return both


class _RefusedError(Exception):
    """A value that a dataclass refuses, before its place in cdk.json is known."""


def _refuse(key: str, value: object, allowed: str) -> typing.NoReturn:
    raise _RefusedError(f"{key} is {value!r}; it must be {allowed}")


def _in_range(settings: object, **limits: tuple[int, int]) -> None:
    for key, (low, high) in limits.items():
        value = getattr(settings, key)
        if not low <= value <= high:
            _refuse(key, value, f"{low} to {high}")


def _read(kind: type, values: Any, path: str) -> Any:
    if not isinstance(values, Mapping):
        raise SettingsError(f"{path} is {values!r}; it must be an object")
    hints = typing.get_type_hints(kind)
    known = {item.name for item in fields(kind)}
    for key in values:
        if key not in known:
            raise SettingsError(
                f"{path}.{key} is not a setting; there are: {', '.join(sorted(known - {'environment'}))}"
            )
    given = {key: _value(hints[key], value, f"{path}.{key}") for key, value in values.items()}
    try:
        return kind(**given)
    except _RefusedError as error:
        raise SettingsError(f"{path}.{error}") from error


def _value(hint: Any, value: Any, path: str) -> Any:
    if is_dataclass(hint):
        return _read(typing.cast(type, hint), value, path)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        if value is None and type(None) in inner:
            return None
        choices = tuple(item for item in inner if item is not type(None))
        if not isinstance(value, choices) or isinstance(value, bool):
            raise _wrong(path, value, " or ".join(item.__name__ for item in choices))
        return value
    if origin is Literal:
        if value not in inner:
            raise _wrong(path, value, " or ".join(map(repr, inner)))
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
            raise _wrong(path, value, "a list of texts")
        return tuple(value)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise _wrong(path, value, "an object of names and values")
        return {str(key): _value(inner[1], item, f"{path}.{key}") for key, item in value.items()}
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise _wrong(path, value, {"int": "a whole number", "bool": "true or false", "str": "a text"}[hint.__name__])
    return value


def _wrong(path: str, value: object, allowed: str) -> SettingsError:
    return SettingsError(f"{path} is {value!r}; it must be {allowed}")
