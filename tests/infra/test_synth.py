"""The synthesis: the same bytes anywhere and any time, quickly, and refused when a security rule is broken.

What makes syntheses of its own takes half a minute, and is run by `make e2e`.
"""

import json
import os
import py_compile
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.infra.conftest import ENVIRONMENTS, AppOf
from tests.infra.synth import NODE, PACKAGES, ROOT, Synthesized, contexts, run_app, text

STACKS = {"data", "serving", "release", "training", "api", "operations"}
_LATER = "const now = Date.now(); Date.now = () => now + 400 * 24 * 3600 * 1000;"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@dataclass(frozen=True)
class Twice:
    """Two syntheses of one environment, and what the quicker one took."""

    first: Path
    second: Path
    seconds: float


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Twice:
    """prod in a known account: it builds its images and has a VPC, so everything there is takes part.

    The first unpacks the CDK. The second runs 400 days later by the clock of the CDK, with another order of Python's
    sets.
    """
    folder = tmp_path_factory.mktemp("twice")
    later = folder / "later.js"
    later.write_text(_LATER)
    for code in ("lambda/api/handler.py", "model_code/tally/labels.py"):
        py_compile.compile(str(ROOT / code), doraise=True)
    context = contexts("prod", {"account": "123456789012", "region": "eu-central-1"})
    seconds = []
    for number in range(2):
        scratch = folder / f"scratch{number}"
        options = f"--require={scratch / 'block.js'}" + (f" --require={later}" if number else "")
        began = time.monotonic()
        more = {"PYTHONHASHSEED": str(number + 1), "NODE_OPTIONS": options, PACKAGES: str(folder / "packages")}
        done = run_app(context, folder / str(number), scratch, **more)
        seconds.append(time.monotonic() - began)
        assert done.returncode == 0, done.stderr
    return Twice(folder / "0", folder / "1", min(seconds))


@pytest.mark.e2e
def test_two_syntheses_are_byte_identical(twice: Twice) -> None:
    first, second = contents(twice.first), contents(twice.second)
    assert first.keys() == second.keys()
    assert not [name for name in first if first[name] != second[name]]


@pytest.mark.e2e
def test_what_python_leaves_beside_code_is_part_of_no_asset(twice: Twice) -> None:
    """Or the same code would be another function as soon as somebody has imported it."""
    copied = {Path(name).name for name in contents(twice.first)}
    assert {"handler.py", "labels.py"} <= copied
    assert not [name for name in copied if name.endswith(".pyc")]


@pytest.mark.e2e
def test_a_synthesis_is_quick(twice: Twice) -> None:
    assert twice.seconds < 60, "15 s on two free cores; the bound leaves room for what else runs here"


@pytest.mark.e2e
def test_an_environment_of_a_known_account_needs_no_look_ups(twice: Twice) -> None:
    """CDK would ask the account for its availability zones, with credentials and over the network."""
    manifest = json.loads((twice.first / "manifest.json").read_text())
    assert not manifest.get("missing")
    environments = {item["environment"] for item in manifest["artifacts"].values() if "environment" in item}
    assert environments == {"aws://123456789012/eu-central-1"}


@pytest.mark.e2e
def test_images_are_built_from_both_targets_of_the_dockerfile_where_none_is_given(twice: Twice) -> None:
    assets = json.loads((twice.first / "tally-prod-training.assets.json").read_text())["dockerImages"]
    sources = [asset["source"] for asset in assets.values()]
    assert sorted(source["dockerBuildTarget"] for source in sources) == ["serve", "train"]
    for source in sources:
        assert source["platform"] == "linux/amd64"
        context = twice.first / source["directory"]
        dockerfile = (context / source["dockerFile"]).read_text()
        copied = re.findall(r"^COPY (\S+)", dockerfile, flags=re.MULTILINE)
        assert copied
        assert not [path for path in copied if not (context / path).exists()]
        assert not (context / ".venv").exists()


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_environment_has_all_stacks_without_hidden_functions(app_of: AppOf, environment: str) -> None:
    app = app_of(environment)
    assert app.templates.keys() == STACKS
    for template in app.templates.values():
        kinds = {resource["Type"] for resource in template["Resources"].values()}
        assert not {kind for kind in kinds if kind.startswith(("Custom::", "AWS::CloudFormation::CustomResource"))}
        assert "BootstrapVersion" not in template.get("Parameters", {})  # a release could not read it from SSM
        assert len(json.dumps(template)) < 1_000_000  # CloudFormation's limit


def test_images_by_uri_need_no_docker(dev: Synthesized) -> None:
    assert not list(dev.directory.glob("asset.*/model_code"))


def test_two_environments_share_no_name(dev: Synthesized, prod: Synthesized) -> None:
    def names(app: Synthesized) -> set[tuple[str, str]]:
        return {
            (resource["Type"], text(value))
            for template in app.templates.values()
            for resource in template["Resources"].values()
            for key, value in resource.get("Properties", {}).items()
            if key in ("Name", "LogGroupName", f"{resource['Type'].rsplit('::', 1)[1]}Name")
            if resource["Type"] not in ("AWS::IAM::Policy", "AWS::ApiGateway::Stage")  # named inside a role, an API
        }

    assert len(names(dev)) > 20
    shared = names(dev) & names(prod)  # but for names that carry the id of an API
    assert not {(kind, name) for kind, name in shared if not re.search(r"<(?!AWS::)", name)}


@pytest.mark.e2e
def test_a_broken_security_rule_stops_the_synthesis(tmp_path: Path) -> None:
    """Through app.py itself: `build` adds a public bucket behind the back of the secure defaults."""
    program = (
        "import aws_cdk.aws_s3 as s3, infra.app, app\n"
        "build = infra.app.build\n"
        "def careless(*args):\n"
        "    s3.Bucket(build(*args).data, 'Careless', bucket_name='careless')\n"
        "app.build = careless\n"
        "raise SystemExit(app.main())\n"
    )
    environment = {
        "JSII_NODE": str(NODE),
        "HOME": str(tmp_path),
        PACKAGES: os.environ[PACKAGES],
        "PATH": str(tmp_path),
        "CDK_OUTDIR": str(tmp_path / "out"),
    }
    environment["CDK_CONTEXT_JSON"] = json.dumps(contexts("dev", {"images": {"train": "a:1", "serve": "a:1"}}))
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 1
    assert "AwsSolutions-S1" in done.stderr
    assert "tally-dev-data/Careless" in done.stderr
    assert "Traceback" not in done.stderr
