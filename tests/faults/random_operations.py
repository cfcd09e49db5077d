"""A process whose threads or tasks do random things to one session, as fast as they can.

Each thread writes a log.
"""

import asyncio
import random
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from langchain_zepstore import ZepClient
from langchain_zepstore.core.operation import Operation
from tests.support.operation_log import Log, telling, watched, witness
from tests.support.races import (
    KINDS,
    ON_MINE,
    adding,
    changing,
    forking,
    on_message,
    on_session,
    purging,
)

HANDS = 4
PATIENCE = 120.0  # of the clients: no call may fail because the machine is busy
WEIGHTS = {**KINDS, "delete": 3, "delete_message": 3, "undelete_message": 3, "purge": 1}
REMEMBERED = 6  # turns that are added again or deleted message by message

Deed = tuple[str, Callable[[Any], Operation[Any]], dict[str, Any]]


def deeds(session_id: str, chance: random.Random, name: str, until: float) -> Iterator[Deed]:
    """Yield random operations: their kinds, themselves, and what a log says of them."""
    mine: list[list[str]] = []
    number = 0
    while time.monotonic() < until:
        number += 1
        kind = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if kind == "add" or (kind in ON_MINE and not mine):
            uuids = [f"{name}.{number}.{index}" for index in range(chance.randint(1, 4))]
            mine = [*mine[1 - REMEMBERED :], uuids]
            yield "add", adding(session_id, uuids), {"uuids": uuids}
        elif kind in ("edit", "edit_again"):
            uuids = [f"{name}.{number}.0"]
            before = chance.choice(chance.choice(mine)) if mine else "nobody"
            mine.append(uuids)
            what = {"uuids": uuids, "before": before}
            yield "edit", adding(session_id, uuids, before), what
        elif kind in ("rewind", "switch"):
            uuid = chance.choice(chance.choice(mine)) if mine else "nobody"
            yield kind, changing(kind, session_id, uuid), {}
        elif kind == "fork":
            at = chance.choice(chance.choice(mine)) if mine and number % 2 else None
            copy = f"{session_id} copy {name}.{number}"
            yield kind, forking(session_id, at, copy), {"copy": copy, "at_message": at}
        elif kind == "again":
            uuids = chance.choice(mine)
            yield kind, adding(session_id, uuids), {"uuids": uuids}
        elif kind in ON_MINE:
            uuid = chance.choice(chance.choice(mine))
            yield kind, on_message(kind, session_id, uuid), {"uuids": [uuid]}
        elif kind == "purge":
            yield kind, purging(chance.choice([None, timedelta(milliseconds=50)])), {}
        else:
            yield kind, on_session(kind, session_id, f"{name}.{number}"), {}


def observed(log: Log, kind: str, call: Callable[[Any], Operation[Any]]) -> Callable[[Any], Any]:
    return lambda store: watched(call(store), partial(witness, log, kind))


def act(client: ZepClient, log: Log, things: Iterator[Deed]) -> None:
    for kind, call, what in things:
        with telling(log, kind, **what):
            client.run(observed(log, kind, call))
    log.close()


async def aact(client: ZepClient, log: Log, things: Iterator[Deed]) -> None:
    for kind, call, what in things:
        with telling(log, kind, **what):
            await client.arun(observed(log, kind, call))
    log.close()


def work(
    url: str, session_id: str, seed: str, directory: str, name: str, seconds: float, driver: str
) -> None:
    """Do random things with several hands; a name of its own keeps the ids apart."""

    def hands() -> list[tuple[Log, Iterator[Deed]]]:
        until = time.monotonic() + seconds
        names = [f"{name}.{index}" for index in range(HANDS)]
        return [
            (
                Log(Path(directory) / its),
                deeds(session_id, random.Random(f"{seed} {its}"), its, until),
            )
            for its in names
        ]

    async def tasks() -> None:
        async with ZepClient(url, timeout=PATIENCE, async_driver="motor") as client:
            await client.message.acount(session_id)
            await asyncio.gather(*(aact(client, *hand) for hand in hands()))

    if driver == "motor":
        asyncio.run(tasks())
        return
    with ZepClient(url, timeout=PATIENCE) as client, ThreadPoolExecutor(HANDS) as threads:
        client.message.count(session_id)
        for done in [threads.submit(act, client, *hand) for hand in hands()]:
            done.result()


def main(complaint: Path, *arguments: Any) -> None:
    """Call ``work``, and write its exception to a file."""
    warnings.simplefilter("error")
    try:
        work(*arguments)
    except BaseException:
        complaint.write_text(traceback.format_exc())
        raise
