"""Reading soft-deleted messages, going on after a message, and replacing a message's words."""

from typing import Any

import pytest

from langchain_zepstore import (
    BadRequestError,
    CreateUserRequest,
    Message,
    NotFoundError,
    Session,
)
from tests.support.facade import Facade
from tests.support.messages import contents, with_ids


async def everything(zep: Facade, session_id: str, lastn: int | None = None) -> list[Message]:
    memory = await zep.memory.get_memory(session_id, lastn, include_deleted=True)
    return memory.messages


async def iterated(zep: Facade, session_id: str, *args: Any, **options: Any) -> list[str]:
    messages = zep.message.each("iter_messages", session_id, *args, **options)
    return [message.content async for message in messages]


@pytest.mark.promise("the trash can be read before it is restored")
async def test_deleted_messages_are_read_in_position(zep: Facade, session_id: str) -> None:
    await zep.memory.add_memory(session_id, with_ids("a", "b", "c"))
    before = (await zep.memory.get_memory(session_id)).messages
    await zep.message.delete_message(session_id, "b")
    found = await everything(zep, session_id)
    assert [message.content for message in found] == ["a", "b", "c"]
    assert [message.deleted_at is None for message in found] == [True, False, True]
    assert [message.model_copy(update={"deleted_at": None}) for message in found] == before
    assert await contents(zep, session_id) == ["a", "c"]
    await zep.memory.delete_memory(session_id)
    assert [message.content for message in await everything(zep, session_id, 2)] == ["b", "c"]
    assert await everything(zep, session_id, 0) == []
    assert all(message.deleted_at for message in await everything(zep, session_id))
    assert await iterated(zep, session_id, 2, include_deleted=True) == ["a", "b", "c"]
    assert await iterated(zep, session_id) == []
    await zep.memory.undelete_session(session_id)
    assert await contents(zep, session_id) == ["a", "c"]
    assert await everything(zep, f"{session_id} unknown") == []


@pytest.mark.promise("messages under an id are never shown to its next owner")
async def test_messages_of_a_former_user_of_the_id_are_not_read(
    zep: Facade, session_id: str, user_id: str
) -> None:
    other = f"{user_id} other"
    for name in (user_id, other):
        await zep.user.add(CreateUserRequest(user_id=name))
    await zep.memory.add_session(Session(session_id=session_id, user_id=user_id))
    await zep.memory.add_memory(session_id, with_ids("old"))
    await zep.memory.delete_memory(session_id)
    await zep.memory.add_session(Session(session_id=session_id, user_id=other))
    await zep.memory.add_memory(session_id, with_ids("new"))
    await zep.memory.delete_memory(session_id)
    assert [message.content for message in await everything(zep, session_id)] == ["new"]
    assert await iterated(zep, session_id, include_deleted=True) == ["new"]
    with pytest.raises(NotFoundError):
        await iterated(zep, session_id, after="old")


@pytest.mark.promise("deleted messages stay with a session that gets its user later")
async def test_deleted_messages_follow_a_session_assigned_to_a_user(
    zep: Facade, session_id: str, user_id: str
) -> None:
    await zep.user.add(CreateUserRequest(user_id=user_id))
    await zep.memory.add_memory(session_id, with_ids("a", "b"))
    await zep.message.delete_message(session_id, "a")
    await zep.memory.update_session(Session(session_id=session_id, user_id=user_id))
    assert [message.content for message in await everything(zep, session_id)] == ["a", "b"]


async def test_an_iteration_can_start_after_a_message(zep: Facade, session_id: str) -> None:
    await zep.memory.add_memory(session_id, with_ids(*"abcde"))
    assert await iterated(zep, session_id, 2, after="b") == ["c", "d", "e"]
    assert await iterated(zep, session_id, after="e") == []
    await zep.message.delete_message(session_id, "c")
    assert await iterated(zep, session_id, after="c") == ["d", "e"]
    assert await iterated(zep, session_id, after="b", include_deleted=True) == ["c", "d", "e"]
    await zep.memory.add_memory(session_id, with_ids("f"))
    assert await iterated(zep, session_id, after="e") == ["f"]
    with pytest.raises(NotFoundError):
        await iterated(zep, session_id, after="unknown")


@pytest.mark.promise("new content at the same position; times, id and metadata stay")
async def test_updating_content_keeps_the_rest_of_a_message(zep: Facade, session_id: str) -> None:
    await zep.memory.add_memory(session_id, with_ids("a", "b", "c"))
    await zep.message.update_message_metadata(session_id, "b", {"kept": True})
    old = await zep.message.get_session_message(session_id, "b")
    words = "$content of {more} words than before, é"
    new = await zep.message.update_message(session_id, "b", words)
    assert new.token_count is not None
    assert old.token_count is not None
    assert new.token_count > old.token_count
    assert new == old.model_copy(update={"content": words, "token_count": new.token_count})
    assert await zep.message.get_session_message(session_id, "b") == new
    assert await contents(zep, session_id) == ["a", words, "c"]
    for content in (None, 5, "\ud800", {"$ne": 1}):
        with pytest.raises(BadRequestError, match="content"):
            await zep.message.update_message(session_id, "b", content)
    await zep.message.delete_message(session_id, "b")
    for message_id in ("b", "unknown"):
        with pytest.raises(NotFoundError):
            await zep.message.update_message(session_id, message_id, "x")
