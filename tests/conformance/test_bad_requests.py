"""What cannot be asked of sessions and users is refused, and changes nothing."""

import base64
import json
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import pytest

from langchain_zepstore import (
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

MEGABYTE = 1024 * 1024

BAD_IDS = [
    None, 5, b"id", {"$ne": ""}, {"$gt": ""}, ["id"], "", "x" * 1025, "é" * 513, "a\0b", "a\ud800b",
]  # fmt: skip
BAD_COUNTS = [-1, True, False, "5", 1.0, 1.5, 2**63, -(2**70), {"$gt": 0}, [1], float("nan")]
UNSTORABLE: list[Any] = [
    {"a": {1, 2}}, {"a": object()}, {"a": (1, 2)}, {"a": {"b": [2**63]}}, {"a": "\ud800"},
    {"\ud800": 1}, {"a": {"b\0": 1}}, {1: 2}, {b"a": 1}, {"a": {"b": 1j}},
]  # fmt: skip
NOT_DICTS: list[Any] = [5, "text", b"bytes", ["list"], {"set"}, (), True, 1.5, [("a", 1)]]

Call = Coroutine[Any, Any, Any]


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


def nested(levels: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    for _ in range(levels - 1):
        metadata = {"deeper": metadata}
    return metadata


async def refused(call: Call, value: Any, match: str | None = None) -> None:
    try:
        result = await call
    except BadRequestError as error:
        if match is None or match in str(error):
            return
        pytest.fail(f"{str(value)[:80]!r} is refused with {error}")
    pytest.fail(f"{str(value)[:80]!r} is not refused; the answer is {result!r}")


def session_of(session_id: str, /, **fields: Any) -> Session:
    """A session past pydantic's checks, as attributes can be set to anything."""
    session = Session(session_id=session_id)
    for name, value in fields.items():
        setattr(session, name, value)
    return session


async def first(zep: Facade, manager: str, name: str, *args: Any, **options: Any) -> Any:
    return await anext(getattr(zep, manager).each(name, *args, **options))


@pytest.mark.promise("limits and cursors out of range, foreign cursors")
async def test_invalid_limits_and_cursors_are_refused(zep: Facade, session_id: str) -> None:
    memory, message, user = zep.memory, zep.message, zep.user
    for bad in [0, *BAD_COUNTS]:
        for call, match in (
            (memory.list_sessions(bad), "limit"),
            (memory.list_sessions(limit=bad, cursor=1), "limit"),
            (memory.recent_sessions(bad), "limit"),
            (first(zep, "memory", "list_all_sessions", bad), "chunk_size"),
            (first(zep, "memory", "list_all_sessions", chunk_size=bad), "chunk_size"),
            (message.get_session_messages(session_id, bad), "limit"),
            (message.get_session_messages(session_id, cursor=bad), "cursor"),
            (user.list(bad), "limit"),
            (first(zep, "user", "list_chunked", bad), "chunk_size"),
        ):
            await refused(call, bad, match)
    for bad in BAD_COUNTS:
        await refused(memory.list_sessions(cursor=bad), bad, "cursor")
        await refused(user.list(cursor=bad), bad, "cursor")
    for call, match in (
        (memory.recent_sessions(None), "limit"),
        (first(zep, "memory", "list_all_sessions", None), "chunk_size"),
        (first(zep, "user", "list_chunked", None), "chunk_size"),
        (message.get_session_messages(session_id, None), "limit"),
        (message.get_session_messages(session_id, 1, None), "cursor"),
    ):
        await refused(call, None, match)


@pytest.mark.promise("limits and cursors out of range, foreign cursors")
async def test_a_foreign_cursor_of_recent_sessions_is_refused(zep: Facade, user_id: str) -> None:
    await zep.user.add(CreateUserRequest(user_id=user_id))
    for number in range(2):
        await zep.memory.add_session(Session(session_id=f"{number} of {user_id}", user_id=user_id))
    page = await zep.memory.recent_sessions(1, user_id=user_id)
    good = page.next_cursor
    assert (await zep.memory.recent_sessions(1, good, user_id=user_id)).sessions
    foreign: list[Any] = [
        "", " ", "abc", "abcde", "é", "\ud800", "\0", "=", "====", "0", "x" * 10_000, good + "!",
        good[:-3], f" {good}", good.encode(), 5, 1.5, True, ["a"], {"$gt": ""}, (1, 2),
        *map(encoded, (
            "garbage", "", "1", "null", "{}", "[]", "[1]", "[1, 2, 3]", '["a", 1]', '[1, "a"]',
            '"ab"', "[1.0, 2]", "[1, 2.5]", "[true, 1]", "[1, false]", "[null, 1]", "[1, null]",
            f"[{10**30}, 1]", f"[{-(10**30)}, 1]", f"[1, {2**63}]", f"[1, {10**30}]", "[1, -1]",
            f"[{10**18}, 1]", f"[1{'0' * 5000}, 1]", "[NaN, 1]", "[Infinity, 1]", "[" * 5000,
            '{"a": 1, "b": 2}', "[[1], 2]", '[{"$gt": 0}, 1]',
        )),
        base64.urlsafe_b64encode(b"\xff\xfe[1, 2]").decode(),
    ]  # fmt: skip
    for cursor in foreign:
        await refused(zep.memory.recent_sessions(1, cursor, user_id=user_id), cursor, "cursor")


@pytest.mark.promise("pages of recent sessions while some become active")
async def test_a_cursor_is_opaque_and_url_safe(zep: Facade, user_id: str) -> None:
    await zep.user.add(CreateUserRequest(user_id=user_id))
    for number in range(3):
        await zep.memory.add_session(Session(session_id=f"{number} of {user_id}", user_id=user_id))
    cursor = (await zep.memory.recent_sessions(1, user_id=user_id)).next_cursor
    assert cursor is not None
    assert cursor.isascii()
    assert cursor.replace("-", "").replace("_", "").isalnum()


@pytest.mark.promise(
    "any text of up to 1 kB is an id; anything else is refused and reaches no query"
)
@pytest.mark.promise("ids and keys")
async def test_invalid_ids_reach_no_session_user_or_message(
    zep: Facade, session_id: str, user_id: str
) -> None:
    await zep.user.add(CreateUserRequest(user_id=user_id))
    await zep.memory.add_session(Session(session_id=session_id, user_id=user_id))
    one = Message(role="user", content="x", uuid="id")
    await zep.memory.add_memory(session_id, Memory(messages=[one]))
    before = await zep.memory.get_session(session_id)
    memory, message, user = zep.memory, zep.message, zep.user
    for bad in BAD_IDS:
        of_user, updating = CreateUserRequest(user_id="x"), UpdateUserRequest(user_id="x")
        of_user.user_id = updating.user_id = bad
        for call, match in (
            (memory.add_session(session_of(session_id, session_id=bad)), "session_id"),
            (memory.update_session(session_of(session_id, session_id=bad)), "session_id"),
            (memory.get_session(bad), "session_id"),
            (memory.delete_memory(bad), "session_id"),
            (memory.undelete_session(bad), "session_id"),
            (message.get_session_messages(bad), "session_id"),
            (message.get_session_message(bad, "id"), "session_id"),
            (message.get_session_message(session_id, bad), "message_id"),
            (message.update_message_metadata(bad, "id", {}), "session_id"),
            (message.update_message_metadata(session_id, bad, {}), "message_id"),
            (message.delete_message(bad, "id"), "session_id"),
            (message.delete_message(session_id, bad), "message_id"),
            (message.undelete_message(bad, "id"), "session_id"),
            (message.undelete_message(session_id, bad), "message_id"),
            (user.add(of_user), "user_id"),
            (user.update(updating), "user_id"),
            (user.get(bad), "user_id"),
            (user.delete(bad), "user_id"),
            (user.get_sessions(bad), "user_id"),
        ):
            await refused(call, bad, match)
    for bad in BAD_IDS[1:]:
        other = f"{session_id} other"
        for call in (
            memory.add_session(session_of(other, user_id=bad)),
            memory.update_session(session_of(session_id, user_id=bad)),
            memory.list_sessions(user_id=bad),
            memory.recent_sessions(user_id=bad),
            first(zep, "memory", "list_all_sessions", user_id=bad),
        ):
            await refused(call, bad, "user_id")
        with pytest.raises(BadRequestError, match="user_id"):
            zep.chat_history(session_id, user_id=bad)
    assert await memory.get_session(session_id) == before
    assert (await user.get(user_id)).deleted_at is None
    assert await message.count(session_id) == 1


@pytest.mark.promise("ids and keys")
async def test_unstorable_metadata_is_refused_and_changes_nothing(
    zep: Facade, session_id: str, user_id: str
) -> None:
    user = await zep.user.add(CreateUserRequest(user_id=user_id, metadata={"a": 1}))
    created = await zep.memory.add_session(Session(session_id=session_id, metadata={"a": 1}))
    other, nobody = f"{session_id} other", f"{user_id} other"
    for bad in [*NOT_DICTS, *UNSTORABLE, nested(17), {"a": [nested(16)]}]:
        adding, updating = CreateUserRequest(user_id=nobody), UpdateUserRequest(user_id=user_id)
        adding.metadata = updating.metadata = bad
        for call in (
            zep.memory.add_session(session_of(other, metadata=bad)),
            zep.memory.update_session(session_of(session_id, metadata=bad)),
            zep.memory.list_sessions(metadata=bad),
            first(zep, "memory", "list_all_sessions", metadata=bad),
            zep.user.add(adding),
            zep.user.update(updating),
        ):
            await refused(call, bad, "metadata")
    big = {"text": "x" * (17 * MEGABYTE)}
    adding = CreateUserRequest(user_id=nobody, metadata=big)
    updating = UpdateUserRequest(user_id=user_id, metadata=big)
    for call in (
        zep.memory.add_session(session_of(other, metadata=big)),
        zep.memory.add_memory(other, Memory(metadata=big)),
        zep.memory.update_session(session_of(session_id, metadata=big)),
        zep.user.add(adding),
        zep.user.update(updating),
    ):
        await refused(call, "17 MB")
    assert await zep.memory.get_session(session_id) == created
    assert await zep.user.get(user_id) == user
    for call in (zep.memory.get_session(other), zep.user.get(nobody)):
        with pytest.raises(NotFoundError):
            await call


@pytest.mark.promise("metadata over 16 levels or 16 MB")
@pytest.mark.needs("large")
async def test_metadata_growing_over_16_megabytes_is_refused_and_changes_nothing(
    zep: Facade, session_id: str
) -> None:
    half = "x" * (9 * MEGABYTE)
    await zep.memory.add_session(Session(session_id=session_id, metadata={"a": half}))
    grown = Session(session_id=session_id, metadata={"b": half})
    await refused(zep.memory.update_session(grown), "9 MB more")
    memory = Memory(messages=[Message(role="user", content="x")], metadata={"b": half})
    await refused(zep.memory.add_memory(session_id, memory), "9 MB more")
    assert (await zep.memory.get_session(session_id)).metadata == {"a": half}
    assert await zep.message.count(session_id) == 0


async def test_invalid_unset_paths_are_refused_and_change_nothing(
    zep: Facade, session_id: str
) -> None:
    metadata = {"key": {"a": 1}, "k": 1}
    session = await zep.memory.add_session(Session(session_id=session_id, metadata=metadata))
    bad_paths: list[Any] = [
        "key", b"key", 5, None, ["key"], [b"key"], [()], [[]], [("key",), ()], [5], [None],
        [("key", 5)], [(None,)], [("key", b"a")], [("a\0b",)], [("\ud800",)], {"key": 1},
        [("key",), "k"], [({"a": 1},)], True,
    ]  # fmt: skip
    for bad in bad_paths:
        await refused(zep.memory.update_session(session, unset=bad), bad, "unset")
    assert await zep.memory.get_session(session_id) == session


async def test_values_that_are_not_sessions_are_refused(zep: Facade, session_id: str) -> None:
    for bad in (
        None,
        session_id,
        {"session_id": session_id},
        Session,
        User(user_id=session_id),
        Memory(),
        [Session(session_id=session_id)],
    ):
        await refused(zep.memory.add_session(bad), bad, "Session")
        await refused(zep.memory.update_session(bad), bad, "Session")
    with pytest.raises(NotFoundError):
        await zep.memory.get_session(session_id)


async def test_values_that_are_not_user_requests_are_refused(zep: Facade, user_id: str) -> None:
    await zep.user.add(CreateUserRequest(user_id=user_id, email="x"))
    for bad in (None, user_id, {"user_id": user_id}, CreateUserRequest, Session(), [user_id]):
        await refused(zep.user.add(bad), bad, "CreateUserRequest")
        await refused(zep.user.update(bad), bad, "UpdateUserRequest")
    create = CreateUserRequest(user_id=user_id, email="y")
    await refused(zep.user.update(create), create, "UpdateUserRequest")
    assert (await zep.user.get(user_id)).email == "x"


async def test_invalid_user_fields_are_refused_and_change_nothing(
    zep: Facade, user_id: str
) -> None:
    user = await zep.user.add(CreateUserRequest(user_id=user_id, email="x"))
    other = f"{user_id} other"
    for field in ("email", "first_name", "last_name"):
        for bad in ("\ud800", {1, 2}, object(), 5, True, b"bytes", ["a"], {"$gt": ""}):
            adding, updating = CreateUserRequest(user_id=other), UpdateUserRequest(user_id=user_id)
            setattr(adding, field, bad)
            setattr(updating, field, bad)
            await refused(zep.user.update(updating), bad, field)
            await refused(zep.user.add(adding), bad, field)
    assert await zep.user.get(user_id) == user
    with pytest.raises(NotFoundError):
        await zep.user.get(other)


async def test_an_invalid_age_purges_nothing(zep: Facade, session_id: str) -> None:
    await zep.memory.add_session(Session(session_id=session_id))
    await zep.memory.delete_memory(session_id)
    for bad in (
        timedelta(microseconds=-1),
        timedelta(days=-30),
        timedelta.min,
        0,
        -1,
        30,
        1.5,
        True,
        "1 day",
        {"$gt": 0},
    ):
        await refused(zep.purge(bad), bad, "older_than")
    await zep.memory.undelete_session(session_id)


@pytest.mark.promise("operators in filters are data")
async def test_filter_values_are_never_evaluated_as_code(zep: Facade, session_id: str) -> None:
    # Strings that other layers might parse again.
    text = json.dumps({"$where": "sleep(1000)"})
    await zep.memory.add_session(Session(session_id=session_id, metadata={session_id: text}))
    found = await zep.memory.list_sessions(metadata={session_id: text})
    assert [session.session_id for session in found] == [session_id]
    assert await zep.memory.list_sessions(metadata={session_id: {"$where": "true"}}) == []
