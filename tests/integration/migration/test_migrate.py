"""Migration of what any reader yields: again, after a kill, into sessions that went on."""

import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, message_to_dict
from pymongo import MongoClient

from langchain_zepstore import BadRequestError, CreateUserRequest, Memory, Message, Session, User
from langchain_zepstore.cli.main import main
from langchain_zepstore.client import ZepClient
from langchain_zepstore.migration import Conversation, Unreadable, migrate
from tests.support import preloaded

START = datetime(2024, 1, 2, 3, 4, 5, 678000, UTC)


@pytest.fixture
def store(mongo_url: str, database_name: str) -> Iterator[ZepClient]:
    with ZepClient(mongo_url, database=database_name) as client:
        yield client


def said(*contents: str) -> list[Message | Unreadable]:
    return [Message(role="user", content=each, created_at=START) for each in contents]


def talk(session_id: str, *contents: str, **fields: Any) -> Conversation:
    return Conversation(Session(session_id=session_id, **fields), said(*contents))


def contents(store: ZepClient, session_id: str) -> list[str]:
    return [each.content for each in store.message.iter_messages(session_id)]


def test_times_titles_and_users_are_migrated(store: ZepClient) -> None:
    user = User(user_id="ada", email="ada@example.org", created_at=START)
    session = talk("s", "a", "b", title="Boats", metadata={"k": 1}, user_id="ada", tags=["t"])
    report = migrate([user, session, talk("empty")], store)
    assert (report.users, report.sessions, report.messages) == (1, 2, 2)
    found = store.memory.get_session("s")
    assert (found.title, found.metadata, found.user_id, found.tags) == (
        "Boats",
        {"k": 1},
        "ada",
        ["t"],
    )
    assert found.created_at == found.active_at == START
    assert store.user.get("ada").created_at == START
    assert [each.created_at for each in store.memory.get_memory("s").messages] == [START, START]


@pytest.mark.promise("run again, a migration appends new messages to continued sessions")
def test_new_messages_are_appended(store: ZepClient) -> None:
    migrate([talk("s", "a", "b"), talk("other", "x")], store)
    migrate([talk("s", "a", "b", "c"), talk("other", "x")], store)
    assert contents(store, "s") == ["a", "b", "c"]
    store.memory.add_memory("s", Memory(messages=[Message(role="user", content="mine")]))
    for _ in range(2):
        report = migrate([talk("s", "a", "b", "c", "d", "e"), talk("other", "x")], store)
        assert (report.messages, report.refused) == (6, 0)
        assert contents(store, "s") == ["a", "b", "c", "mine", "d", "e"]
    report = migrate([talk("s", "a", "b", "c", "d", "e")], store, verify=True)
    assert report.different == 0


def test_messages_are_appended_to_existing_sessions(store: ZepClient) -> None:
    store.memory.add_memory("s", Memory(messages=[Message(role="user", content="mine")]))
    for _ in range(2):
        report = migrate([talk("s", "a", "b")], store)
        assert (report.sessions, report.messages, report.refused) == (1, 2, 0)
    assert contents(store, "s") == ["mine", "a", "b"]


def test_a_session_of_another_user_is_not_changed(store: ZepClient) -> None:
    store.user.add(CreateUserRequest(user_id="ada"))
    store.memory.add_session(Session(session_id="s", user_id="ada"))
    report = migrate([talk("s", "a", "b", user_id="bob")], store)
    assert (report.sessions, report.messages, report.refused) == (0, 0, 3)
    assert [error.reason for error in report.errors] == [
        "session 's': another session 's' exists already"
    ]
    assert contents(store, "s") == []


def test_messages_deleted_in_the_target_stay_deleted(store: ZepClient) -> None:
    migrate([talk("s", "a"), talk("t", "a", "b")], store)
    store.memory.delete_memory("s")
    [first, _] = store.memory.get_memory("t").messages
    assert first.uuid
    store.message.delete_message("t", first.uuid)
    report = migrate([talk("s", "a", "new"), talk("t", "a", "b")], store, verify=True)
    assert (contents(store, "s"), contents(store, "t")) == ([], ["b"])
    assert report.refused == 1
    assert "is deleted" in report.errors[0].reason
    assert [each.reason.rpartition("' ")[2] for each in report.differences] == ["is missing"]


def test_later_changes_of_the_source_are_applied(store: ZepClient) -> None:
    old, new = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)

    def source(moment: datetime, name: str) -> list[Any]:
        return [
            User(user_id="ada", first_name=name, updated_at=moment),
            talk("s", "a", title=name, metadata={"k": name}, updated_at=moment),
        ]

    migrate(source(old, "first"), store)
    store.memory.organize_session("s", title="mine")
    migrate(source(old, "second"), store)
    assert store.memory.get_session("s").title == "mine"
    assert store.user.get("ada").first_name == "first"
    migrate(source(new, "third"), store)
    session = store.memory.get_session("s")
    assert (session.title, session.metadata) == ("third", {"k": "third"})
    assert store.user.get("ada").first_name == "third"


def test_unreadable_records_are_reported_by_number_and_the_rest_imported(store: ZepClient) -> None:
    kept: list[Any] = []
    bad = Conversation(Session(session_id="s"), [*said("a"), Unreadable("torn", 7), *said("b")])
    reader = [Unreadable("gone", "raw"), bad, talk("", "x"), talk("t", "a" * 17_000_000)]
    report = migrate(reader, store, on_refused=lambda number, data: kept.append((number, data)))
    assert [(error.number, error.reason.partition(";")[0][:40]) for error in report.errors] == [
        (1, "gone"),
        (2, "session 's': torn"),
        (3, "session '': session_id must not be empty"),
        (4, report.errors[3].reason[:40]),
    ]
    assert "bytes" in report.errors[3].reason
    assert kept == [(1, "raw"), (2, 7), (3, None), (4, None)]
    assert contents(store, "s") == ["a", "b"]


def test_a_dry_run_validates_and_stores_nothing(store: ZepClient) -> None:
    report = migrate([talk("s", "a"), talk("", "x")], store, dry_run=True, verify=True)
    assert (report.sessions, report.messages, report.refused) == (1, 1, 2)
    assert store.memory.list_sessions() == []


@pytest.mark.promise("--verify compares both sides message by message")
def test_verification_finds_each_difference(store: ZepClient) -> None:
    source = [talk("s", "a", "b", "c", "d", "e")]
    migrate(source, store)
    messages = store.memory.get_memory("s").messages
    ids = [message.uuid or "" for message in messages]
    store.message.update_message("s", ids[1], "B")
    store.memory.erase_session("t")
    store.memory.add_memory("s", Memory(messages=[Message(role="user", content="mine")]))
    later = messages[3].model_copy(update={"created_at": datetime(2025, 1, 1, tzinfo=UTC)})
    store.memory.add_memory("s", Memory(messages=[later]))
    source[0].messages = [*source[0].messages, *said("f")]
    reordered = [*list(source[0].messages)]
    uuids = [*ids, None]
    for message, uuid in zip(reordered, uuids, strict=True):
        assert isinstance(message, Message)
        message.uuid = uuid
    reordered[2], reordered[0] = reordered[0], reordered[2]
    source[0].messages = reordered
    from langchain_zepstore.migration.verify import differences

    found = [each.rpartition("' ")[2] for each in differences(store, source[0], "source")]
    assert found == ["differs", "has another position", "has another time", "is missing"]


KILLED = """
import os, signal, sys
from langchain_zepstore import Message, Session, ZepClient
from langchain_zepstore.migration import Conversation, migrate
url, database, last = sys.argv[1], sys.argv[2], int(sys.argv[3])
count = 0
def said(name):
    global count
    for number in range(700):
        count += 1
        if count == last:
            os.kill(os.getpid(), signal.SIGKILL)
        yield Message(role="user", content=f"{name} {number}")
with ZepClient(url, database=database) as client:
    migrate((Conversation(Session(session_id=name), said(name)) for name in "abcd"), client)
"""


@pytest.mark.promise("a migration that was killed is completed by its repeat, without doubles")
def test_a_killed_migration_is_completed_by_its_retry(
    mongo_url: str, database_name: str, store: ZepClient
) -> None:
    for last in (1300, 2799):  # the batch before is being stored then
        command = [sys.executable, "-c", KILLED, mongo_url, database_name, str(last)]
        assert preloaded.run(command, timeout=60, imported=preloaded.CLIENT).returncode == -9
    source = [talk(name, *(f"{name} {number}" for number in range(700))) for name in "abcd"]
    for conversation in source:
        for message in conversation.messages:
            assert isinstance(message, Message)
            message.created_at = None
    report = migrate(source, store, verify=True)
    assert (report.messages, report.refused, report.different) == (2800, 0, 0)
    for name in "abcd":
        assert contents(store, name) == [f"{name} {number}" for number in range(700)]


Run = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def run(mongo_url: str, database_name: str, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str | Path) -> tuple[int, Any, str]:
        capsys.readouterr()
        options = ["--url", mongo_url, "--database", database_name, "--json"]
        code = main([*options, "migrate", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, json.loads(out) if out else None, err

    return run


@pytest.fixture
def histories(mongo_url: str, database_name: str) -> Iterator[Any]:
    """A collection as langchain-mongodb makes it, with a session each for ada and bob."""
    with MongoClient[Any](mongo_url) as client:
        collection = client[f"{database_name}_from"]["message_store"]
        for session_id in ("ada/1", "bob/2"):
            history = json.dumps(message_to_dict(HumanMessage(session_id)))
            collection.insert_one({"SessionId": session_id, "History": history})
        yield collection
        client.drop_database(f"{database_name}_from")


def test_the_command_assigns_users(
    run: Run, store: ZepClient, histories: Any, mongo_url: str
) -> None:
    way = ["langchain-mongodb", "--from", mongo_url, "--from-database", histories.database.name]
    code, report, _ = run(*way, "--dry-run")
    assert (code, report["messages"], store.memory.list_sessions()) == (0, 2, [])
    code, report, err = run(*way, "--user-from", "^([^/]+)/", "--verify")
    assert (code, report["sessions"], report["different"], err) == (0, 2, 0, "")
    assert [(each.session_id, each.user_id) for each in store.memory.list_sessions()] == [
        ("ada/1", "ada"),
        ("bob/2", "bob"),
    ]
    histories.insert_one({"SessionId": "ada/1", "History": "{"})
    code, report, err = run(*way, "--user-from", "^([^/]+)/")
    assert (code, report["refused"]) == (1, 1)
    assert err.startswith("1: session 'ada/1': message ")
    assert run(*way, "--user", "a", "--user-from", "b")[0] == 2
    assert run("none", "--from", "x")[0] == run(*way, "--user-from", "(")[0] == 1


def test_users_are_derived_from_ids_or_metadata() -> None:
    from langchain_zepstore.migration.users import user_from

    session = Session(session_id="ada/1", metadata={"owner": "bob", "number": 5})
    assert user_from("^(.*)/")(session) == "ada"
    assert user_from("^(x)/")(session) is None
    assert user_from("owner")(session) == "bob"
    assert user_from("number")(session) == "5"
    assert user_from("none")(session) is None
    with pytest.raises(BadRequestError, match="no regular expression"):
        user_from("(")
