"""How a process begins and ends without looking for garbage where there is none.

Modules are imported to stay. The collector walks through what they bring again and again while it comes, and once more
at the end: with torch that is half of a start (docs/benchmarks.md).
"""

import atexit
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


@contextmanager
def lasting_imports() -> Iterator[None]:
    """Import in this context what the process needs to its end: the collector passes over it, now and later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        # A process that fails takes its modules apart: triton prints a page about those that the collector passes over.
        atexit.register(gc.unfreeze)


def leave(code: int) -> NoReturn:
    """End the process with `code`, once what was registered with `atexit` has run, and take no module apart before."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
