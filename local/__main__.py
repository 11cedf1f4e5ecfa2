"""The laptop: `python -m local run` executes the deployed pipeline's definition with emulated AWS and real jobs."""

import argparse
import sys
from pathlib import Path

from local.errors import LocalError
from local.settings import DEFAULTS, RunSettings

_NUMBERS: tuple[tuple[str, int | None, str], ...] = (
    ("image-size", DEFAULTS.image_size, "side of the photos that the network sees, in pixels"),
    ("epochs", DEFAULTS.epochs, "epochs of the final training"),
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
    run = commands.add_parser(
        "run",
        help="photos to a judged and served model",
        description="Run the pipeline on photos and ask the served model about one that it has not seen.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    run.add_argument(
        "--data", default="none", metavar="DIR", help="photos: bin-images/ + metadata/, or folders 1/ to 5/"
    )
    run.add_argument("--build", default="build/run", metavar="DIR", help="where everything is written")
    run.add_argument("--backbone", default=DEFAULTS.backbone, help="a torchvision classifier")
    run.add_argument("--weights", metavar="FILE", help="pretrained weights of the backbone (.pth, .safetensors)")
    run.add_argument("--groups", metavar="FILE", help="CSV with columns image_id, group and optionally source")
    run.add_argument("--list", metavar="FILE", help="JSON list of a subset: count to paths")
    for name, default, text in _NUMBERS:
        run.add_argument(f"--{name}", type=int, default=default, metavar="N", help=text)
    run.add_argument("--port", type=int, metavar="N", help="port of the model server; without it any free one")
    run.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other pipeline parameter, for example GateAlpha=0.01; may be repeated",
    )
    return root


def settings_from(options: argparse.Namespace) -> RunSettings:
    """Check the options; LocalError naming the one that cannot be used."""
    pairs = [text.partition("=") for text in options.parameter]
    for name, equals, _ in pairs:
        if not equals:
            raise LocalError(f"--parameter {name}: write NAME=VALUE, for example GateAlpha=0.01")
    numbers = {name.replace("-", "_"): getattr(options, name.replace("-", "_")) for name, _, _ in _NUMBERS}
    return RunSettings(
        build=Path(options.build).resolve(),
        data=None if options.data in ("", "none") else Path(options.data),
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
    options = parser().parse_args(argv)
    try:
        settings = settings_from(options)
        from local.run import run  # boto3 and moto take a second to import: not for --help

        return run(settings, sys.stdout)
    except LocalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped before the pipeline began", file=sys.stderr)
        return 130
    except OSError as error:  # a full or vanished disk, between steps: jobs report theirs as their failure reason
        place = error.filename or options.build
        print(f"error: {place}: {error.strerror}; free space there or choose another --build", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
