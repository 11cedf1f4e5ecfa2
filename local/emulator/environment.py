"""Environment variables that point AWS SDKs and the CLIs at the emulator, and nowhere else.

A person's own AWS settings must never be mixed in: a profile or a service's own endpoint in the environment would send
a part of the calls to a real account.
"""

import os
from collections.abc import Mapping

ACCOUNT = "123456789012"
REGION = "eu-west-1"
HOST = "127.0.0.1"

_KEPT = ("AWS_LC_", "AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE")  # settings of libraries, not of an account


def endpoint_url(port: int) -> str:
    """The emulator's address. By name: the SDKs read an account id or a bucket out of an address of digits."""
    return f"http://localhost:{port}"


def variables(port: int) -> dict[str, str]:
    """What to add to an environment so that every SDK and CLI in it talks to the emulator on `port`."""
    return {
        "AWS_ENDPOINT_URL": endpoint_url(port),
        "AWS_ACCESS_KEY_ID": ACCOUNT,  # ministack takes twelve digits for the account that calls
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "CDK_DISABLE_VERSION_CHECK": "1",
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        "NO_PROXY": "localhost,127.0.0.1",
        "no_proxy": "localhost,127.0.0.1",
    }


def for_children(port: int, inherited: Mapping[str, str] | None = None) -> dict[str, str]:
    """A whole environment for a process: `inherited` (this process's by default) without its AWS settings, and
    `variables`."""
    given = os.environ if inherited is None else inherited
    kept = {name: value for name, value in given.items() if not name.startswith("AWS_") or name.startswith(_KEPT)}
    return {**kept, **variables(port)}


def without_account() -> dict[str, str]:
    """`for_children` for what needs no account: no address, no credentials, and nothing of a person's."""
    account = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    return {name: value for name, value in for_children(0).items() if name not in account}
