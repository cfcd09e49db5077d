"""Networks that are slow, swallow everything, or refuse."""

import asyncio
import itertools
import time
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tests.support.embedded import until
from tests.support.facade import Facade
from tests.support.networks import (
    BEFORE,
    DRIVERS,
    IDS,
    TIMEOUT,
    Network,
    add,
    at_once,
    delete,
    purge,
    seen,
    timed,
    undelete,
    until_done,
    with_ids,
    wrong_after_repeating,
)

HURRY = 1.5  # a shorter timeout, where it takes several
MARGIN = 30  # the cores are shared with others
EVERY_DRIVER = [(driver,) for driver in DRIVERS]


async def gives_up_in_time(call: Awaitable[Any], limit: float = TIMEOUT) -> float:
    took, error = await timed(call)
    assert error
    assert took < limit + MARGIN
    return took


# One call on a network that goes wrong, and its repeat when it is well again


async def put(zep: Facade, name: str, *ids: str) -> None:
    await until_done(lambda: zep.memory.add_memory(name, with_ids(*ids)))


async def shown(zep: Facade, name: str) -> list[str | None]:
    return await until_done(lambda: seen(zep, name))


async def slow(network: Network, zep: Facade, name: str) -> None:
    await put(zep, name, "one")
    network.proxy.delay = TIMEOUT / 5
    begun = time.monotonic()
    await put(zep, name, "two")
    assert time.monotonic() - begun > TIMEOUT / 5
    network.proxy.delay = TIMEOUT * 1.5
    await gives_up_in_time(zep.memory.add_memory(name, with_ids("three")))
    network.proxy.heal()
    await put(zep, name, "three")
    assert await shown(zep, name) == IDS


async def refused(network: Network, zep: Facade, name: str) -> None:
    await put(zep, name, "one")
    network.proxy.refuse()
    await put(zep, name, "two")
    network.proxy.cut_all()
    await gives_up_in_time(zep.memory.add_memory(name, with_ids("three")))
    network.proxy.accept()
    await put(zep, name, "three")
    assert await shown(zep, name) == IDS


async def lost_when_almost_due(network: Network, zep: Facade, name: str) -> float:
    network.proxy.delay = HURRY * 0.9
    network.proxy.lose = lambda command, collection: True
    took = await gives_up_in_time(add(zep, name), limit=HURRY)
    network.proxy.heal()
    assert await until_done(lambda: add(zep, name)) == await shown(zep, name)
    return took


async def late(network: Network, zep: Facade, name: str) -> None:
    """Give an insert up that arrives after its repeat."""
    await give_up_an_insert(network, zep, name)
    inserts = network.proxy.answered["insert messages"]
    await put(zep, name, "two", "three")
    until(lambda: network.proxy.answered["insert messages"] >= inserts + 2)
    assert await shown(zep, name) == IDS


async def late_after_a_deletion(network: Network, zep: Facade, name: str) -> None:
    """Give an insert up that arrives after its session was deleted, which took its numbers."""
    await give_up_an_insert(network, zep, name)
    inserts = network.proxy.answered["insert messages"]
    await until_done(lambda: delete(zep, name))
    until(lambda: network.proxy.answered["insert messages"] >= inserts + 2)
    assert await shown(zep, name) == []
    await put(zep, name, "two", "three")
    await until_done(lambda: undelete(zep, name))
    assert await shown(zep, name) == IDS


async def give_up_an_insert(network: Network, zep: Facade, name: str) -> None:
    proxy = network.proxy

    def hold_the_insert(command: str, collection: str) -> None:
        if command in ("findAndModify", "insert"):  # not where a server is watched meanwhile
            proxy.request_delay = 2.5 * TIMEOUT if command == "findAndModify" else 0

    await put(zep, name, "one")
    proxy.cut = hold_the_insert
    await gives_up_in_time(zep.memory.add_memory(name, with_ids("two", "three")))
    proxy.heal()


def test_a_call_on_a_faulty_network_ends_in_time_and_its_retry_completes_it(
    mongo_url, replica_set_url, long, report
) -> None:
    async def scenario(network: Network, play: Any, driver: str) -> float | None:
        patience = HURRY if play is lost_when_almost_due else TIMEOUT
        async with network.zep(driver, patience) as zep:
            took = await play(network, zep, network.session_id)
        assert network.wrong(*([each] for each in IDS)) == []
        return took

    plays = [slow, refused, lost_when_almost_due, late, late_after_a_deletion]
    for url in (mongo_url, replica_set_url)[: 2 if long else 1]:
        took = at_once(url, scenario, *itertools.product(plays, DRIVERS))
        longest = max(filter(None, took)) / HURRY
        report(f"answers lost after 0.9 of the timeout: {longest:.2f} timeouts at most")


def test_a_call_silenced_at_any_step_ends_in_time_and_its_retry_completes_it(
    mongo_url, long, report
) -> None:
    async def scenario(network: Network, operation: Any, step: int, driver: str) -> float:
        proxy, name = network.proxy, network.session_id
        answers = itertools.count()

        def swallow_from_here(command: str, collection: str) -> None:
            proxy.silent |= bool(command) and next(answers) == step

        with network.direct() as client:
            direct = Facade(client, asynchronous=False)
            async with network.zep(driver) as zep:
                for prepare in BEFORE[operation]:
                    await prepare(direct, name)
                proxy.cut = swallow_from_here
                took, error = await timed(operation(zep, name))
                if not proxy.silent:
                    assert error is None
                    return 0
                assert error
                assert took < TIMEOUT + MARGIN
                proxy.heal()
                assert await wrong_after_repeating(operation, zep, direct, name) == []
        return took

    operations, steps = [add], range(2)
    if long:  # a purge would take what the others have deleted
        operations, steps = [each for each in BEFORE if each is not purge], range(10)
    played = list(itertools.product(operations, steps, DRIVERS))
    took = [
        seconds
        for start in range(0, len(played), 15)
        for seconds in at_once(mongo_url, scenario, *played[start : start + 15])
        if seconds
    ]
    assert len(took) > len(DRIVERS)
    report(f"swallowed {len(took)} calls: {max(took):.2f} s at most, timeout {TIMEOUT} s")


# Swallowed in the middle of load

WORKERS = {"sync": 8, "motor": 32, "pymongo-async": 32}


@dataclass
class Call:
    session_id: str
    ids: list[str]
    took: float
    failed: bool


@dataclass
class Load:
    """Writers on a few sessions, until told to end."""

    zep: Facade
    driver: str
    session_id: str
    over: bool = False
    calls: list[Call] = field(default_factory=list)

    async def write(self, worker: int) -> None:
        session_id = f"{self.session_id} {worker % 4}"
        for number in itertools.count():
            ids = [f"{worker} {number} {n}" for n in range(2)]
            took, error = await timed(self.zep.memory.add_memory(session_id, with_ids(*ids)))
            self.calls.append(Call(session_id, ids, took, bool(error)))
            if self.over:
                return
            await asyncio.sleep(0.01)

    async def goes_on(self) -> None:
        """Wait until some more calls have succeeded."""
        begun, enough = time.monotonic(), self.succeeded() + WORKERS[self.driver]
        while self.succeeded() < enough:
            assert time.monotonic() < begun + 60
            await asyncio.sleep(0.02)

    def succeeded(self) -> int:
        return sum(not call.failed for call in self.calls)

    async def run(self) -> None:
        workers = range(WORKERS[self.driver])
        if self.zep.asynchronous:
            await asyncio.gather(*map(self.write, workers))
            return
        with ThreadPoolExecutor(len(workers)) as threads:
            work = [threads.submit(asyncio.run, self.write(worker)) for worker in workers]
            await asyncio.gather(*map(asyncio.wrap_future, work))


def test_load_on_a_silent_network_loses_duplicates_and_leaks_nothing(
    mongo_url, replica_set_url, long, report
) -> None:
    async def scenario(network: Network, driver: str) -> None:
        proxy = network.proxy
        async with network.zep(driver) as zep:
            load = Load(zep, driver, network.session_id)
            running = asyncio.create_task(load.run())
            await load.goes_on()
            for seconds in [TIMEOUT + 0.3, 4 * TIMEOUT, 0.1, TIMEOUT][: 4 if long else 1]:
                proxy.silent = True
                await asyncio.sleep(seconds)
                proxy.silent = False
                await load.goes_on()
            load.over = True
            await running
            failed = [call for call in load.calls if call.failed]
            assert failed
            for call in [*failed, Call(network.session_id, ["after"], 0, failed=False)]:
                await put(zep, call.session_id, *call.ids)
            until(lambda: len(proxy.links) <= WORKERS[driver] + 4)  # a few are the monitors
            connections = len(proxy.links)
        until(lambda: not proxy.links)
        longest = max(call.took for call in load.calls)
        report(
            f"{driver}: {len(load.calls)} calls under load, {len(failed)} failed as swallowed; "
            f"{longest:.2f} s at most, timeout {TIMEOUT} s; {connections} connections afterwards"
        )
        # An add asks the driver twice, and the network may go bad in between.
        assert longest < 2 * TIMEOUT + MARGIN
        for session_id in {call.session_id for call in load.calls}:
            acknowledged = [call.ids for call in load.calls if call.session_id == session_id]
            assert network.wrong(*acknowledged, session_id=session_id) == []

    for url in (mongo_url, replica_set_url)[: 2 if long else 1]:
        at_once(url, scenario, *EVERY_DRIVER)
