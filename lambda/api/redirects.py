"""Where a redirect leads: read as strictly as what a caller gives, against the URL that was asked."""

import re
from collections.abc import Sequence
from urllib.parse import urljoin

from problems import ProblemError
from urls import Target, check_characters, read_url

STATUSES = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 3
_MAX_LOCATION = 8192  # more than a caller may give: stores redirect to signed URLs, which are long
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def follow(asked: Sequence[Target], locations: Sequence[str], *, allow_http: bool) -> Target:
    """The target of a redirect of the last one in `asked`, given its Location headers as http.client has them.

    ProblemError bad_redirect when there is none, more than one, or one that is not as a caller's URL must be; when it
    gives up encryption, closes a circle, or comes after `MAX_REDIRECTS` others. It names the first host only: what
    the others answer is none of the caller's business.
    """
    here, host = asked[-1], asked[0].host_header
    if len(asked) > MAX_REDIRECTS:
        raise _bad_redirect(host, f"more than {MAX_REDIRECTS} times")
    if len(set(locations)) != 1:
        raise _bad_redirect(host, "to several places at once" if locations else "without saying where to")
    try:
        target = read_url(_absolute(here, locations[0]), allow_http=allow_http, longest=_MAX_LOCATION)
    except (ProblemError, UnicodeError):
        raise _bad_redirect(host, "to what is no URL that may be fetched from") from None
    if here.scheme == "https" and target.scheme == "http":
        raise _bad_redirect(host, "from https to http")
    if target in asked:
        raise _bad_redirect(host, "in a circle")
    return target


def _absolute(here: Target, location: str) -> str:
    text = location.strip(" \t").encode("iso-8859-1").decode("utf-8")
    check_characters(text, _MAX_LOCATION)  # before urljoin, which drops some
    # What some programs read as a host and others as a path stays as it is, and is refused: "https:host", "///host".
    if _SCHEME.match(text):
        return text
    return f"{here.scheme}:{text}" if text.startswith("//") else urljoin(here.url, text)


def _bad_redirect(host: str, how: str) -> ProblemError:
    return ProblemError("bad_redirect", f"{host} redirects {how}; give the URL of the photo itself")
