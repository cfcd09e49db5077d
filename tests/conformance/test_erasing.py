"""Removing a session, or a person's data, at once and for good."""

import asyncio
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver

from langchain_zepstore import (
    BadRequestError,
    CreateUserRequest,
    Memory,
    Message,
    NotFoundError,
    Session,
)
from tests.support.facade import Facade
from tests.support.messages import contents

NOTHING = {"users": 0, "sessions": 0, "messages": 0}
PROMISE = pytest.mark.promise(
    "`erase` and `erase_session` remove at once and for good what was there before; what is added "
    "meanwhile is a new session, whole"
)


def said(*texts: str) -> Memory:
    return Memory(messages=[Message(role="user", content=text, uuid=text) for text in texts])


async def user_with_sessions(zep: Facade, user_id: str, *session_ids: str) -> None:
    """Add a user whose sessions have two messages each, one of them deleted."""
    await zep.user.add(CreateUserRequest(user_id=user_id, email=f"{user_id}@example.org"))
    for session_id in session_ids:
        await zep.memory.add_session(Session(session_id=session_id, user_id=user_id))
        await zep.memory.add_memory(session_id, said("a", "b"))
        await zep.message.delete_message(session_id, "a")


@PROMISE
async def test_an_erased_session_is_removed_and_counted(zep: Facade, session_id: str) -> None:
    await zep.memory.add_session(Session(session_id=session_id, metadata={"a": 1}))
    await zep.memory.add_memory(session_id, said("a", "b", "c"))
    await zep.message.delete_message(session_id, "b")
    expected = {"users": 0, "sessions": 1, "messages": 3}
    assert await zep.memory.erase_session(session_id, dry_run=True) == expected
    assert await contents(zep, session_id) == ["a", "c"]
    assert await zep.memory.erase_session(session_id) == expected
    assert await contents(zep, session_id) == []
    with pytest.raises(NotFoundError):
        await zep.memory.get_session(session_id)
    with pytest.raises(NotFoundError):
        await zep.memory.undelete_session(session_id)
    with pytest.raises(NotFoundError):
        await zep.memory.update_session(Session(session_id=session_id))
    deleted = await zep.memory.get_memory(session_id, include_deleted=True)
    assert deleted.messages == []
    assert await zep.memory.erase_session(session_id) == NOTHING


async def test_a_deleted_session_can_be_erased(zep: Facade, session_id: str) -> None:
    await zep.memory.add_memory(session_id, said("a", "b"))
    await zep.memory.delete_memory(session_id)
    assert await zep.memory.erase_session(session_id) == {"users": 0, "sessions": 1, "messages": 2}
    with pytest.raises(NotFoundError):
        await zep.memory.undelete_session(session_id)


async def test_an_erased_session_id_can_be_reused(zep: Facade, session_id: str) -> None:
    await zep.memory.add_session(Session(session_id=session_id, metadata={"old": 1}))
    await zep.memory.add_memory(session_id, said("a", "b"))
    old = await zep.memory.get_session(session_id)
    await zep.memory.erase_session(session_id)
    await zep.memory.add_memory(session_id, said("a", "c"))
    new = await zep.memory.get_session(session_id)
    assert (new.metadata, new.user_id) == (None, None)
    assert new.uuid != old.uuid
    assert await contents(zep, session_id) == ["a", "c"]


@PROMISE
async def test_a_user_is_erased_with_all_sessions(zep: Facade, user_id: str) -> None:
    ids = [f"{user_id} {number}" for number in range(3)]
    await user_with_sessions(zep, user_id, *ids)
    await user_with_sessions(zep, f"other {user_id}", f"other {ids[0]}")
    await zep.memory.delete_memory(ids[1])
    expected = {"users": 1, "sessions": 3, "messages": 6}
    assert await zep.user.erase(user_id, dry_run=True) == expected
    assert await zep.user.erase(user_id) == expected
    with pytest.raises(NotFoundError):
        await zep.user.get(user_id)
    listed = await zep.memory.list_sessions(user_id=user_id, include_deleted=True)
    assert listed == []
    assert await contents(zep, f"other {ids[0]}") == ["b"]
    assert await zep.user.erase(user_id) == NOTHING


@PROMISE
async def test_erasing_a_user_covers_sessions_whose_id_changed_owner(
    zep: Facade, session_id: str, user_id: str
) -> None:
    await user_with_sessions(zep, user_id, session_id)
    await zep.user.add(CreateUserRequest(user_id=f"next {user_id}"))
    await zep.memory.delete_memory(session_id)
    await zep.memory.add_session(Session(session_id=session_id, user_id=f"next {user_id}"))
    await zep.memory.add_memory(session_id, said("new"))
    expected = {"users": 1, "sessions": 0, "messages": 2}
    assert await zep.user.erase(user_id, dry_run=True) == expected
    assert await zep.user.erase(user_id) == expected
    assert await contents(zep, session_id) == ["new"]
    assert (await zep.memory.get_session(session_id)).user_id == f"next {user_id}"


@PROMISE
async def test_earlier_incarnations_of_a_users_session_are_exported_and_erased(
    zep: Facade, session_id: str, user_id: str
) -> None:
    other = f"next {user_id}"
    await user_with_sessions(zep, user_id, session_id)
    await zep.user.add(CreateUserRequest(user_id=other))
    for owner in (other, user_id):
        await zep.memory.delete_memory(session_id)
        await zep.memory.add_session(Session(session_id=session_id, user_id=owner))
        await zep.memory.add_memory(session_id, said(f"of {owner}"))
    sessions = await zep.user.get_sessions(user_id)
    assert [session.session_id for session in sessions] == [session_id]
    exported = [line async for line in zep.user.each("export", user_id)]
    texts = [line["content"] for line in exported if line["type"] == "message"]
    assert sorted(texts) == ["a", "b", f"of {user_id}"]
    assert await contents(zep, session_id) == [f"of {user_id}"]
    expected = {"users": 1, "sessions": 1, "messages": 3}
    assert await zep.user.erase(user_id, dry_run=True) == expected
    assert await zep.user.erase(user_id) == expected


@PROMISE
async def test_messages_added_during_an_erasure_form_a_whole_new_session(
    zep: Facade, session_id: str
) -> None:
    await zep.memory.add_memory(session_id, said(*(f"old {number}" for number in range(50))))
    added: list[tuple[str, str]] = []
    is_over = False

    async def write(name: str) -> None:
        number = 0
        while not is_over or number < 3:
            pair = (f"{name} {number} a", f"{name} {number} b")
            await zep.memory.add_memory(session_id, said(*pair))
            added.append(pair)
            number += 1
            await asyncio.sleep(0)

    async def erase() -> None:
        nonlocal is_over
        before = {message.uuid for message in (await zep.memory.get_memory(session_id)).messages}
        await zep.memory.erase_session(session_id)
        after = await zep.memory.get_memory(session_id, include_deleted=True)
        assert before.isdisjoint(message.uuid for message in after.messages)
        is_over = True

    await asyncio.gather(*(write(f"w{number}") for number in range(8)), erase())
    there = await contents(zep, session_id)
    assert there
    for first, second in added:
        assert (first in there) == (second in there)
    with_deleted = await zep.memory.get_memory(session_id, include_deleted=True)
    assert [message.content for message in with_deleted.messages] == there


async def test_erasing_a_session_erases_its_summary(zep: Facade, session_id: str) -> None:
    await zep.memory.add_memory(session_id, said("a"))
    model = FakeListChatModel(responses=["in short"])
    assert await zep.memory.summarize(session_id, model)
    await zep.memory.erase_session(session_id)
    await zep.memory.add_memory(session_id, said("b"))
    assert (await zep.memory.get_memory(session_id)).summary is None


async def put_thread(saver: Any, thread_id: str) -> None:
    config = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
    await saver.aput(config, empty_checkpoint(), {}, {})


async def threads_of(saver: Any, *thread_ids: str) -> list[str]:
    return [
        thread_id
        for thread_id in thread_ids
        if await saver.aget_tuple({"configurable": {"thread_id": thread_id}})
    ]


async def test_erasing_deletes_the_checkpointers_threads(zep: Facade, user_id: str) -> None:
    ids = [f"{user_id} {number}" for number in range(3)]
    await user_with_sessions(zep, user_id, *ids)
    saver = InMemorySaver()
    for thread_id in (*ids, "another"):
        await put_thread(saver, thread_id)
    counts = await zep.memory.erase_session(ids[0], checkpointer=saver)
    assert counts == {"users": 0, "sessions": 1, "messages": 2, "threads": 1}
    assert await threads_of(saver, *ids, "another") == [ids[1], ids[2], "another"]
    expected = {"users": 1, "sessions": 2, "messages": 4, "threads": 2}
    assert await zep.user.erase(user_id, checkpointer=saver, dry_run=True) == expected
    assert await threads_of(saver, *ids, "another") == [ids[1], ids[2], "another"]
    assert await zep.user.erase(user_id, checkpointer=saver) == expected
    assert await threads_of(saver, *ids, "another") == ["another"]


@pytest.mark.parametrize("bad", ["", 1, None])
async def test_invalid_ids_are_refused(zep: Facade, bad: Any) -> None:
    with pytest.raises(BadRequestError):
        await zep.memory.erase_session(bad)
    with pytest.raises(BadRequestError):
        await zep.user.erase(bad)


async def test_invalid_checkpointers_are_refused(zep: Facade, session_id: str) -> None:
    await zep.memory.add_memory(session_id, said("a"))
    with pytest.raises(BadRequestError, match="checkpointer"):
        await zep.memory.erase_session(session_id, checkpointer="no")
    with pytest.raises(BadRequestError, match="dry_run"):
        await zep.memory.erase_session(session_id, dry_run="yes")
    assert await contents(zep, session_id) == ["a"]
