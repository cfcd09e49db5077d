"""A mongod that is killed under load, again and again, below one and the same client."""

import asyncio
import random
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from langchain_zepstore.embedded.server import EmbeddedServer
from tests.faults.load import TIMEOUT, Audit, Load, audited, zep_on
from tests.support import embedded
from tests.support.mongod import Mongod, lasting_port

# Threads, and tasks: so few that a call takes its second only where the server is away.
WRITERS = {"sync": 2, "motor": 8, "pymongo-async": 8}
PAUSE = 0.02  # seconds between a writer's turns, in the short form
WITH_IDS = [(driver, True) for driver in WRITERS]
WITHOUT_IDS = [(driver, False) for driver in WRITERS]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """In the long form let each kind of writers work alone, in the short one three at once."""
    if "kinds" in metafunc.fixturenames:
        if metafunc.config.getoption("--long"):
            groups = [[kind] for kind in WITH_IDS + WITHOUT_IDS]
        else:
            groups = [[WITH_IDS[0], WITH_IDS[1], WITHOUT_IDS[2]]]
        metafunc.parametrize("kinds", groups, ids=lambda group: ", ".join(map(named, group)))


def named(kind: tuple[str, bool]) -> str:
    driver, ids = kind
    return f"{driver} {'with' if ids else 'without'} ids"


@pytest.fixture
def mongod(tmp_path: Path) -> Iterator[Mongod]:
    mongod = Mongod(tmp_path, port=lasting_port()).start()
    yield mongod
    mongod.stop(signal.SIGKILL)


@pytest.fixture
def home() -> Iterator[Path]:
    """Where an embedded server may live: short enough for its socket."""
    with tempfile.TemporaryDirectory(prefix="zs-") as name:
        yield Path(name, "home")
        embedded.stopped(Path(name))


async def killed_and_started(loads: list[Load], mongod: Mongod, kills: int) -> list[float]:
    """Kill a server under loads and start it again, some times; return when."""
    moments = []
    for number in range(kills):
        await asyncio.gather(*(load.progress() for load in loads))
        await asyncio.sleep(random.uniform(0, 0.2))
        moments.append(time.monotonic())
        await asyncio.to_thread(mongod.stop, signal.SIGKILL)
        # At once, so late that calls have failed meanwhile, or in between.
        await asyncio.sleep((0, 1.2 * TIMEOUT, random.uniform(0, TIMEOUT))[number % 3])
        await asyncio.to_thread(mongod.start)
    await asyncio.gather(*(load.progress() for load in loads))
    return moments


def described(load: Load, kills: list[float], audit: Audit) -> str:
    gaps = load.gaps(kills)
    return (
        f"{load.name}: {len(kills)} kills, {len(load.acknowledged)} turns acknowledged, "
        f"{len(load.failures)} calls failed, {len(load.repeated) // 2} turns repeated, "
        f"longest gap {max(gaps):.1f} s (median {statistics.median(gaps):.1f} s), "
        f"{len(audit.lost)} lost, {len(audit.doubled)} doubled"
    )


async def test_a_killed_server_loses_duplicates_and_tears_nothing(kinds, mongod, long, report):
    async with AsyncExitStack() as stack:
        loads = []
        for driver, ids in kinds:
            zep = await stack.enter_async_context(zep_on(mongod.url, driver))
            sessions = ["one", "two", "three"]
            name, pause = named((driver, ids)), 0 if long else PAUSE
            loads.append(Load(zep, name, WRITERS[driver], sessions, ids=ids, pause=pause))
        async with AsyncExitStack() as working:
            for load in loads:
                await working.enter_async_context(load.running())
            kills = await killed_and_started(loads, mongod, 20 if long else 3)
        audits = [await audited(load, mongod.url) for load in loads]
    for load, audit in zip(loads, audits, strict=True):
        failed, landed = len(load.abandoned), len(audit.landed)
        tail = f"; of {failed} turns that failed {landed} are there, whole" if failed else ""
        report(described(load, kills, audit) + tail)
    assert [audit.problems for audit in audits] == [{}] * len(loads)


async def test_a_killed_embedded_server_loses_and_duplicates_nothing(home, long, report):
    async with zep_on(f"embedded://{home}", "sync") as zep:
        pause = 0 if long else PAUSE
        load = Load(zep, "embedded", WRITERS["sync"], ["one", "two", "three"], pause=pause)
        kills = []
        async with load.running():
            for _ in range(20 if long else 2):
                await load.progress()
                process = await asyncio.to_thread(embedded.mongod, home)
                kills.append(time.monotonic())
                process.kill()
                await asyncio.to_thread(embedded.until, lambda p=process: not embedded.alive(p))
            await load.progress()
        server = EmbeddedServer(home)
        audit = await audited(load, server.open())
        server.close()
    report(described(load, kills, audit))
    assert audit.problems == {}
