"""`python -m local.emulator --state build/run --image model_code`: an emulated AWS account until SIGTERM."""

import os
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from local.emulator.errors import EmulatorError
from local.emulator.process import MakeBackend, run


def parser() -> ArgumentParser:
    """The options of every emulator."""
    root = ArgumentParser(prog="python -m local.emulator", description=__doc__)
    root.add_argument("--port", type=int, default=0, metavar="N", help="port on loopback; without it any free one")
    root.add_argument("--state", type=Path, required=True, metavar="DIR", help="where everything is written")
    root.add_argument("--parent", type=int, metavar="PID", help="end when this process is gone")
    root.add_argument("--log-level", default="WARNING", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    return root


def serve(options: Namespace, make_backend: MakeBackend) -> None:
    """Serve, and end the process."""
    code = 0
    try:
        run(options.port, options.state.resolve(), make_backend, log_level=options.log_level, parent=options.parent)
    except EmulatorError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # at once: threads that wait for a function which was just killed would keep the process


def main() -> None:
    """The emulator with SageMaker behind it."""
    root = parser()
    root.add_argument(
        "--image", type=Path, required=True, metavar="DIR", help="folder of the package that containers run"
    )
    root.add_argument("--max-instances", type=int, default=4, metavar="N", help="most instances of a job")
    options = root.parse_args()
    from local.emulator.backend import make_sagemaker  # loading moto takes seconds: not for --help

    serve(options, make_sagemaker(options.state.resolve(), options.image.resolve(), options.max_instances))


if __name__ == "__main__":
    main()
