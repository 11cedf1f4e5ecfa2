"""What the images run: `python -m tally train|serve|preprocess|evaluate`.

`train` and `serve` are what SageMaker passes to an image; the others are entry points of processing jobs.
"""

import argparse
import sys
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tally.container import train, write_failure
from tally.errors import TallyError
from tally.paths import MlPaths
from tally.privileges import drop_privileges
from tally.process import lasting_imports, leave


def _train(argv: list[str], paths: MlPaths) -> int:
    if argv:
        raise TallyError(f"train takes no arguments but got {argv}; hyperparameters.json has its settings")
    return train(paths)


# Imported when asked for: serving must not wait for torch, nor preprocessing for scipy.
def _serve(argv: list[str], paths: MlPaths) -> int:
    if argv:
        raise TallyError(f"serve takes no arguments but got {argv}; environment variables have its settings")
    with lasting_imports(), ThreadPoolExecutor(1) as aside:
        from tally.predictor import Predictor

        loading = aside.submit(Predictor.load, paths.model)  # in most of its time it needs no lock of Python's
        from tally.server import serve
    serve(loading.result)
    return 0


def _preprocess(argv: list[str], paths: MlPaths) -> int:
    with lasting_imports():
        from tally.data.preprocess import main

    main(argv, paths)
    return 0


def _evaluate(argv: list[str], paths: MlPaths) -> int:
    with lasting_imports():
        from tally.evaluation import main

    main(argv, paths)
    return 0


def _writable(command: str, paths: MlPaths) -> tuple[Path, ...]:
    """What SageMaker mounts for a command to write; a serving container gets nothing of the kind."""
    if command == "train":
        return paths.model, paths.output_data.parent, paths.checkpoints
    if command == "serve":
        return ()
    return paths.processing_outputs, paths.exit_message.parent


_COMMANDS: dict[str, tuple[Callable[[list[str], MlPaths], int], str]] = {
    "train": (_train, "a training job: reads input/config and the channels, writes model/"),
    "serve": (_serve, "the model server: /ping and /invocations on port 8080"),
    "preprocess": (_preprocess, "a processing job: photos to shards"),
    "evaluate": (_evaluate, "a processing job: challenger against champion, and the gate's verdict"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; a failure is printed and left where SageMaker shows it."""
    commands = "\n".join(f"  {name:<12}{text}" for name, (_, text) in _COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="python -m tally",
        description=f"The entry point of Tally's containers.\n\ncommands:\n{commands}",
        epilog="The tree is /opt/ml, or $TALLY_ML_ROOT. Options of a command: python -m tally COMMAND --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=_COMMANDS, metavar="COMMAND")
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    paths = MlPaths.from_env()
    try:
        drop_privileges(_writable(arguments.command, paths))
        return _COMMANDS[arguments.command][0](arguments.rest, paths)
    except TallyError as error:
        reason = str(error)
    except Exception:  # a bug: its traceback is the reason that the job reports
        reason = traceback.format_exc()
    print(f"error: {reason}", file=sys.stderr, flush=True)
    try:
        write_failure(paths.failure if arguments.command == "train" else paths.exit_message, reason)
    except OSError as error:
        print(f"error: the reason could not be written for SageMaker: {error}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    leave(main())
