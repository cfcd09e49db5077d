"""Indexes: made once, kept as they are, and what happens without the right to make them."""

import asyncio
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from uuid import uuid4

import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient, MongoClient
from pymongo.monitoring import CommandListener

from langchain_zepstore import AuthError, CreateUserRequest, Session, ZepClient
from tests.support.messages import said
from tests.support.mongod import Mongod

DAY = 24 * 3600
COLLECTIONS = {"messages", "sessions", "users"}


class Commands(CommandListener):
    """The names of the commands that a client sent, with their collections."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, object]] = []

    def started(self, event) -> None:
        self.sent.append((event.command_name, event.command[event.command_name]))

    def succeeded(self, event) -> None: ...

    def failed(self, event) -> None: ...

    def count(self, name: str) -> int:
        return sum(sent == name for sent, _ in self.sent)


def expiries(mongo_url: str, database_name: str) -> dict[str, int]:
    with MongoClient(mongo_url) as client:
        return {
            name: index["expireAfterSeconds"]
            for name in COLLECTIONS
            for index in client[database_name][name].list_indexes()
            if "expireAfterSeconds" in index
        }


def opened(mongo_url: str, database_name: str, retention: timedelta | None = None) -> None:
    with ZepClient(mongo_url, database=database_name, retention=retention) as client:
        client.message.count("nobody")


@pytest.fixture
def database_name(new_database: str) -> str:
    return new_database


# Made once


def test_indexes_are_created_once_per_client_by_the_first_call(mongo_url, database_name):
    commands = Commands()
    with MongoClient(mongo_url, event_listeners=[commands]) as passed:
        client = ZepClient(client=passed, database=database_name)
        assert commands.sent == []
        client.message.count("nobody")
        made = commands.count("createIndexes")
        assert 3 <= made <= 6
        for _ in range(5):
            client.memory.add_memory("a session", said("hello"))
            client.memory.get_memory("a session")
        assert commands.count("createIndexes") == made


@pytest.mark.parametrize("kind", [AsyncIOMotorClient, AsyncMongoClient])
async def test_concurrent_tasks_create_the_indexes_once(kind, mongo_url, database_name):
    opened(mongo_url, database_name)
    commands = Commands()
    passed = kind(mongo_url, event_listeners=[commands])
    client = ZepClient(async_client=passed, database=database_name)
    await asyncio.gather(
        *(client.memory.aadd_memory("a session", said(str(number))) for number in range(16))
    )
    closing = passed.close()
    if closing is not None:
        await closing
    assert (commands.count("listIndexes"), commands.count("createIndexes")) == (3, 0)


def test_concurrent_threads_create_the_indexes_once(mongo_url, database_name):
    opened(mongo_url, database_name)
    commands, together = Commands(), Barrier(16)
    with MongoClient(mongo_url, event_listeners=[commands]) as passed:
        client = ZepClient(client=passed, database=database_name)

        def add(number: int) -> None:
            together.wait()
            client.memory.add_memory("a session", said(str(number)))

        with ThreadPoolExecutor(16) as threads:
            list(threads.map(add, range(16)))
    assert (commands.count("listIndexes"), commands.count("createIndexes")) == (3, 0)


def test_concurrent_clients_on_a_new_database_all_work(mongo_url, database_name):
    together = Barrier(16)

    def work(number: int) -> None:
        with ZepClient(
            mongo_url, database=database_name, retention=timedelta(days=7), timeout=60
        ) as client:
            together.wait()
            client.memory.add_memory("a session", said(str(number)))

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(work, range(16)))
    with ZepClient(mongo_url, database=database_name) as client:
        assert client.message.count("a session") == 16
    assert expiries(mongo_url, database_name) == {
        "messages": 7 * DAY,
        "sessions": 8 * DAY,
        "users": 8 * DAY,
    }


async def test_sync_and_async_calls_of_one_client_create_the_indexes_once(mongo_url, database_name):
    opened(mongo_url, database_name)
    commands = Commands()
    motor = AsyncIOMotorClient(mongo_url, event_listeners=[commands])
    with MongoClient(mongo_url, event_listeners=[commands]) as passed:
        client = ZepClient(client=passed, async_client=motor, database=database_name)
        client.message.count("nobody")
        await client.message.acount("nobody")
    motor.close()
    assert (commands.count("listIndexes"), commands.count("createIndexes")) == (3, 0)


def test_an_index_that_not_everyone_needs_is_made_by_the_first_call_that_does(
    mongo_url, database_name
):
    commands = Commands()
    with MongoClient(mongo_url, event_listeners=[commands]) as passed:
        indexes = passed[database_name].sessions.index_information
        client = ZepClient(client=passed, database=database_name)
        client.memory.add_memory("a session", said("hello"))
        assert set(indexes()) == {"_id_", "expiry"}
        client.memory.recent_sessions(pinned=True, user_id="a user")
        assert set(indexes()) == {"_id_", "expiry", "pinned_by_user_and_time"}
        commands.sent.clear()
        client.memory.recent_sessions(pinned=True, user_id="a user")
        assert commands.count("createIndexes") + commands.count("listIndexes") == 0
        other = ZepClient(client=passed, database=database_name)
        other.message.count("a session")
        commands.sent.clear()
        other.memory.recent_sessions(pinned=True, user_id="a user")
        assert [name for name, _ in commands.sent] == ["find"]


def test_an_index_of_the_same_keys_serves_under_another_name(mongo_url, database_name):
    """An administrator may have made it."""
    with MongoClient(mongo_url) as passed:
        sessions = passed[database_name].sessions
        sessions.create_index([("id", 1)], name="mine")
        client = ZepClient(client=passed, database=database_name)
        client.memory.add_memory("a session", said("hello"))
        for _ in range(2):
            assert len(client.memory.list_sessions(include_deleted=True)) == 1
        assert set(sessions.index_information()) == {"_id_", "expiry", "mine"}


def test_concurrent_clients_may_need_the_same_index_first(mongo_url, database_name):
    together = Barrier(8)
    opened(mongo_url, database_name)

    def work(number: int) -> None:
        with ZepClient(mongo_url, database=database_name, timeout=60) as client:
            client.memory.add_memory(f"session {number}", said("hello"))
            together.wait()
            assert client.memory.recent_sessions().sessions

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))


# Retention


@pytest.mark.promise(
    "the database removes what has been deleted for the retention; `purge()` does it now; no "
    "program shortens the retention by accident"
)
def test_deleted_data_is_kept_for_thirty_days_and_sessions_for_a_day_longer(
    mongo_url, database_name
):
    opened(mongo_url, database_name)
    assert expiries(mongo_url, database_name) == {
        "messages": 30 * DAY,
        "sessions": 31 * DAY,
        "users": 31 * DAY,
    }


@pytest.mark.promise(
    "the database removes what has been deleted for the retention; `purge()` does it now; no "
    "program shortens the retention by accident"
)
async def test_a_given_retention_changes_the_database(mongo_url, database_name):
    opened(mongo_url, database_name)
    opened(mongo_url, database_name, timedelta(days=2))
    assert expiries(mongo_url, database_name) == {
        "messages": 2 * DAY,
        "sessions": 3 * DAY,
        "users": 3 * DAY,
    }
    for driver, days in (("motor", 3), ("pymongo", 4)):
        async with ZepClient(
            mongo_url,
            database=database_name,
            async_driver=driver,
            retention=timedelta(days=days),
        ) as client:
            await client.message.acount("nobody")
        assert expiries(mongo_url, database_name)["messages"] == days * DAY
        assert expiries(mongo_url, database_name)["sessions"] == (days + 1) * DAY


def test_an_unchanged_retention_sends_no_command(mongo_url, database_name):
    opened(mongo_url, database_name, timedelta(days=2))
    commands = Commands()
    with MongoClient(mongo_url, event_listeners=[commands]) as passed:
        client = ZepClient(client=passed, database=database_name, retention=timedelta(days=2))
        client.message.count("nobody")
    assert commands.count("collMod") == 0


@pytest.mark.promise(
    "the database removes what has been deleted for the retention; `purge()` does it now; no "
    "program shortens the retention by accident"
)
def test_a_missing_retention_keeps_the_setting(mongo_url, database_name):
    opened(mongo_url, database_name, timedelta(days=2))
    opened(mongo_url, database_name)
    assert expiries(mongo_url, database_name)["messages"] == 2 * DAY


def test_a_retention_of_zero_is_valid(mongo_url, database_name):
    opened(mongo_url, database_name, timedelta())
    assert expiries(mongo_url, database_name) == {"messages": 0, "sessions": DAY, "users": DAY}
    opened(mongo_url, database_name, timedelta(days=1))
    opened(mongo_url, database_name, timedelta())
    assert expiries(mongo_url, database_name) == {"messages": 0, "sessions": DAY, "users": DAY}


# Without the right to make them


@pytest.fixture(scope="module")
def guarded(tmp_path_factory) -> Iterator[Mongod]:
    """A mongod that asks for credentials."""
    mongod = Mongod(tmp_path_factory.mktemp("auth"), options=("--auth",)).start()
    with MongoClient(mongod.url) as client:
        client.admin.command("createUser", "root", pwd="root", roles=["root"])
    yield mongod
    mongod.stop()


def url_of(guarded: Mongod, user: str) -> str:
    return f"mongodb://{user}:{user}@{guarded.address}/?directConnection=true&authSource=admin"


@pytest.fixture
def poor_database(guarded: Mongod) -> str:
    """A database in which the user of the same name may read and write, and nothing else."""
    name = f"poor_{uuid4().hex}"
    with MongoClient(url_of(guarded, "root")) as client:
        actions = ["find", "insert", "update", "remove"]
        privilege = {"resource": {"db": name, "collection": ""}, "actions": actions}
        client.admin.command("createRole", name, privileges=[privilege], roles=[])
        client.admin.command("createUser", name, pwd=name, roles=[name])
    return name


def exercise(client: ZepClient, user_id: str = "a user") -> None:
    client.user.add(CreateUserRequest(user_id=user_id))
    client.memory.add_session(Session(session_id="a session", user_id=user_id))
    client.memory.add_memory("a session", said("one", "two"))
    assert [m.content for m in client.memory.get_memory("a session", 1).messages] == ["two"]
    assert [s.session_id for s in client.memory.list_sessions(user_id=user_id)] == ["a session"]
    assert len(client.memory.recent_sessions().sessions) == 1
    client.memory.delete_memory("a session")
    client.memory.undelete_session("a session")
    assert client.message.count("a session") == 2
    client.memory.delete_memory("a session")
    assert client.purge() == {"messages": 2, "sessions": 1, "users": 0}


@pytest.mark.promise("without the right to make indexes: one warning, and everything works")
def test_a_missing_index_privilege_warns_once_and_everything_works(guarded, poor_database):
    with ZepClient(url_of(guarded, poor_database), database=poor_database) as client:
        with pytest.warns(UserWarning, match="createIndex") as caught:
            exercise(client)
        assert len(caught) == 1
    with MongoClient(url_of(guarded, "root")) as root:
        assert set(root[poor_database].messages.index_information()) == {"_id_"}


@pytest.mark.promise("without the right to make indexes: one warning, and everything works")
@pytest.mark.parametrize("driver", ["motor", "pymongo"])
async def test_asynchronous_calls_without_the_index_privilege_warn_once(
    driver, guarded, poor_database
):
    url = url_of(guarded, poor_database)
    async with ZepClient(url, database=poor_database, async_driver=driver) as client:
        with pytest.warns(UserWarning, match="createIndex") as caught:  # noqa: PT031 - once for all
            for number in range(3):
                await client.memory.aadd_memory("a session", said(str(number)))
        assert len((await client.memory.aget_memory("a session")).messages) == 3
        assert len(caught) == 1


def test_concurrent_threads_without_the_index_privilege_warn_once(guarded, poor_database):
    together = Barrier(8)
    with ZepClient(url_of(guarded, poor_database), database=poor_database) as client:

        def add(number: int) -> None:
            together.wait()
            client.memory.add_memory("a session", said(str(number)))

        with (
            pytest.warns(UserWarning, match="createIndex") as caught,
            ThreadPoolExecutor(8) as threads,
        ):
            list(threads.map(add, range(8)))
        assert len(caught) == 1


def test_each_client_without_the_index_privilege_warns(guarded, poor_database):
    for _ in range(2):
        with (
            ZepClient(url_of(guarded, poor_database), database=poor_database) as client,
            warnings.catch_warnings(record=True) as caught,
        ):
            warnings.simplefilter("always")
            client.message.count("nobody")
            assert len(caught) == 1


@pytest.mark.promise("without the right to make indexes: one warning, and everything works")
def test_existing_indexes_give_no_warning_without_the_privilege(guarded, poor_database):
    # What the warning advises must make it go away.
    with MongoClient(url_of(guarded, "root")) as root:
        root.admin.command(
            "updateRole",
            poor_database,
            privileges=[
                {
                    "resource": {"db": poor_database, "collection": ""},
                    "actions": ["find", "insert", "update", "remove", "listIndexes"],
                }
            ],
        )
    opened(url_of(guarded, "root"), poor_database)
    with ZepClient(url_of(guarded, poor_database), database=poor_database) as client:
        with pytest.warns(UserWarning, match=r"may not create an index \(by_user\)") as caught:
            exercise(client)
        assert len(caught) == 1
    with ZepClient(url_of(guarded, "root"), database=poor_database) as client:
        exercise(client, "the administrator")
    with (
        ZepClient(url_of(guarded, poor_database), database=poor_database) as client,
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        exercise(client, "another user")
    assert [str(warning.message) for warning in caught] == []


def test_a_text_search_without_its_indexes_names_the_missing_privilege(guarded, poor_database):
    name, message = poor_database, "indexes that these credentials may not list or create"
    may_list = {"resource": {"db": name, "collection": ""}, "actions": ["listIndexes"]}
    with (
        ZepClient(url_of(guarded, "root"), database=name) as root,
        ZepClient(url_of(guarded, name), database=name) as client,
        MongoClient(url_of(guarded, "root")) as raw,
    ):
        with pytest.warns(UserWarning, match="may not create indexes"):
            client.memory.add_memory("s", said("a boat"))
        for _ in range(2):
            with pytest.raises(AuthError, match=message):
                client.memory.search("boat", session_id="s")
        with pytest.raises(AuthError, match=message):
            client.memory.index()
        root.memory.search("boat", session_id="s")
        raw.admin.command("grantPrivilegesToRole", name, privileges=[may_list])
        client.memory.add_memory("s", said("boats"))
        assert len(client.memory.search("boat", session_id="s")) == 2


def test_the_read_write_role_may_create_indexes_but_not_change_the_retention(guarded):
    name = f"writer_{uuid4().hex}"
    with MongoClient(url_of(guarded, "root")) as root:
        roles = [{"role": "readWrite", "db": name}]
        root.admin.command("createUser", name, pwd=name, roles=roles)
    url = url_of(guarded, name)
    opened(url, name, timedelta(days=2))
    with ZepClient(url, database=name, retention=timedelta(days=1)) as client:
        with pytest.warns(UserWarning, match="collMod") as caught:
            exercise(client)
        assert len(caught) == 1
    assert expiries(url_of(guarded, "root"), name)["messages"] == 2 * DAY
