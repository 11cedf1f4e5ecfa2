"""The command `tally` as a person and a script meet it: what it prints, on which stream, and its exit codes."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tally_client.__main__ import main
from tests.clients.conftest import KEY
from tests.clients.server import ANSWER, EXPECTED, HEALTH, Server, answer, batch, problem

README = Path(__file__).parents[2] / "clients" / "python" / "README.md"
NOT_FOUND = {"type": "urn:tally:problem:object_not_found", "title": "No such object", "status": 404,
             "code": "object_not_found", "request_id": "r-2"}  # fmt: skip
JPEG = b"\xff\xd8\xff photo"


@pytest.fixture(autouse=True)
def environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLY_URL", server.url)
    monkeypatch.setenv("TALLY_API_KEY", KEY)


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("bin.jpg").write_bytes(JPEG)
    return "bin.jpg"


def decided(decision: str) -> bytes:
    return answer(ANSWER | EXPECTED | {"decision": decision, "matches": decision == "pass"})


def test_a_photo_is_counted(server: Server, photo: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", photo]) == 0
    assert capsys.readouterr() == ("bin.jpg: 3 objects (confidence 0.90)\n", "")
    assert server.requests[0].body == JPEG


def test_one_object_is_one_object(server: Server, photo: str, capsys: pytest.CaptureFixture[str]) -> None:
    server.scripts = [answer(ANSWER | {"count": 1})]
    assert main(["predict", photo]) == 0
    assert capsys.readouterr().out == "bin.jpg: 1 object (confidence 0.90)\n"


@pytest.mark.parametrize(("decision", "code"), [("pass", 0), ("fail", 1), ("review", 1)])
def test_the_exit_code_says_whether_what_was_expected_is_there(
    server: Server, photo: str, capsys: pytest.CaptureFixture[str], decision: str, code: int
) -> None:
    server.scripts = [decided(decision)]
    assert main(["predict", photo, "--expected", "3"]) == code
    assert capsys.readouterr().out == f"bin.jpg: 3 objects (confidence 0.90), expected 3 (0.90): {decision}\n"
    assert server.requests[0].path.endswith("?expected_count=3")


def test_places_are_told_apart_from_files(server: Server, photo: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "s3://b/k", "https://example.com/1.jpg", photo, "--expected", "3"]) == 0
    s3, url, file = server.requests
    assert s3.json == {"s3_uri": "s3://b/k", "expected_count": 3}
    assert url.json == {"image_url": "https://example.com/1.jpg", "expected_count": 3}
    assert file.body == JPEG
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["s3", "https", "bin.jpg"]


def test_a_version_is_of_an_object_in_s3(server: Server, photo: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "s3://b/k", "--version-id", "v1"]) == 0
    assert server.requests[0].json == {"s3_uri": "s3://b/k", "version_id": "v1"}
    assert main(["predict", photo, "--version-id", "v1"]) == 2
    assert "bin.jpg: --version-id is the version of an object in S3" in capsys.readouterr().err


def test_standard_input_is_a_photo_too(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(JPEG)))
    assert main(["predict", "-"]) == 0
    assert server.requests[0].body == JPEG


def test_one_photo_that_fails_does_not_stop_the_others_but_is_the_exit_code(
    server: Server, photo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server.scripts = [problem(404, "object_not_found"), decided("fail")]
    assert main(["predict", "s3://b/none", "no/such.jpg", photo, "--expected", "3"]) == 2
    said = capsys.readouterr()
    assert said.out == "bin.jpg: 3 objects (confidence 0.90), expected 3 (0.90): fail\n"
    assert said.err.splitlines() == [
        "s3://b/none: 404 object_not_found: the detail of object_not_found (request r-2)",
        "no/such.jpg: no/such.jpg cannot be read: No such file or directory",
    ]


def test_for_programs_there_is_a_line_of_json_for_each_photo(
    server: Server, photo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server.scripts = [answer(), problem(422, "undecodable")]
    assert main(["predict", photo, photo, "no/such.jpg", "--json"]) == 2
    said = capsys.readouterr()
    good, bad, missing = (json.loads(line) for line in said.out.splitlines())
    assert good == {"photo": "bin.jpg", "prediction": ANSWER}
    assert (bad["photo"], bad["problem"]["code"], bad["problem"]["status"]) == ("bin.jpg", "undecodable", 422)
    assert missing == {"photo": "no/such.jpg", "error": "no/such.jpg cannot be read: No such file or directory"}
    assert len(said.err.splitlines()) == 2


def test_health_says_which_model(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.scripts = [
        answer(HEALTH),
        answer(HEALTH | {"model": {"package": None, "version": None}}),
        problem(503, "no_model", retry_after="60"),
    ]
    assert (main(["health"]), main(["health"]), main(["health"])) == (0, 0, 2)
    assert capsys.readouterr() == (
        "ok: tally-dev version 7, endpoint InService\nok: a model without a package, endpoint InService\n",
        "error: 503 no_model: the detail of no_model (request r-2)\n",
    )


def test_the_document_is_printed(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.scripts = [answer({"openapi": "3.1.0"})]
    assert main(["openapi"]) == 0
    assert json.loads(capsys.readouterr().out) == {"openapi": "3.1.0"}


@pytest.mark.parametrize(
    ("gone", "words", "message"),
    [
        ("TALLY_URL", ["health"], "no address of the API: give --url, or set TALLY_URL"),
        ("TALLY_API_KEY", ["health"], "no API key: set TALLY_API_KEY, or give --iam where the API asks for AWS"),
        ("", ["health", "--url", "http://api.example/"], "url begins with http://; the key goes over https:// only"),
        ("", ["health", "--timeout", "0"], "timeout is 0.0; it must be a number of seconds above 0"),
        ("", ["health", "--retries", "-1"], "retries is -1; it must be 0 or a positive whole number"),
        ("", ["predict", "s3://b/k", "--expected", "6"], "s3://b/k: expected_count is 6; it must be"),
    ],
)
def test_what_is_missing_is_said_and_ends_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], gone: str, words: list[str], message: str
) -> None:
    if gone:
        monkeypatch.delenv(gone)
    assert main(words) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["count"], ["predict"], ["predict", "x", "--expected", "three"]])
def test_a_command_that_is_none_ends_with_2_too(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert "usage: tally" in capsys.readouterr().err


def test_with_iam_requests_are_signed_and_no_key_is_sent(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"), ("REGION", "eu-north-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    server.scripts = [answer(HEALTH)]
    assert main(["health", "--iam"]) == 0
    assert "/eu-north-1/execute-api/aws4_request" in server.requests[0].headers["authorization"]
    assert "x-api-key" not in server.requests[0].headers


def test_without_botocore_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tally_client.iam", None)
    assert main(["health", "--iam"]) == 2
    assert capsys.readouterr().err == "error: --iam needs botocore: pip install 'tally-client[iam]'\n"


def test_an_interrupt_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tally_client.__main__._ask", interrupt)
    assert main(["predict", "s3://b/k"]) == 130


def test_the_module_is_the_command_and_needs_no_botocore(server: Server) -> None:
    code = "import sys, tally_client; assert not {'botocore', 'boto3', 'requests'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    command = [sys.executable, "-m", "tally_client", "predict", "s3://b/k"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "s3://b/k: 3 objects (confidence 0.90)\n"


def test_a_reader_that_has_had_enough_is_no_traceback() -> None:
    words = [sys.executable, "-m", "tally_client", "predict", *["s3://b/k"] * 3]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as command:
        assert command.stdout
        assert command.stderr
        command.stdout.close()
        assert command.stderr.read() == b""
    assert command.returncode == 2


def test_the_readmes_example_runs(server: Server, photo: str, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    sizes = [16] * 6 + [4]
    server.scripts = [
        decided("pass"),
        answer(),
        answer(),
        *[answer(batch(*[ANSWER] * (size - 1), NOT_FOUND)) for size in sizes],
        problem(503, "no_model", retry_after="60"),
    ]
    exec(example.replace("https://HOST/v1/", server.url), {"KEY": KEY})  # noqa: S102  # the page's own code
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["3", "0.9", "pass"]
    assert printed[1:-1] == [line for size in sizes for line in [*["3"] * (size - 1), "object_not_found"]]
    assert printed[-1] == "503 no_model the detail of no_model r-2 60.0"
    assert server.requests[2].json == {"s3_uri": "s3://BUCKET/photos/bin.jpg", "version_id": "..."}


def test_the_readme_names_options_that_exist_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["predict", "--help"])
    text = capsys.readouterr().out
    readme = README.read_text()
    for line in [line for line in readme.splitlines() if line.startswith("tally ")]:
        for word in [word for word in line.split() if word.startswith("--")]:
            assert word in text
    for code, meaning in (("0", "every photo was counted"), ("1", "fail or review"), ("2", "was not counted")):
        assert any(line.split()[:1] == [code] and meaning in line for line in text.splitlines())
