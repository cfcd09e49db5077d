"""Imports that are killed, repeated, made over branches, and large."""

import tracemalloc
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from pymongo import MongoClient

from langchain_zepstore import CreateUserRequest, Memory, Message, Session, ZepClient
from langchain_zepstore.core.records import Record
from langchain_zepstore.messages.marks import JSON
from langchain_zepstore.migration import import_lines
from tests.support.stepping import Drive, store_of

USER = "exported"


@pytest.fixture
def zep(mongo_url: str) -> Iterator[ZepClient]:
    """A client on a database of the test's own."""
    name = f"import_{uuid4().hex}"
    with ZepClient(mongo_url, database=name) as client:
        yield client
    with MongoClient(mongo_url) as raw:
        raw.drop_database(name)


def said(*uuids: str) -> Memory:
    return Memory(messages=[Message(role="user", content=each, uuid=each) for each in uuids])


def live(zep: ZepClient) -> None:
    """Store a session with branches, a deleted one, and one whose id another has now."""
    view = zep.for_user(USER)
    view.memory.add_memory("branched", said("a", "b", "c"))
    view.memory.add_memory("branched", said("b2", "c2"), before="b")
    view.message.delete_message("branched", "c2")
    view.memory.add_memory("deleted", said("d", "e"))
    view.memory.delete_memory("deleted")
    view.memory.add_memory("lost", said("f", "g"))
    view.memory.delete_memory("lost")
    take(zep, "lost")


def take(zep: ZepClient, session_id: str) -> None:
    """Give a session's id to another user."""
    zep.user.erase("another")
    zep.user.add(CreateUserRequest(user_id="another"))
    zep.memory.add_session(Session(session_id=session_id, user_id="another"))


def exported(zep: ZepClient) -> list[Record]:
    """Return an export without what an import makes anew."""
    own = {"uuid", "session_uuid"}
    return [
        {
            name: value
            for name, value in line.items()
            if name not in own or line["type"] == "message"
        }
        | ({"session_uuid": ""} if "session_uuid" in line else {})
        for line in zep.user.export(USER)
    ]


@pytest.mark.promise("a killed import is completed by its repeat")
def test_a_retry_completes_an_import_killed_after_any_step(zep: ZepClient) -> None:
    live(zep)
    lines, expected = list(zep.user.export(USER)), exported(zep)
    records: list[Any] = [JSON.unmark(line) for line in lines[1:]]
    store, kills = store_of(zep), 0
    messages = store.messages._messages._raw.database["messages"]
    while True:
        zep.user.erase(USER)
        take(zep, "lost")
        messages.delete_many({"expires_at": {"$exists": True}})  # what erasures leave
        operation = store.transfer.load(records)
        try:
            Drive(operation).step(kills + 1)
        except StopIteration:
            break
        operation.close()
        assert import_lines(zep, lines).errors == []
        assert exported(zep) == expected
        kills += 1
    assert kills > 5


def test_a_reimport_of_a_branched_session_changes_nothing(zep: ZepClient) -> None:
    live(zep)
    lines = list(zep.export(session_id="branched"))
    assert import_lines(zep, lines).errors == []
    assert list(zep.export(session_id="branched")) == lines
    zep.memory.switch_branch("branched", "c")
    zep.memory.add_memory("branched", said("z"))
    switched = list(zep.export(session_id="branched"))
    import_lines(zep, lines)
    assert list(zep.export(session_id="branched")) == switched


@pytest.mark.promise("exports and imports of 100,000 messages take flat memory")
def test_importing_takes_constant_memory(zep: ZepClient, long: bool) -> None:
    def lines(session_id: str, total: int) -> Iterator[Record]:
        yield {"type": "session", "session_id": session_id, "uuid": session_id, "seq": total}
        for number in range(1, total + 1):
            yield {
                "type": "message",
                "session_id": session_id,
                "session_uuid": session_id,
                "seq": number,
                "uuid": f"m{number}",
                "role": "user",
                "content": f"{number} some words",
            }

    peaks = []
    for total in (600, 600, 100_000 if long else 1200):  # the first one warms up
        session_id = f"{len(peaks)}"
        tracemalloc.start()
        try:
            assert import_lines(zep, lines(session_id, total)).messages == total
            assert sum(1 for _ in zep.export(session_id=session_id)) == total + 2
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[2] < 1.2 * peaks[1]
