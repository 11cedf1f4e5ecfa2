"""The life of a deployed platform: the real CDK CLI, templates, Lambdas and events; only the images are stand-ins.

The stand-in trains in a moment, and what a model answers is decided when it is trained, so that old and new models can
be told apart. `test_loop.py` does the same with real training.
"""

import io
import threading
import time
from collections.abc import Iterator

import pytest

from infra.names import STACKS
from local.platform import running_emulator
from local.settings import NAMES, PREFIX
from local.up import down
from ops import cdk, destroy, environments, packages, predict, release, runs, upload
from ops.account import Account
from tests.local.rehearsal import Rehearsal

pytestmark = pytest.mark.e2e


class Client:
    """A caller that asks the API all the while, and remembers every answer."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self._rehearsal = rehearsal
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.answers: list[int] = []
        self.problems: list[str] = []

    def __enter__(self) -> "Client":
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ended.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._ended.is_set():
            try:
                self.answers.append(self._rehearsal.count())
            except predict.PredictionError as error:
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


def test_up_prints_what_a_person_needs(rehearsal: Rehearsal) -> None:
    text = rehearsal.printed.getvalue()
    assert rehearsal.emulator.endpoint in text
    assert predict.api(rehearsal.account).key in text  # type: ignore[operator]  # the laptop's API has keys
    variables = (rehearsal.build / "aws.env").read_text()
    assert f"export AWS_ENDPOINT_URL={rehearsal.emulator.endpoint}\n" in variables


def test_before_the_first_release_the_api_says_that_no_model_is_in_service(rehearsal: Rehearsal) -> None:
    upload.upload(rehearsal.account, rehearsal.photos, PREFIX, start=False)
    with pytest.raises(predict.PredictionError) as problem:
        rehearsal.count()
    assert problem.value.status == 503


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

    with Client(rehearsal) as client:
        better = rehearsal.run(served_count=4)
        time.sleep(0.5)
    assert better.outcome == "succeeded", better
    assert client.problems == []
    assert set(client.answers) == {2, 4}
    assert client.answers == sorted(client.answers), "from the old model to the new one, once"
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
    while rehearsal.in_service() != 2 or rehearsal.count() != 4:
        assert time.monotonic() < deadline, "the stack goes back to the model that was replaced"
        time.sleep(0.2)

    said: list[str] = []
    with Client(rehearsal) as client:
        back = release.release(rehearsal.account, 1, said.append, every=0.2)
    assert back.in_service, said
    assert (rehearsal.in_service(), rehearsal.count()) == (1, 2)
    assert client.problems == []

    with pytest.raises(Exception, match="version 9"):
        release.release(rehearsal.account, 9, said.append)


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
