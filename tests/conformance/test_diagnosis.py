"""Numbers of what is stored, and the state of the database."""

from datetime import UTC, datetime

import pytest

from langchain_zepstore import CreateUserRequest, Memory, Message, Session
from tests.support.facade import Facade


@pytest.mark.promise("`stats` counts what lives and what is in the trash")
async def test_stats_count(own: Facade) -> None:
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
    assert sum(stats.active_sessions_per_day.values()) == 1
    assert set(stats.active_sessions_per_day) <= {f"{datetime.now(UTC):%Y-%m-%d}"}


@pytest.mark.promise("`diagnose` names what is right and what is wrong, and the cure")
async def test_a_sound_database_has_no_faults(own: Facade) -> None:
    await own.memory.add_memory("a", Memory(messages=[Message(role="user", content="x")]))
    findings = await own.diagnose()
    unsound = [each for each in findings if each.level != "ok"]
    assert {each.name for each in unsound} <= {"disk"}  # this machine's
    names = {each.name for each in findings}
    assert {"server", "write concern", "clock", "rights", "interrupted erasures"} <= names
    assert all(each.message for each in findings)
