"""Removing for good what is soft-deleted."""

import asyncio
import time
from datetime import timedelta

import pytest

from langchain_zepstore import (
    BadRequestError,
    CreateUserRequest,
    Memory,
    Message,
    NotFoundError,
    Session,
)
from tests.support.facade import Facade
from tests.support.messages import contents

NOTHING = {"messages": 0, "sessions": 0, "users": 0}


async def speak(zep: Facade, session_id: str, *contents: str, user_id: str | None = None) -> None:
    """Add a session, if there is none, and messages that have their contents as ids."""
    if user_id is not None:
        await zep.memory.add_session(Session(session_id=session_id, user_id=user_id))
    messages = [Message(role="user", content=text, uuid=text) for text in contents]
    await zep.memory.add_memory(session_id, Memory(messages=messages))


async def everything(zep: Facade) -> list[str]:
    sessions = await zep.memory.list_sessions(include_deleted=True)
    return [session.session_id for session in sessions]


@pytest.mark.promise(
    "the database removes what has been deleted for the retention; `purge()` does it now; no "
    "program shortens the retention by accident"
)
@pytest.mark.promise("`purge` counts, and spares later deletions")
async def test_a_purge_removes_and_counts_deleted_documents(own: Facade) -> None:
    assert await own.purge() == NOTHING
    for name in ("leaves", "stays"):
        await own.user.add(CreateUserRequest(user_id=name))
    await speak(own, "of leaves", "a", "b", user_id="leaves")
    await speak(own, "live", "a", "b", "c", user_id="stays")
    await speak(own, "deleted", "a", "b", "c", user_id="stays")
    await speak(own, "revived", "old 1", "old 2")
    assert await own.purge() == NOTHING
    await own.user.delete("leaves")
    await own.message.delete_message("live", "b")
    await own.memory.delete_memory("deleted")
    await own.memory.delete_memory("revived")
    await speak(own, "revived", "new")
    live = await own.memory.list_sessions()
    assert await own.purge() == {"messages": 2 + 1 + 3 + 2, "sessions": 2, "users": 1}
    assert await own.memory.list_sessions() == live
    assert await everything(own) == ["live", "revived"]
    assert await contents(own, "live") == ["a", "c"]
    assert await contents(own, "revived") == ["new"]
    assert [user.user_id for user in await own.user.list()] == ["stays"]
    assert await own.purge() == NOTHING
    # Numbers go on where they were.
    await own.memory.add_session(Session(session_id="next"))
    assert await everything(own) == ["live", "revived", "next"]
    await speak(own, "live", "d")
    assert await contents(own, "live") == ["a", "c", "d"]


async def test_purged_documents_cannot_be_undeleted(own: Facade) -> None:
    await speak(own, "deleted", "a", "b")
    await speak(own, "live", "a", "b")
    await own.memory.delete_memory("deleted")
    await own.message.delete_message("live", "a")
    await own.purge()
    for call in (
        own.memory.undelete_session("deleted"),
        own.memory.delete_memory("deleted"),
        own.memory.update_session(Session(session_id="deleted", metadata={"a": 1})),
        own.message.undelete_message("deleted", "a"),
        own.message.undelete_message("live", "a"),
    ):
        with pytest.raises(NotFoundError):
            await call
    assert await everything(own) == ["live"]


@pytest.mark.promise("a session made anew shows nothing old")
async def test_a_session_recreated_under_a_purged_id_is_empty(own: Facade) -> None:
    await own.user.add(CreateUserRequest(user_id="u"))
    await own.memory.add_session(Session(session_id="again", user_id="u", metadata={"old": 1}))
    await speak(own, "again", "a", "b")
    await speak(own, "again too", "a", "b")
    old = await own.memory.get_session("again")
    await own.memory.delete_memory("again")
    await own.memory.delete_memory("again too")
    assert (await own.purge())["sessions"] == 2
    new = await own.memory.add_session(Session(session_id="again"))
    await speak(own, "again too", "c")
    assert (new.user_id, new.metadata) == (None, None)
    assert new.uuid != old.uuid
    assert new.id > old.id
    assert await contents(own, "again") == []
    assert await contents(own, "again too") == ["c"]
    for name in ("again", "again too"):
        with pytest.raises(NotFoundError):
            await own.memory.undelete_session(name)
        with pytest.raises(NotFoundError):
            await own.message.undelete_message(name, "a")
    await speak(own, "again", "b", "new")
    await own.memory.delete_memory("again")
    await own.memory.undelete_session("again")
    assert await contents(own, "again") == ["b", "new"]


@pytest.mark.promise("deleted users are purged after the retention")
async def test_a_user_recreated_under_a_purged_id_is_a_new_user(own: Facade) -> None:
    old = await own.user.add(CreateUserRequest(user_id="u", email="old"))
    await speak(own, "s", "a", user_id="u")
    await own.user.delete("u")
    await own.memory.undelete_session("s")
    assert await own.purge() == {"messages": 0, "sessions": 0, "users": 1}
    assert await contents(own, "s") == ["a"]
    new = await own.user.add(CreateUserRequest(user_id="u"))
    assert new.email is None
    assert new.uuid != old.uuid
    assert new.id > old.id


@pytest.mark.promise("`purge` counts, and spares later deletions")
async def test_older_than_keeps_later_deletions(own: Facade) -> None:
    for name in ("early", "late"):
        await own.user.add(CreateUserRequest(user_id=name))
        await speak(own, f"{name} session", "a", "b", user_id=name)
    await own.user.delete("early")
    await asyncio.sleep(0.6)
    between = time.monotonic()
    await asyncio.sleep(0.6)
    await own.user.delete("late")
    assert await own.purge(timedelta(hours=1)) == NOTHING
    assert await everything(own) == ["early session", "late session"]
    since = timedelta(seconds=time.monotonic() - between)
    assert await own.purge(older_than=since) == {"messages": 2, "sessions": 1, "users": 1}
    assert await everything(own) == ["late session"]
    await own.memory.undelete_session("late session")
    assert await contents(own, "late session") == ["a", "b"]
    assert await own.purge(timedelta()) == {"messages": 0, "sessions": 0, "users": 1}


async def test_a_purge_may_need_more_than_one_command(own: Facade) -> None:
    await speak(own, "long", *(str(number) for number in range(2100)))
    await own.memory.delete_memory("long")
    assert await own.purge() == {"messages": 2100, "sessions": 1, "users": 0}
    assert await own.purge() == NOTHING


@pytest.mark.promise("a purge of one user's, or one session's, trash leaves all other trash")
async def test_a_purge_can_be_limited_to_a_user_or_session(own: Facade) -> None:
    for name in ("ada", "bob"):
        await own.user.add(CreateUserRequest(user_id=name))
    for name, user_id in (("a1", "ada"), ("a2", "ada"), ("b", "bob"), ("nobody's", None)):
        await speak(own, name, f"{name} 1", f"{name} 2", user_id=user_id)
        await own.memory.delete_memory(name)
    assert await own.purge(user_id="bob", session_id="a1") == NOTHING
    assert await own.purge(timedelta(hours=1), user_id="ada") == NOTHING
    assert await own.purge(session_id="a1") == {"messages": 2, "sessions": 1, "users": 0}
    assert await everything(own) == ["a2", "b", "nobody's"]
    await own.user.delete("ada")
    assert await own.purge(user_id="ada") == {"messages": 2, "sessions": 1, "users": 1}
    assert await everything(own) == ["b", "nobody's"]
    for name in ("b", "nobody's"):
        await own.memory.undelete_session(name)
        assert await contents(own, name) == [f"{name} 1", f"{name} 2"]
    for wrong in ({"user_id": ""}, {"session_id": 5}, {"user_id": {"$ne": ""}}):
        with pytest.raises(BadRequestError):
            await own.purge(**wrong)


@pytest.mark.promise("a purge of one user's, or one session's, trash leaves all other trash")
async def test_a_purge_of_a_former_owner_keeps_the_current_owners_deletion(own: Facade) -> None:
    for name in ("ada", "bob"):
        await own.user.add(CreateUserRequest(user_id=name))
        await own.memory.add_session(Session(session_id="shared", user_id=name))
        await speak(own, "shared", f"{name} 1")
        await own.memory.delete_memory("shared")
    assert await own.purge(user_id="ada") == {"messages": 1, "sessions": 0, "users": 0}
    await own.memory.undelete_session("shared")
    assert await contents(own, "shared") == ["bob 1"]
