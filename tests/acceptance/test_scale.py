"""The benchmark of scale, run small: it fills, measures, deletes and purges, and says so."""

import os
import re
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pymongo import MongoClient

from benchmarks.scale.plan import Plan

ROOT = Path(__file__).parents[2]


def run(*options: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.scale", *map(str, options)],
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )


def rows(markdown: str) -> dict[str, list[str]]:
    """The cells of every row, by its name."""
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in markdown.splitlines()
        if line.startswith("| ")
    ]
    return {name: values for name, *values in cells}


def number(cell: str) -> float:
    found = re.match(r"[\d,.]+", cell)
    assert found, cell
    return float(found.group().replace(",", ""))


@pytest.mark.long("it waits for MongoDB's purge")
def test_the_benchmark_runs_on_its_own_server_and_leaves_nothing_behind(tmp_path: Path) -> None:
    data, output = tmp_path / "data", tmp_path / "scale.md"
    data.mkdir()
    options = ("--sessions", "1500", "--rounds", "5", "--cache-gb", "0.5")
    done = run(*options, "--directory", data, "--output", output)
    assert done.returncode == 0, done.stderr
    assert output.read_text(encoding="utf-8") == done.stdout
    assert not list(data.iterdir())
    assert "a cache of 0.5 GB" in done.stdout
    assert "documents, filled and made by calls, compared: the same" in done.stdout
    assert "filled sessions read by the client: as planned" in done.stdout
    measured = rows(done.stdout)
    assert len(measured) > 60
    assert measured.pop("sessions") == ["1,000", "1,500"]
    for name, cells in measured.items():
        assert len(cells) == 2, name
        assert all(cell == "-" or number(cell) >= 0 for cell in cells), name
    assert "TTL purge of these: a turn before" in measured
    assert number(measured["users"][1]) == 150
    assert 7_000 < number(measured["messages"][1]) < 10_000
    assert number(measured["messages: index by_uuid"][1]) > 0
    assert re.findall("SORT|COLLSCAN", done.stdout) == []


@pytest.mark.long("it fills a store; the tests of its plan are quick")
def test_the_benchmark_leaves_nothing_on_a_given_server(mongo_url: str) -> None:
    def left(client: MongoClient) -> list[str]:
        return [name for name in client.list_database_names() if name.startswith("scale_")]

    with MongoClient(mongo_url) as client:
        before = left(client)
        done = run(
            "--sessions", "100", "--rounds", "5", "--messages-per-session", "2", "--url", mongo_url
        )
        assert left(client) == before
    assert done.returncode == 0, done.stderr
    assert "TTL" not in done.stdout
    assert "purge() of what was deleted just now: documents" in rows(done.stdout)


def test_a_plan_has_many_short_and_few_long_sessions() -> None:
    plan = Plan(sessions=20_000, mean=5, users=2_000, seed=0, end=datetime.now(UTC))
    assert sum(plan.lengths) == pytest.approx(100_000, abs=2)
    assert sorted(plan.lengths)[10_000] < 4
    assert max(plan.lengths) > 100
    owners = Counter(plan.session(number).user_id for number in range(20_000))
    assert owners["user-0"] == 200
    assert len(owners) > 1_000


def test_a_plan_is_deterministic_for_a_seed() -> None:
    def first(seed: int) -> list:
        plan = Plan(sessions=50, mean=5, users=5, seed=seed, end=datetime(2026, 1, 1, tzinfo=UTC))
        return [plan.conversation(number) for number in range(50)]

    assert first(1) == first(1)
    assert first(1) != first(2)
