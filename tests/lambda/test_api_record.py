"""The line that a request leaves: read as CloudWatch reads it, and searched for what must not be in it."""

import json
import re
from importlib import import_module
from typing import Any

import pytest

fakes: Any = import_module("tests.lambda.fakes")
remotes: Any = import_module("tests.lambda.remotes")
tests: Any = import_module("tests.lambda.predictions")

REQUEST_ID, URI, URL = tests.REQUEST_ID, tests.URI, tests.URL
PLANTED = "s3cr3t"
TIMES = ("FetchMs", "ModelMs", "TotalMs")
Metrics = dict[tuple[str, ...], dict[str, Any]]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Any:
    """What was written since the last look, one value for each line."""
    return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def metrics(line: dict[str, Any]) -> Metrics:
    """The metrics in a line by the values of their dimensions, by the rules of the embedded metric format."""
    assert isinstance(line["_aws"]["Timestamp"], int)
    found: Metrics = {}
    for directive in line["_aws"]["CloudWatchMetrics"]:
        assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
        assert directive["Namespace"] == "Tally/Api"
        for dimensions in directive["Dimensions"]:
            values = [line[name] for name in dimensions]
            assert all(isinstance(value, str) and 1 <= len(value) <= 1024 for value in values)
            for metric in directive["Metrics"]:
                assert metric["Unit"] in ("Count", "Bytes", "Milliseconds")
                value = line[metric["Name"]]
                numbers = value if isinstance(value, list) else [value]
                assert 1 <= len(numbers) <= 100
                assert all(type(number) in (int, float) for number in numbers)
                found.setdefault(tuple(values), {})[metric["Name"]] = value
    return found


def test_a_request_leaves_one_line_that_is_metrics_as_well(predictions: Any, lines: Any) -> None:
    predictions.ask({"image_url": URL})
    (line,) = lines()
    times = {name: line[name] for name in TIMES}
    counted = {"Requests": 1, "Photos": 1, "Rejects": 0, "Bytes": [len(tests.JPEG)], **times}
    assert metrics(line) == {("tally-dev",): counted}
    assert times["TotalMs"] >= times["FetchMs"][0] + times["ModelMs"][0] - 0.05
    told = {name: value for name, value in line.items() if name not in counted and name != "_aws"}
    assert told == {
        "event": "prediction",
        "request_id": REQUEST_ID,
        "Environment": "tally-dev",
        "status": 200,
        "sources": {"url": 1},
        "places": [remotes.HOST],
        "counts": [3],
        "models": ["tally-dev/7"],
    }


def test_a_refused_request_is_counted_under_its_code(predictions: Any, lines: Any) -> None:
    predictions.ask("{")
    (line,) = lines()
    total = {"Requests": 1, "Photos": 0, "Rejects": 1, "TotalMs": line["TotalMs"]}
    assert metrics(line) == {("tally-dev",): total, ("tally-dev", "bad_request"): {"Rejects": 1}}
    assert (line["status"], line["codes"]) == (400, {"bad_request": 1})
    assert "sources" not in line


def test_a_batch_is_one_line_and_a_short_one_for_each_further_code(predictions: Any, lines: Any) -> None:
    predictions.put("photos/1.jpg")
    inside = {"image_url": "https://10.0.0.1/1.jpg"}
    images = [{"s3_uri": URI}, inside, {"image_url": "ftp://a"}, inside, {"s3_uri": "s3://private/1.jpg"}]
    predictions.ask({"images": images})
    first, *others = lines()
    assert first["event"] == "prediction"
    assert first["status"] == 200
    assert first["codes"] == {"address_not_public": 2, "bad_url": 1, "location_not_allowed": 1}
    assert first["sources"] == {"s3": 2, "url": 3}
    assert first["places"] == ["10.0.0.1", "private", "raw"]
    assert (first["Photos"], len(first["FetchMs"]), len(first["ModelMs"]), len(first["Bytes"])) == (5, 5, 1, 1)
    assert [line["event"] for line in others] == ["rejects"] * 2
    assert all(line["request_id"] == REQUEST_ID for line in others)
    rejects: dict[Any, int] = {}
    for line in [first, *others]:
        for dimensions, found in metrics(line).items():
            rejects[dimensions] = rejects.get(dimensions, 0) + found["Rejects"]
    assert rejects == {
        ("tally-dev",): 4,
        ("tally-dev", "address_not_public"): 2,
        ("tally-dev", "bad_url"): 1,
        ("tally-dev", "location_not_allowed"): 1,
    }


def test_a_photo_as_the_body_has_no_place(predictions: Any, lines: Any) -> None:
    predictions.ask(tests.JPEG, "image/jpeg")
    (line,) = lines()
    assert line["sources"] == {"body": 1}
    assert "places" not in line


def test_the_time_of_a_phase_that_failed_is_told(predictions: Any, lines: Any) -> None:
    predictions.endpoint.answer = b"{}"
    predictions.ask({"image_url": URL})
    predictions.ask({"image_url": "http://nowhere.example.com/1.jpg"})
    failed, unresolved = lines()
    assert (failed["Code"], len(failed["FetchMs"]), len(failed["ModelMs"])) == ("model_failed", 1, 1)
    assert (unresolved["Code"], len(unresolved["FetchMs"])) == ("host_not_found", 1)
    assert "ModelMs" not in unresolved
    assert "Bytes" not in unresolved
    (cause,) = unresolved["causes"]
    assert re.fullmatch(
        r"gaierror at (fetch|deadline)\.py:\d+ > .*deadline\.py:\d+ > fetch\.py:\d+ > remotes\.py:\d+", cause
    )


def test_what_is_no_photo_takes_none_of_the_models_time(predictions: Any, lines: Any) -> None:
    predictions.ask(b"GIF89a", "image/jpeg")
    (line,) = lines()
    assert (line["Code"], line["Bytes"]) == ("not_an_image", [6])
    assert "ModelMs" not in line


def test_a_line_is_found_from_the_trace(predictions: Any, lines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    root = "1-5759e988-bd862e3fe1be46a994272793"
    monkeypatch.setenv("_X_AMZN_TRACE_ID", f"Root={root};Parent=53995c3f42cd8ad8;Sampled=1")
    predictions.ask({"image_url": URL})
    assert lines()[0]["trace_id"] == root


def test_without_an_environment_metrics_still_have_their_dimension(
    predictions: Any, lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ENVIRONMENT")
    predictions.ask("{")
    assert ("unknown",) in metrics(lines()[0])


def test_an_error_of_ours_is_told_by_its_type_and_place(predictions: Any, lines: Any) -> None:
    predictions.endpoint.answer = RuntimeError(f"a bug near {PLANTED}")
    predictions.ask({"image_url": URL})
    (cause,) = lines()[0]["causes"]
    assert re.fullmatch(r"RuntimeError at \w+\.py:\d+ > \w+\.py:\d+ > counting\.py:\d+ > fakes\.py:\d+", cause)


def test_what_aws_refused_is_told_by_its_code(predictions: Any, lines: Any) -> None:
    message = f"role arn:aws:iam::1:role/{PLANTED} may not"
    predictions.endpoint.answer = fakes.refusal("InvokeEndpoint", "AccessDeniedException", message, 403)
    predictions.ask({"image_url": URL})
    (cause,) = lines()[0]["causes"]
    assert re.fullmatch(r"ClientError AccessDeniedException at counting\.py:\d+ > fakes\.py:\d+", cause)


# Every place in which a caller may put what nobody else should read. Hosts and buckets alone are told.
URLS = [
    f"{URL}?X-Amz-Signature={PLANTED}&X-Amz-Security-Token={PLANTED}",
    f"{URL}#{PLANTED}",
    f"http://{remotes.HOST}/{PLANTED}.jpg",
    f"http://{PLANTED}:{PLANTED}@{remotes.HOST}/1.jpg",
    f"http://user:{PLANTED}/x@{remotes.HOST}/1.jpg",
    f"http://user:{PLANTED}?@{remotes.HOST}/",
    f"http:/{PLANTED}",
    f"{PLANTED}",
    f"http://{remotes.HOST}:{PLANTED}/",
    f"http://{remotes.HOST}\\{PLANTED}/",
    f"http://[{PLANTED}]/",
    f"https://10.0.0.1/{PLANTED}",
    f"http://nowhere.example.com/{PLANTED}",
    f"http://{PLANTED}%00.example.com/",
]
URIS = [
    f"s3://raw/photos/{PLANTED}.jpg",
    f"s3://raw/{PLANTED}",
    f"s3://{PLANTED.upper()}/1.jpg",
    f"s3://private/{PLANTED}",
    f"s3:{PLANTED}",
]
BODIES: list[Any] = [
    *({"image_url": url} for url in URLS),
    *({"s3_uri": uri, "version_id": PLANTED} for uri in URIS),
    {"images": [*({"image_url": url} for url in URLS[:11]), *({"s3_uri": uri} for uri in URIS)]},
    {PLANTED: PLANTED},
    {"image_url": URL, "expected_count": PLANTED},
    f'{{"image_url": "{PLANTED}',
    PLANTED,
    PLANTED.encode(),
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: str(body)[:40])
@pytest.mark.parametrize("query", [None, {"expected_count": PLANTED}, {PLANTED: PLANTED}], ids=["", "value", "name"])
def test_no_secret_of_a_caller_is_written_down(
    predictions: Any, capfd: pytest.CaptureFixture[str], body: Any, query: dict[str, str] | None
) -> None:
    predictions.put("photos/1.jpg")
    predictions.photo = tests.JPEG + PLANTED.encode()
    headers = dict.fromkeys(("authorization", "cookie", "x_api_key", "idempotency_key", "user_agent"), PLANTED)
    types = ["application/json", "image/jpeg", f"image/jpeg; {PLANTED}", PLANTED]
    for media_type in types:
        event = predictions.event(body, media_type, query, **headers)
        identity = dict.fromkeys(event["requestContext"]["identity"], PLANTED)
        requested = {**event["requestContext"], "identity": identity, "path": f"/{PLANTED}"}
        predictions.send(
            {**event, "path": f"/{PLANTED}", "requestContext": requested, "stageVariables": {"a": PLANTED}}
        )
    out, err = capfd.readouterr()
    assert len(out.splitlines()) >= len(types)
    assert PLANTED not in (out + err).lower()


@pytest.mark.parametrize("location", [f"http://{PLANTED}.example.com/", f"http://10.0.0.1/{PLANTED}", PLANTED])
def test_where_a_remote_leads_to_is_not_written_down(
    predictions: Any, capfd: pytest.CaptureFixture[str], location: str
) -> None:
    predictions.internet.site("away.example.com", remotes.redirects(location))
    predictions.ask({"image_url": "http://away.example.com/1.jpg"})
    assert PLANTED not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "error", [RuntimeError(PLANTED), KeyError(PLANTED), UnicodeDecodeError("utf-8", PLANTED.encode(), 0, 1, PLANTED)]
)
def test_the_words_of_an_error_are_not_written_down(
    predictions: Any, capfd: pytest.CaptureFixture[str], error: Exception
) -> None:
    predictions.endpoint.answer = error
    predictions.ask({"image_url": URL})
    predictions.ask({"images": [{"image_url": URL}] * 2})
    assert PLANTED not in "".join(capfd.readouterr())
