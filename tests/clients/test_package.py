"""The client as a stranger gets it: built, installed alone into a fresh environment, and used there."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.clients.conftest import KEY
from tests.clients.server import Server

pytestmark = pytest.mark.e2e
CLIENT = Path(__file__).parents[2] / "clients" / "python"
UV = Path(sys.executable).with_name("uv")
TYPED = """
from pathlib import Path
from tally_client import Client, Photo, Prediction

with Client("https://HOST/v1/", api_key="k") as tally:
    reveal_type(tally.predict(photo=Path("bin.jpg")).decision)
    for result in tally.predict_many([Photo(s3_uri="s3://b/k")]):
        reveal_type(result)
tally.predict(image="x")
"""


def ran(*command: object, **options: object) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=False,
        **options,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with nothing but the client's wheel and what that needs."""
    folder = tmp_path_factory.mktemp("package")
    ran(UV, "build", "--quiet", "--out-dir", folder / "dist", CLIENT)  # the wheel is built from the source archive
    (wheel,) = (folder / "dist").glob("*.whl")
    information = f"{wheel.name.split('-py3')[0]}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert archive.read(f"{information}/licenses/LICENSE") == (CLIENT.parents[1] / "LICENSE").read_bytes()
    assert "tally_client/py.typed" in names
    assert {name.split("/")[0] for name in names} == {"tally_client", information}
    ran(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    ran(UV, "pip", "install", "--quiet", "--python", folder / "venv" / "bin" / "python", wheel)
    return folder


def test_the_wheel_brings_urllib3_alone_and_the_command_works(fresh: Path, server: Server) -> None:
    python, tally = (fresh / "venv" / "bin" / name for name in ("python", "tally"))
    listed = ran(UV, "pip", "list", "--python", python).splitlines()[2:]
    assert sorted(line.split()[0] for line in listed) == ["tally-client", "urllib3"]
    environment = {"TALLY_URL": server.url, "TALLY_API_KEY": KEY}
    assert ran(tally, "predict", "s3://b/k", env=environment) == "s3://b/k: 3 objects (confidence 0.90)\n"
    assert ran(python, "-I", "-W", "error", "-m", "tally_client", "--version").startswith("0.")


def test_it_works_with_the_oldest_urllib3_that_it_allows(fresh: Path, server: Server) -> None:
    python = fresh / "venv" / "bin" / "python"
    (wheel,) = (fresh / "dist").glob("*.whl")
    ran(UV, "pip", "install", "--quiet", "--resolution", "lowest", "--reinstall", "--python", python, wheel)
    assert "urllib3 2.3.0" in " ".join(ran(UV, "pip", "list", "--python", python).split())
    environment = {"TALLY_URL": server.url, "TALLY_API_KEY": KEY}
    assert "3 objects" in ran(python, "-m", "tally_client", "predict", "s3://b/k", env=environment)


def test_its_types_reach_those_who_use_it(tmp_path: Path) -> None:
    (tmp_path / "use.py").write_text(TYPED)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "use.py"], cwd=tmp_path, capture_output=True, text=True
    )
    assert "Literal['review'] | None" in done.stdout
    assert 'Revealed type is "tally_client.models.Prediction | tally_client.models.Problem"' in done.stdout
    assert 'Unexpected keyword argument "image" for "predict"' in done.stdout
    assert "Found 1 error in 1 file" in done.stdout
