"""The command line of `python -m ops`: verbs and their options, nothing that takes time to import."""

import argparse
from pathlib import Path

_MORE = "More: docs/deploy.md, docs/operations.md. AWS_PROFILE, AWS_REGION and AWS_ENDPOINT_URL are honoured."


def parser() -> argparse.ArgumentParser:
    """Every verb with its options."""
    root = argparse.ArgumentParser(prog="python -m ops", description="Operate an environment of Tally.", epilog=_MORE)
    verbs = root.add_subparsers(dest="verb", required=True, metavar="VERB")
    for add in (_deployment, _runs, _models, _everything):
        add(verbs)
    return root


def directory(text: str) -> Path:
    """A directory as typed. An empty one, as of a shell's variable that is not set, would be the current directory."""
    if not text:
        raise argparse.ArgumentTypeError("is empty; give a directory")
    return Path(text)


def _verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", epilog=_MORE)
    verb.add_argument("--env", required=True, metavar="NAME", help="environment of cdk.json: dev, prod or laptop")
    verb.add_argument(
        "--overrides", metavar="JSON", help="settings over those of cdk.json, in the shape of an environment"
    )
    return verb


def _deployment(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    bootstrap = _verb(verbs, "bootstrap", "prepare the account and region for the CDK, once")
    bootstrap.add_argument(
        "--execution-policy",
        action="append",
        default=[],
        metavar="ARN",
        help="policy of what CloudFormation may do; may be repeated; without it, AdministratorAccess",
    )
    _verb(verbs, "policy", "print the IAM policy to bootstrap with, narrower than AdministratorAccess")
    deploy = _verb(verbs, "deploy", "create or update all stacks; never changes which model is in service")
    for verb in (deploy, _verb(verbs, "diff", "show what deploy would change; exit code 1 when something differs")):
        verb.add_argument("--verbose", action="store_true", help="show every line that the CDK prints")
    destroy = _verb(verbs, "destroy", "delete the environment, after saying what is lost and asking")
    destroy.add_argument("--yes", action="store_true", help="do not ask")
    destroy.add_argument("--verbose", action="store_true", help="show every line that the CDK prints")


def _runs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    upload = _verb(verbs, "upload", "bring photos into the raw bucket, only new and changed ones, and start a run")
    upload.add_argument("directory", type=directory, metavar="DIR", help="bin-images/ + metadata/, or folders 1/ to 5/")
    upload.add_argument("prefix", nargs="?", default="photos", metavar="PREFIX", help="where to; photos by default")
    upload.add_argument("--groups", type=Path, metavar="FILE", help="CSV with columns image_id, group")
    upload.add_argument("--list", type=Path, metavar="FILE", help="JSON list of a subset: count to paths")
    upload.add_argument("--delete", action="store_true", help="delete objects whose file is gone")
    upload.add_argument("--no-start", action="store_true", help="do not put _SUCCESS, which starts a run")
    start = _verb(verbs, "start", "start a run on a prefix of the raw bucket")
    start.add_argument("prefix", metavar="PREFIX", help="for example photos")
    start.add_argument(
        "--parameter", action="append", default=[], metavar="NAME=VALUE", help="pipeline parameter; may be repeated"
    )
    start.add_argument("--name", metavar="TEXT", help="display name of the run")
    for verb in (upload, start):
        verb.add_argument("--watch", action="store_true", help="follow the run to its end")
    _verb(verbs, "runs", "list the newest runs")
    for name, text in (
        ("watch", "follow a run; exit code 0 when it succeeded or the gate refused, 1 failed, 130 stopped"),
        ("stop", "stop a run"),
    ):
        verb = _verb(verbs, name, text)
        verb.add_argument("run", nargs="?", metavar="RUN", help="id, ARN or name; without it the newest")


def _models(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    _verb(verbs, "packages", "list model packages: verdict, approval, which one is in service")
    approve = _verb(verbs, "approve", "put a version of the model into service, and watch it")
    approve.add_argument("version", metavar="VERSION", help="number of the model package")
    rollback = _verb(verbs, "rollback", "go back to an older version of the model, and watch it")
    rollback.add_argument(
        "version", nargs="?", metavar="VERSION", help="number; without it the one that the current model replaced"
    )
    for verb in (approve, rollback):
        verb.add_argument("--no-wait", action="store_true", help="return as soon as the release is on its way")
    predict = _verb(verbs, "predict", "ask the API to count the objects in a photo")
    photo = predict.add_mutually_exclusive_group(required=True)
    photo.add_argument("--s3-uri", metavar="URI", help="a photo in a place in S3 that the settings allow")
    photo.add_argument("--image-url", metavar="URL", help="a photo at a public address")
    photo.add_argument("--photo", type=Path, metavar="FILE", help="a photo on this machine, at most 4 MiB")
    predict.add_argument("--version-id", metavar="ID", help="version of the object in S3")
    predict.add_argument(
        "--expected-count", type=int, metavar="N", help="objects that it should show: asks for a decision"
    )
    predict.add_argument(
        "--show-key", action="store_true", help="print the API's address and key as a curl command too"
    )


def _everything(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    _verb(
        verbs, "status", "show stacks, endpoint, model in service, runs and alarms; exit code 1 when something is wrong"
    )
