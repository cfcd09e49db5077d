"""What adapters for agent frameworks run on: sessions of items, over every backend."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from langchain_zepstore.adapters._items import RawSession, packed, unpacked
from langchain_zepstore.messages.nearest import Nearest
from tests.support.facade import Facade

ITEMS: list[Any] = [
    {"text": "Grüße 🚆", "a.b": [{"$ref": "x", "$id": 1.0}, None, True], "system": {"$bytes": "x"}},
    {"text": "", "deep": [[[[{"a": {"b": {"c": [1, 2**63 - 1, -0.5]}}}]]]]},
    {"text": ["no text"], "big": 2**70, "\0": "half \ud83d"},
]


def messages_of(items: list[Any]) -> list[Any]:
    return [packed("f", item, "user", [("text",)], nearest=Nearest()) for item in items]


async def done(zep: Facade, call: Any) -> Any:
    return await zep.client.arun(call) if zep.asynchronous else zep.client.run(call)


@pytest.mark.promise("any JSON item round-trips, its texts stored once")
async def test_items_round_trip(zep: Facade, session_id: str) -> None:
    session = RawSession(session_id, client=zep.client)
    await done(zep, session.adding(messages_of(ITEMS), Nearest()))
    read = await done(zep, session.reading())
    assert [unpacked(message, "f") for message in read] == ITEMS
    assert unpacked((await done(zep, session.reading(1)))[0], "f") == ITEMS[-1]


async def test_a_session_of_items_has_its_user_and_metadata(
    zep: Facade, session_id: str, user_id: str
) -> None:
    session = RawSession(
        session_id, client=zep.client, user_id=user_id, session_metadata={"topic": "items"}
    )
    await done(zep, session.adding(messages_of(ITEMS), Nearest()))
    [listed] = await zep.user.get_sessions(user_id)
    assert (listed.session_id, listed.metadata) == (session_id, {"topic": "items"})


@pytest.mark.promise("concurrent pops return distinct items; a cleared session can be undeleted")
async def test_concurrent_pops_return_different_items(zep: Facade, session_id: str) -> None:
    session = RawSession(session_id, client=zep.client)
    items = [{"text": f"{number}"} for number in range(20)]
    await done(zep, session.adding(messages_of(items), Nearest()))

    async def pop_all() -> list[str]:
        popped = []
        while message := await done(zep, session.popping()):
            popped.append(message.content)
        return popped

    def in_a_thread() -> Any:
        return asyncio.to_thread(asyncio.run, pop_all())

    each = pop_all if zep.asynchronous else in_a_thread
    one, other = await asyncio.gather(each(), each())
    assert sorted(one + other, key=int) == [item["text"] for item in items]
    assert await done(zep, session.popping()) is None


@pytest.mark.promise("concurrent pops return distinct items; a cleared session can be undeleted")
async def test_a_cleared_session_can_be_undeleted(zep: Facade, session_id: str) -> None:
    session = RawSession(session_id, client=zep.client)
    await done(zep, session.clearing())
    await done(zep, session.adding(messages_of(ITEMS), Nearest()))
    await done(zep, session.clearing())
    await done(zep, session.clearing())
    assert await done(zep, session.reading()) == []
    await zep.memory.undelete_session(session_id)
    assert len(await done(zep, session.reading())) == len(ITEMS)


@pytest.mark.parametrize("given", [7, UUID(int=7)], ids=["an int", "a UUID"])
async def test_adapters_accept_ints_and_uuids_as_ids(
    zep: Facade, session_id: str, given: int | UUID
) -> None:
    session = RawSession(f"{session_id} {given}", client=zep.client, user_id=given)
    await done(zep, session.adding(messages_of(ITEMS[:1]), Nearest()))
    assert (await zep.memory.get_session(session.session_id)).user_id == str(given)
    assert RawSession(given, client=zep.client).session_id == str(given)
