"""What all tests share: their order, how many run at once, which are slow, and one emulated AWS for tests of parts."""

import atexit
import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# What is imported for the tests stays: until all are found there is no garbage, and looking for it took as long as the
# rest.
gc.disable()

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before torch is imported. Workers are as many as CPUs; threads of several of them wait for each other at every
    # step, which made tests of small tensors ten times slower.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Files that take longest go first, so that no process works alone at the end.
LONGEST = ("test_training_jobs.py", "test_security.py", "test_evaluation.py", "test_preprocess.py")

# What tests the measurements, which users of the platform do not need: `make e2e` runs it.
TESTS = Path(__file__).parent
MEASUREMENTS = (TESTS / "benchmarks", TESTS / "test_benchmarks.py", TESTS / "test_experiments.py")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are CPUs: many tests wait for processes and sockets."""
    return len(os.sched_getaffinity(0)) + 1


@pytest.hookimpl(tryfirst=True)  # before pytest looks which marks are asked for
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if any(item.path.is_relative_to(place) for place in MEASUREMENTS):
            item.add_marker(pytest.mark.e2e)
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    gc.freeze()
    gc.enable()
    # Some libraries print what they think has leaked. Before that pytest looks for garbage twice, a second each.
    atexit.register(gc.unfreeze)


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """Address of a moto server that lasts as long as the tests; whoever wants it empty resets it."""
    from moto.server import ThreadedMotoServer  # takes a second to import

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()
