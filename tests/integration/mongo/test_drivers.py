"""Drivers: which are opened, shared, closed and left alone; threads, event loops and forks."""

import asyncio
import gc
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import uuid4

import pytest
from langchain_core.messages import HumanMessage
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient, MongoClient
from pymongo.monitoring import CommandListener

from langchain_zepstore import (
    BadRequestError,
    StoreUnavailableError,
    ZepChatMessageHistory,
    ZepClient,
)
from tests.support.facade import Facade
from tests.support.messages import contents_in, said
from tests.support.mongod import with_database

pytestmark = pytest.mark.turns("driver", "kind", "async_driver")

MANY = 64
CLOSED = "closed"


async def acontents(client: ZepClient, session_id: str) -> list[str]:
    memory = await client.memory.aget_memory(session_id)
    return [message.content for message in memory.messages]


def named(url: str, name: str) -> str:
    """The URL under an application's name, by which the server tells its connections apart."""
    return f"{url}{'&' if '?' in url else '/?'}appName={name}"


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


class Server:
    """What the server itself says about the connections of an application."""

    def __init__(self, url: str) -> None:
        self._client = MongoClient(url)
        self.app = f"app-{uuid4().hex}"
        self.url = named(url, self.app)

    def operations(self) -> list[dict]:
        stage = {"$currentOp": {"allUsers": True, "idleConnections": True, "localOps": True}}
        found = self._client.admin.aggregate([stage, {"$match": {"appName": self.app}}])
        return list(found)

    def connections(self) -> int:
        return len({operation["client"] for operation in self.operations()})

    def clients(self) -> int:
        """How many clients: each watches the server by one hello that the server holds back."""
        watching = [
            operation
            for operation in self.operations()
            if operation.get("active") and "topologyVersion" in operation.get("command", {})
        ]
        return len(watching)

    def close(self) -> None:
        self._client.close()


@pytest.fixture
def server(mongo_url: str) -> Iterator[Server]:
    server = Server(mongo_url)
    yield server
    server.close()


class Commands(CommandListener):
    """The commands that a client sent."""

    def __init__(self) -> None:
        self.sent: list[dict] = []

    def started(self, event) -> None:
        self.sent.append(dict(event.command))

    def succeeded(self, event) -> None: ...

    def failed(self, event) -> None: ...

    def named(self, name: str, collection: str) -> list[dict]:
        return [command for command in self.sent if command.get(name) == collection]


# Which driver is opened


def opened_drivers(server: Server) -> set[str]:
    return {
        operation["clientMetadata"]["driver"]["name"]
        for operation in server.operations()
        if "clientMetadata" in operation
    }


@pytest.mark.promise("pymongo, motor, `AsyncMongoClient`; clients passed in are never closed")
async def test_asynchronous_calls_use_motor_by_default(server, session_id):
    async with ZepClient(server.url) as client:
        await client.memory.aadd_memory(session_id, said("hello"))
        assert await acontents(client, session_id) == ["hello"]
        assert {name.split("|")[-1] for name in opened_drivers(server)} == {"Motor"}


@pytest.mark.promise("pymongo, motor, `AsyncMongoClient`; clients passed in are never closed")
async def test_asynchronous_calls_use_pymongo_when_requested(server, session_id):
    async with ZepClient(server.url, async_driver="pymongo") as client:
        await client.memory.aadd_memory(session_id, said("hello"))
        assert await acontents(client, session_id) == ["hello"]
        names = opened_drivers(server)
        assert not [name for name in names if "Motor" in name]
        assert [name for name in names if "async" in name], names


def test_an_unknown_async_driver_is_refused(mongo_url):
    with pytest.raises(BadRequestError, match="async_driver"):
        ZepClient(mongo_url, async_driver="asyncio")


def test_constructing_a_client_opens_no_connection(server):
    with ZepClient(server.url):
        time.sleep(0.2)
        assert server.connections() == 0


# Clients passed in

ASYNC_CLIENTS = {"motor": AsyncIOMotorClient, "pymongo-async": AsyncMongoClient}


async def closed(client) -> None:
    closing = client.close()
    if closing is not None:
        await closing


@pytest.mark.promise("pymongo, motor, `AsyncMongoClient`; clients passed in are never closed")
def test_a_given_client_is_used_and_never_closed(mongo_url, session_id):
    commands = Commands()
    with MongoClient(mongo_url, event_listeners=[commands]) as passed:
        with ZepClient(client=passed) as client:
            client.memory.add_memory(session_id, said("hello"))
            assert contents_in(client, session_id) == ["hello"]
        client.close()
        assert commands.named("insert", "messages")
        assert passed.zepstore.messages.count_documents({"session_id": session_id}) == 1


@pytest.mark.promise("pymongo, motor, `AsyncMongoClient`; clients passed in are never closed")
@pytest.mark.parametrize("kind", ASYNC_CLIENTS)
async def test_a_given_async_client_is_used_and_never_closed(kind, mongo_url, session_id):
    commands = Commands()
    passed = ASYNC_CLIENTS[kind](mongo_url, event_listeners=[commands])
    async with ZepClient(async_client=passed) as client:
        await client.memory.aadd_memory(session_id, said("hello"))
        assert await acontents(client, session_id) == ["hello"]
    client.close()
    await client.aclose()
    assert commands.named("insert", "messages")
    assert await passed.zepstore.messages.count_documents({"session_id": session_id}) == 1
    await closed(passed)


@pytest.mark.parametrize("kind", ASYNC_CLIENTS)
async def test_given_sync_and_async_clients_are_both_used(kind, mongo_url, session_id):
    passed, sync_commands, async_commands = None, Commands(), Commands()
    passed = ASYNC_CLIENTS[kind](mongo_url, event_listeners=[async_commands])
    with MongoClient(mongo_url, event_listeners=[sync_commands]) as sync_passed:
        client = ZepClient(client=sync_passed, async_client=passed)
        await client.memory.aadd_memory(session_id, said("asynchronous"))
        client.memory.add_memory(session_id, said("synchronous"))
        assert contents_in(client, session_id) == ["asynchronous", "synchronous"]
    await closed(passed)
    assert len(async_commands.named("insert", "messages")) == 1
    assert len(sync_commands.named("insert", "messages")) == 1


async def test_an_asynchronous_call_without_its_driver_names_the_argument(mongo_url, session_id):
    with MongoClient(mongo_url) as passed:
        client = ZepClient(client=passed)
        with pytest.raises(BadRequestError, match=r"\basync_client\b"):
            await client.memory.aget_memory(session_id)
        assert contents_in(client, session_id) == []


@pytest.mark.parametrize("kind", ASYNC_CLIENTS)
async def test_a_synchronous_call_without_its_driver_names_the_argument(
    kind, mongo_url, session_id
):
    passed = ASYNC_CLIENTS[kind](mongo_url)
    client = ZepClient(async_client=passed)
    with pytest.raises(BadRequestError, match=r"\bargument client\b"):
        client.memory.get_memory(session_id)
    assert await acontents(client, session_id) == []
    await closed(passed)


async def test_values_that_are_not_clients_are_refused(mongo_url, session_id):
    with MongoClient(mongo_url) as sync_client:
        motor = AsyncIOMotorClient(mongo_url)
        wrong = [
            ({"client": mongo_url}, "client"),
            ({"client": motor}, "client"),
            ({"client": sync_client.zepstore}, "client"),
            ({"async_client": sync_client}, "async_client"),
            ({"async_client": motor.zepstore}, "async_client"),
            ({"async_client": object()}, "async_client"),
        ]
        for arguments, name in wrong:
            with pytest.raises(BadRequestError, match=rf"\b{name} must be"):
                await ZepClient(**arguments).memory.aget_memory(session_id)
        motor.close()


# Event loops

ASYNC_DRIVERS = ["motor", "pymongo"]


@pytest.mark.promise("one event loop after another, many threads, a fork")
@pytest.mark.parametrize("driver", ASYNC_DRIVERS)
def test_successive_event_loops_share_one_client_and_leak_nothing(driver, server, session_id):
    client = ZepClient(server.url, async_driver=driver)

    async def turn(content: str) -> list[str]:
        await client.memory.aadd_memory(session_id, said(content))
        return await acontents(client, session_id)

    asyncio.run(turn("0"))
    gc.collect()
    until(lambda: server.clients() <= 1)
    first = server.connections()
    for number in range(1, 5):
        assert asyncio.run(turn(str(number))) == [str(n) for n in range(number + 1)]
        gc.collect()
    until(lambda: server.connections() <= first + 1, 3)

    async def end() -> None:
        await client.aclose()

    asyncio.run(end())
    gc.collect()
    until(lambda: server.connections() == 0)


SEVERAL_LOOPS = """
import asyncio, gc, sys
from langchain_zepstore import Memory, Message, ZepClient

url, driver = sys.argv[1:]
client = ZepClient(url, async_driver=driver)

async def turn(number):
    memory = Memory(messages=[Message(role="user", content=str(number))])
    await client.memory.aadd_memory("loops " + driver, memory)
    return len((await client.memory.aget_memory("loops " + driver)).messages)

print([asyncio.run(turn(number)) for number in range(3)])
asyncio.run(client.aclose())
gc.collect()
"""


@pytest.mark.parametrize("driver", ASYNC_DRIVERS)
def test_closing_in_another_event_loop_gives_no_warning(driver, mongo_url, database_name):
    url = with_database(mongo_url, database_name)
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", SEVERAL_LOOPS, url, driver],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "[1, 2, 3]\n", done.stderr
    assert "ResourceWarning" not in done.stderr, done.stderr
    assert "Traceback" not in done.stderr, done.stderr


# Threads and tasks


@pytest.mark.promise("one event loop after another, many threads, a fork")
def test_concurrent_threads_on_a_new_client_open_one_driver_and_lose_nothing(server, session_id):
    together = Barrier(MANY)
    with ZepClient(server.url) as client:

        def add(number: int) -> None:
            together.wait()
            client.memory.add_memory(session_id, said(str(number)))

        with ThreadPoolExecutor(MANY) as threads:
            list(threads.map(add, range(MANY)))
        until(lambda: server.clients() >= 1)
        assert server.clients() == 1
        assert sorted(contents_in(client, session_id), key=int) == [str(n) for n in range(MANY)]


@pytest.mark.parametrize("driver", ASYNC_DRIVERS)
async def test_concurrent_tasks_on_a_new_client_open_one_driver_and_lose_nothing(
    driver, server, session_id
):
    async with ZepClient(server.url, async_driver=driver) as client:
        await asyncio.gather(
            *(client.memory.aadd_memory(session_id, said(str(number))) for number in range(MANY))
        )
        until(lambda: server.clients() >= 1)
        assert server.clients() == 1
        found = await acontents(client, session_id)
        assert sorted(found, key=int) == [str(n) for n in range(MANY)]


@pytest.mark.promise("the calls of Zep's documentation run, sync and async on one client")
@pytest.mark.parametrize("driver", ASYNC_DRIVERS)
async def test_threads_and_tasks_share_one_client(driver, mongo_url, session_id):
    async with ZepClient(mongo_url, async_driver=driver) as client:
        calls = []
        for number in range(0, MANY, 2):
            calls.append(client.memory.aadd_memory(session_id, said(str(number))))
            call = asyncio.to_thread(client.memory.add_memory, session_id, said(str(number + 1)))
            calls.append(call)
        await asyncio.gather(*calls)
        found = contents_in(client, session_id)
        assert await acontents(client, session_id) == found
        assert sorted(found, key=int) == [str(n) for n in range(MANY)]


@pytest.mark.parametrize("driver", ASYNC_DRIVERS)
def test_event_loops_in_different_threads_share_one_client(driver, mongo_url, session_id):
    client = ZepClient(mongo_url, async_driver=driver)

    async def work(number: int) -> None:
        await client.memory.aadd_memory(session_id, said(str(number)))

    def run(number: int) -> None:
        asyncio.run(work(number))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(run, range(16)))
    assert sorted(contents_in(client, session_id), key=int) == [str(n) for n in range(16)]
    asyncio.run(client.aclose())
    gc.collect()


# Closing

DRIVERS = {
    "sync": (False, {}),
    "motor": (True, {"async_driver": "motor"}),
    "pymongo-async": (True, {"async_driver": "pymongo"}),
}


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_client_can_be_closed_twice_and_not_used_afterwards(driver, server, session_id):
    asynchronous, options = DRIVERS[driver]
    client = ZepClient(server.url, **options)
    zep = Facade(client, asynchronous=asynchronous)
    await zep.memory.add_memory(session_id, said("hello"))
    for _ in range(2):
        if asynchronous:
            await client.aclose()
        else:
            client.close()
    until(lambda: server.connections() == 0)
    with pytest.raises(BadRequestError, match=CLOSED):
        await zep.memory.get_memory(session_id)
    with pytest.raises(BadRequestError, match=CLOSED):
        client.memory.get_memory(session_id)
    with pytest.raises(BadRequestError, match=CLOSED):
        await client.memory.aget_memory(session_id)
    assert server.connections() == 0


@pytest.mark.parametrize("driver", ASYNC_DRIVERS)
async def test_a_synchronous_close_refuses_asynchronous_calls(driver, mongo_url, session_id):
    client = ZepClient(mongo_url, async_driver=driver)
    await client.memory.aadd_memory(session_id, said("hello"))
    client.close()
    try:
        with pytest.raises(BadRequestError, match=CLOSED):
            await client.memory.aget_memory(session_id)
    finally:
        await client.aclose()


async def test_a_client_that_was_never_used_can_be_closed(mongo_url, session_id):
    client = ZepClient(mongo_url)
    client.close()
    await client.aclose()
    with pytest.raises(BadRequestError, match=CLOSED):
        client.memory.get_memory(session_id)


async def test_a_client_is_a_sync_and_async_context_manager(server, session_id):
    with ZepClient(server.url) as client:
        client.memory.add_memory(session_id, said("synchronous"))
    until(lambda: server.connections() == 0)
    for driver in ASYNC_DRIVERS:
        async with ZepClient(server.url, async_driver=driver) as client:
            await client.memory.aadd_memory(session_id, said(driver))
        until(lambda: server.connections() == 0)
    with ZepClient(server.url) as client:
        assert contents_in(client, session_id) == ["synchronous", *ASYNC_DRIVERS]


async def test_leaving_the_context_does_not_hide_exceptions(mongo_url):
    with pytest.raises(ZeroDivisionError), ZepClient(mongo_url):
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError):
        async with ZepClient(mongo_url):
            raise ZeroDivisionError


# Sharing


@pytest.mark.promise("histories of one URL share connections")
async def test_histories_built_from_a_url_share_one_client_and_its_connections(server, session_id):
    ZepChatMessageHistory(session_id, server.url).add_messages([HumanMessage("0")])
    await ZepChatMessageHistory(session_id, server.url).aget_messages()
    until(lambda: server.clients() == 2)
    await asyncio.sleep(0.2)  # a driver's second watching connection comes a moment later
    connections = server.connections()
    for number in range(1, 50):
        history = ZepChatMessageHistory(session_id, server.url)
        history.add_messages([HumanMessage(str(number))])
        assert len(await history.aget_messages()) == number + 1
    assert server.clients() == 2, "one for the synchronous calls, one for the asynchronous"
    assert server.connections() <= connections + 1
    ZepChatMessageHistory(session_id, server.url)._client.close()


# Databases


def databases_with(mongo_url: str, session_id: str) -> list[str]:
    with MongoClient(mongo_url) as client:
        names = [name for name in client.list_database_names() if name not in ("admin", "local")]
        return [name for name in names if client[name].sessions.find_one({"_id": session_id})]


@pytest.mark.parametrize("driver", DRIVERS)
async def test_the_database_comes_from_the_argument_the_url_or_the_default(
    driver, mongo_url, database_name
):
    asynchronous, options = DRIVERS[driver]
    other = f"{database_name}_argument"
    of_url = with_database(mongo_url, database_name)
    cases = [
        (of_url, {"database": other}, other),
        (of_url, {}, database_name),
        (mongo_url, {}, "zepstore"),
    ]
    for url, arguments, expected in cases:
        client = ZepClient(url, **arguments, **options)
        session_id = f"session {uuid4()}"
        await Facade(client, asynchronous=asynchronous).memory.add_memory(session_id, said("hi"))
        await client.aclose()
        assert databases_with(mongo_url, session_id) == [expected]
    with MongoClient(mongo_url) as client:
        client.drop_database(other)


def test_a_given_client_uses_the_database_of_its_url(mongo_url, database_name, session_id):
    with MongoClient(with_database(mongo_url, database_name)) as passed:
        ZepClient(client=passed).memory.add_memory(session_id, said("hello"))
    assert databases_with(mongo_url, session_id) == [database_name]


# Write concern and timeouts

CONCERNS = {
    "": {"w": "majority", "j": True},
    "w=1": {"w": 1, "j": True},
    "w=majority": {"w": "majority", "j": True},
    "journal=false": {"w": "majority", "j": False},
    "w=1&journal=false": {"w": 1, "j": False},
    "w=1&journal=true": {"w": 1, "j": True},
    "wTimeoutMS=5000": {"w": "majority", "j": True},
}


@pytest.mark.promise("acknowledged means durable")
@pytest.mark.parametrize("options", CONCERNS)
def test_writes_are_durable_unless_the_url_overrides_it(options, mongo_url, session_id):
    commands = Commands()
    url = f"{mongo_url}{'&' if '?' in mongo_url else '/?'}{options}".rstrip("&?")
    with MongoClient(url, event_listeners=[commands]) as passed:
        ZepClient(client=passed).memory.add_memory(session_id, said("hello"))
    (insert,) = commands.named("insert", "messages")
    concern = dict(insert["writeConcern"])
    concern.pop("wtimeout", None)
    assert concern == CONCERNS[options]


@pytest.mark.promise("acknowledged means durable")
@pytest.mark.parametrize("driver", DRIVERS)
async def test_unacknowledged_writes_are_refused(driver, mongo_url, new_database):
    asynchronous, options = DRIVERS[driver]
    url = with_database(mongo_url, new_database)
    client = ZepClient(f"{url}{'&' if '?' in url else '?'}w=0", **options)
    zep = Facade(client, asynchronous=asynchronous)
    for _ in range(2):
        with pytest.raises(BadRequestError, match="w=0"):
            await zep.memory.add_memory("a session", said("hello"))
    await client.aclose()
    with MongoClient(mongo_url) as raw:
        assert new_database not in raw.list_database_names()


NOBODY = "mongodb://127.0.0.1:1/"


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("option", ["timeoutMS=300", "serverSelectionTimeoutMS=300"])
async def test_a_timeout_in_the_url_is_respected(option, driver):
    asynchronous, options = DRIVERS[driver]
    client = ZepClient(f"{NOBODY}?{option}", timeout=90, **options)
    await asyncio.to_thread(client._opened)  # imports
    start = time.monotonic()
    with pytest.raises(StoreUnavailableError):
        await Facade(client, asynchronous=asynchronous).message.count("a session")
    assert time.monotonic() - start < 30
    await client.aclose()


@pytest.mark.parametrize("driver", DRIVERS)
async def test_the_timeout_argument_applies_without_one_in_the_url(driver):
    asynchronous, options = DRIVERS[driver]
    client = ZepClient(NOBODY, timeout=0.5, **options)
    await asyncio.to_thread(client._opened)  # imports
    start = time.monotonic()
    with pytest.raises(StoreUnavailableError):
        await Facade(client, asynchronous=asynchronous).message.count("a session")
    assert 0.3 < time.monotonic() - start < 25  # the driver's own limit is 30
    await client.aclose()


@pytest.mark.parametrize("async_driver", ["motor", "pymongo"])
def test_a_window_of_more_than_an_answer_holds_is_read_as_a_whole(
    mongo_url: str, session_id: str, async_driver: str
) -> None:
    async def window() -> int:
        async with ZepClient(mongo_url, async_driver=async_driver) as client:
            return len(await client.chat_history(session_id, lastn=3).aget_messages())

    with ZepClient(mongo_url) as client:
        history = client.chat_history(session_id, lastn=3)
        for _ in range(3):
            history.add_messages([HumanMessage("x" * 8_000_000)])
        assert len(history.messages) == 3
    assert asyncio.run(window()) == 3
