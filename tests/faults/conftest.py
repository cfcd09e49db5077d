"""The two forms of a fault test, and a way for each to print its figures."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import FIGURE
from tests.support.cancelling import pymongo_leaves_sockets


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this directory."""
    here = Path(__file__).parent
    for item in items:
        if item.path.parent == here:
            item.add_marker(pytest.mark.faults)
            item.add_marker(pymongo_leaves_sockets)


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """What pymongo leaves is collected here, and not by a later test."""
    yield
    gc.collect()


@pytest.fixture
def report(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], None]:
    """Print a figure: at once, or from a process of pytest-xdist, which cannot, in the end."""

    def print_it(figure: str) -> None:
        if hasattr(request.config, "workerinput"):
            request.node.user_properties.append((FIGURE, figure))
            return
        with capsys.disabled():
            print(f"\n  {figure}", end="", flush=True)

    return print_it
