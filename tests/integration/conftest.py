"""Variants that take turns, and directories for embedded servers."""

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest

from tests.support.embedded import stopped


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of variants that take turns keep one, which the test's name decides.

    All run with ``--long``, with ``-k`` and when a test's id is given.
    """
    if config.getoption("long") or config.getoption("keyword") or "[" in "".join(config.args):
        return
    groups: dict[object, list[pytest.Item]] = defaultdict(list)
    for item in items:
        turns = {name for marker in item.iter_markers("turns") for name in marker.args}
        if turns and isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            params = item.callspec.params.items()
            others = tuple((name, id(value)) for name, value in params if name not in turns)
            groups[item.nodeid.partition("[")[0], others].append(item)
    left_out = set()
    for group in groups.values():
        del group[crc32(group[0].nodeid.encode()) % len(group)]
        left_out.update(group)
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=list(left_out))


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
