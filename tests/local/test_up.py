"""What `make up` leaves behind for a person: the file of variables, and the text on the screen."""

import stat
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local import up
from local.settings import RAW_BUCKET
from ops.predict import Api

URL = "http://localhost:4566/restapis/abc/v1/_user_request_/"
KEPT = "Model packages of earlier runs are in it"


class FakePlatform:
    """An account with these photos, in which that many model packages are registered."""

    def __init__(self, packages: int = 0, photos: tuple[str, ...] = ()):
        self.endpoint, self.log, self.account = "http://localhost:4566", Path("emulator.log"), None
        self.environment = {"AWS_ENDPOINT_URL": self.endpoint, "NO_PROXY": "localhost,127.0.0.1"}
        listed: dict[str, Any] = {"Contents": [{"Key": key} for key in photos]} if photos else {}
        registered = [{"ModelPackageArn": f"arn:{number}"} for number in range(packages)]
        self._clients = {
            "s3": SimpleNamespace(list_objects_v2=lambda **_asked: listed),
            "sagemaker": SimpleNamespace(
                list_model_packages=lambda **_asked: {"ModelPackageSummaryList": registered[:1]}
            ),
        }

    def client(self, service: str) -> Any:
        return self._clients[service]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.up.predict.api", lambda _account: Api(URL, "k3y"))


@pytest.mark.usefixtures("place")
def test_the_file_has_what_the_guide_and_the_client_ask_for(tmp_path: Path) -> None:
    file = tmp_path / up.VARIABLES_FILE
    up._leave_variables(FakePlatform(), file)  # type: ignore[arg-type]  # stands for a platform
    tell = 'echo "$URL" "$KEY" "$BUCKET" "$TALLY_URL" "$TALLY_API_KEY" "$AWS_ENDPOINT_URL" "$NO_PROXY"'
    done = subprocess.run(
        ["sh", "-c", '. "$0" && sh -c "$1"', file, tell],  # a shell in the shell: they are exported
        env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == [
        URL.rstrip("/"), "k3y", RAW_BUCKET, URL, "k3y", "http://localhost:4566", "localhost,127.0.0.1",
    ]  # fmt: skip


@pytest.mark.usefixtures("place")
def test_nobody_else_reads_the_key_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / up.VARIABLES_FILE
    file.write_text("of an earlier version")
    file.chmod(0o644)
    up._leave_variables(FakePlatform(), file)  # type: ignore[arg-type]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.usefixtures("place")
def test_the_text_names_address_key_and_bucket(tmp_path: Path) -> None:
    text = up._how_to_use(FakePlatform(), tmp_path / up.VARIABLES_FILE)  # type: ignore[arg-type]
    for line in (f"URL={URL.rstrip('/')}", "KEY=k3y", f"BUCKET={RAW_BUCKET}"):
        assert f"  {line}\n" in text
    for word in ("docs/api.md", "TALLY_URL", "TALLY_API_KEY", "`tally`", f". {tmp_path / up.VARIABLES_FILE}"):
        assert word in text


@pytest.mark.usefixtures("place")
def test_packages_of_earlier_runs_are_spoken_of_where_there_are_some(tmp_path: Path) -> None:
    file = tmp_path / up.VARIABLES_FILE
    assert KEPT not in up._how_to_use(FakePlatform(), file)  # type: ignore[arg-type]
    assert KEPT in up._how_to_use(FakePlatform(packages=2), file)  # type: ignore[arg-type]


@pytest.mark.usefixtures("place")
def test_an_account_with_photos_shows_one_of_them(tmp_path: Path) -> None:
    file = tmp_path / up.VARIABLES_FILE
    platform = FakePlatform(photos=("photos/_SUCCESS", "photos/bin-images/00001.jpg"))
    text = up._how_to_use(platform, file)  # type: ignore[arg-type]
    assert f"s3://{RAW_BUCKET}/photos/bin-images/00001.jpg" in text
    assert "no photos yet" not in text
    assert "no photos yet" in up._how_to_use(FakePlatform(), file)  # type: ignore[arg-type]
