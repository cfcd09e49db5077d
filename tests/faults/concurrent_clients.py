"""Clients of all drivers that speak at once to one session, and what they say."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from typing import Any, TypeVar

import pytest

from langchain_zepstore import Memory, Message, StoreUnavailableError, ZepClient
from tests.support.facade import Facade
from tests.support.invariants import Story
from tests.support.mongod import Mongod
from tests.support.races import check

T = TypeVar("T")

DRIVERS = {
    "sync": (False, {}),
    "motor": (True, {"async_driver": "motor"}),
    "pymongo-async": (True, {"async_driver": "pymongo"}),
}
SESSION = "a session"


@contextmanager
def started(mongod: Mongod) -> Iterator[Mongod]:
    try:
        yield mongod.start()
    finally:
        mongod.stop(signal.SIGKILL)


class Voice:
    """A client of one of the drivers, with an event loop of its own that lives as long as it."""

    def __init__(self, url: str, driver: str, **options: Any) -> None:
        asynchronous, chosen = DRIVERS[driver]
        self.name = driver
        self.zep = Facade(ZepClient(url, **chosen, **options), asynchronous=asynchronous)
        self._runner = asyncio.Runner()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def close(self) -> None:
        self.run(self.zep.client.aclose())
        self._runner.close()


@contextmanager
def choir(url: str, patience: float = 60.0, **options: Any) -> Iterator[list[Voice]]:
    """A client of each driver."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(closing(Voice(url, driver, timeout=patience, **options)))
            for driver in DRIVERS
        ]


def each(voices: list[Voice], work: Callable[..., Coroutine[Any, Any, T]], *what: Any) -> list[T]:
    """Do something over all drivers at once."""
    with ThreadPoolExecutor(len(voices)) as threads:
        return list(threads.map(lambda voice: voice.run(work(voice, *what)), voices))


def turn(*ids: str, size: int = 10) -> Memory:
    """Messages with ids, whose contents cannot be compressed."""
    contents = [os.urandom(size // 2).hex() for _ in ids]
    return Memory(
        messages=[
            Message(role="user", content=content, uuid=uuid)
            for uuid, content in zip(ids, contents, strict=True)
        ]
    )


async def say(voice: Voice, what: str) -> list[str]:
    ids = [f"{voice.name}: {what}?", f"{voice.name}: {what}!"]
    await voice.zep.memory.add_memory(SESSION, turn(*ids))
    return ids


async def refused(voice: Voice, what: str) -> str:
    """Fail to write, and return what is said of it."""
    with pytest.raises(StoreUnavailableError) as caught:
        await say(voice, what)
    return str(caught.value)


async def seen(voice: Voice) -> list[str]:
    return [message.uuid or "" for message in (await voice.zep.memory.get_memory(SESSION)).messages]


def check_story(url: str, acknowledged: list[list[str]], failed: list[list[str]]) -> None:
    """Check that the raw documents are what was told: everything, once, and no half turn."""
    with ZepClient(url) as client:
        story = Story(acknowledged=acknowledged, abandoned=failed)
        wrong = check(client, SESSION, story)
    assert not wrong, "\n".join(wrong)
