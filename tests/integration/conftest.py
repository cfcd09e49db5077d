"""Directories for embedded servers."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.embedded import stopped


@pytest.fixture
def root() -> Iterator[Path]:
    """A directory with a short path, below which no server is left running."""
    with tempfile.TemporaryDirectory(prefix="zs-") as name:
        yield Path(name)
        stopped(Path(name))


@pytest.fixture
def home(root: Path) -> Path:
    """Where an embedded server may live."""
    return root / "home"
