"""The emulator uses private names of ministack and moto: any other version must be refused, not half-work."""

from importlib.metadata import PackageNotFoundError, version

from local.emulator.errors import EmulatorError

PINNED = {"ministack": "1.5.33", "moto": "5.2.5"}


def check() -> None:
    """EmulatorError when a package that `bridges` and `resources` reach into is missing or of another version."""
    for package, wanted in PINNED.items():
        try:
            found = version(package)
        except PackageNotFoundError:
            found = "not installed"
        if found != wanted:
            raise EmulatorError(
                f"{package} is {found}; local/emulator mends {wanted} by its private names and knows no other. "
                f"Install the pinned one: rm .venv/installed && make .venv/installed"
            )
