"""Many at once: sessions side by side on an event loop, and writers on one session."""

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from uuid import uuid4

from benchmarks.contenders import Contender, Zepstore
from benchmarks.works import WINDOW, said

_TICK = 0.002


@dataclass
class Crowd:
    """What a crowd got done.

    Attributes:
        rate: Turns per second.
        blocked: For how many ms the event loop did nothing else, in the worst hundredth of looks.
    """

    rate: float
    blocked: float


def side_by_side(
    contenders: Sequence[Contender], *, tasks: int, length: int, seconds: float, rounds: int
) -> dict[str, Crowd]:
    """Let as many sessions as tasks have their turns at once, the contenders in turns.

    Args:
        contenders: Who.
        tasks: How many sessions.
        length: How many messages each of them has before.
        seconds: How long, each time.
        rounds: How often; medians are returned.
    """
    done: dict[str, list[Crowd]] = {contender.name: [] for contender in contenders}
    for _ in range(rounds):
        for contender in contenders:
            sessions = [str(uuid4()) for _ in range(tasks)]
            if length:
                for session_id in sessions:
                    contender.grow(session_id, said(length))
            done[contender.name].append(asyncio.run(_turns(contender, sessions, seconds)))
    return {
        name: Crowd(median(c.rate for c in crowds), median(c.blocked for c in crowds))
        for name, crowds in done.items()
    }


async def _turns(contender: Contender, sessions: Sequence[str], seconds: float) -> Crowd:
    await contender.ahistory(str(uuid4())).aget_messages()  # connections
    begun, turns = time.perf_counter(), 0
    until = begun + seconds

    async def talk(session_id: str) -> None:
        nonlocal turns
        history = contender.ahistory(session_id, WINDOW)
        while time.perf_counter() < until:
            await history.aget_messages()
            await history.aadd_messages(said(2))
            turns += 1

    blocks: list[float] = []
    ticker = asyncio.create_task(_note_blocks(blocks))
    await asyncio.gather(*(talk(session_id) for session_id in sessions))
    elapsed = time.perf_counter() - begun
    ticker.cancel()
    await contender.aclose()
    worst = sorted(blocks)[-1 - len(blocks) // 100]
    return Crowd(turns / elapsed, worst * 1000)


async def _note_blocks(blocks: list[float]) -> None:
    while True:
        before = time.perf_counter()
        await asyncio.sleep(_TICK)
        blocks.append(time.perf_counter() - before - _TICK)


@dataclass
class Writers:
    """What writers on one session got done.

    Attributes:
        rate: Adds per second.
        slowest: The longest call, in seconds.
    """

    rate: float
    slowest: float


def writers(contender: Zepstore, *, count: int, seconds: float) -> Writers:
    """Let threads add turns to one session."""
    session_id = str(uuid4())
    until = time.perf_counter() + seconds
    taken: list[list[float]] = [[] for _ in range(count)]

    def write(number: int) -> None:
        history = contender.history(session_id)
        while (begun := time.perf_counter()) < until:
            history.add_messages(said(2))
            taken[number].append(time.perf_counter() - begun)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    calls = [call for calls in taken for call in calls]
    assert contender.client.message.count(session_id) == 2 * len(calls)
    return Writers(len(calls) / seconds, max(calls))
