"""Soft-deleting sessions and bringing them back."""

import asyncio
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langchain_zepstore import Memory, Message, NotFoundError, Session
from tests.support.facade import Facade
from tests.support.messages import with_ids

TICK = 0.003  # times are kept to the millisecond


async def add(zep: Facade, session_id: str, *contents: str) -> None:
    await zep.memory.add_memory(session_id, with_ids(*contents))


async def contents(zep: Facade, session_id: str) -> list[str]:
    """What a session holds, having seen that every way to read it tells the same."""
    read = [message.content for message in (await zep.memory.get_memory(session_id)).messages]
    assert await zep.message.count(session_id) == len(read)
    assert [m.content async for m in zep.message.each("iter_messages", session_id, 2)] == read
    assert [m.content for m in await zep.message.get_session_messages(session_id)] == read
    assert [m.content for m in await zep.chat_history(session_id).messages()] == read
    last = (await zep.memory.get_memory(session_id, lastn=2)).messages
    assert [m.content for m in last] == read[-2:]
    for text in read:
        assert (await zep.message.get_session_message(session_id, text)).content == text
    return read


async def is_live(zep: Facade, session_id: str) -> bool:
    try:
        return (await zep.memory.get_session(session_id)).deleted_at is None
    except NotFoundError:
        return False


@pytest.mark.promise(
    "delete hides session and messages from every read; what is gone is not found; a message "
    "added meanwhile is not lost"
)
@pytest.mark.promise("the memory of an unknown or deleted session is empty")
async def test_a_deleted_session_is_hidden_from_every_read(zep: Facade, session_id: str) -> None:
    await add(zep, session_id, "a", "b", "c")
    assert await contents(zep, session_id) == ["a", "b", "c"]
    assert await zep.memory.delete_memory(session_id) == "OK"
    assert await contents(zep, session_id) == []
    assert await zep.memory.get_memory(session_id) == Memory()
    with pytest.raises(NotFoundError):
        await zep.memory.get_session(session_id)
    for text in "abc":
        with pytest.raises(NotFoundError):
            await zep.message.get_session_message(session_id, text)
        with pytest.raises(NotFoundError):
            await zep.message.update_message_metadata(session_id, text, {"a": 1})
        with pytest.raises(NotFoundError):
            await zep.message.delete_message(session_id, text)


async def test_deleting_a_session_does_not_change_others(zep: Facade, session_id: str) -> None:
    other = f"{session_id} other"
    await add(zep, session_id, "a")
    await add(zep, other, "a", "b")
    await zep.memory.delete_memory(session_id)
    assert await contents(zep, other) == ["a", "b"]
    assert await is_live(zep, other)
    await zep.memory.delete_memory(other)
    await zep.memory.undelete_session(session_id)
    assert await contents(zep, session_id) == ["a"]
    assert await contents(zep, other) == []


@pytest.mark.promise(
    "delete hides session and messages from every read; what is gone is not found; a message "
    "added meanwhile is not lost"
)
async def test_deleting_a_deleted_session_is_not_found(zep: Facade, session_id: str) -> None:
    await add(zep, session_id, "a")
    await zep.memory.delete_memory(session_id)
    with pytest.raises(NotFoundError, match=session_id):
        await zep.memory.delete_memory(session_id)
    assert await contents(zep, session_id) == []


@pytest.mark.promise(
    "delete hides session and messages from every read; what is gone is not found; a message "
    "added meanwhile is not lost"
)
async def test_an_unknown_session_cannot_be_deleted_or_undeleted(
    zep: Facade, session_id: str
) -> None:
    with pytest.raises(NotFoundError, match=session_id):
        await zep.memory.delete_memory(session_id)
    with pytest.raises(NotFoundError, match=session_id):
        await zep.memory.undelete_session(session_id)
    assert not await is_live(zep, session_id)


async def test_a_session_that_was_never_deleted_cannot_be_undeleted(
    zep: Facade, session_id: str
) -> None:
    await add(zep, session_id, "a")
    with pytest.raises(NotFoundError, match=session_id):
        await zep.memory.undelete_session(session_id)
    assert await contents(zep, session_id) == ["a"]


@pytest.mark.promise("undelete is exact")
async def test_undeleting_restores_a_session_unchanged(zep: Facade, session_id: str) -> None:
    await zep.memory.add_session(Session(session_id=session_id, metadata={"a": [1]}))
    await add(zep, session_id, "a", "b")
    await add(zep, session_id, "c")
    before = await zep.memory.get_memory(session_id)
    live = await zep.memory.get_session(session_id)
    await zep.memory.delete_memory(session_id)
    await asyncio.sleep(TICK)
    undeleted = await zep.memory.undelete_session(session_id)
    assert undeleted.deleted_at is None
    assert undeleted.updated_at > live.updated_at
    assert undeleted.model_copy(update={"updated_at": live.updated_at}) == live
    assert await zep.memory.get_session(session_id) == undeleted
    assert await zep.memory.get_memory(session_id) == before
    assert await contents(zep, session_id) == ["a", "b", "c"]


async def test_an_empty_session_can_be_deleted_and_undeleted(zep: Facade, session_id: str) -> None:
    await zep.memory.add_session(Session(session_id=session_id))
    await zep.memory.delete_memory(session_id)
    assert not await is_live(zep, session_id)
    await zep.memory.undelete_session(session_id)
    assert await is_live(zep, session_id)


async def test_a_live_session_cannot_be_undeleted_again(zep: Facade, session_id: str) -> None:
    await add(zep, session_id, "a")
    await zep.memory.delete_memory(session_id)
    await zep.memory.undelete_session(session_id)
    with pytest.raises(NotFoundError):
        await zep.memory.undelete_session(session_id)
    assert await contents(zep, session_id) == ["a"]
    assert await is_live(zep, session_id)


@pytest.mark.promise("a memory for a deleted session revives it, its messages stay deleted")
async def test_an_add_revives_a_deleted_session_and_not_its_messages(
    zep: Facade, session_id: str
) -> None:
    created = await zep.memory.add_session(Session(session_id=session_id, metadata={"a": 1}))
    await add(zep, session_id, "old 1", "old 2")
    await zep.memory.delete_memory(session_id)
    await add(zep, session_id, "new")
    assert await contents(zep, session_id) == ["new"]
    session = await zep.memory.get_session(session_id)
    assert (session.metadata, session.uuid, session.id) == ({"a": 1}, created.uuid, created.id)


@pytest.mark.promise("undelete is exact")
async def test_undeleting_after_a_revival_puts_the_old_messages_before_the_new(
    zep: Facade, session_id: str
) -> None:
    await add(zep, session_id, "old 1", "old 2")
    await zep.memory.delete_memory(session_id)
    await add(zep, session_id, "new 1")
    await add(zep, session_id, "new 2")
    session = await zep.memory.undelete_session(session_id)
    assert session.deleted_at is None
    assert await contents(zep, session_id) == ["old 1", "old 2", "new 1", "new 2"]
    await add(zep, session_id, "newest")
    assert (await contents(zep, session_id))[-1] == "newest"


@pytest.mark.promise("undelete is exact")
async def test_undelete_restores_only_the_last_deletion(zep: Facade, session_id: str) -> None:
    await add(zep, session_id, "first")
    await zep.memory.delete_memory(session_id)
    await add(zep, session_id, "second")
    await zep.memory.delete_memory(session_id)
    await add(zep, session_id, "third")
    await zep.memory.undelete_session(session_id)
    assert await contents(zep, session_id) == ["second", "third"]
    with pytest.raises(NotFoundError):
        await zep.memory.undelete_session(session_id)
    assert await contents(zep, session_id) == ["second", "third"]


async def test_a_deletion_after_an_undeletion_covers_old_and_new_messages(
    zep: Facade, session_id: str
) -> None:
    await add(zep, session_id, "old")
    await zep.memory.delete_memory(session_id)
    await add(zep, session_id, "new")
    await zep.memory.undelete_session(session_id)
    await zep.memory.delete_memory(session_id)
    assert await contents(zep, session_id) == []
    await zep.memory.undelete_session(session_id)
    assert await contents(zep, session_id) == ["old", "new"]


async def test_alternating_deletes_and_undeletes_change_nothing_else(
    zep: Facade, session_id: str
) -> None:
    expected = []
    for turn in range(4):
        await add(zep, session_id, f"{turn} a", f"{turn} b")
        expected += [f"{turn} a", f"{turn} b"]
        await zep.memory.delete_memory(session_id)
        assert await contents(zep, session_id) == []
        with pytest.raises(NotFoundError):
            await zep.memory.delete_memory(session_id)
        await zep.memory.undelete_session(session_id)
        assert await contents(zep, session_id) == expected
        with pytest.raises(NotFoundError):
            await zep.memory.undelete_session(session_id)
    await zep.memory.delete_memory(session_id)
    assert await contents(zep, session_id) == []


@pytest.mark.promise("undelete is exact")
async def test_individually_deleted_messages_stay_deleted_when_the_session_is_undeleted(
    zep: Facade, session_id: str
) -> None:
    await add(zep, session_id, "a", "b", "c", "d")
    await zep.message.delete_message(session_id, "b")
    await zep.memory.delete_memory(session_id)
    await zep.memory.undelete_session(session_id)
    assert await contents(zep, session_id) == ["a", "c", "d"]
    await zep.message.undelete_message(session_id, "b")
    assert await contents(zep, session_id) == ["a", "b", "c", "d"]


@pytest.mark.promise("an update of a deleted session undeletes it")
async def test_an_update_revives_an_empty_session_and_undelete_restores_its_messages(
    zep: Facade, session_id: str
) -> None:
    await add(zep, session_id, "a", "b")
    await zep.memory.delete_memory(session_id)
    await zep.memory.update_session(Session(session_id=session_id, metadata={"name": "new"}))
    assert await contents(zep, session_id) == []
    session = await zep.memory.undelete_session(session_id)
    assert session.metadata == {"name": "new"}
    assert await contents(zep, session_id) == ["a", "b"]


async def test_undeleting_a_recreated_session_restores_its_messages(
    zep: Facade, session_id: str
) -> None:
    await add(zep, session_id, "old")
    await zep.memory.delete_memory(session_id)
    await zep.memory.add_session(Session(session_id=session_id, metadata={"again": True}))
    await add(zep, session_id, "new")
    session = await zep.memory.undelete_session(session_id)
    assert session.metadata == {"again": True}
    assert await contents(zep, session_id) == ["old", "new"]


async def test_a_message_id_reused_after_a_deletion_keeps_the_new_message(
    zep: Facade, session_id: str
) -> None:
    await add(zep, session_id, "a", "b", "c")
    await zep.memory.delete_memory(session_id)
    again = Memory(messages=[Message(role="ai", content="b", uuid="b", metadata={"new": 1})])
    await zep.memory.add_memory(session_id, again)
    assert await contents(zep, session_id) == ["b"]
    await zep.memory.undelete_session(session_id)
    assert await contents(zep, session_id) == ["a", "c", "b"]
    message = await zep.message.get_session_message(session_id, "b")
    assert (message.role, message.metadata) == ("ai", {"new": 1})


async def test_replaced_messages_are_restored_as_replaced(zep: Facade, session_id: str) -> None:
    # Replacing leaves gaps in the numbers; deletion must cope with them.
    await add(zep, session_id, "a", "b")
    for _ in range(3):
        await add(zep, session_id, "b", "a")
    await add(zep, session_id, "c")
    await zep.memory.delete_memory(session_id)
    assert await contents(zep, session_id) == []
    await zep.memory.undelete_session(session_id)
    assert await contents(zep, session_id) == ["a", "b", "c"]
    await add(zep, session_id, "d")
    assert await contents(zep, session_id) == ["a", "b", "c", "d"]


async def test_1500_messages_are_deleted_and_undeleted(zep: Facade, session_id: str) -> None:
    texts = [str(number) for number in range(1500)]
    await add(zep, session_id, *texts)
    await zep.memory.delete_memory(session_id)
    assert await zep.message.count(session_id) == 0
    await zep.memory.undelete_session(session_id)
    messages = (await zep.memory.get_memory(session_id)).messages
    assert [message.content for message in messages] == texts


async def test_at_least_one_of_concurrent_deletions_succeeds(zep: Facade, session_id: str) -> None:
    await add(zep, session_id, "a", "b")
    results: list[Any]
    memory = zep.client.memory
    if zep.asynchronous:
        calls = [memory.adelete_memory(session_id) for _ in range(8)]
    else:
        loop = asyncio.get_running_loop()
        calls = [
            loop.run_in_executor(None, memory.delete_memory, session_id) for _ in range(8)
        ]  # fmt: skip
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert "OK" in results
    assert all(result == "OK" or isinstance(result, NotFoundError) for result in results)
    assert await contents(zep, session_id) == []
    assert not await is_live(zep, session_id)
    await zep.memory.undelete_session(session_id)
    assert await contents(zep, session_id) == ["a", "b"]


@pytest.mark.promise("`clear` is the soft delete")
async def test_clear_of_a_history_soft_deletes_the_session(zep: Facade, session_id: str) -> None:
    history = zep.chat_history(session_id)
    await history.add(HumanMessage("hello", id="1"), AIMessage("hi", id="2"))
    await history.clear()
    assert await history.messages() == []
    assert not await is_live(zep, session_id)
    await history.add(HumanMessage("again", id="3"))
    assert await history.messages() == [HumanMessage("again", id="3")]
    await zep.memory.undelete_session(session_id)
    assert await history.messages() == [
        HumanMessage("hello", id="1"),
        AIMessage("hi", id="2"),
        HumanMessage("again", id="3"),
    ]


async def test_clear_of_an_unknown_session_does_nothing(zep: Facade, session_id: str) -> None:
    history = zep.chat_history(session_id)
    await history.clear()
    assert not await is_live(zep, session_id)
    await history.add(HumanMessage("hello", id="1"))
    await history.clear()
    await history.clear()
    await zep.memory.undelete_session(session_id)
    assert await history.messages() == [HumanMessage("hello", id="1")]
