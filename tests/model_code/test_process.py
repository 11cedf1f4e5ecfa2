"""How processes begin and end."""

import subprocess
import sys
from pathlib import Path

PATH = {"PYTHONPATH": str(Path(__file__).resolve().parents[2] / "model_code")}


def ran(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], env=PATH, capture_output=True, text=True, check=False)


def test_what_is_imported_to_stay_is_never_looked_through_and_all_else_is() -> None:
    done = ran(
        "import gc\n"
        "from tally.process import lasting_imports\n"
        "with lasting_imports():\n"
        "    assert not gc.isenabled()\n"
        "    import decimal\n"
        "assert gc.isenabled() and gc.get_freeze_count()\n"
        "assert not any(each is decimal.Decimal for each in gc.get_objects())\n"
        "later = []\n"
        "assert any(each is later for each in gc.get_objects())\n"
    )
    assert done.returncode == 0, done.stderr


def test_an_import_that_fails_leaves_the_collector_at_work() -> None:
    done = ran(
        "import gc\n"
        "from tally.process import lasting_imports\n"
        "try:\n"
        "    with lasting_imports():\n"
        "        import nothing_of_this_name\n"
        "except ImportError:\n"
        "    assert gc.isenabled()\n"
    )
    assert done.returncode == 0, done.stderr


def test_a_process_that_fails_is_taken_apart_whole() -> None:
    done = ran(
        "import atexit, gc\n"
        "atexit.register(lambda: print(gc.get_freeze_count()))\n"
        "from tally.process import lasting_imports\n"
        "with lasting_imports():\n"
        "    import decimal\n"
        "assert gc.get_freeze_count()\n"
        "raise SystemExit('the reason')\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "0\n", "the reason\n")


def test_leaving_flushes_runs_what_waits_for_the_end_and_nothing_more() -> None:
    done = ran(
        "import atexit, sys\n"
        "from tally.process import leave\n"
        "class Kept:\n"
        "    def __del__(self): print('taken apart')\n"
        "kept = Kept()\n"
        "atexit.register(lambda: print('at exit'))\n"
        "print('said', end=' ')\n"
        "print('complained', end='', file=sys.stderr)\n"
        "leave(7)\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, "said at exit\n", "complained")
