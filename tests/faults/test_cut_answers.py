"""Connections that end in the middle of an answer, at every step of every operation."""

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

import pytest

from langchain_zepstore import Memory, Message
from tests.support.facade import Facade
from tests.support.networks import (
    BEFORE,
    BRANCHING,
    DRIVERS,
    IDS,
    SERVERS,
    Operation,
    add,
    network_to,
    seen,
    timed,
    wrong_after_repeating,
)
from tests.support.proxy import LossyProxy

SERVER_OF = {"sync": "mongo_url", "motor": "replica_set_url", "pymongo-async": "mongo_url"}
OFFSETS = (3, 16, 40, -1)  # in the length, after the head, in the body, one byte short
PATIENCE = 10.0


@pytest.fixture(autouse=True)
def quickly_connected_again(monkeypatch) -> None:
    """Let drivers look at a server again at once after they have lost a connection to it."""
    monkeypatch.setattr("pymongo.common.MIN_HEARTBEAT_INTERVAL", 0.01)
    monkeypatch.setattr("pymongo.network_layer._POLL_TIMEOUT", 0.01)


async def read(zep: Facade, name: str) -> list[str]:
    assert await seen(zep, name) == IDS
    return IDS


async def listed(zep: Facade, name: str) -> list[str]:
    assert name in [session.session_id for session in await zep.memory.list_sessions()]
    return IDS


async def recent(zep: Facade, name: str) -> list[str]:
    page = await zep.memory.recent_sessions(limit=1)
    assert [session.session_id for session in page.sessions] == [name]
    return IDS


OPERATIONS = {**BEFORE, **BRANCHING, read: [add], listed: [add], recent: [add]}


@dataclass
class Cuts:
    """Which answers are cut, and what came of the calls.

    Attributes:
        onward: Whether all answers from the victim's on, or the victim's alone.
        reset: Whether connections end in a reset.
        handshakes: How many handshakes are cut after the victim.
        shift: Which offset comes first.
        first: The first step whose answer is cut.
        every: How many steps there are from one to the next.
    """

    onward: bool = False
    reset: bool = False
    handshakes: int = 0
    shift: int = 0
    first: int = 0
    every: int = 1

    def of(self, victim: int) -> Callable[[str, str], int | None]:
        answers, handshakes = itertools.count(), itertools.repeat(None, self.handshakes)
        offset = OFFSETS[(victim + self.shift) % len(OFFSETS)]
        begun = False

        def cut(name: str, collection: str) -> int | None:
            nonlocal begun
            if not name:
                return offset if begun and next(handshakes, 0) is None else None
            number = next(answers)
            begun |= number == victim
            return offset if number == victim or (self.onward and begun) else None

        return cut


SHORT = [
    Cuts(onward=onward, first=first, every=3) for onward in (False, True) for first in (0, 1, 2)
]
LONG = [
    *(Cuts(onward=onward, shift=shift) for onward in (False, True) for shift in range(4)),
    *(Cuts(onward=onward, reset=True) for onward in (False, True)),
    Cuts(handshakes=3),
]


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_reply_cut_at_any_step_is_retried_or_raised_and_a_retry_completes_it(
    driver, request, long, report
) -> None:
    told: Counter[bool] = Counter()
    operations = [each for each in OPERATIONS if long or each not in BRANCHING]
    for server in SERVERS if long else [SERVER_OF[driver]]:
        with network_to(request.getfixturevalue(server)) as network, network.direct() as client:
            direct = Facade(client, asynchronous=False)
            async with network.zep(driver, PATIENCE) as zep:
                for index, operation in enumerate(operations, list(DRIVERS).index(driver)):
                    for cuts in LONG if long else [SHORT[index % len(SHORT)]]:
                        told += await cut_at_every_step(network.proxy, zep, direct, operation, cuts)
    assert min(told[False], told[True]) > 3
    report(f"{driver}: {told[False]} calls overcame a cut answer, {told[True]} told of cut answers")


async def cut_at_every_step(
    proxy: LossyProxy, zep: Facade, direct: Facade, operation: Operation, cuts: Cuts
) -> Counter[bool]:
    told: Counter[bool] = Counter()
    for victim in itertools.count(cuts.first, cuts.every):
        name = f"{operation.__name__} {uuid4()}"
        for prepare in OPERATIONS[operation]:
            await prepare(direct, name)
        proxy.lost.clear()
        proxy.reset = cuts.reset
        proxy.cut = cuts.of(victim)
        _, error = await timed(operation(zep, name))
        proxy.heal()
        if not proxy.lost:
            break
        assert bool(error) == cuts.onward, proxy.lost
        told[bool(error)] += 1
        assert await wrong_after_repeating(operation, zep, direct, name) == []
    return told


# A long read


async def test_a_read_of_1000_messages_survives_a_cut_in_any_reply(mongo_url, long, report) -> None:
    ids = [f"{number:04}" for number in range(1000)]
    # 17 MB: more than one answer can hold.
    messages = [Message(role="user", content=each * 4300, uuid=each) for each in ids]
    cuts = [("find", 100_000), ("getMore", 3)]
    if long:
        cuts = list(itertools.product(("find", "getMore"), (*OFFSETS, 100_000)))
    with network_to(mongo_url) as network:
        with network.direct() as client:
            client.memory.add_memory("s", Memory(messages=messages))
        proxy = network.proxy
        for driver in DRIVERS:
            async with network.zep(driver, PATIENCE) as zep:
                for command, offset in cuts:
                    left = [offset]

                    def cut(name: str, _: str, command=command, left=left) -> int | None:
                        return left.pop() if left and name == command else None

                    proxy.lost.clear()
                    proxy.cut = cut
                    assert await seen(zep, "s") == ids
                    assert proxy.lost == [f"{command} messages"]
    report(f"{len(cuts) * len(DRIVERS)} reads of 1,000 messages overcame a cut answer")
