"""`python -m ops VERB --env NAME`: runs one verb and returns its exit code."""

import sys

from ops.errors import OpsError, explained
from ops.parser import parser


def main(argv: list[str] | None = None) -> int:
    """Parse, run, and return the exit code: 0 done, 1 failed, 130 stopped."""
    options = parser().parse_args(argv)
    try:
        from ops.verbs import VERBS  # boto3 takes a second to import: not for --help

        return VERBS[options.verb](options, sys.stdout)
    except OpsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; what was begun in the account goes on", file=sys.stderr)
        return 130
    except Exception as error:
        known = explained(error)
        if known is None:
            raise
        print(f"error: {known}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
