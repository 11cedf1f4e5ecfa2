from typing import Any

import pytest

from pipeline import build
from pipeline.settings import example_settings


@pytest.fixture(scope="session")
def definition() -> dict[str, Any]:
    """The definition for the example settings; loading the SDK takes seconds, so once."""
    return build(example_settings())
