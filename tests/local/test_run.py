"""A whole run: the real CDK CLI, stacks, events and Lambdas; only the images are stand-ins. More: tests/e2e."""

import fcntl

import psutil
import pytest

from local.errors import LocalError
from tests.local.fake_laptop import FakeLaptop


@pytest.fixture
def laptop(tmp_path):
    return FakeLaptop(tmp_path)


@pytest.mark.e2e
def test_a_run_deploys_trains_judges_releases_and_asks_the_api(laptop):
    code, summary, text = laptop.run()
    assert (code, summary["status"], summary["failure_reason"]) == (0, "succeeded", None), text
    statuses = {name: step["status"] for name, step in summary["steps"].items()}
    assert statuses.pop("Refused") == "NotReached"
    assert set(statuses.values()) == {"Succeeded"}
    assert summary["gate"]["verdict"] == "promote"
    assert summary["champion_name"] == "baseline"
    assert summary["metrics"]["challenger"]["accuracy"] == 0.6
    prediction = summary["prediction"]
    assert (prediction["from"], prediction["count"], prediction["label"]) == ("deployed", 3, 3)
    assert prediction["package"].endswith("model-package/tally-laptop/1")
    assert f"answered by POST {prediction['url']}" in text
    for name, page in (("data", "data"), ("training", "training"), ("evaluation", "evaluation")):
        assert (laptop.settings.build / summary["reports"][name]).read_text() == f"{page} report"
    assert "It does not prove IAM permissions, quotas or SageMaker's own behaviour." in text
    assert "\x1b" not in text  # plain lines when nobody sits at a terminal
    assert "TrainBaseline: epoch 0, validation accuracy 0.51, photos/s 99" in text
    assert summary["peak_mb"] > 100
    assert leftovers(laptop) == []


def leftovers(laptop) -> list[psutil.Process]:
    """Processes of the emulated account that still run."""
    from local.emulator import children

    return children.find(laptop.settings.build)


def test_a_second_run_in_the_same_directory_is_refused(laptop):
    laptop.settings.build.mkdir()
    with (laptop.settings.build / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(LocalError, match="another run is at work"):
            laptop.run()
