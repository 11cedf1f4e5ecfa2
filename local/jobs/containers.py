"""Which command stands for which container image."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from local.jobs.tree import Tree
from local.processes import MARK

_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")


@dataclass(frozen=True)
class Containers:
    """Image name -> command line of its ENTRYPOINT; `default` for images that `commands` does not name.

    Jobs see a clean environment, as in a container without network: no AWS credentials, no endpoint addresses.
    """

    python_path: Path | None = None
    default: tuple[str, ...] = (sys.executable, "-m", "tally")
    commands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def entrypoint(self, image: str) -> list[str]:
        """The image's own ENTRYPOINT."""
        return list(self.commands.get(image, self.default))

    def command(self, image: str, entrypoint: Sequence[str], arguments: Sequence[str]) -> list[str]:
        """What a processing job runs: its own entry point when it names one; `python` is this interpreter."""
        if not entrypoint:
            return [*self.entrypoint(image), *arguments]
        first = sys.executable if entrypoint[0] in ("python", "python3") else entrypoint[0]
        return [first, *entrypoint[1:], *arguments]

    def variables(self, tree: Tree, threads: int, requested: Mapping[str, str]) -> dict[str, str]:
        """The environment of one instance; what the request asks for wins over defaults, never over the tree."""
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        own = {"OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"}
        if self.python_path is not None:
            own["PYTHONPATH"] = str(self.python_path)
        return {**inherited, **own, **self.environment, **requested, MARK: str(tree.root)}
