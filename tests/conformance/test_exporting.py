"""Exports and imports."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from langchain_zepstore import BadRequestError, CreateUserRequest, Memory, Message, Session
from langchain_zepstore.migration import aimport_lines, import_lines
from tests.support.facade import Facade
from tests.support.messages import contents

ODD = {"$date": 1, "bytes": b"\0", "when": datetime(2026, 1, 2, 3, 4, 5, 678000, UTC), "a.b": [1.5]}
PROMISE = pytest.mark.promise(
    "what is exported comes back equal by an import, times, order and trash included; an import "
    "repeated is harmless"
)


async def load(zep: Facade, lines: list[Any]) -> Any:
    if zep.asynchronous:
        return await aimport_lines(zep.client, lines)
    return import_lines(zep.client, lines)


async def live(zep: Facade, name: str) -> None:
    """Store a user with two sessions, one of them deleted, and an ownerless one."""
    await zep.user.add(CreateUserRequest(user_id=f"user {name}", email="a@b", metadata=ODD))
    session = Session(session_id=f"one {name}", user_id=f"user {name}", metadata=ODD, tags=["t"])
    await zep.memory.add_session(session)
    long_ago = datetime(2020, 1, 2, tzinfo=UTC)
    messages = [
        Message(role="user", content="a", uuid="a", created_at=long_ago, metadata=ODD),
        Message(role="assistant", content="b", uuid="b"),
        Message(role="user", content="c", uuid="c"),
    ]
    await zep.memory.add_memory(f"one {name}", Memory(messages=messages))
    await zep.message.delete_message(f"one {name}", "b")
    await zep.memory.organize_session(f"one {name}", title="Title", pinned=True)
    await zep.memory.add_session(Session(session_id=f"two {name}", user_id=f"user {name}"))
    await zep.memory.add_memory(f"two {name}", Memory(messages=messages[1:]))
    await zep.memory.delete_memory(f"two {name}")
    await zep.memory.add_memory(f"three {name}", Memory(messages=messages[:1]))


async def lines_of(zep: Facade, **which: str) -> list[dict[str, Any]]:
    if zep.asynchronous:
        return [line async for line in zep.client.aexport(**which)]
    return list(zep.client.export(**which))


def comparable(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in line.items() if name not in {"uuid", "session_uuid"}}
        if line["type"] != "message"
        else {name: value for name, value in line.items() if name != "session_uuid"}
        for line in lines
    ]


@PROMISE
async def test_an_export_round_trips(own: Facade) -> None:
    await live(own, "x")
    exported = await lines_of(own)
    assert exported[0] == {"type": "zepstore", "version": 1}
    kinds = [line["type"] for line in exported[1:]]
    session = ["session", "message"]
    assert kinds == ["user", *session, *["message"] * 2, *session, "message", *session]
    texts = [json.dumps(line) for line in exported]
    parents = [line["parent_uuid"] for line in exported if line["type"] == "message"]
    assert parents == [None, "a", "b", None, "b", None]
    await own.user.erase("user x")
    await own.memory.erase_session("three x")
    assert await lines_of(own) == exported[:1]
    report = await load(own, texts)
    assert report.model_dump() == {
        "users": 1,
        "sessions": 3,
        "messages": 6,
        "refused": 0,
        "errors": [],
    }
    assert comparable(await lines_of(own)) == comparable(exported)
    assert await contents(own, "one x") == ["a", "c"]
    await own.message.undelete_message("one x", "b")
    await own.memory.undelete_session("two x")
    assert await contents(own, "one x") == ["a", "b", "c"]
    assert await contents(own, "two x") == ["b", "c"]
    await own.memory.add_memory("one x", Memory(messages=[Message(role="user", content="d")]))
    assert await contents(own, "one x") == ["a", "b", "c", "d"]


@PROMISE
async def test_an_import_is_idempotent_and_completes_a_partial_one(own: Facade) -> None:
    await live(own, "x")
    exported = await lines_of(own)
    await load(own, exported)
    assert await lines_of(own) == exported
    await own.user.erase("user x")
    await own.memory.erase_session("three x")
    for count in (3, 5, 8, len(exported), len(exported)):
        report = await load(own, exported[:count])
        assert report.errors == []
    assert comparable(await lines_of(own)) == comparable(exported)


@pytest.mark.promise("an export of a user holds former sessions whose ids others have now")
async def test_an_export_of_a_user_covers_sessions_whose_id_changed_owner(
    own: Facade, user_id: str
) -> None:
    other = f"next {user_id}"
    await live(own, user_id)
    await own.memory.delete_memory(f"one {user_id}")
    await own.user.add(CreateUserRequest(user_id=other))
    await own.memory.add_session(Session(session_id=f"one {user_id}", user_id=other))
    await own.memory.add_memory(
        f"one {user_id}", Memory(messages=[Message(role="user", content="new")])
    )
    lines = await lines_of(own, user_id=f"user {user_id}")
    [former] = [line for line in lines if line.get("former")]
    said = [line["content"] for line in lines if line.get("session_uuid") == former["uuid"]]
    assert (former["session_id"], said) == (f"one {user_id}", ["a", "b", "c"])
    assert "new" not in json.dumps(lines)
    assert (await load(own, lines)).refused == 0
    await own.user.erase(f"user {user_id}")
    assert (await load(own, lines)).refused == 0
    assert (await load(own, lines)).refused == 0
    assert comparable(await lines_of(own, user_id=f"user {user_id}")) == comparable(lines)
    assert await contents(own, f"one {user_id}") == ["new"]
    await own.memory.erase_session(f"one {user_id}")
    await own.user.erase(f"user {user_id}")
    assert (await load(own, lines)).refused == 0
    assert await contents(own, f"one {user_id}") == []
    trash = await own.memory.get_memory(f"one {user_id}", include_deleted=True)
    assert [message.content for message in trash.messages] == ["a", "b", "c"]


async def test_a_crafted_message_takes_no_sequence_number_of_another_session(own: Facade) -> None:
    await live(own, "x")
    lines = await lines_of(own)
    message = next(line for line in lines if line["type"] == "message")
    crafted = {
        **message,
        "session_id": "elsewhere",
        "user_id": "eve",
        "uuid": "eve's",
        "seq": 1000,
        "deleted_at": message["created_at"],
    }
    assert (await load(own, [lines[0], crafted])).refused == 1
    assert await lines_of(own) == lines


async def test_one_user_or_session_is_exported(zep: Facade, user_id: str) -> None:
    await live(zep, user_id)
    exported = await lines_of(zep, session_id=f"one {user_id}")
    assert [line["type"] for line in exported] == ["zepstore", "session", *["message"] * 3]
    exported = await lines_of(zep, user_id=f"user {user_id}")
    assert sum(line["type"] == "session" for line in exported) == 2
    if zep.asynchronous:
        of_user = [line async for line in zep.client.user.aexport(f"user {user_id}")]
    else:
        of_user = list(zep.client.user.export(f"user {user_id}"))
    assert of_user == exported
    with pytest.raises(BadRequestError):
        await lines_of(zep, user_id="")


async def test_invalid_lines_are_reported_by_number_and_the_rest_imported(own: Facade) -> None:
    await live(own, "x")
    exported = await lines_of(own)
    await own.user.erase("user x")
    await own.memory.erase_session("three x")
    bad = ["{", "[]", {"type": "other"}, {"type": "session"}, {"type": "message"}, "null"]
    lines: list[Any] = [*bad, *exported]
    report = await load(own, lines)
    assert [error.number for error in report.errors] == [1, 2, 3, 6, 4, 5]
    assert all(error.reason for error in report.errors)
    assert report.messages == 6
    assert comparable(await lines_of(own)) == comparable(exported)


async def test_an_import_does_not_change_another_session_of_the_id(own: Facade) -> None:
    await live(own, "x")
    exported = await lines_of(own, session_id="one x")
    await own.memory.erase_session("one x")
    await own.memory.add_memory("one x", Memory(messages=[Message(role="user", content="new")]))
    report = await load(own, exported)
    assert report.refused == 4
    assert "exists already" in report.errors[0].reason
    assert await contents(own, "one x") == ["new"]


async def test_invalid_clients_and_lines_are_refused(own: Facade) -> None:
    with pytest.raises(BadRequestError, match="client"):
        import_lines("client", [])  # type: ignore[arg-type]
    with pytest.raises(BadRequestError, match="lines"):
        await load(own, "lines")  # type: ignore[arg-type]


CYCLE = [{"first": 1, "after": 0, "activated": 1}, {"first": 2, "after": 2, "activated": 2}]
DELETION = {"id": 1, "at": "2026-01-01T00:00:00Z", "open": True, "settled": False}


INVALID = [
    ({"forks": CYCLE}, "forks"),
    ({"forks": [{"first": 2, "after": 0, "activated": 1}]}, "forks"),
    ({"forks": CYCLE[:1] * 2}, "forks"),
    ({"forks": [CYCLE[0], {"first": 9, "after": 1, "activated": 1}]}, "forks"),
    ({"seq": 2**61}, "seq"),
    ({"deletion": {**DELETION, "seq": 2**61}}, "deletion"),
    ({"turn": 2**70}, "turn"),
    ({"deletion_count": 2**70}, "deletion_count"),
]


@PROMISE
async def test_an_invalid_session_line_is_refused(own: Facade) -> None:
    for fields, named in INVALID:
        line = {"type": "session", "session_id": "s", "uuid": "u", "seq": 3, **fields}
        report = await load(own, [line])
        assert [named in error.reason for error in report.errors] == [True], fields
    assert await own.memory.list_sessions(include_deleted=True) == []


async def test_a_sequence_number_beyond_64_bits_is_refused(own: Facade) -> None:
    await own.memory.add_memory("s", Memory(messages=[Message(role="user", content="a")]))
    header, session, message = await lines_of(own)
    await own.memory.erase_session("s")
    for name in ("deletion", "token_count", "seq"):
        report = await load(own, [header, session, {**message, name: 2**70}])
        assert [name in error.reason for error in report.errors] == [True]
    assert await contents(own, "s") == []
