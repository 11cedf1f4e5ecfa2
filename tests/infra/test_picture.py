"""The picture of the stacks says what the templates say, and the documentation has the current one."""

import copy
import re
from pathlib import Path

import pytest

from infra.picture import mermaid
from infra.settings import Settings, read_settings
from tests.infra.synth import ROOT, Synthesized, contexts
from tests.infra.templates import platform_of

DOCUMENT = ROOT / "docs" / "stacks.md"


@pytest.fixture(scope="module")
def settings() -> Settings:
    return read_settings(contexts("prod")["environments"], "prod")


def test_document_has_the_picture_of_today(prod: Synthesized, settings: Settings) -> None:
    (drawn,) = re.findall(r"```mermaid\n(.*?)\n```", Path(DOCUMENT).read_text(), flags=re.DOTALL)
    assert drawn == mermaid(platform_of(prod), settings), (
        "docs/stacks.md is old: put in what python -m infra.picture says"
    )


@pytest.mark.parametrize(
    "arrow",
    [
        "data_Raw -->|event| training_TriggersPhotosArrived",
        "training_TriggersPhotosArrived --> training_TriggersTrigger",
        "training_TriggersTrigger -->|starts| training_Pipeline",
        "training_Pipeline -->|sends to| release_Queue",
        "release_Queue -->|starts| release_Start",
        "release_Start -->|updates| serving",
        "serving -->|event| release_ServingStackChanged",
        "api_FirewallAcl -->|guards| api_Api",
        "api_Api -->|calls| api_Function",
        "api_Api -->|calls| api_About",
        "api_Function -->|asks| serving_Endpoint",
        "api_About -->|looks at| serving_Endpoint",
        "operations_Alarms -->|notify| data_Notices",
    ],
)
def test_way_of_a_photo_and_of_a_model_is_drawn(prod: Synthesized, settings: Settings, arrow: str) -> None:
    assert f"  {arrow}" in mermaid(platform_of(prod), settings).splitlines()


def test_arrow_goes_with_the_permission(prod: Synthesized, settings: Settings) -> None:
    templates = copy.deepcopy(prod.templates)
    for resource in templates["api"]["Resources"].values():
        if resource["Type"] == "AWS::IAM::Policy":
            statements = resource["Properties"]["PolicyDocument"]["Statement"]
            statements[:] = [item for item in statements if item["Action"] != "sagemaker:InvokeEndpoint"]
    drawn = mermaid(platform_of(prod, templates), settings)
    assert "api_Function -->|asks| serving_Endpoint" not in drawn
    assert "api_Function -->|reads| data_Raw" in drawn


def test_every_node_of_an_arrow_is_drawn(prod: Synthesized, settings: Settings) -> None:
    text = mermaid(platform_of(prod), settings)
    nodes = set(re.findall(r'^    (\w+)\["', text, flags=re.MULTILINE)) | set(re.findall(r"subgraph (\w+)\[", text))
    ends = {
        name for pair in re.findall(r"^  (\w+) -->(?:\|[^|]*\|)? (\w+)$", text, flags=re.MULTILINE) for name in pair
    }
    assert ends <= nodes
    assert len(nodes) > 30
