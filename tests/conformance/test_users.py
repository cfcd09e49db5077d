"""Users, and whose sessions are whose."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from langchain_core.messages import HumanMessage

from langchain_zepstore import (
    AlreadyExistsError,
    BadRequestError,
    CreateUserRequest,
    Memory,
    Message,
    NotFoundError,
    Session,
    UpdateUserRequest,
    User,
)
from tests.support.facade import Facade

WRITERS = 32
HUGE = 2**63 - 1
TICK = 0.003  # times are kept to the millisecond


async def add(zep: Facade, user_id: str, **fields: Any) -> User:
    return await zep.user.add(CreateUserRequest(user_id=user_id, **fields))


async def update(zep: Facade, user_id: str, **fields: Any) -> User:
    """Update a user; return it, having seen that it reads as it was returned."""
    updated = await zep.user.update(UpdateUserRequest(user_id=user_id, **fields))
    assert await zep.user.get(user_id) == updated
    return updated


async def speak(zep: Facade, user_id: str, *session_ids: str) -> None:
    """Add sessions of a user with one message each, ``a``."""
    for session_id in session_ids:
        await zep.memory.add_session(Session(session_id=session_id, user_id=user_id))
        await zep.memory.add_memory(
            session_id, Memory(messages=[Message(role="user", content="a")])
        )


async def sessions_of(zep: Facade, user_id: str) -> list[str]:
    return [session.session_id for session in await zep.user.get_sessions(user_id)]


async def at_once(zep: Facade, name: str, arguments: list[Any], manager: Any = None) -> list[Any]:
    """Call a method of ``user`` once per argument, each in a thread or task of its own."""
    manager = manager or zep.client.user
    if zep.asynchronous:
        calls = [getattr(manager, f"a{name}")(argument) for argument in arguments]
    else:
        loop, method = asyncio.get_running_loop(), getattr(manager, name)
        calls = [loop.run_in_executor(None, method, argument) for argument in arguments]
    return await asyncio.gather(*calls, return_exceptions=True)


@pytest.mark.promise("users are created; a duplicate is refused")
@pytest.mark.promise("create, read, update, list, delete")
async def test_a_new_user_is_returned_as_stored(zep: Facade, user_id: str) -> None:
    fields = {
        "email": "ada@example.org",
        "first_name": "Ada",
        "last_name": "Lovelace 🦜",
        "metadata": {"a.b": {"$c": [None, {"$ref": 1, "$id": 2}]}, "system": 1},
    }
    user = await add(zep, user_id, **fields)
    assert await zep.user.get(user_id) == user
    assert user.model_dump(include=set(fields)) == fields
    assert user.user_id == user_id
    assert str(UUID(user.uuid)) == user.uuid
    assert user.id >= 1
    assert user.created_at == user.updated_at is not None
    assert user.deleted_at is None


async def test_a_user_needs_only_an_id(zep: Facade, user_id: str) -> None:
    user = await add(zep, user_id)
    assert (user.email, user.first_name, user.last_name, user.metadata) == (None,) * 4


@pytest.mark.promise("users are created; a duplicate is refused")
async def test_an_existing_user_cannot_be_added_again(zep: Facade, user_id: str) -> None:
    user = await add(zep, user_id, email="first")
    with pytest.raises(AlreadyExistsError, match="exists already"):
        await add(zep, user_id, email="second")
    assert await zep.user.get(user_id) == user


@pytest.mark.promise("users are created; a duplicate is refused")
async def test_exactly_one_of_32_concurrent_adds_of_a_user_succeeds(
    zep: Facade, user_id: str
) -> None:
    requests = [CreateUserRequest(user_id=user_id, metadata={"by": n}) for n in range(WRITERS)]
    results = await at_once(zep, "add", requests)
    (winner,) = [result for result in results if isinstance(result, User)]
    assert sum(isinstance(result, AlreadyExistsError) for result in results) == WRITERS - 1
    assert await zep.user.get(user_id) == winner


@pytest.mark.promise("users are read, and not found when they are not there")
async def test_an_unknown_user_is_not_found(zep: Facade, user_id: str) -> None:
    for call in (
        zep.user.get(user_id),
        zep.user.update(UpdateUserRequest(user_id=user_id, email="x")),
        zep.user.delete(user_id),
    ):
        with pytest.raises(NotFoundError, match=user_id):
            await call
    assert await sessions_of(zep, user_id) == []


@pytest.mark.promise("an update merges; an explicit `None` clears, an empty text changes nothing")
@pytest.mark.promise("create, read, update, list, delete")
async def test_an_update_changes_the_given_fields_and_keeps_the_others(
    zep: Facade, user_id: str
) -> None:
    created = await add(zep, user_id, email="old", first_name="Ada", metadata={"a": 1})
    await asyncio.sleep(TICK)
    updated = await update(zep, user_id, email="new", last_name="Lovelace")
    assert (updated.email, updated.first_name, updated.last_name) == ("new", "Ada", "Lovelace")
    assert updated.metadata == {"a": 1}
    assert updated.updated_at > created.updated_at
    kept = {"uuid", "id", "created_at", "user_id", "deleted_at"}
    assert updated.model_dump(include=kept) == created.model_dump(include=kept)


@pytest.mark.promise("an update merges; an explicit `None` clears, an empty text changes nothing")
async def test_an_empty_string_changes_nothing_and_none_clears(zep: Facade, user_id: str) -> None:
    await add(zep, user_id, email="a", first_name="b", last_name="c", metadata={"a": 1})
    same = await update(zep, user_id, email="", first_name="", last_name="")
    assert (same.email, same.first_name, same.last_name) == ("a", "b", "c")
    cleared = await update(zep, user_id, email=None, last_name="")
    assert (cleared.email, cleared.first_name, cleared.last_name) == (None, "b", "c")
    assert cleared.metadata == {"a": 1}


async def test_a_string_that_looks_like_an_expression_is_a_string(
    zep: Facade, user_id: str
) -> None:
    user = await add(zep, user_id, email="$first_name", first_name="$$NOW")
    assert (user.email, user.first_name) == ("$first_name", "$$NOW")
    updated = await update(zep, user_id, last_name="$email", first_name="$$REMOVE")
    assert (updated.last_name, updated.first_name) == ("$email", "$$REMOVE")


@pytest.mark.promise("an update merges; an explicit `None` clears, an empty text changes nothing")
async def test_user_metadata_merges_like_session_metadata(zep: Facade, user_id: str) -> None:
    await add(zep, user_id, metadata={"a": {"b": 1, "x.y": [1, 2]}, "c": 1})
    patch = {"a": {"x.y": [3], "$d": None}, "c": {"e": ""}, "system": "dropped"}
    merged = {"a": {"b": 1, "x.y": [3], "$d": None}, "c": {"e": ""}}
    assert (await update(zep, user_id, metadata=patch)).metadata == merged
    assert (await update(zep, user_id, metadata={})).metadata == merged
    assert (await update(zep, user_id, email="x")).metadata == merged
    assert (await update(zep, user_id, metadata=None)).metadata is None
    assert (await update(zep, user_id, metadata={"a": 1})).metadata == {"a": 1}


async def test_32_concurrent_writers_of_a_users_keys_lose_nothing(
    zep: Facade, user_id: str
) -> None:
    await add(zep, user_id)
    patches = [{"shared": {f"k.{n}": n}} for n in range(WRITERS)]
    requests = [UpdateUserRequest(user_id=user_id, metadata=patch) for patch in patches]
    await at_once(zep, "update", requests)
    expected = {"shared": {f"k.{n}": n for n in range(WRITERS)}}
    assert (await zep.user.get(user_id)).metadata == expected


@pytest.mark.promise("users are listed")
@pytest.mark.promise("create, read, update, list, delete")
async def test_users_are_listed_in_creation_order(own: Facade) -> None:
    assert await own.user.list() == []
    assert [chunk async for chunk in own.user.each("list_chunked")] == []
    created = [await add(own, name) for name in ("z", "a", "10", "9", "gone", "B")]
    await own.user.delete("gone")
    live = [user for user in created if user.user_id != "gone"]
    assert await own.user.list() == live
    assert [user.id for user in created] == [1, 2, 3, 4, 5, 6]
    assert await own.user.list(2) == live[:2]
    assert await own.user.list(limit=2, cursor=live[1].id) == live[2:4]
    assert await own.user.list(cursor=live[3].id) == live[4:]
    assert await own.user.list(HUGE, 0) == live
    assert await own.user.list(1, HUGE) == []
    for chunk_size in (1, 2, 5, 6, HUGE):
        chunks = [chunk async for chunk in own.user.each("list_chunked", chunk_size)]
        assert all(0 < len(chunk) <= chunk_size for chunk in chunks)
        assert [user for chunk in chunks for user in chunk] == live
    walked = []
    async for chunk in own.user.each("list_chunked", 2):
        walked += [user.user_id for user in chunk]
        if walked == ["z", "a"]:
            await own.user.delete("z")
            await own.user.delete("10")
            await add(own, "new")
    assert walked == ["z", "a", "9", "B", "new"]


@pytest.mark.promise("`get_sessions` returns a user's sessions")
@pytest.mark.promise("one user, many sessions")
async def test_one_user_has_many_sessions(zep: Facade, user_id: str, session_id: str) -> None:
    other = f"{user_id} other"
    await add(zep, user_id)
    await add(zep, other)
    mine = [f"{session_id} {name}" for name in "cab"]
    await speak(zep, user_id, *mine)
    await speak(zep, other, f"{session_id} other")
    found = await zep.user.get_sessions(user_id)
    assert [session.session_id for session in found] == mine
    assert [await zep.memory.get_session(name) for name in mine] == found
    await zep.memory.delete_memory(mine[1])
    assert await sessions_of(zep, user_id) == [mine[0], mine[2]]


@pytest.mark.promise("deleting soft-deletes the user, then the sessions one by one")
@pytest.mark.promise("deleting resumes, and takes the sessions")
async def test_deleting_a_user_deletes_the_users_sessions(
    zep: Facade, user_id: str, session_id: str
) -> None:
    other = f"{user_id} other"
    await add(zep, user_id)
    await add(zep, other)
    mine = [f"{session_id} {number}" for number in range(3)]
    await speak(zep, user_id, *mine)
    await speak(zep, other, f"{session_id} other")
    await zep.memory.delete_memory(mine[1])
    assert await zep.user.delete(user_id) == "OK"
    with pytest.raises(NotFoundError):
        await zep.user.get(user_id)
    assert await sessions_of(zep, user_id) == []
    for name in mine:
        with pytest.raises(NotFoundError):
            await zep.memory.get_session(name)
        assert await zep.message.count(name) == 0
    assert await sessions_of(zep, other) == [f"{session_id} other"]
    assert await zep.message.count(f"{session_id} other") == 1


@pytest.mark.promise("deleting soft-deletes the user, then the sessions one by one")
async def test_deleting_a_user_deletes_more_than_a_page_of_sessions(
    zep: Facade, user_id: str, session_id: str
) -> None:
    await add(zep, user_id)
    names = [f"{session_id} {number}" for number in range(103)]
    await at_once(
        zep,
        "add_session",
        [Session(session_id=n, user_id=user_id) for n in names],
        zep.client.memory,
    )
    assert sorted(await sessions_of(zep, user_id)) == sorted(names)
    await zep.user.delete(user_id)
    assert await sessions_of(zep, user_id) == []


@pytest.mark.promise("users are read, and not found when they are not there")
async def test_a_deleted_user_is_not_found(zep: Facade, user_id: str, session_id: str) -> None:
    await add(zep, user_id)
    await speak(zep, user_id, session_id)
    await zep.user.delete(user_id)
    with pytest.raises(NotFoundError, match=user_id):
        await zep.user.delete(user_id)
    with pytest.raises(NotFoundError, match=user_id):
        await zep.user.update(UpdateUserRequest(user_id=user_id, email="x"))


@pytest.mark.promise("deleting soft-deletes the user, then the sessions one by one")
async def test_sessions_of_a_deleted_user_can_be_undeleted_one_by_one(
    zep: Facade, user_id: str, session_id: str
) -> None:
    await add(zep, user_id)
    names = [f"{session_id} {number}" for number in range(3)]
    await speak(zep, user_id, *names)
    await zep.user.delete(user_id)
    session = await zep.memory.undelete_session(names[1])
    assert session.user_id == user_id
    assert await zep.message.count(names[1]) == 1
    assert await sessions_of(zep, user_id) == [names[1]]
    with pytest.raises(NotFoundError):
        await zep.user.get(user_id)


@pytest.mark.promise("adding the user again revives the user alone")
async def test_a_recreated_user_has_the_given_fields_and_no_sessions(
    zep: Facade, user_id: str, session_id: str
) -> None:
    first = await add(zep, user_id, email="old", first_name="Ada", metadata={"old": 1})
    await speak(zep, user_id, session_id)
    await zep.user.delete(user_id)
    again = await add(zep, user_id, email="new", metadata={"new": 2})
    assert (again.email, again.first_name, again.metadata) == ("new", None, {"new": 2})
    assert (again.deleted_at, again.id) == (None, first.id)
    assert await zep.user.get(user_id) == again
    assert await sessions_of(zep, user_id) == []
    with pytest.raises(NotFoundError):
        await zep.memory.get_session(session_id)
    with pytest.raises(AlreadyExistsError):
        await add(zep, user_id)
    await zep.memory.undelete_session(session_id)
    assert await sessions_of(zep, user_id) == [session_id]


@pytest.mark.promise("create, read, update, list, delete")
async def test_a_user_can_be_recreated_and_deleted_repeatedly(
    zep: Facade, user_id: str, session_id: str
) -> None:
    for number in range(3):
        await add(zep, user_id)
        await speak(zep, user_id, f"{session_id} {number}")
        await zep.user.delete(user_id)
        assert await sessions_of(zep, user_id) == []
        with pytest.raises(NotFoundError):
            await zep.user.get(user_id)


@pytest.mark.promise("creating for an unknown user is refused; a chat history creates the user")
@pytest.mark.promise("a chat history's metadata and user apply on creation")
async def test_a_history_creates_its_session_with_user_and_metadata(
    zep: Facade, user_id: str, session_id: str
) -> None:
    options = {"user_id": user_id, "session_metadata": {"a.b": {"$c": 1}}}
    history = zep.chat_history(session_id, **options)
    assert await history.messages() == []
    with pytest.raises(NotFoundError):
        await zep.memory.get_session(session_id)  # reading creates nothing
    with pytest.raises(NotFoundError):
        await zep.user.get(user_id)
    await history.add(HumanMessage("hello"))
    session = await zep.memory.get_session(session_id)
    assert (session.user_id, session.metadata) == (user_id, {"a.b": {"$c": 1}})
    user = await zep.user.get(user_id)
    assert (user.user_id, user.email, user.metadata) == (user_id, None, None)
    assert await sessions_of(zep, user_id) == [session_id]


@pytest.mark.promise("a chat history's metadata and user apply on creation")
async def test_a_history_does_not_change_an_existing_session(
    zep: Facade, user_id: str, session_id: str
) -> None:
    await zep.memory.add_session(Session(session_id=session_id, metadata={"a": 1}))
    options = {"user_id": user_id, "session_metadata": {"a": 2, "b": 3}}
    history = zep.chat_history(session_id, **options)
    for _ in range(2):
        await history.add(HumanMessage("hello"))
        session = await zep.memory.get_session(session_id)
        assert (session.user_id, session.metadata) == (None, {"a": 1})
        await history.clear()  # nor does a revival change anything
    with pytest.raises(NotFoundError):
        await zep.user.get(user_id)


async def test_a_history_does_not_change_an_existing_user(
    zep: Facade, user_id: str, session_id: str
) -> None:
    user = await add(zep, user_id, email="ada@example.org", metadata={"a": 1})
    await zep.chat_history(session_id, user_id=user_id).add(HumanMessage("hello"))
    assert await zep.user.get(user_id) == user
    assert await sessions_of(zep, user_id) == [session_id]


@pytest.mark.promise("creating for an unknown user is refused; a chat history creates the user")
async def test_a_history_revives_a_deleted_user_for_a_new_session(
    zep: Facade, user_id: str, session_id: str
) -> None:
    await add(zep, user_id, email="ada@example.org")
    await zep.user.delete(user_id)
    await zep.chat_history(session_id, user_id=user_id).add(HumanMessage("hello"))
    assert (await zep.user.get(user_id)).email == "ada@example.org"
    assert await sessions_of(zep, user_id) == [session_id]


async def test_unstorable_session_metadata_is_refused_and_nothing_is_stored(
    zep: Facade, user_id: str, session_id: str
) -> None:
    for bad in (5, "text", [("a", 1)], {"a": {1, 2}}, {1: 2}):
        with pytest.raises(BadRequestError, match="session_metadata"):
            zep.chat_history(session_id, user_id=user_id, session_metadata=bad)
    for call in (zep.memory.get_session(session_id), zep.user.get(user_id)):
        with pytest.raises(NotFoundError):
            await call


async def test_concurrent_histories_creating_one_user_all_store_their_turn(
    zep: Facade, user_id: str, session_id: str
) -> None:
    names = [f"{session_id} {number}" for number in range(16)]
    histories = [zep.chat_history(name, user_id=user_id).history for name in names]
    turn = [HumanMessage("hello")]
    if zep.asynchronous:
        await asyncio.gather(*(history.aadd_messages(turn) for history in histories))
    else:
        loop = asyncio.get_running_loop()
        calls = [loop.run_in_executor(None, each.add_messages, turn) for each in histories]
        await asyncio.gather(*calls)
    assert sorted(await sessions_of(zep, user_id)) == sorted(names)
    assert [await zep.message.count(name) for name in names] == [1] * 16
