"""How a caller's URL is read: strictly, so that nobody can read it differently."""

import re
import socket
import string
import time
import unicodedata
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote, urlsplit

import idna
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
        ("https://example.com?x=1", "example.com", "/?x=1"),
        ("https://example.com/?", "example.com", "/"),
        ("https://example.com/#@127.0.0.1/", "example.com", "/"),
        ("https://example.com/@127.0.0.1/a//../b;c", "example.com", "/@127.0.0.1/a//../b;c"),
        ("https://example.com/a%zz%2fb?f[x]=%00", "example.com", "/a%zz%2fb?f[x]=%00"),
        ('https://example.com/"<>^`{|}', "example.com", "/%22%3C%3E%5E%60%7B%7C%7D"),
        ("https://example.com/é/写真.jpg?q=ü", "example.com", "/%C3%A9/%E5%86%99%E7%9C%9F.jpg?q=%C3%BC"),
        ("https://bücher.example/", "xn--bcher-kva.example", "/"),
        ("https://BÜCHER.Example/", "xn--bcher-kva.example", "/"),
        ("https://bu\u0308cher.example/", "xn--bcher-kva.example", "/"),  # u and two dots
        ("https://写真。example｡/", "xn--g7qs82g.example", "/"),  # ideographic full stops, as keyboards give them
        ("https://ｅｘａｍｐｌｅ．ｃｏｍ/", "example.com", "/"),  # full-width letters
        ("https://例え.テスト:443/", "xn--r8jz45g.xn--zckzah", "/"),
        ("https://1.2.3.4.example/", "1.2.3.4.example", "/"),
        ("https://0xa.example/", "0xa.example", "/"),
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
        "https://example.com/\x7f",
        "https://example.com/\x85",
        "https://example.com/a\u00a0b",
        "https://example.com/\u2028",
        "https://example.com/\u3000",
        "https://example.com/\ud800",
        "https://exam\u00a0ple.com/",
        "https://exam\nple.com/",
        "https://exam\rple.com/",
        "https:\\\\example.com/",
        "https:/\\example.com/",
        "https:example.com/",
        "https:/example.com/",
        "https:////example.com/",
        "http://example.com/",
        "httpsx://example.com/",
        "dict://example.com:11211/stat",
        "ldap://example.com/",
        "tftp://example.com/x",
        "https://straße.example/",  # strasse to some, xn--strae-oqa to others
        "https://βόλος.example/",  # final sigma
        "https://a\u200db.example/",  # joiners
        "https://a\u200cb.example/",
        "https://ẞ.example/",
        "https://exam\u00adple.com/",  # a soft hyphen, which some drop
        "https://exam\u200bple.com/",
        "https://exam\u2060ple.com/",
        "https://exam\ufe0fple.com/",
        "https://exam\u202eple.com/",
        "https://exam\u3164ple.com/",  # a letter that nobody sees
        "https://Ⱡ.example/",  # not yet a letter in 2002
        "https://\U0002f868.example/",  # normalised to another character since
        "https://example.com／1.jpg/",  # full-width solidus, at, colon, number sign, question mark
        "https://example.com＠127.0.0.1/",
        "https://example.com：443/",
        "https://example.com＃.example/",
        "https://example.com？.example/",
        "https://℀.example/",  # a/c
        "https://⒈example/",  # a digit and a full stop in one
        "https://a⒈.example/",
        "https://ex\u0430\u200fmple.com/",
        "https://xn--ü.example/",
        "https://" + "ﷺ" * 60 + ".example/",  # one character that becomes eighteen
        "https://" + "ü" * 64 + ".example/",
        "https://..example.com/",
        "https://.example.com/",
        "https://example.com../",
        "https://./",
        "https://。/",
        "https://*.example.com/",
        "https://exa$mple.com/",
        "https://exa'mple.com/",
        "https://localhost%00.example.com/",
        "https://127.0.0.1%2f.example.com/",
        "https://127.0.0.1%23.example.com/",
        "https://example.com;.internal/",
        "https://example.com,127.0.0.1/",
        "https://example.com&@127.0.0.1/",
        "https://example.com:443@127.0.0.1/",
        "https://example.com:443:80/",
        "https://example.com:/",
        "https://example.com:0443/",
        "https://example.com:+443/",
        "https://example.com:４４３/",
        "https://example.com: 443/",
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
        "https://017700000001/",
        "https://0X7F000001/",
        "https://0x7f.0x0.0x0.0x1/",
        "https://0177.0.0.1/",
        "https://127.0.1/",
        "https://127.0.0.1.1/",
        "https://127.0.0.256/",
        "https://00000127.0.0.1/",
        "https://4294967297/",
        "https://00/",
        "https://0/",
        "https://0xffffffffffffff7f000001/",
        "https://１６９．２５４．１６９．２５４/",
        "https://𝟭𝟮𝟳.𝟬.𝟬.𝟭/",  # mathematical digits
        "https://¹²⁷.0.0.1/",  # superscripts
        "https://0ｘ7f000001/",
        "https://١٢٧.0.0.1/",
        "https://127。1/",
        "https://8。8。8。8/",  # public, and not four plain decimal numbers either
        "https://example.1/",
        "https://[::1/",
        "https://[::1%25eth0]/",
        "https://[fe80::1%eth0]/",
        "https://[1.2.3.4]/",
        "https://[v1.x]/",
        "https://[::1]example.com/",
        "https://example.com[::1]/",
        "https://[::1]:x/",
        "https://[[::1]]/",
        "https://[::１]/",
        "https://[]/",
        "https://[::ffff:127.0.0.1%25lo]/",
        "https://[0:0:0:0:0:0:0:0:1]/",
        "https://::1/",
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


def test_the_length_is_limited_to_the_documents(urls: Any, load: Any) -> None:
    (document,) = load("api", "document")
    longest = document.document()["components"]["schemas"]["PhotoByUrl"]["properties"]["image_url"]["maxLength"]
    assert longest == urls.MAX_URL
    url = "https://example.com/"
    assert urls.read_url(url + "a" * (longest - len(url)), allow_http=False)
    with pytest.raises(urls.ProblemError, match="is longer than 2048 characters"):
        urls.read_url(url + "a" * (longest - len(url) + 1), allow_http=False)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://user:pw@example.com/", "carries a user name"),
        ("https://example.com:8443/", "names port 8443; only the usual 443 is fetched from"),
        ("https://2852039166/", "has a number as its host; write an IPv4 address as four decimal numbers"),
        ("https://straße.example/", "programs read in different ways; write it in punycode"),
        ("https://example.com/a b", "has spaces, backslashes or control characters; write them percent-encoded"),
        ("ftp://example.com/", "does not begin with https://"),
    ],
)
def test_what_is_wrong_is_said_without_repeating_the_url(urls: Any, url: str, reason: str) -> None:
    with pytest.raises(urls.ProblemError, match=re.escape(reason)) as caught:
        urls.read_url(url, allow_http=False)
    assert not any(part in caught.value.detail for part in ("user", "pw", "example.com")) or "user name" in reason
    assert "pw" not in caught.value.detail


@pytest.mark.parametrize("letters", [range(0x4E00, 0x4E00 + 7 * 2000, 7), [0xFDFA] * 2000], ids=["rare", "long"])
def test_a_host_that_is_too_long_costs_no_time(urls: Any, letters: Iterable[int]) -> None:
    url = f"https://{''.join(map(chr, letters))}/"  # punycode takes half a second for some of these

    def seconds() -> float:
        began = time.perf_counter()
        with pytest.raises(urls.ProblemError, match="malformed host"):
            urls.read_url(url, allow_http=False)
        return time.perf_counter() - began

    assert min(seconds() for _ in range(3)) < 0.03


ANYTHING = st.text(max_size=60)
NASTY = st.text(st.sampled_from("@:/\\\\?#[]%.。．｡-_0123456789abcxyzXߣßς\t\n\r \u200d１２７①⒈＠／："), max_size=30)
AUTHORITIES = (ANYTHING | NASTY).map("https://{}/1.jpg".format)


@given(url=ANYTHING | NASTY | AUTHORITIES | (ANYTHING | NASTY).map("https://example.com/{}".format))
@settings(quick, max_examples=2000)
def test_any_text_is_read_or_refused_and_what_is_read_is_plain(urls: Any, url: str) -> None:
    try:
        target = urls.read_url(url, allow_http=True)
    except urls.ProblemError:
        return
    assert target.port == {"https": 443, "http": 80}[target.scheme]
    assert set(target.host) <= set(string.ascii_lowercase + string.digits + ".-_:")
    assert target.path.startswith("/")
    assert set(target.path) <= {chr(number) for number in range(0x21, 0x7F)} - set("\\#")
    # Read again it is the same, and Python's own reader sees the same host.
    assert urls.read_url(target.url, allow_http=True, longest=20_000) == target
    seen = urlsplit(target.url)
    assert (seen.hostname, seen.port, seen.username) == (target.host, None, None)


NUMBERS = st.from_regex(r"(0x[0-9a-fA-F]{0,9}|[0-9]{1,12})(\.(0x[0-9a-fA-F]{0,4}|[0-9]{1,5})){0,4}\.?", fullmatch=True)


@given(host=NUMBERS, wide=st.booleans())
@settings(quick, max_examples=1000)
def test_no_name_is_a_number_to_the_system(urls: Any, host: str, wide: bool) -> None:
    if wide:
        host = host.translate({ord(digit): ord(digit) + 0xFEE0 for digit in string.digits})
    try:
        read = urls.read_url(f"https://{host}/", allow_http=False).host
    except urls.ProblemError:
        return
    assert not wide
    assert read == host == socket.inet_ntoa(socket.inet_aton(host))


def letters() -> list[str]:
    """Every character beyond ASCII that is more than itself, or no plain letter, and every fiftieth of the others."""
    found = [chr(code) for code in range(0x80, 0x110000) if not 0xD800 <= code < 0xE000]
    assigned = [letter for letter in found if unicodedata.category(letter) != "Cn"]
    plain = {letter for letter in assigned if unicodedata.category(letter) in ("Lo", "Co")}
    plain &= {letter for letter in plain if unicodedata.normalize("NFKC", letter.casefold()) == letter}
    return [letter for index, letter in enumerate(assigned) if letter not in plain or index % 50 == 0]


def test_no_letter_in_a_host_is_read_otherwise_than_todays_standard_reads_it(load: Any) -> None:
    (hosts,) = load("api", "hosts")
    agreed = 0
    for letter in letters():
        try:
            ours = hosts.read_host(f"a{letter}b.example")
        except ValueError:
            continue
        try:
            theirs = idna.encode(f"a{letter}b.example", uts46=True, transitional=False, std3_rules=True).decode()
        except idna.IDNAError:
            continue  # a symbol, say: nobody reads it otherwise
        assert ours == theirs, unicodedata.name(letter, hex(ord(letter)))
        agreed += 1
    assert agreed > 6_000


@given(host=st.text(st.characters(codec="utf-8", categories=("L", "M", "N")), min_size=1, max_size=20))
@settings(quick, max_examples=1000)
def test_no_word_in_a_host_is_read_otherwise_than_todays_standard_reads_it(load: Any, host: str) -> None:
    (hosts,) = load("api", "hosts")
    try:
        ours = hosts.read_host(f"{host}.example")
        theirs = idna.encode(f"{host}.example", uts46=True, transitional=False, std3_rules=True).decode()
    except ValueError:  # idna.IDNAError is one
        return
    assert ours == theirs


@given(path=st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="\\#?%"), max_size=40))
@quick
def test_a_path_is_the_same_path_after_encoding(urls: Any, path: str) -> None:
    read = urls.read_url(f"https://example.com/{path}", allow_http=False).path
    assert unquote(read, errors="strict") == f"/{path}"
