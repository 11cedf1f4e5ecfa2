"""A cold start waits for the import: every handler loads quickly, without boto3 and without network."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDERS = Path(__file__).resolve().parents[2] / "lambda"
HANDLERS = [
    ("champion", "handler"),
    ("trigger", "handler"),
    ("deploy", "start"),
    ("deploy", "finish"),
    ("api", "handler"),
    ("api", "about"),
]
CODE = """
import importlib, sys, time
sys.path.insert(0, sys.argv[1])
def hook(event, arguments):
    assert event not in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "time.sleep"), event
sys.addaudithook(hook)
start = time.process_time()  # a CPU's, as the machine may be busy with other tests
module = importlib.import_module(sys.argv[2])
seconds = time.process_time() - start
assert callable(module.handler)
foreign = {name.partition(".")[0] for name in sys.modules} & {"boto3", "botocore", "requests", "numpy", "PIL"}
assert not foreign, foreign
print(seconds)
"""


@pytest.mark.parametrize(("folder", "module"), HANDLERS, ids=[f"{folder}/{module}" for folder, module in HANDLERS])
def test_loading_is_quick_and_needs_neither_boto3_nor_network(folder: str, module: str) -> None:
    def load() -> float:
        arguments = [sys.executable, "-I", "-c", CODE, str(FOLDERS / folder), module]
        return float(subprocess.run(arguments, check=True, timeout=60, capture_output=True, text=True).stdout)

    assert any(load() < 0.15 for _ in range(10))  # one in ten: CPUs share caches and memory


def test_every_folder_with_a_handler_is_measured() -> None:
    found = {path.parent.name for path in FOLDERS.glob("*/*.py") if "\ndef handler(" in path.read_text()}
    assert found == {folder for folder, _ in HANDLERS}


def test_the_folders_need_nothing_but_boto3_and_the_standard_library() -> None:
    allowed = set(sys.stdlib_module_names) | {"boto3", "botocore"}
    for path in FOLDERS.glob("*/*.py"):
        own = {sibling.stem for sibling in path.parent.glob("*.py")}
        lines = [line.split() for line in path.read_text().splitlines()]
        imported = {line[1].partition(".")[0] for line in lines if line[:1] in (["import"], ["from"]) and len(line) > 1}
        foreign = imported - allowed - own
        assert not foreign, f"{path}: {foreign}"


REFUSED = """
import json, sys
sys.path.insert(0, sys.argv[1])
import about, handler
inside, private = {"image_url": "https://10.0.0.1/1.jpg"}, {"s3_uri": "s3://private/1.jpg"}
refused = [{}, {"image_url": "ftp://a"}, {"s3_uri": "x"}, inside, private, {"images": [inside, private]}]
requests = ["{", *map(json.dumps, refused)]
for body in requests:
    assert handler.handler({"body": body})["statusCode"] in (200, 400, 403), body
no_photo = {"headers": {"Content-Type": "image/jpeg"}, "body": "R0lGODlh", "isBase64Encoded": True}
assert handler.handler(no_photo)["statusCode"] == 415
assert about.handler({"resource": "/openapi.json", "httpMethod": "GET"})["statusCode"] == 200
assert not {"boto3", "botocore"} & set(sys.modules)
"""


def test_a_request_that_needs_no_aws_does_not_load_boto3() -> None:
    environment = {"ENDPOINT_NAME": "tally-dev", "S3_SOURCES": "raw/photos/"}
    subprocess.run([sys.executable, "-I", "-c", REFUSED, str(FOLDERS / "api")], check=True, timeout=60, env=environment)
