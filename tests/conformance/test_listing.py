"""Listing sessions: by id, by user, by metadata, by activity."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo import MongoClient

from langchain_zepstore import CreateUserRequest, Memory, Message, Session, ZepClient
from tests.support.facade import Facade
from tests.support.messages import said

HUGE = 2**63 - 1
TICK = 0.003  # activity is kept to the millisecond


async def fill(zep: Facade, user_id: str, size: int, prefix: str = "s") -> list[str]:
    """Add a user, unless there, and sessions of that user; return their ids."""
    if prefix == "s":
        await zep.user.add(CreateUserRequest(user_id=user_id))
    names = [f"{prefix}{number} of {user_id}" for number in range(size)]
    for name in names:
        await zep.memory.add_session(Session(session_id=name, user_id=user_id))
    return names


def names(sessions: list[Session]) -> list[str]:
    return [session.session_id for session in sessions]


async def listed(zep: Facade, *args: Any, **options: Any) -> list[str]:
    return names(await zep.memory.list_sessions(*args, **options))


async def walk(zep: Facade, chunk_size: int, **filters: Any) -> list[str]:
    chunks = [chunk async for chunk in zep.memory.each("list_all_sessions", chunk_size, **filters)]
    assert all(0 < len(chunk) <= chunk_size for chunk in chunks)
    return [session.session_id for chunk in chunks for session in chunk]


async def recent_pages(zep: Facade, limit: int, user_id: str | None = None) -> list[list[str]]:
    pages, cursor = [], None
    while True:
        page = await zep.memory.recent_sessions(limit, cursor, user_id=user_id)
        pages.append(names(page.sessions))
        if (cursor := page.next_cursor) is None:
            return pages


async def recent(zep: Facade, user_id: str, limit: int = 100) -> list[str]:
    return [name for page in await recent_pages(zep, limit, user_id) for name in page]


async def matching(zep: Facade, user_id: str, wanted: dict[str, Any]) -> list[str]:
    """The last word of the names of the user's sessions whose metadata matches."""
    found = await listed(zep, user_id=user_id, metadata=wanted)
    assert await walk(zep, 1, user_id=user_id, metadata=wanted) == found
    return [name.removesuffix(f" of {user_id}") for name in found]


@pytest.mark.promise(
    "listing goes by id, live sessions only, all without a limit; `list_all_sessions` shows "
    "each once, also with gaps; ids are dense"
)
async def test_sessions_are_listed_in_creation_order(own: Facade) -> None:
    assert await own.memory.list_sessions() == []
    assert [chunk async for chunk in own.memory.each("list_all_sessions")] == []
    assert (await own.memory.recent_sessions()).sessions == []
    unordered = ["z", "a", "B", "10", "9"]
    for name in unordered:
        await own.memory.add_session(Session(session_id=name))
    await own.memory.add_memory("first message", said("x"))
    sessions = await own.memory.list_sessions()
    assert names(sessions) == [*unordered, "first message"]
    ids = [session.id for session in sessions]
    assert ids == sorted(set(ids))
    assert [await own.memory.get_session(session.session_id) for session in sessions] == sessions
    assert await walk(own, 4) == [*unordered, "first message"]
    assert await recent(own, None) == ["first message", *reversed(unordered)]


@pytest.mark.promise(
    "listing goes by id, live sessions only, all without a limit; `list_all_sessions` shows "
    "each once, also with gaps; ids are dense"
)
async def test_ids_are_small_and_dense(own: Facade) -> None:
    # zep-python adds the size of a page to the cursor.
    for name in "abc":
        await own.memory.add_session(Session(session_id=name))
        await own.memory.add_memory(name, said("x"))
        await own.memory.update_session(Session(session_id=name, metadata={"a": 1}))
    assert [session.id for session in await own.memory.list_sessions()] == [1, 2, 3]


@pytest.mark.promise(
    "listing goes by id, live sessions only, all without a limit; `list_all_sessions` shows "
    "each once, also with gaps; ids are dense"
)
async def test_a_missing_limit_lists_all_sessions(zep: Facade, user_id: str) -> None:
    # The first batch of a MongoDB cursor ends after 101.
    created = await fill(zep, user_id, 103)
    assert await listed(zep, user_id=user_id) == created
    assert await listed(zep, None, None, user_id=user_id) == created
    assert await walk(zep, 7, user_id=user_id) == created
    assert await recent(zep, user_id, 50) == created[::-1]
    assert await listed(zep, 102, user_id=user_id) == created[:102]


@pytest.mark.promise(
    "listing goes by id, live sessions only, all without a limit; `list_all_sessions` shows "
    "each once, also with gaps; ids are dense"
)
@pytest.mark.promise("limit, cursor, user, metadata, the deleted")
async def test_limit_and_cursor_page_the_list(zep: Facade, user_id: str) -> None:
    created = await fill(zep, user_id, 5)
    for limit in (1, 2, 5, 6, 2**31, HUGE):
        first = await zep.memory.list_sessions(limit, user_id=user_id)
        assert names(first) == created[:limit]
        rest = await zep.memory.list_sessions(limit=limit, cursor=first[-1].id, user_id=user_id)
        assert names(rest) == created[limit : 2 * limit]
        assert await walk(zep, limit, user_id=user_id) == created
        assert await recent(zep, user_id, limit) == created[::-1]


async def test_a_cursor_without_a_limit_lists_all_following_sessions(
    zep: Facade, user_id: str
) -> None:
    created = await fill(zep, user_id, 4)
    ids = [session.id for session in await zep.memory.list_sessions(user_id=user_id)]
    assert await listed(zep, cursor=0, user_id=user_id) == created
    assert await listed(zep, cursor=ids[1], user_id=user_id) == created[2:]
    assert await listed(zep, cursor=ids[-1], user_id=user_id) == []
    assert await listed(zep, cursor=HUGE, user_id=user_id) == []


@pytest.mark.promise("filters by user and metadata; the most recent first")
@pytest.mark.promise("limit, cursor, user, metadata, the deleted")
async def test_only_the_users_sessions_are_listed(zep: Facade, user_id: str) -> None:
    mine = await fill(zep, user_id, 3)
    other = f"{user_id} other"
    theirs = await fill(zep, other, 2)
    assert await listed(zep, user_id=user_id) == await walk(zep, 2, user_id=user_id) == mine
    assert await listed(zep, user_id=other) == await walk(zep, 2, user_id=other) == theirs
    assert await recent(zep, other) == theirs[::-1]
    assert await listed(zep, user_id=f"{user_id} nobody") == []
    assert await walk(zep, 2, user_id=f"{user_id} nobody") == []
    assert await recent(zep, f"{user_id} nobody") == []


@pytest.mark.promise("limit, cursor, user, metadata, the deleted")
async def test_deleted_sessions_are_listed_only_with_include_deleted(
    zep: Facade, user_id: str
) -> None:
    created = await fill(zep, user_id, 5)
    for name in (created[0], created[3]):
        await zep.memory.delete_memory(name)
    live = [created[1], created[2], created[4]]
    assert await listed(zep, user_id=user_id) == live
    assert await walk(zep, 2, user_id=user_id) == live
    assert await recent(zep, user_id) == live[::-1]
    everything = await zep.memory.list_sessions(user_id=user_id, include_deleted=True)
    assert names(everything) == created
    deleted = [session.session_id for session in everything if session.deleted_at]
    assert deleted == [created[0], created[3]]
    assert await walk(zep, 2, user_id=user_id, include_deleted=True) == created
    assert (
        await listed(zep, 2, everything[1].id, user_id=user_id, include_deleted=True)
        == (created[2:4])
    )


FILTERED: dict[str, Any] = {
    "none": None,
    "empty": {},
    "scalar": {"a": 1, "b": "x"},
    "float": {"a": 1.0},
    "true": {"a": True},
    "null": {"a": None},
    "list": {"a": [1, 2]},
    "map": {"a": {"b": 1, "c": {"d": [1, {"e": 2}]}}},
    "operator": {"a": {"$gt": 0}},
    "dotted": {"a.b": 1},
    "dollar": {"$a": 1, "": 5},
    "ref": {"a": {"$ref": "c", "$id": 1}},
    "empty map": {"a": {}},
    "text": {"a": "$b", "b": "$b"},
    "listed map": {"a": [{"b": 1}]},
}
FILTERS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, set(FILTERED)),
    ({"a": 1}, {"scalar", "float"}),
    ({"a": 1, "b": "x"}, {"scalar"}),
    ({"b": "x", "a": 2}, set()),
    ({"a": True}, {"true"}),
    ({"a": 0}, set()),
    ({"a": None}, {"null"}),
    ({"none": None}, set()),
    ({"a": {"none": None}}, set()),
    ({"a": [1, 2]}, {"list"}),
    ({"a": [1]}, set()),
    ({"a": [2, 1]}, set()),
    ({"a": {"b": 1}}, {"map"}),
    ({"a": {"c": {"d": [1, {"e": 2}]}}}, {"map"}),
    ({"a": {"c": {"d": [1]}}}, set()),
    ({"a": {"b": 1, "none": 1}}, set()),
    ({"a": {"b": {"c": 1}}}, set()),
    ({"a": {}}, {"map", "operator", "ref", "empty map"}),
    ({"a": {"$gt": 0}}, {"operator"}),
    ({"a": {"$gt": -1}}, set()),
    ({"a": {"$ne": "x"}}, set()),
    ({"a": {"$exists": True}}, set()),
    ({"$or": [{"a": 1}]}, set()),
    ({"$where": "true"}, set()),
    ({"$expr": True}, set()),
    ({"a.b": 1}, {"dotted"}),
    ({"a.c.d": [1, {"e": 2}]}, set()),
    ({"$a": 1}, {"dollar"}),
    ({"": 5}, {"dollar"}),
    ({"a": "$b"}, {"text"}),
    ({"b": "$b"}, {"text"}),
    ({"a": "$$ROOT"}, set()),
    ({"a": {"$ref": "c", "$id": 1}}, {"ref"}),
    ({"a": {"$ref": "c"}}, {"ref"}),
    ({"a": [{"b": 1}]}, {"listed map"}),
    ({"a": [{}]}, set()),
]


@pytest.mark.promise("filters by user and metadata; the most recent first")
@pytest.mark.promise("limit, cursor, user, metadata, the deleted")
@pytest.mark.promise("operators in filters are data")
async def test_metadata_filters_by_containment_and_keys_are_never_operators(
    zep: Facade, user_id: str
) -> None:
    await zep.user.add(CreateUserRequest(user_id=user_id))
    for name, metadata in FILTERED.items():
        session = Session(session_id=f"{name} of {user_id}", user_id=user_id, metadata=metadata)
        await zep.memory.add_session(session)
    for wanted, expected in FILTERS:
        found = await matching(zep, user_id, wanted)
        assert (wanted, set(found)) == (wanted, expected)
        assert found == [name for name in FILTERED if name in expected]


async def test_metadata_filters_over_2000_keys_and_16_levels(zep: Facade, user_id: str) -> None:
    await zep.user.add(CreateUserRequest(user_id=user_id))
    wide = {f"k.{number}": {"$n": number} for number in range(2000)}
    deep: dict[str, Any] = {"leaf": 1}
    for _ in range(15):
        deep = {"deeper": deep}
    name = f"it of {user_id}"
    await zep.memory.add_session(
        Session(session_id=name, user_id=user_id, metadata={**wide, **deep})
    )
    assert await matching(zep, user_id, wide) == ["it"]
    assert await matching(zep, user_id, deep) == ["it"]
    assert await matching(zep, user_id, {**wide, "k.1999": {"$n": -1}}) == []


@pytest.mark.promise("limit, cursor, user, metadata, the deleted")
async def test_filters_can_be_combined(zep: Facade, user_id: str) -> None:
    created = await fill(zep, user_id, 6)
    for name in created[:4]:
        await zep.memory.update_session(Session(session_id=name, metadata={"topic": {"is": "x"}}))
    await zep.memory.delete_memory(created[1])
    ids = {s.session_id: s.id for s in await zep.memory.list_sessions(user_id=user_id)}
    wanted = {"topic": {"is": "x"}}
    found = await listed(zep, 2, ids[created[0]], user_id=user_id, metadata=wanted)
    assert found == created[2:4]
    found = await listed(
        zep, 2, ids[created[0]], user_id=user_id, metadata=wanted, include_deleted=True
    )
    assert found == created[1:3]
    assert await listed(zep, user_id=f"{user_id} other", metadata=wanted) == []


@pytest.mark.promise(
    "listing goes by id, live sessions only, all without a limit; `list_all_sessions` shows "
    "each once, also with gaps; ids are dense"
)
async def test_every_session_is_listed_once_despite_gaps(zep: Facade, user_id: str) -> None:
    created = await fill(zep, user_id, 12)
    for name in (*created[2:6], created[9]):
        await zep.memory.delete_memory(name)
    left = [*created[:2], *created[6:9], *created[10:]]
    for chunk_size in (1, 3, 7, 9, 100):
        assert await walk(zep, chunk_size, user_id=user_id) == left


@pytest.mark.promise(
    "listing goes by id, live sessions only, all without a limit; `list_all_sessions` shows "
    "each once, also with gaps; ids are dense"
)
@pytest.mark.promise("walking all while sessions come and go")
@pytest.mark.parametrize("chunk_size", [1, 3])
async def test_unchanged_sessions_are_listed_once_and_changing_ones_at_most_once(
    zep: Facade, user_id: str, chunk_size: int
) -> None:
    created = await fill(zep, user_id, 12)
    steady = set(created[0:12:2])
    restless = created[1:12:2]
    for name in restless[:3]:
        await zep.memory.delete_memory(name)
    walked: list[str] = []
    page = 0
    async for chunk in zep.memory.each("list_all_sessions", chunk_size, user_id=user_id):
        walked += names(chunk)
        if page < 6:
            name = restless[page]
            change = zep.memory.undelete_session if page < 3 else zep.memory.delete_memory
            await change(name)
        if page < 3:
            await fill(zep, user_id, 1, prefix=f"new {page}")
            await zep.memory.add_memory(created[0], said("active, which moves nothing here"))
        page += 1
    assert len(walked) == len(set(walked))
    assert steady <= set(walked)


async def test_a_page_reflects_changes_since_the_previous_page(zep: Facade, user_id: str) -> None:
    created = await fill(zep, user_id, 4)
    await zep.memory.delete_memory(created[2])
    each = zep.memory.each("list_all_sessions", 1, user_id=user_id)
    assert names(await anext(each)) == [created[0]]
    await zep.memory.delete_memory(created[1])
    await zep.memory.undelete_session(created[2])
    (new,) = await fill(zep, user_id, 1, prefix="new")
    await zep.memory.delete_memory(created[0])
    await zep.memory.undelete_session(created[0])
    assert [name async for chunk in each for name in names(chunk)] == [*created[2:], new]


@pytest.mark.promise("filters by user and metadata; the most recent first")
async def test_recent_sessions_are_sorted_by_last_activity(zep: Facade, user_id: str) -> None:
    a, b, c = await fill(zep, user_id, 3)
    assert await recent(zep, user_id) == [c, b, a]
    await zep.memory.add_memory(a, said("x"))
    assert await recent(zep, user_id) == [a, c, b]
    await asyncio.sleep(TICK)
    await zep.memory.add_memory(b, said("x"))
    page = await zep.memory.recent_sessions(user_id=user_id)
    assert page.sessions == [await zep.memory.get_session(name) for name in (b, a, c)]


async def test_a_session_created_by_its_first_message_is_the_most_recent(
    own: Facade,
) -> None:
    await own.memory.add_session(Session(session_id="created"))
    await asyncio.sleep(TICK)
    await own.memory.add_memory("spoken to", said("x"))
    assert names((await own.memory.recent_sessions()).sessions) == ["spoken to", "created"]
    assert await recent_pages(own, 1) in (
        [["spoken to"], ["created"]],
        [["spoken to"], ["created"], []],
    )


@pytest.mark.promise("pages of recent sessions while some become active")
async def test_only_messages_and_creation_move_a_session_to_the_front(
    zep: Facade, user_id: str
) -> None:
    a, b, c, d = await fill(zep, user_id, 4)
    await zep.memory.add_memory(d, Memory(messages=[Message(role="u", content="x", uuid="id")]))
    before = [d, c, b, a]
    await asyncio.sleep(TICK)
    await zep.memory.update_session(Session(session_id=a, metadata={"name": "renamed"}))
    await zep.memory.update_session(Session(session_id=b, user_id=user_id), unset=[("x",)])
    await zep.message.update_message_metadata(d, "id", {"a": 1})
    await zep.memory.delete_memory(c)
    assert await recent(zep, user_id) == [d, b, a]
    await zep.memory.undelete_session(c)
    assert await recent(zep, user_id) == before
    await zep.memory.delete_memory(b)
    await zep.memory.update_session(Session(session_id=b, metadata={"name": "renamed"}))
    assert await recent(zep, user_id) == before
    await zep.memory.delete_memory(b)
    await zep.memory.add_session(Session(session_id=b, user_id=user_id))
    assert await recent(zep, user_id) == [b, d, c, a]
    await asyncio.sleep(TICK)
    await zep.memory.delete_memory(a)
    await zep.memory.add_memory(a, said("x"))
    assert await recent(zep, user_id) == [a, b, d, c]


async def test_pages_of_recent_sessions_cover_the_whole_list(zep: Facade, user_id: str) -> None:
    created = await fill(zep, user_id, 7)
    for limit in (1, 2, 3, 4, 7, 10):
        pages = await recent_pages(zep, limit, user_id)
        assert [name for page in pages for name in page] == created[::-1]
        assert all(len(page) == limit for page in pages[:-1])


async def test_the_last_page_of_recent_sessions_has_no_cursor(zep: Facade, user_id: str) -> None:
    await fill(zep, user_id, 4)
    assert (await zep.memory.recent_sessions(5, user_id=user_id)).next_cursor is None
    first = await zep.memory.recent_sessions(3, user_id=user_id)
    assert first.next_cursor
    last = await zep.memory.recent_sessions(3, first.next_cursor, user_id=user_id)
    assert last.next_cursor is None
    # Also when it is full: a sidebar offers no page that turns out to be empty.
    assert (await zep.memory.recent_sessions(4, user_id=user_id)).next_cursor is None


@pytest.mark.promise("filters by user and metadata; the most recent first")
@pytest.mark.promise("pages of recent sessions while some become active")
@pytest.mark.parametrize("limit", [1, 3])
async def test_unchanged_sessions_are_neither_repeated_nor_missed_between_pages(
    zep: Facade, user_id: str, limit: int
) -> None:
    created = await fill(zep, user_id, 14)
    steady = created[0:14:2][::-1]
    restless = created[1:14:2]
    walked: list[str] = []
    cursor, page = None, 0
    while True:
        found = await zep.memory.recent_sessions(limit, cursor, user_id=user_id)
        walked += names(found.sessions)
        if (cursor := found.next_cursor) is None:
            break
        if page < len(restless):
            name = restless[page]  # some of these have been seen, some not
            await zep.memory.add_memory(name, said("active"))
            if page % 3 == 1:
                await zep.memory.delete_memory(name)
            await fill(zep, user_id, 1, prefix=f"new {page}")
            await zep.memory.update_session(Session(session_id=steady[0], metadata={"n": page}))
        page += 1
    assert [name for name in walked if name in steady] == steady


async def test_concurrently_created_sessions_are_listed_once_for_any_page_size(
    zep: Facade, user_id: str
) -> None:
    await zep.user.add(CreateUserRequest(user_id=user_id))
    sessions = [Session(session_id=f"{n} of {user_id}", user_id=user_id) for n in range(40)]
    if zep.asynchronous:
        await asyncio.gather(*map(zep.client.memory.aadd_session, sessions))
    else:
        loop = asyncio.get_running_loop()
        add = zep.client.memory.add_session
        await asyncio.gather(*(loop.run_in_executor(None, add, each) for each in sessions))
    for limit in (1, 7):
        found = await recent(zep, user_id, limit)
        assert sorted(found) == sorted(names(sessions))


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_sessions_of_the_same_millisecond_are_listed_once_newest_first(
    mongo_url: str, database_name: str, limit: int
) -> None:
    created = [f"s{number}" for number in range(8)]
    moments = [1, 2, 2, 2, 2, 2, 3, 3]
    with ZepClient(mongo_url, database=database_name) as client, MongoClient(mongo_url) as raw:
        documents = raw[database_name]["sessions"]
        for name, moment in zip(created, moments, strict=True):
            client.memory.add_session(Session(session_id=name))
            at = datetime(2024, 1, 1, 0, 0, 0, moment * 1000, tzinfo=UTC)
            documents.update_one({"_id": name}, {"$set": {"active_at": at}})
        walked: list[str] = []
        cursor = None
        while True:
            page = client.memory.recent_sessions(limit, cursor)
            walked += names(page.sessions)
            if (cursor := page.next_cursor) is None:
                break
        assert walked == created[::-1]
