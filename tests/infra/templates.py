"""Small steps into templates, for rules and tests."""

from collections.abc import Mapping
from typing import Any

from infra.references import Node, Platform
from tests.infra.synth import Synthesized

OTHERWISE = {
    "api": {
        "auth": "iam",
        "allow_http": True,
        "raw_prefixes": [],
        "extra_sources": ["photos-of-others/bins/"],
        "pass_probability": 1,
        "fail_probability": 0.1,
        "domain_name": "count.example.com",
        "certificate_arn": "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000000",
    },
    "serving": {
        "instance_type": "ml.g5.xlarge",
        "min_instances": 3,
        "max_instances": 5,
        "invocations_per_instance": 4321,
        "concurrent_requests_per_instance": 7,
        "scale_out_seconds": 70,
        "scale_in_seconds": 480,
        "bake_minutes": 7,
        "canary_percent": 30,
        "latency_alarm_ms": 900,
        "capture_percent": 0,
    },
    "operations": {"monthly_budget_usd": 321},
}
"""Settings of serving, API and operations that differ from the defaults; one assembly for the tests of all three."""


def platform_of(made: Synthesized, templates: Mapping[str, Any] | None = None) -> Platform:
    """All templates of an environment, or others in their place, with what refers to what."""
    return Platform(templates or made.templates, {kind: f"{made.base}-{kind}" for kind in made.templates})


def name_of(node: Node) -> str:
    """stack/id."""
    return f"{node.stack}/{node.id}"


def at(value: Any, path: str) -> Any:
    """What lies at a path of keys with dots between; None where there is nothing."""
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def listed(value: Any) -> list[Any]:
    """A list as it is; one value as a list."""
    return value if isinstance(value, list) else [] if value is None else [value]
