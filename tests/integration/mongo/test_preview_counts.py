"""The counts that previews keep: exact, whatever happens between any two of their steps."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from langchain_zepstore import Memory, Message, Session, ZepClient
from langchain_zepstore.core.arguments import RecentQuery
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.migration import import_lines
from tests.support.messages import parts_of
from tests.support.stepping import Drive, store_of

LENGTH = 14


@pytest.fixture
def client(mongo_url: str, session_id: str) -> Iterator[ZepClient]:
    """One user's view, which shows the test's own sessions."""
    with ZepClient(mongo_url) as client:
        yield client.for_user(session_id)


def said(*uuids: str) -> Memory:
    return Memory(messages=[Message(role="user", content=each, uuid=each) for each in uuids])


def begin(client: ZepClient, session_id: str) -> None:
    """Say enough to be counted, so that some of it is deleted and one number is free."""
    client.memory.add_session(Session(session_id=session_id))
    client.memory.add_memory(session_id, said(*(f"m{number}" for number in range(LENGTH))))
    client.memory.add_memory(session_id, said("m3"))
    client.message.delete_message(session_id, "m5")


def previewing(store: Any) -> Operation[Any]:
    return store.sessions.recent(RecentQuery(preview=True))


def document(client: ZepClient, session_id: str) -> Any:
    database = store_of(client).sessions._sessions._raw.database
    return database["sessions"].find_one({"_id": session_id})


def forget(client: ZepClient, session_id: str) -> None:
    """Remove the session, so that no more previews show it."""
    database = store_of(client).sessions._sessions._raw.database
    database["sessions"].delete_one({"_id": session_id})


def check(client: ZepClient, session_id: str) -> None:
    """Check what previews show, and that the second one finds a count."""
    messages = client.memory.get_memory(session_id).messages
    for _ in range(2):
        for session in client.memory.recent_sessions(preview=True).sessions:
            assert session.message_count == len(messages)
            assert session.last_message == (messages[-1] if messages else None)


CHANGES: dict[str, Callable[[Any, str], Operation[Any]]] = {
    "an add": lambda store, it: store.messages.add(it, parts_of(said("new", "newer"))),
    "a repeat": lambda store, it: store.messages.add(it, parts_of(said("new", "m2", "m5"))),
    "an edit": lambda store, it: store.messages.add(it, parts_of(said("e", "f")), before="m9"),
    "a rewind": lambda store, it: store.branches.rewind(it, "m7"),
    "a deletion of a message": lambda store, it: store.deletion.delete_message(it, "m7"),
    "an undeletion of a message": lambda store, it: store.deletion.undelete_message(it, "m5"),
    "a deletion": lambda store, it: store.deletion.delete_session(it),
}


@pytest.mark.promise("a preview's count is exact under races and kills")
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_between_any_steps_of_a_preview_keeps_counts_correct(
    client: ZepClient, session_id: str, name: str
) -> None:
    store, pauses = store_of(client), 0
    while True:
        it = f"{session_id} {pauses}"
        begin(client, it)
        drive = Drive(previewing(store))
        try:
            drive.step(pauses)
        except StopIteration:
            break
        Drive(CHANGES[name](store, it)).finish()
        drive.finish()
        check(client, it)
        forget(client, it)
        pauses += 1
    assert pauses > 4


@pytest.mark.promise("a preview's count is exact under races and kills")
@pytest.mark.parametrize("name", CHANGES)
def test_a_preview_between_any_steps_of_a_change_keeps_counts_correct(
    client: ZepClient, session_id: str, name: str
) -> None:
    store, pauses = store_of(client), 0
    while True:
        it = f"{session_id} {pauses}"
        begin(client, it)
        change = Drive(CHANGES[name](store, it))
        try:
            change.step(pauses)
        except StopIteration:
            break
        Drive(previewing(store)).finish()
        check(client, it)  # it may be killed here
        change.finish()
        check(client, it)
        forget(client, it)
        pauses += 1
    assert pauses > 1


def test_an_undeletion_resets_the_count(client: ZepClient, session_id: str) -> None:
    begin(client, session_id)
    check(client, session_id)
    client.memory.delete_memory(session_id)
    client.memory.add_memory(session_id, said(*(f"n{number}" for number in range(LENGTH))))
    check(client, session_id)
    assert document(client, session_id)["counted"]["messages"] == LENGTH
    client.memory.undelete_session(session_id)
    assert "counted" not in document(client, session_id)
    check(client, session_id)
    assert document(client, session_id)["counted"]["messages"] == 2 * LENGTH - 1


def test_an_import_into_a_counted_session_resets_the_count(
    client: ZepClient, session_id: str
) -> None:
    begin(client, session_id)
    lines = list(client.export(session_id=session_id))
    client.memory.erase_session(session_id)
    import_lines(client, lines[:-3])
    check(client, session_id)
    assert "counted" in document(client, session_id)
    import_lines(client, lines)
    check(client, session_id)
    assert document(client, session_id)["counted"]["messages"] == LENGTH - 1


def test_a_count_continues_from_the_previous_one(client: ZepClient, session_id: str) -> None:
    for size in (9, 9, 9, 1000):
        client.memory.add_memory(
            session_id, Memory(messages=[Message(role="user", content="a") for _ in range(size)])
        )
        sessions = client.memory.recent_sessions(preview=True).sessions
        count = client.message.count(session_id)
        assert [each.message_count for each in sessions] == [min(count, 1000)]
    assert document(client, session_id)["counted"]["messages"] == 1000


@pytest.mark.promise("a page's counts cost two commands more, however many changed")
def test_short_sessions_are_counted_together(client: ZepClient, session_id: str) -> None:
    ids = [f"{session_id} {number}" for number in range(3)]
    for each in ids:
        begin(client, each)
    client.memory.recent_sessions(preview=True)  # takes the free numbers
    for each in ids:
        client.message.delete_message(each, "m7")
    drive, steps = Drive(previewing(store_of(client))), 0
    with contextlib.suppress(StopIteration):
        while drive.step():
            steps += 1
    assert steps == 4
    for each in ids:
        assert document(client, each)["counted"]["messages"] == LENGTH - 2


def test_a_count_from_a_secondary_is_not_stored(
    client: ZepClient, session_id: str, mongo_url: str
) -> None:
    begin(client, session_id)
    url = f"{mongo_url}{'&' if '?' in mongo_url else '/?'}readPreference=secondaryPreferred"
    with ZepClient(url) as other:
        check(other.for_user(session_id), session_id)
    assert "counted" not in document(client, session_id)
