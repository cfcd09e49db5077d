"""Numbers of what is stored, and the state of the database."""

from datetime import UTC, datetime, timedelta

import pytest

from langchain_zepstore import CreateUserRequest, Memory, Message, Session
from tests.support.facade import Facade


@pytest.mark.promise("`stats` counts live and deleted documents")
async def test_stats_count_live_and_deleted_documents(own: Facade) -> None:
    await own.user.add(CreateUserRequest(user_id="u"))
    for session_id in ("a", "b"):
        await own.memory.add_session(Session(session_id=session_id, user_id="u"))
        messages = [Message(role="user", content=text) for text in "xyz"]
        await own.memory.add_memory(session_id, Memory(messages=messages))
    await own.memory.delete_memory("b")
    stats = await own.stats()
    assert (stats.sessions, stats.messages, stats.users) == (1, 3, 1)
    assert (stats.deleted_sessions, stats.deleted_messages, stats.deleted_users) == (1, 3, 0)
    assert stats.data_bytes > 0
    assert stats.index_bytes > 0
    assert stats.retention_seconds == 30 * 24 * 60 * 60
    assert sum(stats.active_sessions_per_day.values()) == 1
    assert set(stats.active_sessions_per_day) <= {f"{datetime.now(UTC):%Y-%m-%d}"}


@pytest.mark.promise("`activity` counts recent messages, at a bounded cost")
async def test_activity_counts_messages_and_sessions(own: Facade) -> None:
    assert (await own.activity()).messages == 0
    for user_id in ("u", "v"):
        await own.user.add(CreateUserRequest(user_id=user_id))
    for session_id, user_id in (("a", "u"), ("b", "u"), ("c", "v"), ("d", None)):
        await own.memory.add_session(Session(session_id=session_id, user_id=user_id))
    day = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)
    messages = [
        Message(role="user", content="x", created_at=day),
        Message(role="assistant", content="x" * 3000, created_at=day + timedelta(seconds=1)),
        Message(role="assistant", content="gone", uuid="gone"),
    ]
    await own.memory.add_memory("a", Memory(messages=messages))
    await own.message.delete_message("a", "gone")
    await own.memory.add_memory("c", Memory(messages=[Message(role="user", content="x")]))
    found = await own.activity()
    assert (found.sessions, found.messages, found.is_complete) == (4, 3, True)
    assert found.messages_per_day["2026-01-31"] == found.messages_per_day["2026-02-01"] == 1
    assert found.messages_per_role == {"user": 2, "assistant": 1}
    assert found.messages_per_size == {256: 2, 4096: 1}
    assert found.retention_seconds == 30 * 24 * 60 * 60
    assert found.sessions_per_user == {"u": 2, "v": 1, "": 1}
    of_user = await own.activity(user_id="u")
    assert (of_user.sessions_per_user, of_user.messages) == ({"u": 2}, 2)


@pytest.mark.promise("`diagnose` names findings and their cures")
async def test_a_healthy_database_has_no_faults(own: Facade) -> None:
    await own.memory.add_memory("a", Memory(messages=[Message(role="user", content="x")]))
    findings = await own.diagnose()
    unsound = [each for each in findings if each.level != "ok"]
    assert {each.name for each in unsound} <= {"disk"}  # this machine's
    names = {each.name for each in findings}
    assert {"server", "write concern", "clock", "rights", "interrupted erasures"} <= names
    assert all(each.message for each in findings)
