import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.infra.synth import IMAGES, Synthesized, contexts, run_app  # before any test imports aws_cdk

AppOf = Callable[..., Synthesized]
ENVIRONMENTS = ("dev", "prod", pytest.param("laptop", marks=pytest.mark.e2e))
"""Those of cdk.json. A synthesis takes seconds, and make e2e deploys the laptop's anyway."""


@pytest.fixture(scope="session")
def assemblies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all workers of pytest-xdist, which share the parent of their folders."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "assemblies"
    shared.mkdir(parents=True, exist_ok=True)
    return shared


@pytest.fixture(scope="session")
def app_of(assemblies: Path) -> AppOf:
    """`app_of("dev")` or `app_of("dev", {"serving": {...}})`: the assembly, with images given by URI.

    One takes seconds, so each is made once for all workers.
    """

    def app(environment: str = "dev", overrides: Mapping[str, Any] | None = None) -> Synthesized:
        values = {**IMAGES, **(overrides or {})}
        key = hashlib.sha256(json.dumps([environment, values], sort_keys=True).encode()).hexdigest()[:16]
        directory = assemblies / key
        with (assemblies / f"{key}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (directory / "manifest.json").exists():
                done = run_app(contexts(environment, values), directory, assemblies / f"{key}.scratch")
                assert done.returncode == 0, done.stderr
        return Synthesized(f"{values.get('prefix', 'tally')}-{environment}", directory)

    return app


@pytest.fixture(scope="session")
def dev(app_of: AppOf) -> Synthesized:
    """cdk.json's dev."""
    return app_of("dev")


@pytest.fixture(scope="session")
def prod(app_of: AppOf) -> Synthesized:
    """cdk.json's prod: in a VPC of its own, and its data outlives it."""
    return app_of("prod")


@pytest.fixture(scope="session")
def tailored(app_of: AppOf) -> Synthesized:
    """dev with what only some teams set: e-mails, a VPC and weights of their own, no photos from S3."""
    network = {
        "vpc_id": "vpc-0123456789abcdef0",
        "subnet_ids": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
        "security_group_ids": ["sg-0123456789abcdef0"],
    }
    return app_of(
        "dev",
        {
            "operations": {"emails": ["ops@example.com", "ml@example.com"]},
            "network": network,
            "api": {"raw_prefixes": []},
            "training": {"weights_uri": "s3://acme-weights/imagenet/"},
        },
    )
