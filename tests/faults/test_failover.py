"""A replica set whose primary dies or leaves under load, again and again, below one client."""

import asyncio
import contextlib
import itertools
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
from pymongo import MongoClient

from langchain_zepstore import NotFoundError
from tests.faults.load import DRIVERS, Load, Turn, audited, zep_on
from tests.support.mongod import Mongod, ReplicaSet

THREADS = 4
TASKS = 32
ENDS = (signal.SIGKILL, signal.SIGTERM)
PAUSE = 0.1  # seconds that each rests between calls, in the short form
CALM = ("one", "two", "three")  # sessions that nobody deletes


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let the short form do with one driver."""
    if "driver" in metafunc.fixturenames:
        drivers = list(DRIVERS) if metafunc.config.getoption("--long") else ["sync"]
        metafunc.parametrize("driver", drivers)


@pytest.fixture
def members(tmp_path: Path) -> Iterator[ReplicaSet]:
    members = ReplicaSet(tmp_path)
    try:
        yield members.start()
    finally:
        members.stop()


class Bystanders:
    """Those who read, delete and undelete while others write.

    Args:
        pause: Seconds that they rest between their calls.

    Attributes:
        storms: The sessions that are deleted and undeleted under the writers.
        counts: How often what was done.
    """

    def __init__(self, pause: float) -> None:
        self._pause = pause
        self.storms: list[str] = []
        self.counts = Counter[str]()

    async def alone(self, load: Load) -> None:
        """Add, delete and undelete on sessions of one's own: what they show is known exactly."""
        for number in itertools.count():
            session_id = f"alone {number}"
            added: list[str] = []
            for index in range(10):
                if not load.going:
                    return
                turn = Turn("alone", session_id, (f"{number}.{index}?", f"{number}.{index}!"))
                await load.add(turn)
                added += turn.contents
                await self._ask(load, "delete_memory", session_id)
                assert await load.contents(session_id) == []
                await self._ask(load, "undelete_session", session_id)
                assert await load.contents(session_id) == added
                await asyncio.sleep(self._pause)

    async def storm(self, load: Load) -> None:
        """Delete and undelete sessions to which the writers add, one after the other."""
        for number in itertools.count():
            load.sessions[-1] = f"storm {number}"
            self.storms.append(load.sessions[-1])
            for name in ("delete_memory", "undelete_session") * 4:
                await asyncio.sleep(random.uniform(0, 3 * self._pause))
                if not load.going:
                    return
                with contextlib.suppress(NotFoundError):  # nothing there yet, or deleted anew
                    await self._ask(load, name, self.storms[-1])

    async def after(self, load: Load, session_id: str) -> None:
        """Check that what came through a storm can be deleted and undeleted like anything else."""
        with contextlib.suppress(NotFoundError):
            await self._ask(load, "undelete_session", session_id)
        before = await load.contents(session_id)
        if before:
            await self._ask(load, "delete_memory", session_id)
            assert await load.contents(session_id) == []
            await self._ask(load, "undelete_session", session_id)
            assert await load.contents(session_id) == before

    async def _ask(self, load: Load, name: str, session_id: str) -> None:
        method = getattr(load.zep.memory, name)
        await load.insist(lambda: method(session_id), done_before=NotFoundError)
        self.counts[name] += 1

    async def watch(self, load: Load) -> None:
        """Read what was acknowledged last, and what stands at the end of its session."""
        get_message, get_memory = load.zep.message.get_session_message, load.zep.memory.get_memory
        while load.going:
            await asyncio.sleep(self._pause)
            for turn in load.acknowledged[-1:]:
                if turn.session_id in CALM:
                    where, what = turn.session_id, turn.contents[1]
                    read = await load.insist(lambda w=where, m=what: get_message(w, m))
                    assert read.content == what
                    memory = await load.insist(lambda w=where: get_memory(w, 40))
                    in_order([message.content for message in memory.messages])
                    self.counts["reads"] += 2


def in_order(contents: list[str]) -> None:
    """Check that each writer's turns stand in the order in which they were added."""
    numbers: dict[str, list[str]] = {}
    for content in contents:
        writer, number = content.rstrip("?!").split(".")
        numbers.setdefault(writer, []).append(int(number))
    assert all(mine == sorted(mine) for mine in numbers.values()), contents
    assert len(set(contents)) == len(contents)


@contextlib.contextmanager
def lagging(members: ReplicaSet, primary: Mongod) -> Iterator[None]:
    """Let the secondaries fetch nothing: what only the primary holds is lost with it."""
    with contextlib.ExitStack() as stack:
        for member in members.members:
            if member is not primary:
                client = stack.enter_context(MongoClient(member.url))
                stop = partial(client.admin.command, "configureFailPoint", "stopReplProducer")
                stack.callback(stop, mode="off")
                stop(mode="alwaysOn")
        yield


async def ended_in_turns(load: Load, members: ReplicaSet, rounds: int) -> list[float]:
    """End the primary, by force and by request, and start it again, some times; return when."""
    moments = []
    for end in ENDS * rounds:
        await load.progress()
        await asyncio.sleep(random.uniform(0, 0.3))
        primary = await asyncio.to_thread(members.primary)
        async with AsyncExitStack() as stack:
            if end is signal.SIGKILL:
                stack.enter_context(lagging(members, primary))
                await asyncio.sleep(0.2)
            moments.append(time.monotonic())
            await asyncio.to_thread(primary.stop, end)
        await load.progress()  # the others carry on without it
        await asyncio.to_thread(primary.start)
        await asyncio.to_thread(members.wait_until_whole)
    await load.progress()
    return moments


def held(member: Mongod) -> dict[str, list[dict]]:
    """Return all that a member holds."""
    with MongoClient(member.url) as client:
        return {
            name: client.zepstore[name].find(sort={"_id": 1}).to_list()
            for name in ("sessions", "messages", "counters")
        }


async def test_a_failover_loses_duplicates_and_tears_nothing(driver, members, long, report):
    bystanders = Bystanders(pause=0.03 if long else PAUSE)
    async with zep_on(members.url, driver) as zep:
        writers = THREADS if driver == "sync" else TASKS
        load = Load(zep, driver, writers, [*CALM, "storm"], pause=0 if long else PAUSE)
        others = (bystanders.alone, bystanders.storm, bystanders.watch)
        async with load.running(*others):
            moments = await ended_in_turns(load, members, 5 if long else 1)
        audit = await audited(load, members.url, bystanders.storms)
        for session_id in bystanders.storms[-5:]:
            await bystanders.after(load, session_id)
    gaps = load.gaps(moments)
    by_end = " and ".join(
        f"{', '.join(f'{gap:.1f}' for gap in gaps[index :: len(ENDS)])} s after {end.name}"
        for index, end in enumerate(ENDS)
    )
    report(
        f"{driver}: {len(load.acknowledged)} turns acknowledged, "
        f"{len(load.failures)} calls failed, {len(load.repeated) // 2} turns repeated, "
        f"{dict(bystanders.counts)}, write gaps of {by_end}, "
        f"{len(audit.lost)} lost, {len(audit.doubled)} doubled"
    )
    assert audit.problems == {}
    members.wait_until_equal()
    first, *rest = map(held, members.members)
    assert len(first["messages"]) >= 2 * len(load.acknowledged)
    assert all(other == first for other in rest)
