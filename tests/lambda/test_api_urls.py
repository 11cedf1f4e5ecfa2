"""How a caller's URL is read: strictly, so that nobody can read it differently."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)


@pytest.fixture
def urls(load: Any) -> Any:
    (module,) = load("api", "urls")
    return module


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("https://example.com/1.jpg", "example.com", "/1.jpg"),
        ("https://EXAMPLE.com", "example.com", "/"),
        ("HTTPS://example.com:443/a/b?x=1&y=%20#part", "example.com", "/a/b?x=1&y=%20"),
        (
            "https://my_bucket.s3.eu-west-1.amazonaws.com/k?X-Amz-Signature=a%2Fb",
            "my_bucket.s3.eu-west-1.amazonaws.com",
            "/k?X-Amz-Signature=a%2Fb",
        ),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example", "/"),
        ("https://93.184.216.34/1.jpg", "93.184.216.34", "/1.jpg"),
        ("https://[2606:2800:220:1::1]/1.jpg", "2606:2800:220:1::1", "/1.jpg"),
        ("https://example.com./1.jpg", "example.com", "/1.jpg"),
    ],
)
def test_a_usual_url_is_read(urls: Any, url: str, host: str, path: str) -> None:
    target = urls.read_url(url, allow_http=False)
    assert (target.scheme, target.host, target.port, target.path) == ("https", host, 443, path)


def test_http_is_read_where_it_is_allowed(urls: Any) -> None:
    target = urls.read_url("http://example.com:80/1.jpg", allow_http=True)
    assert (target.scheme, target.port) == ("http", 80)
    with pytest.raises(urls.ProblemError, match="image_url does not begin with https://"):
        urls.read_url("http://example.com/1.jpg", allow_http=False)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/1.jpg",
        "//example.com/1.jpg",
        "file:///proc/self/environ",
        "ftp://example.com/1.jpg",
        "gopher://example.com:443/_x",
        "data:image/png;base64,AAAA",
        "jar:https://example.com!/x",
        "https://",
        "https:///1.jpg",
        "https://user@example.com/1.jpg",
        "https://user:secret@example.com/1.jpg",
        "https://example.com@127.0.0.1/1.jpg",
        "https://@example.com/",
        "https://example.com\\@127.0.0.1/",
        "https://example.com/a\\b.jpg",
        "https://127.0.0.1\\.example.com/",
        "https://exam\tple.com/",
        "https://example.com/\r\nX-Header: 1",
        "https://example.com/\n",
        " https://example.com/",
        "https://example.com /",
        "https://example.com/\x00",
        "https://example.com/é.jpg",
        "https://bücher.example/",
        "https://127。0。0。1/",  # ideographic full stops
        "https://①②⑦.⓪.⓪.①/",  # circled digits
        "https://１２７.0.0.1/",  # full-width digits
        "https://2852039166/",
        "https://0xa9fea9fe/",
        "https://0251.0376.0251.0376/",
        "https://169.254.43518/",
        "https://127.1/",
        "https://0x7f.1/",
        "https://0x/",
        "https://127.0.0.1./",
        "https://127.0.0.01/",
        "https://example.1/",
        "https://[::1/",
        "https://[::1%25eth0]/",
        "https://[fe80::1%eth0]/",
        "https://[1.2.3.4]/",
        "https://[v1.x]/",
        "https://exa[mple.com/",
        "https://example..com/",
        "https://-example.com/",
        "https://example-.com/",
        f"https://{'a' * 64}.com/",
        f"https://{'a.' * 130}com/",
        "https://exam%70le.com/",
        "https://example.com:80/",
        "https://example.com:8443/",
        "https://example.com:22/",
        "https://example.com:99999/",
        "https://example.com:x/",
        "https://example.com:-1/",
        "https://example.com/" + "a" * 2048,
    ],
)
def test_an_unusual_url_is_refused(urls: Any, url: str) -> None:
    with pytest.raises(urls.ProblemError, match="image_url ") as caught:
        urls.read_url(url, allow_http=False)
    assert (caught.value.status, caught.value.code) == (400, "bad_url")


@given(url=st.text(max_size=60) | st.text(max_size=40).map("https://{}".format))
@quick
def test_any_text_is_read_or_refused_and_what_is_read_is_plain(urls: Any, url: str) -> None:
    try:
        target = urls.read_url(url, allow_http=True)
    except urls.ProblemError:
        return
    assert target.port in (80, 443)
    assert target.host.isascii()
    assert not set(target.host) & set("@/\\#?% \t\r\n")
    assert target.path.startswith("/")
    assert not set(target.path) & set(" \t\r\n\\")
