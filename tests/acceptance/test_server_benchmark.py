"""The benchmark of the server, run small: every figure is there, and every target is judged."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.test_peers import tables

pytestmark = pytest.mark.long("it loads a server for half a minute")

ROOT = Path(__file__).parents[2]

pytest.importorskip("fastapi")


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> str:
    output = tmp_path_factory.mktemp("benchmark") / "server.md"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.server", "--quick", "--output", str(output)],
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(output.read_text(encoding="utf-8"))
    return done.stdout


def test_a_turn_is_measured_on_client_and_server(printed: str) -> None:
    (_, _, (_, *figures)), _, _ = tables(printed)
    assert len(figures) == 3
    assert all(float(figure) > 0 for figure in figures)


def test_every_contender_is_loaded_with_reads_and_adds(printed: str) -> None:
    _, (header, _, *rows), _ = tables(printed)
    assert [row[0] for row in rows] == [
        "GET, one process",
        "GET, two processes",
        "GET, bare framework",
        "GET, direct",
        "POST, one process",
        "POST, two processes",
        "POST, direct",
    ]
    for name, *cells in rows:
        figures = [float(cell.replace(",", "")) for cell in cells if cell != "-"]
        everywhere = name.endswith(("one process", "bare framework"))
        assert len(figures) == (len(header) - 1 if everywhere else 3), name
        assert all(figure > 0 for figure in figures), name


def test_every_target_is_measured_and_judged(printed: str) -> None:
    *_, (header, _, *targets) = tables(printed)
    assert header == ["target", "limit", "measured", "met"]
    assert len(targets) == 4
    assert all(float(measured) > 0 for _, _, measured, _ in targets)
    assert {met for *_, met in targets} <= {"yes", "**no**"}
