"""What each verb of the command line does with its options: the library's functions, and their results in words."""

import argparse
import json
import shlex
import sys
from collections.abc import Callable
from typing import Any, TextIO

from ops import destroy as teardown
from ops import packages, predict, release, runs, show, watch
from ops.account import Account
from ops.cdk import Cdk, Listener, is_bootstrapped
from ops.environments import load, parse_overrides
from ops.errors import OpsError
from ops.permissions import execution_policy
from ops.status import status
from ops.upload import upload

Options = argparse.Namespace
Verb = Callable[[Options, TextIO], int]


def _account(options: Options) -> Account:
    """The environment's account. OpsError also when the credentials are of another account than cdk.json says."""
    account = Account(load(options.env, parse_overrides(options.overrides)))
    account.account_id  # noqa: B018  # asks who we are, before anything is read or changed
    return account


def _cdk(account: Account, options: Options, stream: TextIO, view: Listener | None = None) -> Cdk:
    verbose = getattr(options, "verbose", True)
    listen = (lambda line: print(line, file=stream, flush=True)) if verbose else view or show.DeploymentView(stream)
    return Cdk(account, overrides=parse_overrides(options.overrides), listen=listen)


def _bootstrap(options: Options, stream: TextIO) -> int:
    account = _account(options)
    _cdk(account, options, stream).bootstrap(execution_policies=options.execution_policy)
    print(f"account {account.account_id} is prepared in {account.region}", file=stream)
    return 0


def _policy(options: Options, stream: TextIO) -> int:
    print(json.dumps(execution_policy(_account(options)), indent=1), file=stream)
    return 0


def _deploy(options: Options, stream: TextIO) -> int:
    account = _account(options)
    if not is_bootstrapped(account):
        raise OpsError(
            f"account {account.account_id} has not been prepared for the CDK in {account.region}; once, by somebody "
            f"who may create roles: python -m ops bootstrap --env {options.env}"
        )
    print(f"deploying {options.env} to account {account.account_id}, {account.region}", file=stream)
    for stack, outputs in _cdk(account, options, stream).deploy().items():
        for name, value in outputs.items():
            if not name.startswith("ExportsOutput"):  # what one stack hands to another
                print(f"{stack}.{name} = {value}", file=stream)
    return 0


def _diff(options: Options, stream: TextIO) -> int:
    return int(_cdk(_account(options), options, stream, show.DifferenceView(stream)).diff())


def _destroy(options: Options, stream: TextIO) -> int:
    account = _account(options)
    print(f"environment {options.env}, account {account.account_id}, {account.region}", file=stream)
    plan = teardown.plan(account)
    print("\n".join(plan.lines()), file=stream, flush=True)
    if not plan.stacks:
        return 0
    if not options.yes:
        _confirm(options.env)
    left = teardown.destroy(account, _cdk(account, options, stream), lambda text: print(text, file=stream, flush=True))
    print("\n".join(["left:", *(f"  {text}" for text in left)]) if left else "nothing is left", file=stream)
    return 0


def _confirm(name: str) -> None:
    if not sys.stdin.isatty():
        raise OpsError(f"nobody can be asked whether {name} may be destroyed (stdin is no terminal); say --yes")
    if input(f"Type the environment's name, {name}, to destroy it: ").strip() != name:
        raise OpsError(f"{name} was not typed; nothing was destroyed")


def _upload(options: Options, stream: TextIO) -> int:
    account = _account(options)
    starts = not options.no_start
    known = {run.arn for run in runs.runs(account, 100)} if options.watch and starts else set()
    done = upload(
        account,
        options.directory,
        options.prefix,
        groups=options.groups,
        listing=options.list,
        delete=options.delete,
        start=starts,
        progress=_Counter(stream),
    )
    print(done, file=stream)
    if not starts:
        return 0
    if not options.watch:
        print(f"a run on it starts now: python -m ops watch --env {options.env}", file=stream)
        return 0
    return _follow(account, runs.wait_for_start(account, done.prefix, known), stream)


class _Counter:
    """Counts uploaded files in place on a terminal, and nowhere else."""

    def __init__(self, stream: TextIO):
        self._stream = stream if stream.isatty() else None

    def __call__(self, done: int, total: int) -> None:
        if self._stream and (done % 50 == 0 or done == total):
            print(f"\r{done} of {total} files", end="\n" if done == total else "", file=self._stream, flush=True)


def _start(options: Options, stream: TextIO) -> int:
    parameters = runs.parse_parameters(options.parameter)
    runs.check_parameters(parameters, load(options.env, parse_overrides(options.overrides)).training)
    account = _account(options)
    arn = runs.start(account, options.prefix, parameters, options.name)
    print(arn, file=stream, flush=True)
    return _follow(account, arn, stream) if options.watch else 0


def _runs(options: Options, stream: TextIO) -> int:
    show.console(stream).print(show.runs_table(runs.recent(_account(options), 10)))
    return 0


def _watch(options: Options, stream: TextIO) -> int:
    account = _account(options)
    return _follow(account, runs.resolve(account, options.run), stream)


def _follow(account: Account, arn: str, stream: TextIO) -> int:
    run = watch.watch(account, arn, stream)
    print(f"run {run.id}: {run.outcome}" + (f": {run.reason}" if run.reason else ""), file=stream)
    return watch.EXIT_CODES[run.outcome]


def _stop(options: Options, stream: TextIO) -> int:
    account = _account(options)
    arn = runs.resolve(account, options.run)
    runs.stop(account, arn)
    print(f"run {arn.rsplit('/', 1)[-1]} is stopping; its jobs take minutes to end", file=stream)
    return 0


def _packages(options: Options, stream: TextIO) -> int:
    show.console(stream).print(show.packages_table(packages.packages(_account(options))))
    return 0


def _approve(options: Options, stream: TextIO) -> int:
    return _release(_account(options), options.version, options, stream)


def _rollback(options: Options, stream: TextIO) -> int:
    account = _account(options)
    return _release(account, options.version or packages.previous(account).arn, options, stream)


def _release(account: Account, version: str, options: Options, stream: TextIO) -> int:
    done = release.release(
        account, version, lambda text: print(text, file=stream, flush=True), wait=not options.no_wait
    )
    if done.in_service:
        print(f"version {done.version} is in service: {done.description}", file=stream)
    return 0


def _predict(options: Options, stream: TextIO) -> int:
    account = _account(options)
    asked = {name: getattr(options, name) for name in ("s3_uri", "image_url", "photo", "version_id", "expected_count")}
    if options.show_key:
        print(_curl(account, asked), file=stream)
    print(json.dumps(predict.predict(account, **asked)), file=stream)
    return 0


def _curl(account: Account, asked: dict[str, Any]) -> str:
    """The request as a command, with the key. A signed one needs the credentials as well."""
    place = predict.api(account)
    signed = ["--aws-sigv4", f"aws:amz:{account.region}:execute-api", "--user", "KEY:SECRET"]
    opener = ["-H", f"x-api-key: {place.key}"] if place.key else signed
    given = {name: value for name, value in asked.items() if value is not None}
    if photo := given.pop("photo", None):
        query = f"?expected_count={given['expected_count']}" if "expected_count" in given else ""
        url = place.predictions + query
        body = ["-H", f"content-type: {predict.media_type(photo)}", "--data-binary", f"@{photo}"]
    else:
        url, body = place.predictions, ["-H", "content-type: application/json", "-d", json.dumps(given)]
    return shlex.join(["curl", url, *opener, *body])


def _status(options: Options, stream: TextIO) -> int:
    now = status(_account(options))
    show.print_status(now, stream)
    return 0 if now.healthy else 1


VERBS: dict[str, Verb] = {
    "bootstrap": _bootstrap,
    "policy": _policy,
    "deploy": _deploy,
    "diff": _diff,
    "destroy": _destroy,
    "upload": _upload,
    "start": _start,
    "runs": _runs,
    "watch": _watch,
    "stop": _stop,
    "packages": _packages,
    "approve": _approve,
    "rollback": _rollback,
    "predict": _predict,
    "status": _status,
}
