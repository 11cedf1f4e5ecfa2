"""Print the pipeline definition, or check it: `python -m pipeline --help`."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import fields

from pipeline import build
from pipeline.settings import STRATEGIES, PipelineSettings, example_settings

_SWITCHES = ("gpu", "spot", "pretrained")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline",
        description="Print the SageMaker pipeline definition as JSON, built from settings of an example account.",
    )
    parser.add_argument("--validate", action="store_true", help="check the definition instead of printing it")
    group = parser.add_argument_group("settings", "each replaces one value of the example")
    for item in fields(PipelineSettings):
        option = f"--{item.name.replace('_', '-')}"
        if item.name in _SWITCHES:
            group.add_argument(option, action=argparse.BooleanOptionalAction, default=None)
        elif item.name in ("subnets", "security_group_ids"):
            group.add_argument(option, nargs="+", metavar="ID")
        elif item.name == "tuning_strategy":
            group.add_argument(option, choices=STRATEGIES)
        elif item.type in (str, str | None):
            group.add_argument(option, metavar="TEXT")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 when all is well, 1 when validation found problems, 2 for wrong options."""
    parser = _parser()
    options = vars(parser.parse_args(argv))
    check = options.pop("validate")
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
    try:
        settings = example_settings(**{name: value for name, value in given.items() if value is not None})
    except ValueError as error:
        parser.error(str(error))
    definition = build(settings)
    if not check:
        print(json.dumps(definition, indent=2, ensure_ascii=False))
        return 0
    from pipeline.validate import validate

    problems = validate(definition)
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(problems)} problems" if problems else "The definition is valid.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
