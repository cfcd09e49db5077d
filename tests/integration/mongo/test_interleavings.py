"""Orders of steps that have gone wrong once, driven by hand."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from pymongo import MongoClient

from langchain_zepstore import (
    BadRequestError,
    CreateUserRequest,
    Memory,
    Message,
    NotFoundError,
    Session,
    StoreUnavailableError,
    ZepClient,
)
from tests.support.messages import parts_of
from tests.support.mongod import Mongod
from tests.support.stepping import Drive, store_of


@pytest.fixture
def mongod(tmp_path: Path) -> Iterator[Mongod]:
    mongod = Mongod(tmp_path).start()
    yield mongod
    mongod.stop()


@pytest.fixture
def own(mongo_url: str, database_name: str) -> Iterator[ZepClient]:
    with ZepClient(mongo_url, database=database_name) as client:
        yield client


def said(*uuids: str, content: str = "") -> Memory:
    return Memory(messages=[Message(role="user", content=content, uuid=uuid) for uuid in uuids])


def seen(client: ZepClient, session_id: str) -> list[str | None]:
    return [message.uuid for message in client.memory.get_memory(session_id).messages]


def bounce(mongod: Mongod) -> None:
    mongod.stop(signal.SIGKILL)
    mongod.start()


def test_a_sequence_number_reserved_twice_by_a_crashed_server_tears_no_turn(mongod: Mongod) -> None:
    with ZepClient(mongod.url) as client:
        client.memory.add_memory("s", said("x"))
        store = store_of(client)
        first = Drive(store.messages.add("s", parts_of(said("a")))).step()
        bounce(mongod)
        second = Drive(store.messages.add("s", parts_of(said("b1", "b2", "b3")))).step()
        first.finish()
        second.finish()
        assert seen(client, "s") == ["x", "a", "b1", "b2", "b3"]


def test_a_batched_add_stays_together_after_an_interleaved_delete(own: ZepClient) -> None:
    own.memory.add_memory("s", said("x"))
    large = said("a1", "a2", content="y" * 5_000_000)
    add = Drive(store_of(own).messages.add("s", parts_of(large))).step(
        2
    )  # the reservation, the first part
    own.memory.delete_memory("s")
    own.memory.undelete_session("s")
    own.memory.add_memory("s", said("b"))
    add.finish()
    assert seen(own, "s") == ["x", "b", "a1", "a2"]


@pytest.mark.parametrize("steps", [1, 2])  # before and after its marks
def test_a_late_delete_of_a_purged_session_keeps_its_successor(own: ZepClient, steps: int) -> None:
    own.memory.add_memory("s", said("old"))
    late = Drive(store_of(own).deletion.delete_session("s")).step(steps)
    own.memory.delete_memory("s")
    own.purge()
    own.memory.add_memory("s", said("new"))
    late.finish()
    assert seen(own, "s") == ["new"]
    assert own.memory.get_session("s").deleted_at is None


def test_an_insert_retried_after_the_purge_is_not_visible(own: ZepClient) -> None:
    own.memory.add_memory("s", said("x"))
    store = store_of(own)
    add = Drive(store.messages.add("s", parts_of(said("late")))).step(2)  # it has landed
    database = store.messages._messages._raw.database
    inserted = database["messages"].find_one({"uuid": "late"})
    own.memory.delete_memory("s")
    assert own.purge()["messages"] == 2
    with pytest.raises(Exception, match="E11000"):
        database["messages"].insert_one(inserted)  # what the driver would send again
    add.finish()
    assert seen(own, "s") == []


def test_a_session_id_reused_by_another_user_shows_no_old_messages(
    mongod: Mongod,
) -> None:
    with ZepClient(mongod.url) as client:
        for user_id in ("alice", "bob"):
            client.user.add(CreateUserRequest(user_id=user_id))
        client.memory.add_session(Session(session_id="s", user_id="alice"))
        client.memory.add_memory("s", said("a"))
        client.memory.delete_memory("s")
        add = Drive(store_of(client).messages.add("s", parts_of(said("of alice")))).step()
        bounce(mongod)
        add.step()  # it lands, and its writer is gone
        assert client.memory.get_session("s").deleted_at is None  # the revival was durable
        client.memory.delete_memory("s")
        with MongoClient(mongod.url) as raw:  # as if a mark had been lost
            raw.zepstore.messages.update_one(
                {"uuid": "of alice"}, {"$unset": {"deleted_at": 1, "deletion": 1}}
            )
        client.memory.add_session(Session(session_id="s", user_id="bob"))
        assert seen(client, "s") == []


def test_a_recent_purge_leaves_only_the_sequence_number(own: ZepClient) -> None:
    secret = Message(role="user", content="secret", uuid="m", metadata={"k": "secret"})
    own.memory.add_memory("s", Memory(messages=[secret]))
    own.memory.delete_memory("s")
    assert own.purge(timedelta(hours=1))["messages"] == 0
    assert own.purge() == {"messages": 1, "sessions": 1, "users": 0}
    assert own.purge() == {"messages": 0, "sessions": 0, "users": 0}
    database = store_of(own).messages._messages._raw.database
    (left,) = database["messages"].find().to_list()
    assert "secret" not in repr(left)
    assert set(left) == {
        *("_id", "session_id", "seq", "uuid", "scope", "placeholder"),
        *("deleted_at", "created_at", "token_count"),
    }


@pytest.mark.parametrize("steps", range(1, 12))
def test_a_purge_racing_an_undelete_removes_all_or_nothing(
    own: ZepClient, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("langchain_zepstore.mongo.deletion.purge._CHUNK_SIZE", 1)
    own.memory.add_memory("s", said("a", "b", "c"))
    own.memory.delete_memory("s")
    purge = Drive(store_of(own).deletion.purge(timedelta()))
    with suppress(StopIteration):
        purge.step(steps)
    with suppress(NotFoundError):
        own.memory.undelete_session("s")
    with suppress(StopIteration):
        purge.finish()
    assert seen(own, "s") in ([], ["a", "b", "c"])


def test_a_late_cleanup_keeps_messages_superseded_by_another_writer(own: ZepClient) -> None:
    own.memory.add_memory("s", said("m"))
    own.message.delete_message("s", "m")
    store = store_of(own)
    first = Drive(store.messages.add("s", parts_of(said("m")))).step(
        5
    )  # it has its place, and not tidied up
    assert seen(own, "s") == ["m"]
    own.message.delete_message("s", "m")
    Drive(store.messages.add("s", parts_of(said("m")))).step(
        4
    )  # the deleted one gives way; its writer dies
    first.finish()
    own.message.undelete_message("s", "m")
    assert seen(own, "s") == ["m"]


def test_a_recreated_user_keeps_the_sessions_created_since(own: ZepClient) -> None:
    own.user.add(CreateUserRequest(user_id="u"))
    own.memory.add_session(Session(session_id="old", user_id="u"))
    delete = Drive(store_of(own).users.delete("u")).step(2)
    own.user.add(CreateUserRequest(user_id="u"))
    own.memory.add_session(Session(session_id="new", user_id="u"))
    delete.finish()
    assert [session.session_id for session in own.user.get_sessions("u")] == ["new"]
    assert own.user.get("u").deleted_at is None


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_session_created_during_its_users_deletion_is_deleted(own: ZepClient, steps: int) -> None:
    own.user.add(CreateUserRequest(user_id="u"))
    session = Session(session_id="s", user_id="u")
    create = Drive(store_of(own).sessions.create(session)).step(steps)
    own.user.delete("u")
    with pytest.raises(BadRequestError, match="no user"):
        create.finish()
    assert own.user.get_sessions("u") == []


async def test_a_call_after_a_failed_first_call_connects_again(mongod: Mongod) -> None:
    mongod.stop()
    async with ZepClient(mongod.url, timeout=0.5) as client:
        for _ in range(2):
            with pytest.raises(StoreUnavailableError):
                await client.message.acount("s")
        mongod.start()
        counts = await asyncio.gather(*(client.message.acount("s") for _ in range(10)))
        assert counts == [0] * 10


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_an_add_racing_a_user_assignment_belongs_to_the_user(own: ZepClient, steps: int) -> None:
    own.user.add(CreateUserRequest(user_id="ada"))
    own.memory.add_memory("s", said("a", content="a boat"))
    add = Drive(store_of(own).messages.add("s", parts_of(said("b", content="a boat")))).step(1)
    giving = store_of(own).sessions.update(Session(session_id="s", user_id="ada"), ())
    update = Drive(giving).step(steps)
    if steps % 2:
        add.finish()
        update.finish()
    else:
        update.finish()
        add.finish()
    for place in ({"user_id": "ada"}, {"session_id": "s"}):
        found = own.memory.search("boats", **place)
        assert sorted(result.message.uuid for result in found) == ["a", "b"]
    assert seen(own, "s") == ["a", "b"]


def test_a_partially_assigned_session_is_searchable_by_its_user(
    own: ZepClient,
) -> None:
    own.user.add(CreateUserRequest(user_id="ada"))
    own.memory.add_memory("s", said("a", content="a boat"))
    giving = store_of(own).sessions.update(Session(session_id="s", user_id="ada"), ())
    Drive(giving).step(3)  # the owner is looked up, the user too, the session is the user's
    assert own.memory.search("boats", user_id="ada") == []
    [found] = own.memory.search("boats", session_id="s")
    assert found.message.uuid == "a"
    [found] = own.memory.search("boats", user_id="ada")
    assert found.message.uuid == "a"
