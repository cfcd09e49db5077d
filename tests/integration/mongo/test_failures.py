"""What goes wrong between us and a database, and what the user is told."""

import asyncio
import gc
import re
import signal
import socket
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import quote_plus

import pytest
from pymongo import MongoClient

from langchain_zepstore import (
    AuthError,
    BadRequestError,
    Session,
    StoreUnavailableError,
    ZepClient,
    ZepStoreError,
)
from tests.support.cancelling import pymongo_leaves_sockets
from tests.support.facade import Facade
from tests.support.messages import contents, said
from tests.support.mongod import Mongod, free_port, lasting_port

DRIVERS = {
    "sync": (False, {}),
    "motor": (True, {"async_driver": "motor"}),
    "pymongo-async": (True, {"async_driver": "pymongo"}),
}
SECRET = "hunter2-secret"
TIMEOUT = 1.0
MARGIN = 30  # the machine may be slow
MEGABYTE = 1024 * 1024


@pytest.fixture(params=DRIVERS)
def driver(request) -> str:
    return request.param


pytestmark = [pymongo_leaves_sockets, pytest.mark.turns("driver")]


@pytest.fixture(autouse=True)
def collected(request: pytest.FixtureRequest) -> Iterator[None]:
    """What pymongo leaves is collected here, and not by a later test."""
    yield
    if "pymongo-async" in request.node.name and "url_is" not in request.node.name:
        gc.collect()


@asynccontextmanager
async def zep_on(url: str, driver: str, patience: float = 10.0) -> AsyncIterator[Facade]:
    asynchronous, options = DRIVERS[driver]
    client = ZepClient(url, timeout=patience, **options)
    await asyncio.to_thread(client._opened)  # what the first import costs is not what is timed
    try:
        yield Facade(client, asynchronous=asynchronous)
    finally:
        await client.aclose()


def check(error: BaseException) -> None:
    """It is ours, it has a cause, and it gives no secret away."""
    assert type(error).__module__ == "langchain_zepstore.errors"
    assert isinstance(error, ZepStoreError)
    assert isinstance(error.__cause__, Exception)
    assert SECRET not in f"{error} {error!r}"
    assert "Topology Description" not in str(error)


async def calls(zep: Facade, session_id: str) -> list:
    """A read and a write, to be awaited."""
    return [zep.memory.get_memory(session_id), zep.memory.add_memory(session_id, said("hello"))]


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    mongod = Mongod(tmp_path_factory.mktemp("mortal"), port=lasting_port())
    yield mongod
    mongod.stop(signal.SIGKILL)


@pytest.fixture
def mongod(mortal: Mongod) -> Mongod:
    """A mongod to be killed; it runs again for the next test."""
    return mortal if mortal.process else mortal.start()


# Nobody there


@pytest.mark.promise("no driver's exception leaves the package; each message says what to do")
async def test_an_unreachable_server_is_reported_in_time_with_advice(driver):
    port = free_port()
    url = f"mongodb://someone:{SECRET}@127.0.0.1:{port}/"
    async with zep_on(url, driver, TIMEOUT) as zep:
        assert SECRET not in repr(zep.client)
        for call in await calls(zep, "a session"):
            start = time.monotonic()
            with pytest.raises(StoreUnavailableError, match="check that MongoDB runs") as caught:
                await call
            assert time.monotonic() - start < TIMEOUT + MARGIN
            check(caught.value)
            assert f"127.0.0.1:{port}" in str(caught.value)
            assert isinstance(caught.value, ConnectionError)


async def test_an_unknown_host_is_an_unreachable_store(driver):
    async with zep_on("mongodb://no-such-host.invalid/", driver, TIMEOUT) as zep:
        with pytest.raises(StoreUnavailableError, match=r"no-such-host\.invalid") as caught:
            await zep.message.count("a session")
        check(caught.value)


async def test_a_server_that_never_replies_times_out(driver):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"mongodb://127.0.0.1:{listener.getsockname()[1]}/"
        async with zep_on(url, driver, TIMEOUT) as zep:
            for call in await calls(zep, "a session"):
                start = time.monotonic()
                with pytest.raises(StoreUnavailableError) as caught:
                    await call
                assert time.monotonic() - start < TIMEOUT + MARGIN
                check(caught.value)


async def test_a_server_with_another_protocol_is_an_unreachable_store(driver):
    answering = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answering.add(asyncio.current_task())
        try:
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            await reader.read(1)
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"mongodb://127.0.0.1:{server.sockets[0].getsockname()[1]}/"

    def work() -> None:
        # On another thread and loop, so that the server above can answer the synchronous driver.
        async def read() -> None:
            async with zep_on(url, driver, TIMEOUT) as zep:
                with pytest.raises(StoreUnavailableError) as caught:
                    await zep.message.count("a session")
                check(caught.value)

        asyncio.run(read())

    await asyncio.to_thread(work)
    server.close()
    await asyncio.sleep(0.1)  # for who has just been accepted
    for task in answering:
        task.cancel()
    await asyncio.gather(*answering, return_exceptions=True)
    with warnings.catch_warnings():
        # A driver that is closed in the middle of a handshake leaves its socket to the collector.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


# Credentials


@pytest.fixture(scope="module")
def guarded(tmp_path_factory) -> Iterator[Mongod]:
    """A mongod that asks for credentials."""
    mongod = Mongod(tmp_path_factory.mktemp("auth"), options=("--auth",)).start()
    with MongoClient(mongod.url) as client:
        client.admin.command("createUser", "root", pwd=SECRET, roles=["root"])
    with MongoClient(mongod.url, username="root", password=SECRET) as client:
        client.admin.command(
            "createUser", "reader", pwd=SECRET, roles=[{"role": "read", "db": "zepstore"}]
        )
        client.zepstore.messages.create_index("session_id")
    yield mongod
    mongod.stop()


@pytest.mark.promise("no driver's exception leaves the package; each message says what to do")
async def test_wrong_credentials_are_an_auth_error_with_advice(driver, guarded):
    for user, password in (("root", f"{SECRET}!"), ("nobody", SECRET)):
        url = f"mongodb://{user}:{quote_plus(password)}@{guarded.address}/"
        async with zep_on(url, driver, 60) as zep:
            for call in await calls(zep, "a session"):
                start = time.monotonic()
                with pytest.raises(AuthError, match="refused the credentials") as caught:
                    await call
                assert time.monotonic() - start < MARGIN
                check(caught.value)
                assert "authSource" in str(caught.value)


@pytest.mark.filterwarnings("ignore:these credentials may not create indexes")
async def test_missing_credentials_are_an_auth_error(driver, guarded):
    async with zep_on(guarded.url, driver) as zep:
        for call in await calls(zep, "a session"):
            with pytest.raises(AuthError) as caught:
                await call
            check(caught.value)


@pytest.mark.filterwarnings("ignore:these credentials may not create indexes")
async def test_read_only_credentials_can_read_but_not_write(driver, guarded):
    url = f"mongodb://reader:{SECRET}@{guarded.address}/?authSource=admin"
    async with zep_on(url, driver) as zep:
        assert await contents(zep, "a session") == []
        with pytest.raises(AuthError, match="roles") as caught:
            await zep.memory.add_memory("a session", said("hello"))
        check(caught.value)


async def test_right_credentials_work(driver, guarded, session_id):
    url = f"mongodb://root:{SECRET}@{guarded.address}/"
    async with zep_on(url, driver) as zep:
        await zep.memory.add_memory(session_id, said("hello"))
        assert await contents(zep, session_id) == ["hello"]


# A server that hangs, dies, comes back


@pytest.mark.promise("no driver's exception leaves the package; each message says what to do")
async def test_a_frozen_server_times_out_and_works_when_resumed(driver, mongod, session_id):
    async with zep_on(mongod.url, driver, TIMEOUT) as zep:
        await zep.memory.add_memory(session_id, said("before"))
        with mongod.frozen():
            for call in await calls(zep, session_id):
                start = time.monotonic()
                with pytest.raises(StoreUnavailableError) as caught:
                    await call
                assert time.monotonic() - start < 2 * TIMEOUT + MARGIN
                check(caught.value)
        await zep.memory.add_memory(session_id, said("after"))
        found = await contents(zep, session_id)
        assert (found[0], found[-1]) == ("before", "after")


async def test_a_server_restart_between_calls_raises_no_error(driver, mongod, session_id):
    async with zep_on(mongod.url, driver) as zep:
        for number in range(3):
            await zep.memory.add_memory(session_id, said(str(number)))
            mongod.stop(signal.SIGKILL)
            mongod.start()
        assert await contents(zep, session_id) == ["0", "1", "2"]


async def test_a_killed_server_is_an_unreachable_store_until_restarted(driver, mongod, session_id):
    async with zep_on(mongod.url, driver, TIMEOUT) as zep:
        await zep.memory.add_memory(session_id, said("before"))
        mongod.stop(signal.SIGKILL)
        for call in await calls(zep, session_id):
            start = time.monotonic()
            with pytest.raises(StoreUnavailableError) as caught:
                await call
            assert time.monotonic() - start < 2 * TIMEOUT + MARGIN
            check(caught.value)
        mongod.start()
        await zep.memory.add_memory(session_id, said("after"))
        assert await contents(zep, session_id) == ["before", "after"]


async def test_a_client_constructed_before_its_server_starts_works_afterwards(
    driver, tmp_path, session_id
):
    mongod = Mongod(tmp_path)
    try:
        async with zep_on(mongod.url, driver, TIMEOUT) as zep:
            with pytest.raises(StoreUnavailableError):
                await zep.message.count(session_id)
            mongod.start()
            await zep.memory.add_memory(session_id, said("hello"))
            assert await contents(zep, session_id) == ["hello"]
    finally:
        mongod.stop(signal.SIGKILL)


async def test_closing_does_not_wait_for_an_unreachable_server(driver, mongod, session_id):
    async with zep_on(mongod.url, driver, TIMEOUT) as zep:
        await zep.memory.add_memory(session_id, said("hello"))
        mongod.stop(signal.SIGKILL)
        with pytest.raises(StoreUnavailableError):
            await contents(zep, session_id)
        start = time.monotonic()
    assert time.monotonic() - start < TIMEOUT + MARGIN


# No primary


@pytest.fixture(scope="module")
def never_initiated(tmp_path_factory) -> Iterator[Mongod]:
    mongod = Mongod(tmp_path_factory.mktemp("never"), replica_set="never").start()
    yield mongod
    mongod.stop(signal.SIGKILL)


@pytest.mark.promise("no driver's exception leaves the package; each message says what to do")
@pytest.mark.parametrize("query", ["directConnection=true", "replicaSet=never"])
async def test_a_replica_set_without_a_primary_is_an_unavailable_store(
    query, driver, never_initiated
):
    url = f"mongodb://{never_initiated.address}/?{query}"
    async with zep_on(url, driver, TIMEOUT) as zep:
        for call in await calls(zep, "a session"):
            start = time.monotonic()
            with pytest.raises(StoreUnavailableError, match="primary") as caught:
                await call
            assert time.monotonic() - start < 2 * TIMEOUT + MARGIN
            check(caught.value)


@pytest.fixture(scope="module")
def stepping(tmp_path_factory) -> Iterator[Mongod]:
    mongod = Mongod(tmp_path_factory.mktemp("stepping"), replica_set="rs0").start()
    mongod.initiate()
    yield mongod
    mongod.stop(signal.SIGKILL)


@pytest.mark.parametrize("query", ["directConnection=true", "replicaSet=rs0"])
async def test_calls_fail_as_unavailable_during_a_stepdown_and_work_afterwards(
    query, driver, stepping, session_id
):
    url = f"mongodb://{stepping.address}/?{query}"
    async with zep_on(url, driver, TIMEOUT) as zep:
        await zep.memory.add_memory(session_id, said("before"))
        with MongoClient(stepping.url) as admin:
            admin.admin.command("replSetStepDown", 60, force=True)
            with pytest.raises(StoreUnavailableError, match="primary") as caught:
                await zep.memory.add_memory(session_id, said("meanwhile"))
            check(caught.value)
            admin.admin.command("replSetFreeze", 0)
            deadline = time.monotonic() + 20
            while not admin.admin.command("hello")["isWritablePrimary"]:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
        await zep.memory.add_memory(session_id, said("after"))
        assert await contents(zep, session_id) == ["before", "after"]


# URLs that cannot be used

BAD_URLS = [
    "mongodb://",
    "mongodb://:bad",
    "mongodb://[::1",
    "mongodb://host:99999/",
    "mongodb://host:port/",
    f"mongodb://user:{SECRET}@@host/",
    "mongodb://host/?replicaSet",
    "mongodb://host/?tls=true&tlsInsecure=true&tlsAllowInvalidCertificates=true",
    "mongodb://host/?tls=true&tlsCAFile=/no/such/file",
    "mongodb://one,two/?directConnection=true",
    "mongodb://127.0.0.1/?authMechanism=MONGODB-X509&authSource=other",
    "mongodb+srv://one.example.org,two.example.org/",
    "mongodb+srv://host.example.org:27017/",
]


@pytest.mark.parametrize("url", BAD_URLS)
async def test_an_invalid_url_is_a_bad_request(url, driver):
    with pytest.raises(BadRequestError) as caught:  # noqa: PT012 - building it may be refused too
        async with zep_on(url, driver, TIMEOUT) as zep:
            assert SECRET not in repr(zep.client)
            await zep.message.count("a session")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("character", ["/", "?", "#", "@", ":", "%"])
def test_an_unescaped_password_is_not_shown(character):
    half, other_half = "hunter2", "secret"
    url = f"mongodb://user:{half}{character}{other_half}@no-such-host.invalid/"
    shown = ""
    try:
        with ZepClient(url, timeout=0.5) as client:
            shown += repr(client)
            client.message.count("a session")
    except ZepStoreError as error:
        shown += str(error)
    assert shown
    assert not re.search(f"{half}|{other_half}", shown), shown


async def test_an_unknown_srv_name_is_reported_quickly(driver):
    start = time.monotonic()
    async with zep_on(f"mongodb+srv://u:{SECRET}@no.such.host.invalid/", driver, TIMEOUT) as zep:
        with pytest.raises(ZepStoreError, match=r"no\.such\.host\.invalid") as caught:
            await zep.message.count("a session")
        check(caught.value)
    assert time.monotonic() - start < MARGIN


async def test_an_invalid_database_name_is_a_bad_request(driver, mongo_url):
    asynchronous, options = DRIVERS[driver]
    for name in ("a b", "a.b", "a/b", "a$b", "x" * 64):
        with pytest.raises(BadRequestError):  # noqa: PT012 - building it may be refused too
            client = ZepClient(mongo_url, database=name, **options)
            try:
                await Facade(client, asynchronous=asynchronous).memory.add_memory(
                    "s", said("hello")
                )
            finally:
                await client.aclose()


async def test_a_given_client_closed_by_its_owner_is_reported(mongo_url):
    passed = MongoClient(mongo_url)
    client = ZepClient(client=passed)
    client.message.count("a session")
    passed.close()
    with pytest.raises(BadRequestError, match="cannot be used any more") as caught:
        client.message.count("a session")
    check(caught.value)


# Too large


@pytest.mark.promise(
    "a message too large for MongoDB is named with its size, nothing is stored; a large call "
    "is stored whole"
)
async def test_oversized_documents_are_bad_requests_and_nothing_is_stored(
    driver, mongo_url, session_id
):
    async with zep_on(mongo_url, driver) as zep:
        with pytest.raises(BadRequestError, match=r"messages\[0\]"):
            await zep.memory.add_memory(session_id, said("x" * 17 * MEGABYTE))
        assert await zep.message.count(session_id) == 0
        big = Session(session_id=session_id, metadata={"a": "x" * 17 * MEGABYTE})
        with pytest.raises(BadRequestError):
            await zep.memory.add_session(big)
        assert session_id not in [s.session_id for s in await zep.memory.list_sessions()]


async def test_metadata_growing_beyond_a_document_is_refused_and_unchanged(
    driver, mongo_url, session_id
):
    async with zep_on(mongo_url, driver) as zep:
        large = "x" * 9 * MEGABYTE
        await zep.memory.add_session(Session(session_id=session_id, metadata={"a": large}))
        with pytest.raises(BadRequestError) as caught:
            await zep.memory.update_session(Session(session_id=session_id, metadata={"b": large}))
        check(caught.value)
        assert set((await zep.memory.get_session(session_id)).metadata) == {"a"}
