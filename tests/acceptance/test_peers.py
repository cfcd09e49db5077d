"""The benchmark beside the peers, run small: it compares those that are there, and judges."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.long("it starts every store of the comparison, for a minute")

ROOT = Path(__file__).parents[2]
OURS, FLOOR = "zepstore", "floor"


@pytest.fixture(scope="module")
def output() -> str:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.peers", "--quick", "--same-only"],
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def tables(markdown: str) -> list[list[list[str]]]:
    """The rows of every table, each the cells."""
    found: list[list[list[str]]] = [[]]
    for line in markdown.splitlines():
        if line.startswith("|"):
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def test_every_figure_is_printed_for_the_package_and_the_floor(output: str) -> None:
    compared = [table for table in tables(output) if {OURS, FLOOR} <= set(table[0])]
    assert len(compared) == 6  # turns and works, crowds, memory; alone and as a replica set
    for header, _, *rows in compared:
        assert rows
        for name, *cells in rows:
            figures = dict(zip(header[1:], cells, strict=True))
            for contender in (OURS, FLOOR):
                figure = float(figures[contender].replace(",", ""))
                assert figure > 0 or (name.startswith("MB") and figure == 0), (name, contender)


def test_every_target_is_measured_and_judged(output: str) -> None:
    *_, targets = tables(output)
    assert targets[0] == ["target", "limit", "measured", "met"]
    assert len(targets) > 20
    assert {row[3] for row in targets[2:]} <= {"yes", "**no**"}


def test_a_missing_peer_is_named_with_its_pip_command(output: str) -> None:
    for module, name in (("langchain_mongodb", "langchain-mongodb"), ("redis", "redis")):
        if find_spec(module) is None:
            assert f"skipped: {name}" in output or f"{name} (pip install" in output
        else:
            assert f"(pip install {name})" not in output
