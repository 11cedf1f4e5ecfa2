"""Real photos and weights for development: beside the checkout here, absent for users."""

from pathlib import Path

import pytest

_SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared_dir(name: str) -> Path:
    """Return `../shared/<name>`; skip the calling test where it is missing."""
    path = _SHARED / name
    if not path.exists():
        pytest.skip(f"needs the development data ../shared/{name}, which is not part of the project")
    return path
