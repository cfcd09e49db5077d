"""Reading memories: all of one, its end, its count, message by message."""

import pytest

from langchain_zepstore import Memory, Message
from tests.support.facade import Facade

HUGE = 2**63 - 1


async def fill(zep: Facade, session_id: str, size: int, first: int = 0) -> list[str]:
    contents = [str(number) for number in range(first, first + size)]
    messages = [Message(role="user", content=content) for content in contents]
    await zep.memory.add_memory(session_id, Memory(messages=messages))
    return contents


async def read(zep: Facade, session_id: str, lastn: int | None = None) -> list[str]:
    memory = await zep.memory.get_memory(session_id, lastn=lastn)
    return [message.content for message in memory.messages]


async def walk(zep: Facade, session_id: str, chunk_size: int) -> list[str]:
    each = zep.message.each("iter_messages", session_id, chunk_size=chunk_size)
    return [message.content async for message in each]


@pytest.mark.promise("memories are read, with `lastn` and without, and counted")
async def test_lastn_returns_the_last_messages_oldest_first(zep: Facade, session_id: str) -> None:
    contents = await fill(zep, session_id, 5)
    assert await read(zep, session_id, 0) == []
    for lastn in (1, 3, 4, 5):
        assert await read(zep, session_id, lastn) == contents[-lastn:]


async def test_a_lastn_beyond_the_session_returns_all_messages(
    zep: Facade, session_id: str
) -> None:
    contents = await fill(zep, session_id, 5)
    for lastn in (6, 2**31, HUGE):
        assert await read(zep, session_id, lastn) == contents


@pytest.mark.promise("without `lastn` the whole session is read")
@pytest.mark.promise("memories are read, with `lastn` and without, and counted")
async def test_a_missing_lastn_reads_the_whole_session(zep: Facade, session_id: str) -> None:
    # Zep cuts at 12; the first batch of a MongoDB cursor ends after 101.
    contents = await fill(zep, session_id, 250)
    assert await read(zep, session_id) == contents


async def test_a_lastn_beyond_the_first_batch_is_read_completely(
    zep: Facade, session_id: str
) -> None:
    contents = await fill(zep, session_id, 250)
    assert await read(zep, session_id, 240) == contents[10:]


@pytest.mark.promise("the memory of an unknown or deleted session is empty")
async def test_the_memory_of_an_unknown_session_is_empty(zep: Facade, session_id: str) -> None:
    assert await zep.memory.get_memory(session_id) == Memory()
    assert await zep.memory.get_memory(session_id, lastn=3) == Memory()


async def test_reading_does_not_create_a_session(zep: Facade, session_id: str) -> None:
    await zep.memory.get_memory(session_id)
    await zep.message.count(session_id)
    assert await walk(zep, session_id, 10) == []
    contents = await fill(zep, session_id, 1)
    assert await read(zep, session_id) == contents


@pytest.mark.promise("memories are read, with `lastn` and without, and counted")
async def test_count_returns_the_number_of_messages(zep: Facade, session_id: str) -> None:
    assert await zep.message.count(session_id) == 0
    await fill(zep, session_id, 3)
    assert await zep.message.count(session_id) == 3
    await fill(zep, session_id, 150)
    assert await zep.message.count(session_id) == 153


async def test_sessions_do_not_share_messages(zep: Facade, session_id: str) -> None:
    other = f"{session_id} other"
    mine = await fill(zep, session_id, 2)
    theirs = await fill(zep, other, 3, first=100)
    assert await read(zep, session_id) == await walk(zep, session_id, 1) == mine
    assert await read(zep, other, 10) == await walk(zep, other, 2) == theirs
    assert await zep.message.count(session_id) == 2


@pytest.mark.promise("100,000 messages are iterated in flat memory")
async def test_iterating_yields_each_message_once_in_order(zep: Facade, session_id: str) -> None:
    contents = await fill(zep, session_id, 9)
    for chunk_size in (1, 3, 8, 9, 10, 1000):
        assert await walk(zep, session_id, chunk_size) == contents


async def test_a_chunk_size_may_exceed_the_session(zep: Facade, session_id: str) -> None:
    contents = await fill(zep, session_id, 3)
    for chunk_size in (2**31, HUGE):
        assert await walk(zep, session_id, chunk_size) == contents


async def test_iterating_yields_the_same_messages_as_a_read(zep: Facade, session_id: str) -> None:
    await fill(zep, session_id, 250)
    walked = [m async for m in zep.message.each("iter_messages", session_id)]
    assert walked == (await zep.memory.get_memory(session_id)).messages


@pytest.mark.parametrize("chunk_size", [1, 3, 1000])
async def test_messages_added_while_iterating_are_yielded_last(
    zep: Facade, session_id: str, chunk_size: int
) -> None:
    first = await fill(zep, session_id, 7)
    walked = []
    async for message in zep.message.each("iter_messages", session_id, chunk_size=chunk_size):
        if not walked:
            second = await fill(zep, session_id, 5, first=7)
        walked.append(message.content)
    assert walked == first + second


async def test_an_iteration_can_be_abandoned_and_restarted(zep: Facade, session_id: str) -> None:
    contents = await fill(zep, session_id, 7)
    each = zep.message.each("iter_messages", session_id, chunk_size=2)
    assert (await anext(each)).content == "0"
    await each.aclose()
    assert await walk(zep, session_id, 2) == contents
