"""The life of a deployed platform: the real CDK CLI, templates, Lambdas and events; only the images are stand-ins.

The stand-in trains in a moment, and what a model answers is decided when it is trained, so that old and new models can
be told apart. `test_loop.py` does the same with real training.
"""

import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from infra.names import STACKS
from local.platform import running_emulator
from local.settings import NAMES, PREFIX, RAW_BUCKET
from local.up import down
from ops import cdk, destroy, environments, packages, predict, release, runs, status, upload
from ops.account import Account
from tally_client import ApiProblem, Client, Photo, Prediction, TallyError
from tests.local.rehearsal import Rehearsal

pytestmark = pytest.mark.e2e


class Caller:
    """A caller that asks the API all the while, and remembers every answer."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self._rehearsal = rehearsal
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.answers: list[int] = []
        self.problems: list[str] = []

    def __enter__(self) -> "Caller":
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ended.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._ended.is_set():
            try:
                self.answers.append(self._rehearsal.count())
            except TallyError as error:
                self.problems.append(str(error))
            time.sleep(0.05)


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    built = Rehearsal(tmp_path_factory.mktemp("platform"))
    yield built
    if running_emulator(built.build):
        down(built.build, io.StringIO())


def step(run: runs.Run, name: str) -> runs.Step:
    return next(item for item in run.steps if item.name == name)


def count_unless_nonsense(rehearsal: Rehearsal) -> int | None:
    """What the API says of a photo; None where the model says what no model may."""
    try:
        return rehearsal.count()
    except ApiProblem as problem:
        if problem.code != "model_failed":
            raise
        return None


def test_up_prints_what_a_person_needs(rehearsal: Rehearsal) -> None:
    text = rehearsal.printed.getvalue()
    assert rehearsal.emulator.endpoint in text
    assert predict.api(rehearsal.account).key in text  # type: ignore[operator]  # the laptop's API has keys
    assert '{"image_url": "https://photos.example/tally-laptop-raw-' in text
    variables = (rehearsal.build / "aws.env").read_text()
    assert f"export AWS_ENDPOINT_URL={rehearsal.emulator.endpoint}\n" in variables


def test_before_the_first_release_the_api_says_that_no_model_is_in_service(rehearsal: Rehearsal) -> None:
    upload.upload(rehearsal.account, rehearsal.photos, PREFIX, start=False)
    with pytest.raises(ApiProblem) as problem:
        rehearsal.count()
    assert (problem.value.status, problem.value.code, problem.value.retry_after) == (503, "no_model", 60)
    now = status.status(rehearsal.account)
    assert now.answers, "no model is no fault before the first release"
    assert str(now.api).startswith("503 no_model: ")


def test_models_come_into_service_stay_and_go_back_as_they_should(rehearsal: Rehearsal) -> None:
    first = rehearsal.run(served_count=2)
    assert first.outcome == "succeeded", first
    assert (rehearsal.in_service(), rehearsal.count()) == (1, 2)

    refused = rehearsal.run(verdict="reject", served_count=5)
    assert refused.outcome == "refused", refused
    assert step(refused, "Preprocess").cached, "the same photos"
    assert (rehearsal.in_service(), rehearsal.count()) == (1, 2)

    unrelated = {"operations": {"monthly_budget_usd": 77}}
    cdk.Cdk(rehearsal.account, overrides=unrelated, build=rehearsal.build / "cdk").deploy(["operations", "serving"])
    assert (rehearsal.in_service(), rehearsal.count()) == (1, 2)

    with Caller(rehearsal) as caller:
        better = rehearsal.run(served_count=4)
        time.sleep(0.5)
    assert better.outcome == "succeeded", better
    assert caller.problems == []
    assert set(caller.answers) == {2, 4}
    assert caller.answers == sorted(caller.answers), "from the old model to the new one, once"
    assert rehearsal.in_service() == 2

    broken = rehearsal.run(broken=True)
    assert broken.outcome == "failed"
    assert "tally-laptop/3" in step(broken, "Deploy").reason
    assert "did not become ready" in step(broken, "Deploy").reason
    serving = rehearsal.account.stack("serving")
    assert serving
    assert serving["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert (rehearsal.in_service(), rehearsal.count()) == (2, 4)
    rejected = packages.package(rehearsal.account, 3)
    assert rejected.approval == "Rejected"
    assert "did not become ready" in rejected.description

    nonsense = rehearsal.run(served_count=17)
    assert nonsense.outcome == "failed"
    assert "17" in step(nonsense, "Deploy").reason
    deadline = time.monotonic() + 60
    while rehearsal.in_service() != 2 or count_unless_nonsense(rehearsal) != 4:
        assert time.monotonic() < deadline, "the stack goes back to the model that was replaced"
        time.sleep(0.2)

    said: list[str] = []
    with Caller(rehearsal) as caller:
        back = release.release(rehearsal.account, 1, said.append, every=0.2)
    assert back.in_service, said
    assert (rehearsal.in_service(), rehearsal.count()) == (1, 2)
    assert caller.problems == []

    with pytest.raises(Exception, match="version 9"):
        release.release(rehearsal.account, 9, said.append)


def test_the_client_and_the_api_understand_each_other(rehearsal: Rehearsal) -> None:
    uri, photo = f"s3://{RAW_BUCKET}/{rehearsal.any_key}", rehearsal.photos.parent / rehearsal.any_key
    with predict.client(rehearsal.account, retries=0) as tally:
        health = tally.health()
        assert (health.endpoint, health.package, health.version) == ("InService", "tally-laptop", 1)
        assert tally.openapi()["info"]["title"] == "Tally"
        for found in (
            tally.predict(photo=photo, expected_count=2, idempotency_key="order-17"),
            tally.predict(s3_uri=uri, expected_count=2),
        ):
            assert (found.count, found.expected_count, found.matches) == (2, 2, True)
            assert (found.model.package, found.model.version) == ("tally-laptop", 1)
            assert found.expected_probability == found.confidence == found.probabilities[2]
            assert found.decision == "review", "the stand-in is never sure"
        assert tally.predict(photo=photo).decision is None

        several = tally.predict_many([Photo(s3_uri=uri), Photo(s3_uri=f"{uri}.gone")] * 9)  # two requests
        assert [item.count if isinstance(item, Prediction) else item.code for item in several] == [
            2, "object_not_found",
        ] * 9  # fmt: skip
        with pytest.raises(ApiProblem) as refused:
            tally.predict(s3_uri="s3://elsewhere/1.jpg")
        assert (refused.value.status, refused.value.code) == (403, "location_not_allowed")
    with Client(tally.url, "not-the-key", retries=0) as stranger, pytest.raises(ApiProblem) as shut:
        stranger.health()
    assert (shut.value.status, shut.value.code) == (403, "forbidden")
    assert status.status(rehearsal.account).api == "ok, tally-laptop version 1, endpoint InService"

    place = predict.api(rehearsal.account)
    variables = {**os.environ, "TALLY_URL": place.url, "TALLY_API_KEY": str(place.key)}
    words = [sys.executable, "-m", "tally_client", "predict", uri, str(photo), "--expected", "2"]
    done = subprocess.run(words, env=variables, capture_output=True, text=True)
    line = "2 objects (confidence 0.60), expected 2 (0.60): review"
    assert (done.returncode, done.stdout.splitlines()) == (1, [f"{uri}: {line}", f"{photo}: {line}"]), done.stderr


def test_success_on_another_prefix_starts_a_run_on_that_prefix(rehearsal: Rehearsal) -> None:
    run = rehearsal.run("deliveries/2026-11", verdict="reject")
    assert run.parameters["InputPrefix"] == "deliveries/2026-11"
    assert not step(run, "Preprocess").cached or run.parameters["InputRevision"], run


def test_a_diff_after_the_deployment_is_empty(rehearsal: Rehearsal) -> None:
    tool = cdk.Cdk(rehearsal.account, build=rehearsal.build / "diff")
    tool.deploy()
    assert not tool.diff()


def test_two_environments_live_side_by_side_and_destroy_leaves_nothing(rehearsal: Rehearsal) -> None:
    images = {"images": {"train": "tally-train:1", "serve": "tally-serve:1"}}
    others = {}
    for name in ("dev", "prod"):
        overrides = {**images, "operations": {"keep_data": False}}
        others[name] = Account(environments.load(name, overrides), rehearsal.environ)
        cdk.Cdk(others[name], overrides=overrides, build=rehearsal.build / name).deploy()
    for account in (rehearsal.account, *others.values()):
        assert set(account.stacks()) == set(STACKS)
    assert rehearsal.count() == 2, "the first environment still answers"

    for account in (rehearsal.account, *others.values()):
        overrides = {} if account is rehearsal.account else overrides
        tool = cdk.Cdk(account, overrides=overrides, build=rehearsal.build / "destroy")
        left = destroy.destroy(account, tool, lambda _text: None)
        # The role that API Gateway logs with belongs to the account, where other environments use it.
        assert all("AccountLogging" in item or item.startswith("KMS key") for item in left), left
        assert account.stacks() == {}
    account = rehearsal.account
    buckets = [bucket["Name"] for bucket in account.client("s3").list_buckets()["Buckets"]]
    assert all(name.startswith("cdk-") for name in buckets), buckets
    assert account.client("sagemaker").list_endpoints()["Endpoints"] == []
    assert account.client("sagemaker").list_model_package_groups()["ModelPackageGroupSummaryList"] == []
    functions = [item["FunctionName"] for item in account.client("lambda").list_functions()["Functions"]]
    assert [name for name in functions if name.startswith(NAMES.prefix)] == []
