"""The laptop: the whole platform in an emulated AWS account, with real jobs and a real model server."""

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from local.emulator.errors import EmulatorError
from local.errors import LocalError
from ops.errors import OpsError
from ops.parser import directory

if TYPE_CHECKING:
    from local.settings import RunSettings

BUILD = "build/run"


def _numbers() -> tuple[tuple[str, int | None, str], ...]:
    from local.settings import DEFAULTS  # read from cdk.json, which may be malformed

    return (
        ("image-size", DEFAULTS.image_size, "side of the photos that the network sees, in pixels"),
        ("epochs", DEFAULTS.epochs, "epochs of the final training"),
        ("members", DEFAULTS.members, "networks of the final training, which answer together"),
        ("baseline-epochs", None, "epochs of the baseline; without it a third of --epochs"),
        ("hpo-epochs", None, "epochs of each trial of the search; without it a quarter of --epochs"),
        ("hpo-jobs", DEFAULTS.hpo_jobs, "trials of the search"),
        ("hpo-parallelism", DEFAULTS.hpo_parallelism, "trials at the same time"),
        ("instances", DEFAULTS.instances, "processes of the final training (DDP)"),
        ("max-instances", 4, "most instances of any job that this machine starts"),
        ("sample-photos", DEFAULTS.sample_photos, "sample photos to generate without --data"),
        ("seed", DEFAULTS.seed, "seed of everything"),
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = root.add_subparsers(dest="command", required=True)
    for name, text, description in (
        ("run", "photos to a judged and served model", "Deploy the platform, run its pipeline on photos, ask the API."),
        ("up", "deploy and keep running", "Deploy the platform, keep it running, and say how to use it."),
    ):
        _add_options(
            commands.add_parser(
                name, help=text, description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
            )
        )
    down = commands.add_parser("down", help="end what `up` started", description="End what `up` started.")
    down.add_argument("--build", type=directory, default=BUILD, metavar="DIR", help="where `up` wrote everything")
    return root


def _add_options(command: argparse.ArgumentParser) -> None:
    from local.settings import DEFAULTS

    command.add_argument(
        "--data",
        type=directory,
        default="none",
        metavar="DIR",
        help="photos: bin-images/ + metadata/, or folders 1/ to 5/",
    )
    command.add_argument("--build", type=directory, default=BUILD, metavar="DIR", help="where everything is written")
    command.add_argument("--backbone", default=DEFAULTS.backbone, help="a torchvision classifier")
    command.add_argument("--weights", metavar="FILE", help="pretrained weights of the backbone (.pth, .safetensors)")
    command.add_argument("--groups", metavar="FILE", help="CSV with columns image_id, group and optionally source")
    command.add_argument("--list", metavar="FILE", help="JSON list of a subset: count to paths")
    for name, default, text in _numbers():
        command.add_argument(f"--{name}", type=int, default=default, metavar="N", help=text)
    command.add_argument("--port", type=int, metavar="N", help="port of the emulated account; without it any free one")
    command.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other pipeline parameter, for example GateAlpha=0.01; may be repeated",
    )


def settings_from(options: argparse.Namespace) -> "RunSettings":
    """Check the options; LocalError naming the one that cannot be used."""
    from local.settings import RunSettings

    pairs = [text.partition("=") for text in options.parameter]
    for name, equals, _ in pairs:
        if not equals:
            raise LocalError(f"--parameter {name}: write NAME=VALUE, for example GateAlpha=0.01")
    numbers = {name.replace("-", "_"): getattr(options, name.replace("-", "_")) for name, _, _ in _numbers()}
    return RunSettings(
        build=options.build.resolve(),
        data=None if str(options.data) == "none" else options.data,
        weights=Path(options.weights) if options.weights else None,
        groups=Path(options.groups) if options.groups else None,
        listing=Path(options.list) if options.list else None,
        backbone=options.backbone,
        port=options.port,
        parameters={name: value for name, _, value in pairs},
        **numbers,
    )


def main(argv: list[str] | None = None) -> int:
    """Parse, run, and return the exit code."""
    signal.signal(signal.SIGTERM, _interrupt)  # whatever ends this program, what it started ends with it
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        return _run(parser().parse_args(argv))
    except (LocalError, EmulatorError, OpsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped before the pipeline began", file=sys.stderr)
        return 130
    except OSError as error:  # a full or vanished disk, between steps: jobs report theirs as their failure reason
        print(
            f"error: {error.filename or 'the disk'}: {error.strerror}; free space there or choose another --build",
            file=sys.stderr,
        )
        return 1


def _run(options: argparse.Namespace) -> int:
    # boto3 takes a second to import: not for --help
    if options.command == "down":
        from local.up import down

        return down(options.build.resolve(), sys.stdout)
    settings = settings_from(options)
    if options.command == "up":
        from local.up import up

        return up(settings, sys.stdout)
    from local.run import run

    return run(settings, sys.stdout)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
