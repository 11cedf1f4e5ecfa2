"""Where the key may go: over TLS or to this machine, and nowhere else; not into messages, logs or reprs."""

import copy
import logging
import pickle
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_client import Client, Photo, TallyError, UnexpectedAnswer, UsageError
from tally_client.transport import base_url
from tests.clients.conftest import KEY
from tests.clients.server import ANSWER, Server, answer, problem


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(server: Server, status: int) -> None:
    other = Server()
    server.scripts = [answer(b"", status, location=other.url)]
    with Client(server.url, KEY) as tally, pytest.raises(UnexpectedAnswer, match="which this API never does"):
        tally.predict(s3_uri="s3://b/k")
    assert (len(server.requests), other.requests) == (1, [])
    other.close()


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://abc.example/v1", "https://abc.example/v1/"),
        ("https://abc.example/v1/", "https://abc.example/v1/"),
        ("https://abc.example:8443/v1//", "https://abc.example:8443/v1/"),
        ("HTTPS://abc.example/", "HTTPS://abc.example/"),
        ("https://[2606:4700::1]/v1", "https://[2606:4700::1]/v1/"),
        ("http://localhost:4566/restapis/a/v1/_user_request_/", "http://localhost:4566/restapis/a/v1/_user_request_/"),
        ("http://127.0.0.1/v1", "http://127.0.0.1/v1/"),
        ("http://[::1]:80/v1", "http://[::1]:80/v1/"),
    ],
)
def test_the_key_goes_over_tls_or_to_this_machine(url: str, base: str) -> None:
    assert base_url(url) == base
    assert Client(url, KEY).url == base


@pytest.mark.parametrize(
    "url",
    [
        "http://abc.example/v1/",
        "http://localhost.abc.example/v1/",
        "http://127.0.0.1.abc.example/",
        "http://128.0.0.1/",
        "http://0x7f000001/",
        "http://[::2]/",
        "http://localhost@abc.example/v1/",
        "https://localhost:80@abc.example/v1/",
        "http://abc.example\\@localhost/",
        "http://abc.example#@localhost/",
        "https://user@abc.example/v1/",
        "https://user:hunter2@abc.example/v1/",
        "https://abc.example/v1/?key=hunter2",
        "https://abc.example/v1/?",
        "https://abc.example/v1/#",
        "https://abc.example/v 1/",
        "https://abc.example/v1/\n",
        "https://abc.exämple/v1/",
        "https://abc.example:99999/",
        "https://abc.example:x/",
        "https://[::1/",
        "https:///v1/",
        "https:abc.example/v1/",
        "ftp://abc.example/",
        "file:///etc/passwd",
        "//abc.example/v1/",
        "abc.example/v1/",
        "",
        None,
        3,
    ],
)
def test_no_other_address_gets_a_client(url: object) -> None:
    with pytest.raises(UsageError) as caught:
        Client(url, KEY)  # type: ignore[arg-type]  # wrong on purpose
    assert KEY not in str(caught.value)
    assert "hunter2" not in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_as_an_address_is_refused_in_one_way(text: str) -> None:
    for url in (text, f"https://{text}", f"http://{text}", f"http://localhost{text}"):
        try:
            base = base_url(url)
        except UsageError:
            continue
        assert base.isascii()
        assert base.endswith("/")
        if not base.lower().startswith("https://"):
            assert base.startswith(("http://localhost", "http://127.", "http://[::1]", "http://[0")), base


@pytest.mark.parametrize("key", ["", " ", "a b", "a\nb", "a\r\nx-evil: 1", "schlüssel", 3])
def test_a_key_that_is_none_is_refused_without_showing_it(key: object) -> None:
    with pytest.raises(UsageError) as caught:
        Client("https://abc.example/v1/", key)  # type: ignore[arg-type]  # wrong on purpose
    assert str(caught.value) == ("api_key must be printable ASCII characters without a space; it is not shown here")


def test_without_key_and_signer_there_is_no_client() -> None:
    with pytest.raises(UsageError, match="give api_key, or sign where the API asks for AWS signatures"):
        Client("https://abc.example/v1/")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeout": 0}, "timeout is 0; it must be a number of seconds above 0"),
        ({"timeout": float("inf")}, "timeout is inf; it must be"),
        ({"timeout": float("nan")}, "timeout is nan; it must be"),
        ({"timeout": True}, "timeout is True; it must be"),
        ({"retries": -1}, "retries is -1; it must be 0 or a positive whole number"),
        ({"retries": 1.5}, "retries is 1.5; it must be"),
        ({"retries": True}, "retries is True; it must be"),
    ],
)
def test_settings_that_make_no_sense_are_named(options: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Client("https://abc.example/v1/", KEY, **options)  # type: ignore[arg-type]  # wrong on purpose
    assert message in str(caught.value)


SCRIPTS = {
    "fine": answer(),
    "problem": problem(403, "forbidden"),
    "busy": problem(503, "busy"),
    "html": answer(b"<html>", 502),
    "nonsense": answer({"count": 3}),
    "redirect": answer(b"", 302, location="https://abc.example/"),
    "broken": b"nonsense\r\n\r\n",
    "echo": answer(ANSWER | {"count": KEY}),
}


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.usefixtures("waits")
def test_the_key_is_in_no_message_log_or_repr(server: Server, script: str, caplog: pytest.LogCaptureFixture) -> None:
    server.scripts = [SCRIPTS[script]]
    said = []
    with caplog.at_level(logging.DEBUG), Client(server.url, KEY, retries=1) as tally:
        said += [repr(tally), str(tally), repr(tally._transport)]
        try:
            said.append(repr(tally.predict(s3_uri="s3://b/k", idempotency_key="order-1")))
        except TallyError as error:
            said += [str(error), repr(error), *traceback.format_exception(error)]
    said += [record.getMessage() for record in caplog.records]
    assert server.requests[0].headers["x-api-key"] == KEY
    assert not [text for text in said if KEY in text]


def test_problems_survive_pickling_and_copying(server: Server, tally: Client) -> None:
    server.scripts = [problem(424, "fetch_timeout", retry_after="3")]
    with pytest.raises(TallyError) as caught:
        tally.predict(s3_uri="s3://b/k")
    for made in (pickle.loads(pickle.dumps(caught.value)), copy.copy(caught.value)):  # noqa: S301  # our own
        assert (str(made), made.retry_after, made.code) == (str(caught.value), 3, "fetch_timeout")


def test_what_a_photo_may_be_is_checked_when_it_is_made() -> None:
    with pytest.raises(UsageError, match="give a photo as image_url or s3_uri"):
        Photo()
    with pytest.raises(UsageError, match="only as one of them"):
        Photo(image_url="https://a/b", s3_uri="s3://b/k")
    with pytest.raises(UsageError, match="expected_count is 9"):
        Photo(s3_uri="s3://b/k", expected_count=9)
