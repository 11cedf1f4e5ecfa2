"""An environment for each peer, made once from its pinned requirements."""

import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.errors import BenchError

REQUIREMENTS = Path(__file__).with_name("requirements")


def environment(name: str, folder: Path) -> Path:
    """The interpreter of `folder`/`name` with what `requirements/<name>.txt` lists, installed if that has changed.

    BenchError with what the installer said: a peer that cannot be installed is reported and the others go on.
    """
    wanted, target = REQUIREMENTS / f"{name}.txt", folder / name
    python, mark = target / "bin" / "python", target / "installed.txt"
    if mark.exists() and mark.read_bytes() == wanted.read_bytes():
        return python
    shutil.rmtree(target, ignore_errors=True)
    uv = Path(sys.executable).with_name("uv")
    make = (sys.executable, "-m", "venv", "--without-pip", target)
    install = (uv, "pip", "install", "--quiet", "--python", python, "--requirements", wanted, "--compile-bytecode")
    for words in (make, install):
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchError(f"the environment of {name} cannot be made: {done.stderr.strip()[-800:]}")
    shutil.copyfile(wanted, mark)
    return python
