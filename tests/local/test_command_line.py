import socket
import subprocess
import sys
from pathlib import Path

import pytest

from local.__main__ import main, parser, settings_from
from pipeline import build
from pipeline.settings import example_settings

REPOSITORY = Path(__file__).parents[2]


def message(capsys, *options: str) -> str:
    assert main(["run", *options]) == 1
    return capsys.readouterr().err.strip()


def test_help_is_quick_and_names_every_option():
    command = [sys.executable, "-X", "importtime", "-m", "local", "run", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=True)
    for option in ("--data", "--build", "--backbone", "--weights", "--epochs", "--image-size", "--hpo-jobs"):
        assert option in done.stdout
    for module in ("boto3", "moto", "sagemaker", "torch", "rich"):
        assert f" {module}\n" not in done.stderr


def test_a_number_that_is_none_is_refused_by_name(capsys):
    with pytest.raises(SystemExit):
        parser().parse_args(["run", "--epochs", "many"])
    assert "argument --epochs: invalid int value: 'many'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--epochs", "0"], "error: --epochs is 0; it must be at least 1"),
        (["--image-size", "7"], "error: --image-size is 7; it must be 32 to 1024"),
        (["--hpo-jobs", "-3"], "error: --hpo-jobs is -3; it must be at least 1"),
        (["--seed", "-1"], "error: --seed is -1; it must be 0 or more, below 2147483648"),
        (["--instances", "3"], "error: --instances is 3; it must divide every batch searched: 1, 2, 4, 8, 16 or 32"),
        (["--parameter", "GateAlpha"], "error: --parameter GateAlpha: write NAME=VALUE, for example GateAlpha=0.01"),
        (
            ["--parameter", "gate-alpha=1"],
            "error: --parameter gate-alpha: pipeline parameters are named like GateAlpha",
        ),
        (["--parameter", "GateAlpha=2"], "error: GateAlpha is '2'; it must be a number above 0 and below 1"),
        (["--parameter", "GateAlhpa=0.1"], "error: there is no pipeline parameter GateAlhpa; did you mean GateAlpha?"),
        (["--parameter", "ApprovalMode=never"], "error: ApprovalMode is 'never'; it must be one of: automatic, manual"),
        (
            ["--backbone", "resnet19"],
            "error: Backbone is 'resnet19'; it must be one of the 80 that pipeline/parameters.py lists, such as "
            "resnet18; did you mean resnet18?",
        ),
        (
            ["--weights", "/nowhere/w.pth"],
            "error: --weights /nowhere/w.pth is not a file of weights; give a file named .pth or .safetensors",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_an_option_that_cannot_be_used_is_named_with_what_is_allowed(capsys, options, expected):
    assert message(capsys, *options) == expected


def test_parameters_reach_the_pipeline_as_numbers_where_they_are():
    options = parser().parse_args(
        ["run", *(f"--parameter={text}" for text in ("GateAlpha=0.01", "HpoJobs=5", "Seed=7"))]
    )
    parameters = settings_from(options).overrides("code", None)["training"]["parameters"]
    assert (parameters["GateAlpha"], parameters["HpoJobs"], parameters["Seed"]) == (0.01, 5, 7)
    build(example_settings(parameters=parameters))


def test_a_malformed_cdk_json_is_named(tmp_path):
    """The file is read on import, so a process of its own has to read it."""
    (tmp_path / "cdk.json").write_text("{bad")
    code = (
        "import sys; from pathlib import Path; import ops.environments;"
        "ops.environments.REPOSITORY = Path(sys.argv[1]); from local.__main__ import main; sys.exit(main(['run']))"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, cwd=REPOSITORY)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path / 'cdk.json'}: ")
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_named(capsys, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = message(capsys, "--build", str(tmp_path / "run"), "--port", str(port))
    assert text == f"error: port {port} is taken: Address already in use; give another --port, or none for any"


def test_a_build_directory_that_cannot_be_written_is_named(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    build = tmp_path / "file" / "run"
    assert message(capsys, "--build", str(build)) == (
        f"error: cannot write to the build directory {build}: Not a directory; choose another --build"
    )


@pytest.mark.parametrize(("name", "what"), [("missing", "does not exist"), ("empty", "holds no photos")])
def test_data_without_photos_is_refused_with_the_layouts_that_are_read(capsys, tmp_path, name, what):
    (tmp_path / "empty").mkdir()
    text = message(capsys, "--build", str(tmp_path / "run"), "--data", str(tmp_path / name))
    assert what in text
    assert "bin-images/<id>.jpg with metadata/<id>.json, or one folder per count" in text
