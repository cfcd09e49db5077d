"""What cannot be stored is refused with an error that says so, and nothing is stored."""

from collections.abc import Awaitable, Callable
from datetime import date
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from langchain_zepstore import BadRequestError, Memory, Message
from tests.support.facade import Caller, Facade
from tests.support.messages import contents

MEGABYTE = 1024 * 1024
Test = Callable[..., Awaitable[None]]

BAD_IDS = {
    "an int": 5,
    "bytes": b"session",
    "a query operator": {"$ne": ""},
    "a list": ["session"],
    "empty": "",
    "over 1 kB": "x" * 1025,
    "over 1 kB of UTF-8": "é" * 513,
    "a NUL": "a\0b",
    "a lone surrogate": "a\ud800b",
}
BAD_COUNTS = {
    "negative": -1,
    "a bool": True,
    "a str": "3",
    "a float": 1.5,
    "too big": 2**70,
    "an operator": {"$gt": 0},
}


def nested(levels: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    for _ in range(levels - 1):
        metadata = {"deeper": metadata}
    return metadata


UNSTORABLE = {
    "a set": ({"a": [0, {1, 2}]}, "['a'][1]"),
    "an object": ({"a": object()}, "['a']"),
    "a tuple, which would come back a list": ({"a": (1, 2)}, "['a']"),
    "an int over 64 bits": ({"a": {"b": 2**63}}, "['a']['b']"),
    "an int under 64 bits": ({"a": {"b": -(2**63) - 1}}, "['a']['b']"),
    "a decimal": ({"a": Decimal(1)}, "['a']"),
    "a date": ({"a": date(2024, 1, 1)}, "['a']"),
    "a lone surrogate": ({"a.b": ["ok", "\udfff"]}, "['a.b'][1]"),
    "a lone surrogate in a key": ({"a": {"\ud800": 1}}, "['a']['\\ud800']"),
    "a NUL in a key": ({"a": {"b\0": 1}}, "['a']['b\\x00']"),
    "a key that is no str": ({"a": {1: "one"}}, "['a'][1]"),
}


def user(content: str = "good", **fields: Any) -> Message:
    return Message(role="user", content=content, **fields)


def for_each(cases: Any, *, unpack: bool = False) -> Callable[[Test], Test]:
    """Run a test's body for each case, each in a session of its own: one client serves them all."""
    named = cases if isinstance(cases, dict) else dict(enumerate(cases))

    def decorate(body: Test) -> Test:
        async def test(zep: Facade, session_id: str) -> None:
            for name, case in named.items():
                try:
                    await body(zep, f"{session_id} {name}", *(case if unpack else [case]))
                except BaseException as error:
                    error.add_note(f"The case was {name!r}: {case!r:.200}")
                    raise

        test.__name__, test.__doc__ = body.__name__, body.__doc__
        return test

    return decorate


async def refused(zep: Facade, session_id: str, messages: Any, **fields: Any) -> str:
    """Add messages that are refused; return the error's text, having seen that nothing changed."""
    await zep.memory.add_memory(session_id, Memory(messages=[user("before", uuid="before")]))
    memory = Memory.model_construct(messages=messages, **{"metadata": None, **fields})
    with pytest.raises(BadRequestError) as error:
        await zep.memory.add_memory(session_id, memory)
    assert await contents(zep, session_id) == ["before"]
    return str(error.value)


async def refused_in_the_middle(zep: Facade, session_id: str, bad: Any) -> str:
    """As ``refused``, for one message between good ones, the first of which would replace one."""
    text = await refused(zep, session_id, [user("replaced", uuid="before"), bad, user()])
    assert "messages[1]" in text
    return text


@pytest.mark.promise(
    "any text of up to 1 kB is an id; anything else is refused and reaches no query"
)
@pytest.mark.promise("ids, `lastn`")
async def test_invalid_session_ids_reach_no_session(own: Facade) -> None:
    await own.memory.add_memory("bystander", Memory(messages=[user("mine")]))
    for bad in (None, *BAD_IDS.values()):
        await refuses_the_session_id(own, bad)
    assert await contents(own, "bystander") == ["mine"]


async def refuses_the_session_id(own: Facade, bad: Any) -> None:
    for call in (
        lambda: own.memory.add_memory(bad, Memory(messages=[user()])),
        lambda: own.memory.add_memory(bad, Memory()),
        lambda: own.memory.get_memory(bad),
        lambda: own.memory.get_memory(bad, lastn=0),
        lambda: own.memory.delete_memory(bad),
        lambda: own.message.count(bad),
        lambda: anext(own.message.each("iter_messages", bad)),
    ):
        with pytest.raises(BadRequestError, match="session_id"):
            await call()
    with pytest.raises(BadRequestError, match="session_id"):
        own.chat_history(bad)


@pytest.mark.promise("ids, `lastn`")
@for_each(BAD_IDS)
async def test_invalid_message_ids_are_refused(zep: Facade, session_id: str, bad: Any) -> None:
    message = user()
    message.uuid = bad
    assert "uuid" in await refused_in_the_middle(zep, session_id, message)


@pytest.mark.promise("`lastn` below 0 is refused")
@pytest.mark.promise("ids, `lastn`")
@for_each(BAD_COUNTS)
async def test_an_invalid_lastn_is_refused(zep: Facade, session_id: str, bad: Any) -> None:
    with pytest.raises(BadRequestError, match="lastn"):
        await zep.memory.get_memory(session_id, lastn=bad)
    with pytest.raises(BadRequestError, match="lastn"):
        zep.chat_history(session_id, lastn=bad)


@for_each([0, None, *BAD_COUNTS.values()])
async def test_an_invalid_chunk_size_is_refused(zep: Facade, session_id: str, bad: Any) -> None:
    with pytest.raises(BadRequestError, match="chunk_size"):
        await anext(zep.message.each("iter_messages", session_id, chunk_size=bad))


@for_each([b"human", 5, [5], [HumanMessage("a")], int, ["human", dict]])
async def test_an_invalid_start_on_is_refused(zep: Facade, session_id: str, bad: Any) -> None:
    with pytest.raises(BadRequestError, match="start_on"):
        zep.chat_history(session_id, start_on=bad)


@pytest.mark.promise("unstorable values are named by message and path")
@for_each(UNSTORABLE, unpack=True)
async def test_unstorable_message_metadata_is_named_by_message_and_path(
    zep: Facade, session_id: str, metadata: dict[str, Any], path: str
) -> None:
    text = await refused_in_the_middle(zep, session_id, user(metadata=metadata))
    assert f"messages[1].metadata{path}:" in text


@for_each(UNSTORABLE, unpack=True)
async def test_unstorable_memory_metadata_is_named_by_path(
    zep: Facade, session_id: str, metadata: dict[str, Any], path: str
) -> None:
    text = await refused(zep, session_id, [user()], metadata=metadata)
    assert f"memory.metadata{path}:" in text


@for_each([5, "text", ["list"], {"set"}])
async def test_metadata_that_is_not_a_dict_is_refused(
    zep: Facade, session_id: str, metadata: Any
) -> None:
    message = user()
    message.metadata = metadata
    assert "metadata" in await refused_in_the_middle(zep, session_id, message)


async def test_metadata_may_nest_16_maps_but_not_17(zep: Facade, session_id: str) -> None:
    assert "16" in await refused_in_the_middle(zep, session_id, user(metadata=nested(17)))
    await zep.memory.add_memory(session_id, Memory(messages=[user(metadata=nested(16))]))
    stored = (await zep.memory.get_memory(session_id)).messages[-1]
    assert stored.metadata == nested(16)


async def test_metadata_that_contains_itself_is_refused(zep: Facade, session_id: str) -> None:
    metadata: dict[str, Any] = {}
    metadata["self"] = metadata
    message = user()
    message.metadata = metadata
    assert "metadata" in await refused_in_the_middle(zep, session_id, message)


@for_each(product(["role", "content"], [None, 5, b"bytes", {"$ne": ""}, "\ud800"]), unpack=True)
async def test_a_role_or_content_that_is_not_text_is_refused(
    zep: Facade, session_id: str, field: str, bad: Any
) -> None:
    message = user()
    setattr(message, field, bad)
    assert f"messages[1].{field}" in await refused_in_the_middle(zep, session_id, message)


@for_each(
    [
        ("created_at", "2024-01-01"),
        ("created_at", 5),
        ("token_count", -1),
        ("token_count", "many"),
        ("token_count", 2**70),
        ("langchain", "human"),
        ("langchain", {"type": "human"}),
        ("langchain", {"type": "nonsense", "data": {}}),
        ("langchain", {"type": "tool", "data": {}}),
        ("langchain", {"type": "ai", "data": {"additional_kwargs": {"a": {1}}}}),
    ],
    unpack=True,
)
async def test_an_unstorable_field_is_named(
    zep: Facade, session_id: str, field: str, bad: Any
) -> None:
    message = user()
    setattr(message, field, bad)
    assert f"messages[1].{field}" in await refused_in_the_middle(zep, session_id, message)


@pytest.mark.promise(
    "a message too large for MongoDB is named with its size, nothing is stored; a large call "
    "is stored whole"
)
@pytest.mark.promise("a message over 16 MB")
@pytest.mark.needs("large")
async def test_a_message_over_16_megabytes_is_named_with_its_size(
    zep: Facade, session_id: str
) -> None:
    big = user("x" * (17 * MEGABYTE), uuid="the big one")
    text = await refused_in_the_middle(zep, session_id, big)
    assert "the big one" in text
    assert "17,825," in text


@pytest.mark.promise("what is no message")
@for_each(
    [
        "text",
        None,
        5,
        ("human", "text"),
        {"type": "human", "content": "text"},
        {"lc": 1, "type": "constructor", "id": ["langchain_core", "messages", "HumanMessage"]},
        HumanMessage,
        user(),
    ],
)
async def test_a_history_refuses_values_that_are_not_langchain_messages(
    zep: Facade, session_id: str, bad: Any
) -> None:
    history = zep.chat_history(session_id)
    with pytest.raises(BadRequestError, match=r"messages\[1\]"):
        await history.add(HumanMessage("good"), bad, HumanMessage("good"))
    assert await history.messages() == []


@for_each([HumanMessage("alone"), "text", 5, None])
async def test_a_history_refuses_values_that_are_not_lists_of_messages(
    zep: Facade, session_id: str, bad: Any
) -> None:
    history = zep.chat_history(session_id)
    add = Caller(history.history, asynchronous=zep.asynchronous).add_messages
    with pytest.raises(BadRequestError):
        await add(bad)
    assert await history.messages() == []


@pytest.mark.promise("what is no message")
@for_each(
    ["text", None, 5, {"role": "user", "content": "text"}, HumanMessage("text")],
)
async def test_values_that_are_not_messages_are_refused(
    zep: Facade, session_id: str, bad: Any
) -> None:
    await refused_in_the_middle(zep, session_id, bad)


@for_each([None, 5, "text"])
async def test_values_that_are_not_lists_of_messages_are_refused(
    zep: Facade, session_id: str, bad: Any
) -> None:
    assert "messages" in await refused(zep, session_id, bad)


@for_each(
    [None, "text", [user()], user(), {"messages": [{"role": "user", "content": "text"}]}],
)
async def test_values_that_are_not_memories_are_refused(
    zep: Facade, session_id: str, bad: Any
) -> None:
    with pytest.raises(BadRequestError, match="memory"):
        await zep.memory.add_memory(session_id, bad)
    assert await contents(zep, session_id) == []
