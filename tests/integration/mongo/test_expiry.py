"""The database's own purge: what was deleted goes after the retention, the rest stays."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from langchain_zepstore import (
    CreateUserRequest,
    Memory,
    NotFoundError,
    Session,
    ZepClient,
)
from tests.support.messages import contents_in, said
from tests.support.mongod import Mongod

SECOND = timedelta(seconds=1)


@pytest.fixture(scope="module")
def swift(tmp_path_factory) -> Iterator[Mongod]:
    """A mongod that looks every second for what has expired."""
    options = ("--setParameter", "ttlMonitorSleepSecs=1")
    mongod = Mongod(tmp_path_factory.mktemp("swift"), options=options).start()
    yield mongod
    mongod.stop()


@pytest.fixture
def raw(swift: Mongod) -> Iterator[Database]:
    """A database of the test's own, as the driver shows it."""
    with MongoClient(swift.url) as client:
        yield client[f"expiry_{uuid4().hex}"]


def opened(swift: Mongod, raw: Database, retention: timedelta | None = SECOND) -> ZepClient:
    return ZepClient(swift.url, database=raw.name, retention=retention)


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


def expire_soon(raw: Database, name: str) -> None:
    """Do not wait for the day that a session and a user outlast the messages."""
    raw.command("collMod", name, index={"name": "expiry", "expireAfterSeconds": 1})


def some_ttl_passes(raw: Database, count: int = 2) -> None:
    def passes() -> int:
        return int(raw.command("serverStatus")["metrics"]["ttl"]["passes"])

    before = passes()
    until(lambda: passes() >= before + count)


@pytest.mark.promise(
    "the database removes what has been deleted for the retention; `purge()` does it now; no "
    "program shortens the retention by accident"
)
@pytest.mark.promise("the database removes messages, then sessions")
def test_ttl_indexes_remove_messages_before_sessions(swift, raw):
    with opened(swift, raw) as client:
        client.memory.add_memory("deleted", said("one", "two", "three"))
        client.memory.add_memory("live", said("four", "five"))
        client.memory.delete_memory("deleted")
        until(lambda: not raw.messages.find_one({"session_id": "deleted"}))
        some_ttl_passes(raw)
        assert raw.sessions.find_one({"_id": "deleted"}), "the session outlasts its messages"
        expire_soon(raw, "sessions")
        until(lambda: not raw.sessions.find_one({"_id": "deleted"}))
        some_ttl_passes(raw)
        assert contents_in(client, "live") == ["four", "five"]
        assert [s.session_id for s in client.memory.list_sessions(include_deleted=True)] == ["live"]


def test_a_ttl_index_removes_only_the_deleted_message(swift, raw):
    with opened(swift, raw) as client:
        client.memory.add_memory("a session", said("one", "two", "three"))
        gone = client.memory.get_memory("a session").messages[1]
        client.message.delete_message("a session", gone.uuid)
        until(lambda: raw.messages.count_documents({}) == 2)
        some_ttl_passes(raw)
        assert contents_in(client, "a session") == ["one", "three"]
        with pytest.raises(NotFoundError):
            client.message.undelete_message("a session", gone.uuid)
        client.memory.add_memory("a session", Memory(messages=[gone]))
        assert contents_in(client, "a session") == ["one", "three", "two"]


@pytest.mark.promise("deleted users are purged after the retention")
def test_ttl_indexes_remove_only_deleted_users_and_their_sessions(swift, raw):
    with opened(swift, raw) as client:
        for name in ("deleted", "live"):
            client.user.add(CreateUserRequest(user_id=name))
            client.memory.add_session(Session(session_id=f"of {name}", user_id=name))
            client.memory.add_memory(f"of {name}", said(name))
        client.user.delete("deleted")
        expire_soon(raw, "sessions")
        expire_soon(raw, "users")
        until(lambda: raw.users.count_documents({}) == 1)
        until(lambda: raw.sessions.count_documents({}) == 1)
        until(lambda: raw.messages.count_documents({}) == 1)
        some_ttl_passes(raw)
        assert [user.user_id for user in client.user.list()] == ["live"]
        assert contents_in(client, "of live") == ["live"]


@pytest.mark.promise("the database removes messages, then sessions")
def test_an_undeleted_session_does_not_expire(swift, raw):
    with opened(swift, raw, None) as client:
        client.memory.add_memory("a session", said("one", "two"))
        client.memory.delete_memory("a session")
        client.memory.undelete_session("a session")
    with opened(swift, raw) as client:  # from now on a second
        assert contents_in(client, "a session") == ["one", "two"]
        expire_soon(raw, "sessions")
        time.sleep(1.5)
        some_ttl_passes(raw)
        assert contents_in(client, "a session") == ["one", "two"]
        assert client.memory.get_session("a session").deleted_at is None


@pytest.mark.promise("the database removes messages, then sessions")
def test_a_session_whose_messages_expired_is_undeleted_empty(swift, raw):
    with opened(swift, raw) as client:
        client.memory.add_session(Session(session_id="a session", metadata={"a": 1}))
        client.memory.add_memory("a session", said("one", "two"))
        client.memory.delete_memory("a session")
        until(lambda: raw.messages.count_documents({}) == 0)
        assert client.memory.undelete_session("a session").metadata == {"a": 1}
        assert contents_in(client, "a session") == []
        client.memory.add_memory("a session", said("three"))
        assert contents_in(client, "a session") == ["three"]


def test_an_expired_session_cannot_be_undeleted(swift, raw):
    with opened(swift, raw) as client:
        client.memory.add_memory("a session", said("one"))
        client.memory.delete_memory("a session")
        expire_soon(raw, "sessions")
        until(lambda: raw.sessions.count_documents({}) == 0)
        with pytest.raises(NotFoundError):
            client.memory.undelete_session("a session")
        with pytest.raises(NotFoundError):
            client.memory.get_session("a session")


@pytest.mark.promise("a session made anew shows nothing old")
@pytest.mark.parametrize("messages_gone", [True, False], ids=["in order", "messages late"])
def test_a_session_recreated_under_a_purged_id_is_empty(swift, raw, messages_gone):
    # Messages late: the database was down or slow, and removed the session first.
    with opened(swift, raw, SECOND if messages_gone else timedelta(days=1)) as client:
        client.memory.add_session(Session(session_id="a session", metadata={"old": True}))
        client.memory.add_memory("a session", said("old one", "old two"))
        old = client.memory.get_memory("a session").messages
        client.memory.delete_memory("a session")
        expire_soon(raw, "sessions")
        until(lambda: raw.sessions.count_documents({}) == 0)
        if messages_gone:
            until(lambda: raw.messages.count_documents({}) == 0)
        else:
            assert raw.messages.count_documents({}) == 2
        client.memory.add_memory("a session", said("new"))
        assert contents_in(client, "a session") == ["new"]
        assert client.message.count("a session") == 1
        assert client.memory.get_session("a session").metadata is None
        for message in old:
            with pytest.raises(NotFoundError):
                client.message.get_session_message("a session", message.uuid)
        with pytest.raises(NotFoundError):
            client.memory.undelete_session("a session")
        client.memory.delete_memory("a session")
        client.memory.undelete_session("a session")
        assert contents_in(client, "a session") == ["new"]
