"""The command `tally`, also `python -m tally_client`: photos on the command line, counts and decisions out.

export TALLY_URL=https://HOST/v1/ TALLY_API_KEY=...
tally predict bin.jpg --expected 3
tally predict s3://BUCKET/KEY https://HOST/bin.jpg --json
tally health
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tally_client.client import Client
from tally_client.errors import ApiProblem, TallyError, UsageError
from tally_client.models import Prediction
from tally_client.photos import BODY_LIMIT
from tally_client.version import __version__

PASSED, NOT_PASSED, NO_ANSWER, INTERRUPTED = 0, 1, 2, 130
_CODES = """\
exit codes:
  0    every photo was counted, and where a count was expected, the decision is pass
  1    every photo was counted, and a decision is fail or review
  2    a photo was not counted, or the command is not as it should be
  130  interrupted

environment:
  TALLY_URL        the API's address, as --url
  TALLY_API_KEY    the API key; it is no option, since other users of a machine can read command lines
  HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE, and with --iam AWS's own variables are honoured
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; its exit code."""
    options = _parser().parse_args(arguments)
    try:
        with _client(options) as client:
            if options.verb == "predict":
                return _predict(client, options)
            if options.verb == "health":
                health = client.health()
                model = f"{health.package} version {health.version}" if health.package else "a model without a package"
                print(f"ok: {model}, endpoint {health.endpoint}")
            else:
                json.dump(client.openapi(), sys.stdout, indent=2)
                print()
            return PASSED
    except TallyError as error:
        print(f"error: {error}", file=sys.stderr)
        return NO_ANSWER
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # who reads the output has had enough; Python would complain when it flushes at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO_ANSWER
    except Exception as error:  # 1 would say that a decision is fail or review
        print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
        return NO_ANSWER


def run() -> None:
    """What the installed command starts."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files need not be text
    sys.exit(main())


def _parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(
        prog="tally",
        description="Count the objects in photos of warehouse bins.",
        epilog=_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action="version", version=__version__)
    verbs = root.add_subparsers(dest="verb", required=True, metavar="VERB")
    texts = {
        "predict": "count the objects in photos",
        "health": "say whether photos can be counted, and by which model",
        "openapi": "print the API's own description",
    }
    for name, text in texts.items():
        verb = verbs.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == "predict":
            verb.add_argument(
                "photos",
                nargs="+",
                metavar="PHOTO",
                help="a file, https://..., s3://BUCKET/KEY, or - for standard input",
            )
            verb.add_argument(
                "--expected", type=int, metavar="COUNT", help="objects that each photo should show, 1 to 5"
            )
            verb.add_argument("--version-id", metavar="ID", help="version of an object in S3")
            verb.add_argument("--json", action="store_true", help="one line of JSON for each photo")
        verb.add_argument("--url", default=os.environ.get("TALLY_URL"), help="the API's address, with its stage")
        verb.add_argument("--iam", action="store_true", help="sign with AWS credentials instead of sending a key")
        verb.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS", help="for each photo; 30")
        verb.add_argument("--retries", type=int, default=3, metavar="N", help="further tries for each photo; 3")
    return root


def _client(options: argparse.Namespace) -> Client:
    if not options.url:
        raise UsageError("no address of the API: give --url, or set TALLY_URL")
    if not options.iam:
        key = os.environ.get("TALLY_API_KEY")
        if not key:
            raise UsageError("no API key: set TALLY_API_KEY, or give --iam where the API asks for AWS signatures")
        return Client(options.url, key, timeout=options.timeout, retries=options.retries)
    try:
        from tally_client.iam import Signer
    except ImportError as error:
        raise UsageError("--iam needs botocore: pip install 'tally-client[iam]'") from error
    return Client(options.url, sign=Signer(), timeout=options.timeout, retries=options.retries)


def _predict(client: Client, options: argparse.Namespace) -> int:
    worst = PASSED
    for name in options.photos:
        try:
            found = _ask(client, name, options)
        except TallyError as error:
            if options.json:
                why = {"problem": error.problem.to_dict()} if isinstance(error, ApiProblem) else {"error": str(error)}
                print(json.dumps({"photo": name, **why}), flush=True)
            print(f"{name}: {error}", file=sys.stderr)
            worst = NO_ANSWER
            continue
        print(
            json.dumps({"photo": name, "prediction": found.to_dict()}) if options.json else _line(name, found),
            flush=True,
        )
        if found.decision not in (None, "pass"):
            worst = max(worst, NOT_PASSED)
    return worst


def _ask(client: Client, name: str, options: argparse.Namespace) -> Prediction:
    expected = options.expected
    if name.startswith("s3://"):
        return client.predict(s3_uri=name, version_id=options.version_id, expected_count=expected)
    if options.version_id is not None:
        raise UsageError("--version-id is the version of an object in S3; name the photo as s3://BUCKET/KEY")
    if "://" in name:
        return client.predict(image_url=name, expected_count=expected)
    photo = sys.stdin.buffer.read(BODY_LIMIT + 1) if name == "-" else Path(name)
    return client.predict(photo=photo, expected_count=expected)


def _line(name: str, found: Prediction) -> str:
    objects = "1 object" if found.count == 1 else f"{found.count} objects"
    line = f"{name}: {objects} (confidence {found.confidence:.2f})"
    if found.decision is None:
        return line
    return f"{line}, expected {found.expected_count} ({found.expected_probability:.2f}): {found.decision}"


if __name__ == "__main__":
    run()
