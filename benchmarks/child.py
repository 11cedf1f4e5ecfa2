"""A module of ours in a process of its own, which begins and ends quickly.

    PYTHONPATH=model_code python -m benchmarks.child MODULE WORDS...

A quick run starts some thirty of them, most with torch.
"""

import importlib
import sys

from tally.process import lasting_imports, leave

if __name__ == "__main__":
    with lasting_imports():
        module = importlib.import_module(sys.argv[1])
    del sys.argv[0]  # the module's own name comes first, as it would elsewhere
    leave(module.main())
