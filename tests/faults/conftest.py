"""The two forms of a fault test, and a way for each to print its figures."""

from collections.abc import Callable
from pathlib import Path

import pytest

LONG = "--long"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this directory."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.faults)


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Whether to take the time that the long form needs."""
    return bool(request.config.getoption(LONG))


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print a figure, also when pytest captures what tests print."""

    def print_it(figure: str) -> None:
        with capsys.disabled():
            print(f"\n  {figure}", end="", flush=True)

    return print_it
