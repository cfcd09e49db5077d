"""Clients of every driver on a network that can go wrong."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import uuid4

from pymongo import MongoClient

from langchain_zepstore import (
    AlreadyExistsError,
    Memory,
    Message,
    NotFoundError,
    StoreUnavailableError,
    ZepClient,
)
from tests.support.facade import Facade
from tests.support.invariants import Story
from tests.support.proxy import LossyProxy
from tests.support.races import check

T = TypeVar("T")
DRIVERS: dict[str, tuple[bool, dict[str, Any]]] = {
    "sync": (False, {}),
    "motor": (True, {"async_driver": "motor"}),
    "pymongo-async": (True, {"async_driver": "pymongo"}),
}
SERVERS = ("mongo_url", "replica_set_url")
TIMEOUT = 2.0
HANGING = 300.0  # seconds after which a call is let go, so that a test fails and does not hang
IDS = ["one", "two", "three"]


@dataclass
class Network:
    """A server, a database on it, a proxy before it, and a session id that nobody has used."""

    url: str
    database: str
    proxy: LossyProxy
    session_id: str = field(default_factory=lambda: f"session {uuid4()}")

    def direct(self) -> ZepClient:
        """Return a client beside the proxy, whose writes do not wait for the disk."""
        joint = "&" if "?" in self.url else "?" if self.url.endswith("/") else "/?"
        return ZepClient(f"{self.url}{joint}w=1&journal=false", database=self.database)

    def wrong(self, *acknowledged: list[str], session_id: str | None = None) -> list[str]:
        """Return what is wrong in a session with what is known to have been added to it."""
        with self.direct() as client:
            story = Story(acknowledged=list(acknowledged))
            return check(client, session_id or self.session_id, story)

    @contextlib.asynccontextmanager
    async def zep(self, driver: str, patience: float = TIMEOUT) -> AsyncIterator[Facade]:
        """Give a client that is connected already."""
        asynchronous, options = DRIVERS[driver]
        client = ZepClient(self.proxy.url, database=self.database, timeout=patience, **options)
        zep = Facade(client, asynchronous=asynchronous)
        try:
            await zep.message.count("nobody")
            yield zep
        finally:
            self.proxy.heal()
            await client.aclose()


@contextlib.contextmanager
def database_on(url: str) -> Iterator[str]:
    """Give a database of one's own, with its indexes."""
    name = f"networks_{uuid4().hex}"
    with ZepClient(url, database=name) as client:
        client.message.count("nobody")
    try:
        yield name
    finally:
        with MongoClient(url) as client:
            client.drop_database(name)


@contextlib.contextmanager
def network_to(url: str) -> Iterator[Network]:
    with database_on(url) as database, contextlib.closing(LossyProxy(url)) as proxy:
        yield Network(url, database, proxy)


def at_once(url: str, scenario: Callable[..., Any], *cases: tuple[Any, ...]) -> list[Any]:
    """Play a scenario in all its cases, each on a network of its own: it mostly waits."""

    def played(case: tuple[Any, ...]) -> Any:
        with contextlib.closing(LossyProxy(url)) as proxy:
            rescue = threading.Timer(HANGING, proxy.close)
            rescue.start()
            try:
                return asyncio.run(scenario(Network(url, "networks", proxy), *case))
            except BaseException as error:
                error.add_note(f"in the case {case}")
                raise
            finally:
                rescue.cancel()

    with ZepClient(url, database="networks") as client:
        client.message.count("nobody")  # makes the indexes
    with ThreadPoolExecutor(len(cases)) as threads:
        return list(threads.map(played, cases))


async def timed(call: Awaitable[Any]) -> tuple[float, StoreUnavailableError | None]:
    """Return how long a call took, and how it failed, for which there is one way only."""
    begun, error = time.monotonic(), None
    try:
        await call
    except StoreUnavailableError as caught:
        error = caught
    return time.monotonic() - begun, error


async def until_done(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat a call until it succeeds: its timeout is short, and the machine may be slow."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return await call()
        except StoreUnavailableError:
            if time.monotonic() > deadline:
                raise


def with_ids(*ids: str) -> Memory:
    return Memory(messages=[Message(role="user", content=each, uuid=each) for each in ids])


async def seen(zep: Facade, session_id: str) -> list[str | None]:
    return [message.uuid for message in (await zep.memory.get_memory(session_id)).messages]


# Calls that can be repeated until they succeed. Each returns what is seen then.


async def add(zep: Facade, name: str) -> list[str]:
    await zep.memory.add_memory(name, with_ids(*IDS))
    return IDS


async def delete(zep: Facade, name: str) -> list[str]:
    with contextlib.suppress(NotFoundError):
        await zep.memory.delete_memory(name)
    return []


async def undelete(zep: Facade, name: str) -> list[str]:
    with contextlib.suppress(NotFoundError):
        await zep.memory.undelete_session(name)
    return IDS


async def delete_one(zep: Facade, name: str) -> list[str]:
    with contextlib.suppress(NotFoundError):
        await zep.message.delete_message(name, "two")
    return ["one", "three"]


async def undelete_one(zep: Facade, name: str) -> list[str]:
    with contextlib.suppress(NotFoundError):
        await zep.message.undelete_message(name, "two")
    return IDS


async def add_again(zep: Facade, name: str) -> list[str]:
    """Replace a live message, bring a deleted one back at the end, add a new one."""
    await zep.memory.add_memory(name, with_ids("three", "two", "four"))
    return ["one", "three", "two", "four"]


async def delete_another(zep: Facade, name: str) -> list[str]:
    await add(zep, f"another {name}")
    return await delete(zep, f"another {name}")


async def purge(zep: Facade, name: str) -> list[str]:
    await zep.purge()
    left = await zep.memory.list_sessions(include_deleted=True)
    assert f"another {name}" not in [session.session_id for session in left]
    return ["one", "three"]


async def edit(zep: Facade, name: str) -> list[str]:
    await zep.memory.add_memory(name, with_ids("edited", "answer"), before="two")
    return ["one", "edited", "answer"]


async def switch(zep: Facade, name: str) -> list[str]:
    await zep.memory.switch_branch(name, "three")
    return IDS


async def rewind(zep: Facade, name: str) -> list[str]:
    await zep.memory.rewind(name, "two")
    return ["one"]


async def fork(zep: Facade, name: str) -> list[str]:
    copy = f"another {name}"
    with contextlib.suppress(AlreadyExistsError):  # the call that failed was whole
        await zep.memory.fork_session(name, new_session_id=copy)
    assert (await zep.memory.get_session(copy)).metadata == {"forked_from": name}
    assert await seen(zep, copy) == IDS
    return IDS


Operation = Callable[[Facade, str], Awaitable[list[str]]]

BEFORE: dict[Operation, list[Operation]] = {
    add: [],
    add_again: [add, delete_one],
    delete: [add],
    undelete: [add, delete],
    delete_one: [add],
    undelete_one: [add, delete_one],
    purge: [add, delete_one, delete_another],
}
"""What has to have happened before each."""

BRANCHING: dict[Operation, list[Operation]] = {
    edit: [add],
    switch: [add, edit],
    rewind: [add],
    fork: [add],
}
"""The same of those that make branches and copy them."""


async def wrong_after_repeating(
    operation: Operation, zep: Facade, direct: Facade, name: str
) -> list[str]:
    """Repeat a call that failed, and return in what the outcome differs from that of one call."""
    expected, found = await operation(zep, name), await seen(direct, name)
    kept = ["one", "three"] if operation is purge else IDS
    calls = [kept] if operation is add else [[each] for each in kept]
    wrong = check(direct.client, name, Story(acknowledged=calls))
    if operation is add_again:
        # Its new message may have come with the first call, the deleted one with the repeat.
        expected, found = sorted(expected), sorted(found)
    return wrong if found == expected else [*wrong, f"seen are {found}, not {expected}"]
