"""Adding memories."""

import asyncio
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from enum import IntEnum
from uuid import uuid4

import pytest

from langchain_zepstore import Memory, Message
from tests.support.facade import Facade
from tests.support.messages import contents, said

WRITERS = 32
MEGABYTE = 1024 * 1024


class Level(IntEnum):
    HIGH = 2


def one(content: str = "hello", **fields: object) -> Memory:
    return Memory(messages=[Message(role="user", content=content, **fields)])


async def read(zep: Facade, session_id: str) -> list[Message]:
    return (await zep.memory.get_memory(session_id)).messages


async def add_all_at_once(zep: Facade, session_id: str, memories: list[Memory]) -> None:
    """Add each memory from a thread, or for asynchronous backends a task, of its own."""
    if zep.asynchronous:
        await asyncio.gather(*(zep.memory.add_memory(session_id, memory) for memory in memories))
        return
    add, loop = zep.client.memory.add_memory, asyncio.get_running_loop()
    with ThreadPoolExecutor(len(memories)) as threads:
        calls = [loop.run_in_executor(threads, add, session_id, memory) for memory in memories]
        await asyncio.gather(*calls)


@pytest.mark.promise(
    "the first message to an unknown id creates the session, of two writers both succeed"
)
@pytest.mark.promise(
    "sessions come into being with their first memory, also with 32 first writers; each call "
    "stands together"
)
async def test_the_first_memory_creates_the_session(zep: Facade, session_id: str) -> None:
    assert await read(zep, session_id) == []
    assert await zep.memory.add_memory(session_id, said("hello")) == "OK"
    assert await contents(zep, session_id) == ["hello"]


@pytest.mark.promise("order is that of adding, never of time")
async def test_messages_keep_the_order_of_the_call(zep: Facade, session_id: str) -> None:
    await zep.memory.add_memory(session_id, said("b", "a", "c", "a"))
    assert await contents(zep, session_id) == ["b", "a", "c", "a"]


@pytest.mark.promise("order is that of adding, never of time")
async def test_each_call_appends_its_messages(zep: Facade, session_id: str) -> None:
    await zep.memory.add_memory(session_id, said("1", "2"))
    await zep.memory.add_memory(session_id, said("3"))
    await zep.memory.add_memory(session_id, said("4", "5"))
    assert await contents(zep, session_id) == ["1", "2", "3", "4", "5"]


@pytest.mark.promise("order is that of adding, never of time")
async def test_messages_are_ordered_by_insertion_not_created_at(
    zep: Facade, session_id: str
) -> None:
    days = [datetime(2024, 1, day, tzinfo=UTC) for day in (3, 1, 2, 1)]
    messages = [Message(role="user", content=str(day), created_at=day) for day in days]
    await zep.memory.add_memory(session_id, Memory(messages=messages))
    assert [message.created_at for message in await read(zep, session_id)] == days


async def test_given_ids_are_kept_and_missing_ids_generated(zep: Facade, session_id: str) -> None:
    await zep.memory.add_memory(session_id, one(uuid="run--my own id"))
    await zep.memory.add_memory(session_id, said("a", "b"))
    given, first, second = [message.uuid for message in await read(zep, session_id)]
    assert given == "run--my own id"
    assert first
    assert second
    assert len({given, first, second}) == 3


async def test_the_given_models_are_not_changed(zep: Facade, session_id: str) -> None:
    memory = Memory(
        messages=[
            Message(role="user", content="plain"),
            Message(role="tool", content="full", uuid="id", metadata={"a": {"$ref": 1}}),
        ],
        metadata={"system": 1, "nested": {"b": [1]}},
    )
    before = memory.model_copy(deep=True)
    await zep.memory.add_memory(session_id, memory)
    assert memory == before
    assert await zep.message.count(session_id) == 2


async def test_the_same_models_can_be_added_to_two_sessions(zep: Facade, session_id: str) -> None:
    memory = said("a", "b")
    await zep.memory.add_memory(session_id, memory)
    await zep.memory.add_memory(f"{session_id} too", memory)
    assert await contents(zep, f"{session_id} too") == ["a", "b"]


async def test_an_empty_memory_stores_nothing(zep: Facade, session_id: str) -> None:
    assert await zep.memory.add_memory(session_id, Memory()) == "OK"
    assert await read(zep, session_id) == []
    await zep.memory.add_memory(session_id, said("a"))
    await zep.memory.add_memory(session_id, Memory())
    assert await contents(zep, session_id) == ["a"]


async def test_memory_metadata_is_not_message_metadata(zep: Facade, session_id: str) -> None:
    memory = said("a")
    memory.metadata = {"topic": "greetings", "a.b": {"$set": None}}
    await zep.memory.add_memory(session_id, memory)
    await zep.memory.add_memory(session_id, Memory(metadata={"topic": "farewells"}))
    (message,) = await read(zep, session_id)
    assert (message.content, message.metadata) == ("a", None)


@pytest.mark.promise("`created_at` is kept if given")
async def test_a_given_created_at_is_kept(zep: Facade, session_id: str) -> None:
    moments = {
        "utc": datetime(2001, 2, 3, 4, 5, 6, 789_000, tzinfo=UTC),
        "elsewhere": datetime(2001, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=5.5))),
        "before 1970": datetime(1903, 5, 1, tzinfo=UTC),
    }
    messages = [Message(role=name, content="x", created_at=at) for name, at in moments.items()]
    await zep.memory.add_memory(session_id, Memory(messages=messages))
    stored = {message.role: message.created_at for message in await read(zep, session_id)}
    assert stored == moments
    assert all(at and at.utcoffset() == timedelta() for at in stored.values())


async def test_created_at_has_millisecond_precision(zep: Facade, session_id: str) -> None:
    moment = datetime(2001, 2, 3, 4, 5, 6, 789_987, tzinfo=UTC)
    await zep.memory.add_memory(session_id, one(created_at=moment))
    (message,) = await read(zep, session_id)
    assert message.created_at == moment.replace(microsecond=789_000)


@pytest.mark.promise("`created_at` is kept if given")
async def test_a_missing_created_at_is_the_time_of_storing(zep: Facade, session_id: str) -> None:
    before = datetime.now(UTC)
    await zep.memory.add_memory(session_id, said("a"))
    (message,) = await read(zep, session_id)
    assert message.created_at is not None
    assert message.created_at.utcoffset() == timedelta()
    assert message.created_at.microsecond % 1000 == 0
    # The database's clock may be another machine's.
    assert abs(message.created_at - before) < timedelta(minutes=1)


@pytest.mark.promise("`token_count` is kept if given, else approximated")
async def test_a_missing_token_count_is_approximated(zep: Facade, session_id: str) -> None:
    messages = [
        Message(role="user", content="word " * 100, token_count=7),
        Message(role="user", content="word " * 100, token_count=0),
        Message(role="user", content="word " * 100),
        Message(role="user", content="word"),
    ]
    await zep.memory.add_memory(session_id, Memory(messages=messages))
    given, zero, long, short = [message.token_count for message in await read(zep, session_id)]
    assert (given, zero) == (7, 0)
    assert 100 <= long <= 200
    assert 1 <= short <= 10


async def test_metadata_round_trips(zep: Facade, session_id: str) -> None:
    metadata = [
        None,
        {},
        {"null": None, "no": False, "zero": 0, "empty": "", "list": [1, [2.5, {"k": "v"}]]},
        {"a.b": 1, "$set": {"$ne": 1}, "": 2, "_id": 3, "$ref": "x", "$id": "y", "$$ref": "z"},
        {"int64": 2**63 - 1, "least": -(2**63), "text": "ß 漢字 🦜 \n \0", "bytes": b"\0\xff"},
        {"when": datetime(2024, 2, 29, 12, 0, 0, 1000, tzinfo=UTC), "inf": float("inf")},
    ]
    messages = [Message(role="user", content="x", metadata=each) for each in metadata]
    await zep.memory.add_memory(session_id, Memory(messages=messages))
    assert [message.metadata for message in await read(zep, session_id)] == metadata


async def test_an_int_subclass_is_stored_as_an_int(zep: Facade, session_id: str) -> None:
    # Also BSON's 64-bit integers are such numbers: what was read can be added again.
    await zep.memory.add_memory(session_id, one(metadata={"level": Level.HIGH, "big": 2**40}))
    again = f"{session_id} again"
    await zep.memory.add_memory(again, await zep.memory.get_memory(session_id))
    (message,) = await read(zep, again)
    assert message.metadata == {"level": 2, "big": 2**40}


@pytest.mark.promise(
    "a role is free text; LangChain's types come back as what they were; messages of others "
    "are read by their role"
)
async def test_role_and_content_round_trip(zep: Facade, session_id: str) -> None:
    texts = ["", " ", "a\nb\tc", "nul \0 in it", "ß e\u0301 漢字 🦜", "$where", '{"$ne": 1}']
    messages = [Message(role=text, content=text) for text in texts]
    await zep.memory.add_memory(session_id, Memory(messages=messages))
    stored = [(message.role, message.content) for message in await read(zep, session_id)]
    assert stored == [(text, text) for text in texts]


@pytest.mark.promise(
    "an id that is there is replaced in its place; a deleted one lives again, at the end; a "
    "retry is harmless"
)
async def test_a_message_with_a_known_id_is_replaced_in_position(
    zep: Facade, session_id: str
) -> None:
    old = Message(role="user", content="old", uuid="b", token_count=99, metadata={"old": 1})
    await zep.memory.add_memory(session_id, one("a", uuid="a"))
    await zep.memory.add_memory(session_id, Memory(messages=[old]))
    await zep.memory.add_memory(session_id, one("c", uuid="c"))
    new = Message(role="ai", content="new", uuid="b", metadata={"new": 2})
    await zep.memory.add_memory(session_id, Memory(messages=[new]))
    first, second, third = await read(zep, session_id)
    assert (first.content, third.content) == ("a", "c")
    assert (second.role, second.content, second.metadata) == ("ai", "new", {"new": 2})
    assert second.uuid == "b"
    assert second.token_count is not None
    assert second.token_count < 99
    assert await zep.message.count(session_id) == 3


async def test_a_replaced_message_keeps_its_created_at_unless_given(
    zep: Facade, session_id: str
) -> None:
    first, second = datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)
    await zep.memory.add_memory(session_id, one("a", uuid="id", created_at=first))
    await zep.memory.add_memory(session_id, one("b", uuid="id"))
    (message,) = await read(zep, session_id)
    assert (message.content, message.created_at) == ("b", first)
    await zep.memory.add_memory(session_id, one("c", uuid="id", created_at=second))
    (message,) = await read(zep, session_id)
    assert (message.content, message.created_at) == ("c", second)


@pytest.mark.promise("retries with ids leave no doubles, also when answers are lost")
async def test_a_duplicate_id_keeps_the_first_position_and_the_last_content(
    zep: Facade, session_id: str
) -> None:
    messages = [
        Message(role="user", content=content, uuid=uuid)
        for content, uuid in [("1", "x"), ("2", "y"), ("3", "x"), ("4", "z"), ("5", "x")]
    ]
    await zep.memory.add_memory(session_id, Memory(messages=messages))
    assert await contents(zep, session_id) == ["5", "2", "4"]


async def test_one_call_may_mix_known_and_new_ids(zep: Facade, session_id: str) -> None:
    def call(*pairs: tuple[str, str]) -> Memory:
        return Memory(messages=[Message(role="user", content=c, uuid=u) for u, c in pairs])

    await zep.memory.add_memory(session_id, call(("a", "a1"), ("b", "b1"), ("c", "c1")))
    again = call(("d", "d1"), ("b", "b2"), ("e", "e1"), ("d", "d2"), ("a", "a2"))
    await zep.memory.add_memory(session_id, again)
    assert await contents(zep, session_id) == ["a2", "b2", "c1", "d2", "e1"]


@pytest.mark.promise(
    "an id that is there is replaced in its place; a deleted one lives again, at the end; a "
    "retry is harmless"
)
async def test_a_repeated_call_with_ids_changes_nothing(zep: Facade, session_id: str) -> None:
    call = Memory(
        messages=[
            Message(role="user", content=str(number), uuid=f"id {number}", metadata={"n": number})
            for number in range(20)
        ]
    )
    await zep.memory.add_memory(session_id, call)
    once = await read(zep, session_id)
    await zep.memory.add_memory(session_id, call)
    assert await read(zep, session_id) == once
    assert await zep.message.count(session_id) == 20


async def test_one_id_in_two_sessions_is_two_messages(zep: Facade, session_id: str) -> None:
    other = f"{session_id} other"
    await zep.memory.add_memory(session_id, one("here", uuid="same"))
    await zep.memory.add_memory(other, one("there", uuid="same"))
    await zep.memory.add_memory(other, one("there again", uuid="same"))
    assert await contents(zep, session_id) == ["here"]
    assert await contents(zep, other) == ["there again"]


async def test_message_ids_are_compared_exactly(zep: Facade, session_id: str) -> None:
    ids = ["id", "ID", "id ", "\u00e9", "e\u0301", "$id", "a.b", "a/b", "x" * 1024, "0", "00"]
    messages = [Message(role="user", content=uuid, uuid=uuid) for uuid in ids]
    await zep.memory.add_memory(session_id, Memory(messages=messages))
    await zep.memory.add_memory(session_id, Memory(messages=messages))
    assert [message.uuid for message in await read(zep, session_id)] == ids


@pytest.mark.promise("order, whole calls, large calls")
async def test_2500_messages_in_one_call_keep_their_order(zep: Facade, session_id: str) -> None:
    numbers = [str(number) for number in range(2500)]
    await zep.memory.add_memory(session_id, said(*numbers))
    assert await contents(zep, session_id) == numbers


@pytest.mark.promise(
    "a message too large for MongoDB is named with its size, nothing is stored; a large call "
    "is stored whole"
)
@pytest.mark.needs("large")
async def test_a_call_over_8_megabytes_keeps_its_order(zep: Facade, session_id: str) -> None:
    texts = [str(number) * (3 * MEGABYTE) for number in range(4)] + ["last"]
    await zep.memory.add_memory(session_id, said(*texts))
    assert await contents(zep, session_id) == texts


@pytest.mark.needs("large")
async def test_one_message_of_almost_16_megabytes_is_stored(zep: Facade, session_id: str) -> None:
    text = "x" * (16 * MEGABYTE - 16 * 1024)
    await zep.memory.add_memory(session_id, said("before", text, "after"))
    assert await contents(zep, session_id) == ["before", text, "after"]


@pytest.mark.promise(
    "any text of up to 1 kB is an id; anything else is refused and reaches no query"
)
async def test_any_text_is_a_valid_session_id(zep: Facade) -> None:
    unique = uuid4().hex
    ids = [
        f"{unique}{end}"
        for end in (
            " ",
            "/",
            "/../..",
            ".",
            "a.b.",
            "$",
            "\n",
            "\r\n",
            "%2F",
            "?a=b#c",
            "'\"",
            "🦜",
        )
    ]
    ids += [f"{start}{unique}" for start in ("$", "$ne", ".", "/", " ", "\n", "\u202e", "漢字")]
    ids += [unique + "x" * (1024 - len(unique)), unique + "é" * ((1024 - len(unique)) // 2)]
    for session_id in ids:
        await zep.memory.add_memory(session_id, said(session_id))
    for session_id in ids:
        assert await contents(zep, session_id) == [session_id]


@pytest.mark.promise(
    "any text of up to 1 kB is an id; anything else is refused and reaches no query"
)
async def test_session_ids_are_compared_exactly(zep: Facade, session_id: str) -> None:
    composed = f"café {session_id}"
    ids = [
        composed,
        unicodedata.normalize("NFD", composed),
        composed.upper(),
        composed + " ",
        " " + composed,
        composed.replace("é", "e"),
    ]
    assert len(set(ids)) == len(ids)
    for number, variant in enumerate(ids):
        await zep.memory.add_memory(variant, said(str(number)))
    assert [await contents(zep, variant) for variant in ids] == [
        [str(number)] for number in range(len(ids))
    ]


@pytest.mark.promise(
    "the first message to an unknown id creates the session, of two writers both succeed"
)
@pytest.mark.promise(
    "sessions come into being with their first memory, also with 32 first writers; each call "
    "stands together"
)
async def test_concurrent_first_adds_lose_nothing_and_keep_calls_together(
    zep: Facade, session_id: str
) -> None:
    calls = [[f"{writer}:{number}" for number in range(5)] for writer in range(WRITERS)]
    await add_all_at_once(zep, session_id, [said(*call) for call in calls])
    stored = await contents(zep, session_id)
    assert len(stored) == 5 * WRITERS
    together = [stored[start : start + 5] for start in range(0, len(stored), 5)]
    assert sorted(together) == sorted(calls)


@pytest.mark.promise("retries with ids leave no doubles, also when answers are lost")
async def test_concurrent_retries_of_one_call_store_it_once(zep: Facade, session_id: str) -> None:
    call = Memory(messages=[Message(role="user", content=str(n), uuid=f"id {n}") for n in range(5)])
    await add_all_at_once(zep, session_id, [call] * 8)
    stored = await contents(zep, session_id)
    assert sorted(stored) == ["0", "1", "2", "3", "4"]
