"""`python -m local.emulator --port 4566 --state build/run/emulator`: an emulated AWS account until SIGTERM."""

import argparse
import os
import sys
from pathlib import Path

from local.emulator.backend import make_sagemaker
from local.emulator.errors import EmulatorError
from local.emulator.process import MakeBackend, run


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(prog="python -m local.emulator", description=__doc__)
    root.add_argument("--port", type=int, default=0, metavar="N", help="port on loopback; without it any free one")
    root.add_argument("--state", type=Path, required=True, metavar="DIR", help="where everything is written")
    root.add_argument("--log-level", default="WARNING", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    return root


def main(options: argparse.Namespace, make_backend: MakeBackend) -> int:
    """Serve, and return the exit code."""
    try:
        run(options.port, options.state.resolve(), make_backend, log_level=options.log_level)
    except EmulatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def leave(code: int) -> None:
    """End at once: threads that wait for a worker which was just killed must not keep the process."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    given = parser().parse_args()
    leave(main(given, make_sagemaker(given.state.resolve())))
