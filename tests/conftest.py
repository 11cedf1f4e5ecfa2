"""Order of the suite: files that take longest go first, so that no process works alone at the end."""

import pytest

LONGEST = ("test_training_jobs.py", "test_container.py", "test_security.py", "test_synth.py", "test_run.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))
