"""Calls that are cancelled, at every point at which they can be."""

import asyncio
import contextlib
import gc
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import HumanMessage
from pymongo import MongoClient

from langchain_zepstore import ZepClient
from tests.support.cancelling import (
    LOADS,
    cancelled_after_turns,
    cancelled_at_suspension,
)
from tests.support.embedded import until
from tests.support.facade import Facade
from tests.support.networks import (
    BEFORE,
    BRANCHING,
    DRIVERS,
    IDS,
    TIMEOUT,
    Network,
    Operation,
    network_to,
    with_ids,
    wrong_after_repeating,
)
from tests.support.proxy import LossyProxy

ASYNC_DRIVERS = [driver for driver, (asynchronous, _) in DRIVERS.items() if asynchronous]
DELAY = 0.005  # of every command: what is not waited for lands well after the cancellation
PAUSE = 0.02


async def say(zep: Facade, name: str) -> list[str]:
    await zep.chat_history(name).add(*(HumanMessage(each, id=each) for each in IDS))
    return IDS


OPERATIONS: dict[Operation, list[Operation]] = {say: [], **BEFORE, **BRANCHING}
Cancel = Callable[[int, Coroutine[Any, Any, Any]], Awaitable[bool]]


class Bench:
    """A client on a network that delays every command, and one beside it that sees what landed."""

    def __init__(self, network: Network, direct: ZepClient, raw: MongoClient[Any]) -> None:
        self.network = network
        self.direct = Facade(direct, asynchronous=False)
        self.raw = raw[network.database]

    def documents(self, name: str) -> list[Any]:
        names = {"$in": [name, f"another {name}"]}
        found = [*self.raw.sessions.find({"_id": names}, sort={"_id": 1})]
        return [*found, *self.raw.messages.find({"session_id": names}, sort={"_id": 1})]

    async def nothing_lands_any_more(self, zep: Facade, *names: str) -> None:
        landed = [self.documents(name) for name in names]
        await zep.memory.add_memory("other", with_ids("other"))
        await asyncio.sleep(PAUSE)
        assert [self.documents(name) for name in names] == landed

    async def try_points(
        self, zep: Facade, operation: Operation, cancel: Cancel, points: Iterable[int]
    ) -> int:
        """Cancel an operation at one point after the other, until it ends before; return how many.

        Each time nothing lands afterwards, and a repeat ends as if nothing had been cancelled.
        """
        for tried, point in enumerate(points):
            name = f"{operation.__name__} {uuid4()}"
            for prepare in OPERATIONS[operation]:
                await prepare(self.direct, name)
            if not await cancel(point, operation(zep, name)):
                return tried
            await self.nothing_lands_any_more(zep, name)
            assert await wrong_after_repeating(operation, zep, self.direct, name) == []
        raise AssertionError


@pytest.fixture
def quick_to_close(monkeypatch) -> None:
    """Let drivers look more often whether they have been closed."""
    monkeypatch.setattr("pymongo.network_layer._POLL_TIMEOUT", 0.02)


@pytest.fixture
def bench(mongo_url, quick_to_close) -> Iterator[Bench]:
    with (
        network_to(mongo_url) as network,
        network.direct() as direct,
        MongoClient(mongo_url) as raw,
    ):
        network.proxy.request_delay = DELAY
        yield Bench(network, direct, raw)


@pytest.fixture(autouse=True)
async def nothing_is_reported_as_lost() -> AsyncIterator[None]:
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    yield
    gc.collect()
    await asyncio.sleep(0)
    assert reported == []


@pytest.mark.parametrize("driver", ASYNC_DRIVERS)
async def test_a_retry_completes_a_call_cancelled_at_any_suspension(
    driver, bench, long, report
) -> None:
    tried = {}
    step = 1 if long else 6
    async with bench.network.zep(driver) as zep:
        for index, operation in enumerate(OPERATIONS, ASYNC_DRIVERS.index(driver)):
            # Every operation gets a point, however few suspensions it has.
            points = itertools.count(1 + index % min(3, step), step)
            tried[operation.__name__] = await bench.try_points(
                zep, operation, cancelled_at_suspension, points
            )
    report(f"{driver}: cancelled at so many suspensions: {tried}")
    assert sum(tried.values()) >= len(OPERATIONS)


# By turns of the event loop, idle and under load

# Threads that are busy as well let the loop turn often between two answers.
STEPS = {"nothing": 1, "tasks": 1, "processes": 5, "threads": 50}


@pytest.mark.parametrize("driver", ASYNC_DRIVERS)
async def test_a_retry_completes_a_call_cancelled_after_any_loop_iteration(
    driver, bench, long, report
) -> None:
    bench.network.proxy.request_delay = 0
    async with bench.network.zep(driver) as zep:
        for load, step in STEPS.items() if long else [("tasks", 13)]:

            async def cancel(turns: int, call: Any, load: str = load) -> bool:
                async with LOADS[load]():
                    return await cancelled_after_turns(turns, call)

            tried = {}
            for operation in OPERATIONS if long else [say]:
                points = itertools.count(0, step)
                tried[operation.__name__] = await bench.try_points(zep, operation, cancel, points)
            report(f"{driver}, busy with {load}: cancelled after so many turns: {tried}")


# The first call, which opens the connections and sees to the indexes


@pytest.mark.parametrize("driver", ASYNC_DRIVERS)
async def test_a_client_stays_usable_after_its_first_call_is_cancelled(
    driver, bench, long, report
) -> None:
    _, options = DRIVERS[driver]
    url, database = bench.network.proxy.url, bench.network.database
    for number in itertools.count(1, 1 if long else 3):
        name, another = f"first {number}", f"another first {number}"
        if long:
            bench.raw.client.drop_database(database)  # to make the indexes takes longer
        async with ZepClient(url, database=database, **options) as client:
            zep = Facade(client, asynchronous=True)
            spared = asyncio.create_task(say(zep, another))
            if not await cancelled_at_suspension(number, say(zep, name)):
                await spared
                break
            await spared
            await bench.nothing_lands_any_more(zep, name)
            for each in (name, another):
                assert await wrong_after_repeating(say, zep, bench.direct, each) == []
    assert number > 3
    report(
        f"{driver}: the first call of a client was cancelled at its suspensions up to {number - 1}"
    )


@pytest.mark.parametrize("driver", ASYNC_DRIVERS)
def test_a_loop_whose_first_call_is_cancelled_leaves_no_connection(
    driver, mongo_url, quick_to_close
) -> None:
    _, options = DRIVERS[driver]
    reported: list[Any] = []
    with network_to(mongo_url) as network:
        network.proxy.request_delay = DELAY

        async def give_up(seconds: float) -> None:
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda _, context: reported.append(context))
            zep = Facade(ZepClient(network.proxy.url, **options), asynchronous=True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(say(zep, "given up"), seconds)

        def has_no_connection() -> bool:
            gc.collect()  # pymongo leaves it a socket if it was cancelled while it connected
            return not network.proxy.links

        for hundredths in range(0, 15, 3):
            asyncio.run(give_up(hundredths / 100))
            until(has_no_connection)
    assert reported == []


# The ways in which programs cancel


@pytest.mark.parametrize("driver", ASYNC_DRIVERS)
async def test_a_timeout_around_a_call_leaves_nothing_behind(driver, bench, long) -> None:
    async with bench.network.zep(driver) as zep:
        for number, seconds in enumerate((0, 0.003, 0.008, 0.013)[:: 1 if long else 2]):
            name, another = f"timeout {number}", f"wait_for {number}"
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(seconds):
                    await say(zep, name)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(say(zep, another), seconds)
            await bench.nothing_lands_any_more(zep, name, another)
            for each in (name, another):
                assert await wrong_after_repeating(say, zep, bench.direct, each) == []


@pytest.mark.parametrize("driver", ASYNC_DRIVERS)
async def test_an_aborted_task_group_leaves_nothing_behind(driver, bench, long) -> None:
    async def grouped(zep: Facade, names: list[str], seconds: float) -> None:
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(say(zep, name))
            await asyncio.sleep(seconds)
            raise LookupError

    async with bench.network.zep(driver) as zep:
        for number, seconds in enumerate((0, 0.005, 0.01, 0.015)[:: 1 if long else 2]):
            names = [f"group {number} {member}" for member in range(5)]
            with pytest.raises(ExceptionGroup) as caught:
                await grouped(zep, names, seconds)
            assert [type(error) for error in caught.value.exceptions] == [LookupError]
            await bench.nothing_lands_any_more(zep, *names)
            for name in names:
                assert await wrong_after_repeating(say, zep, bench.direct, name) == []


async def test_a_call_cancelled_on_a_silent_network_ends_within_the_timeout(bench) -> None:
    async def cancelled(driver: str) -> None:
        with contextlib.closing(LossyProxy(bench.network.url)) as proxy:
            network = Network(bench.network.url, bench.network.database, proxy)
            async with network.zep(driver) as zep:
                proxy.silent = True
                begun = time.monotonic()
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(TIMEOUT / 4):
                        await say(zep, driver)
                assert time.monotonic() - begun < TIMEOUT + 30
                proxy.silent = False
                await bench.nothing_lands_any_more(zep, driver)
                assert await wrong_after_repeating(say, zep, bench.direct, driver) == []

    await asyncio.gather(*map(cancelled, ASYNC_DRIVERS))
