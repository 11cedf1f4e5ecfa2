"""Why a job failed, in the words SageMaker would use: what the container wrote, else the end of its log."""

from collections.abc import Mapping, Sequence

from local.jobs.tree import Tree
from local.processes import Process

_LONGEST = 1024  # characters that DescribeTrainingJob keeps of a FailureReason


def failure_reason(failed: Sequence[Process], trees: Mapping[str, Tree], message_file: str) -> str:
    """Join the reasons of the instances that failed first, each at most 1,024 characters (the end is kept)."""
    several = len(trees) > 1
    return "\n".join(_one(process, trees[process.name], message_file, several) for process in failed)


def _one(process: Process, tree: Tree, message_file: str, several: bool) -> str:
    where = f"{process.name}: " if several else ""
    said = tree.read_text(message_file)
    if said:
        return f"{where}AlgorithmError: {said[-_LONGEST:]} ({process.exit_text()})"
    tail = process.last_lines()[-_LONGEST:] or "it printed nothing"
    return f"{where}AlgorithmError: {process.exit_text()}; last lines:\n{tail}"
