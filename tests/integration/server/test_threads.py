"""The server's client: operations that wait for a thread."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from langchain_zepstore import BadRequestError
from langchain_zepstore.server import threads
from langchain_zepstore.server.threads import ThreadedClient

BOUND = 30.0


class Busy:
    """A client of one thread, which is busy until it is let go."""

    def __init__(self, url: str, database: str) -> None:
        self.client = ThreadedClient(url, database=database, timeout=10 * BOUND)
        self._free = threading.Event()
        self.working = asyncio.create_task(self.client.arun(self._wait))

    def _wait(self, _: Any) -> Any:
        self._free.wait(BOUND)
        return "done"
        yield

    def let_go(self) -> None:
        self._free.set()


@pytest.fixture
async def busy(
    mongo_url: str, page_database: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Busy]:
    monkeypatch.setattr(threads, "_THREADS", 1)
    busy = Busy(mongo_url, page_database)
    yield busy
    busy.let_go()
    await busy.client.aclose()


async def test_a_cancelled_call_does_not_wait_for_a_thread(busy: Busy) -> None:
    waiting = asyncio.create_task(busy.client.memory.aget_memory("s"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting], timeout=BOUND / 2)
    assert waiting.cancelled()
    assert not busy.working.done()


async def test_closing_lets_calls_in_flight_end_and_refuses_the_others(busy: Busy) -> None:
    waiting = asyncio.create_task(busy.client.memory.aget_memory("s"))
    await asyncio.sleep(0)
    closing = asyncio.create_task(busy.client.aclose())
    await asyncio.sleep(0)
    busy.let_go()
    await closing
    assert await busy.working == "done"
    late = [waiting, busy.client.memory.aget_memory("s"), busy.client.for_user("u").user.aget("u")]
    for call in late:
        with pytest.raises(BadRequestError, match="closed"):
            await call
    await busy.client.aclose()
