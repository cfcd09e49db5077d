"""A process that runs for long needs no more memory, connections and threads than at first."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults import flat_memory as mass
from tests.support.mongod import Mongod

MASS = Path(mass.__file__).resolve()
MEGABYTE = 1024 * 1024
CLIENTS = 6  # one per driver, and what the histories share: one client, and one more per loop
MONITORS = 2
METER = 2
OWN_FILES = 12
MOTOR_THREADS = 10
Sample = dict[str, int]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A mongod that nobody else talks to, and that need not wait for its disk here."""
    mongod = Mongod(tmp_path_factory.mktemp("flatness")).start()
    # No call may fail because the machine is busy.
    patience = "serverSelectionTimeoutMS=120000&socketTimeoutMS=120000&waitQueueTimeoutMS=120000"
    yield f"{mongod.url.replace('/?', '/flatness?')}&journal=false&{patience}"
    mongod.stop(signal.SIGKILL)


def measured(url: str, what: str, total: int, samples: int) -> list[Sample]:
    """Let a process do so much, and return what it measured on the way."""
    ended = subprocess.run(
        [
            *(sys.executable, "-W", "error", "-m", "tests.faults.flat_memory"),
            *(url, what, str(total), str(samples)),
        ],
        cwd=MASS.parents[2],
        env={**os.environ, "MOTOR_MAX_WORKERS": str(MOTOR_THREADS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    return [json.loads(line) for line in ended.stdout.splitlines()]


def described(sample: Sample) -> str:
    return (
        f"{sample['done']:,} done: {sample['rss'] / MEGABYTE:.1f} MB, "
        f"{sample['objects']:,} objects, {sample['connections']} connections, "
        f"{sample['threads']} threads, {sample['files']} files"
    )


def growth(samples: list[Sample], name: str) -> int:
    """How much more it is at the end than after the first tenth."""
    return samples[-1][name] - samples[len(samples) // 10][name]


def test_many_operations_leave_nothing_behind(
    url: str, long: bool, report: Callable[[str], None]
) -> None:
    total, number = (500_000, 50) if long else (1000, 5)
    samples = measured(url, "operations", total, number)
    for sample in samples[:: max(number // 10, 1)]:
        report(described(sample))
    report(
        f"memory grew by {growth(samples, 'rss') / growth(samples, 'done'):.1f} bytes per operation"
    )
    assert samples[-1]["done"] >= total
    warm = samples if long else samples[1:]
    assert growth(warm, "rss") < (10 if long else 4) * MEGABYTE
    assert growth(warm, "objects") < 1000
    most = CLIENTS * (mass.WORKERS + MONITORS) + METER
    for sample in samples:
        assert sample["connections"] <= most
        assert sample["sockets"] <= most
        assert sample["files"] <= most + OWN_FILES
        assert sample["threads"] <= most


def test_many_event_loops_leave_nothing_behind(
    url: str, long: bool, report: Callable[[str], None]
) -> None:
    total, number = (1000, 20) if long else (24, 4)
    samples = measured(url, "loops", total, number)
    for sample in samples[:: max(number // 10, 1)]:
        report(described(sample))
    assert samples[-1]["done"] == total
    # The first ones warm up the allocator, by up to 5 MB; a leak would go on.
    assert growth(samples[1:], "rss") < (8 if long else 4) * MEGABYTE
    assert growth(samples, "objects") < 1000
    assert growth(samples, "threads") <= MOTOR_THREADS
    for sample in samples:
        assert sample["connections"] == sample["sockets"] == METER
        assert sample["files"] <= OWN_FILES
