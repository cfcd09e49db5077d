"""Creating, reading and updating sessions."""

import asyncio
import signal
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from langchain_zepstore import (
    AlreadyExistsError,
    BadRequestError,
    CreateUserRequest,
    Memory,
    NotFoundError,
    Session,
)
from tests.support.facade import Facade
from tests.support.messages import contents, with_ids

WRITERS = 32
TICK = 0.003  # times are kept to the millisecond


async def add_users(zep: Facade, *user_ids: str) -> None:
    for user_id in user_ids:
        await zep.user.add(CreateUserRequest(user_id=user_id))


async def even_deleted(zep: Facade, user_id: str) -> list[Session]:
    return await zep.memory.list_sessions(user_id=user_id, include_deleted=True)


async def at_once(zep: Facade, name: str, arguments: list[Any]) -> list[Any]:
    """Call a method of ``memory`` once per argument, each in a thread or task of its own."""
    memory = zep.client.memory
    if zep.asynchronous:
        calls = [getattr(memory, f"a{name}")(argument) for argument in arguments]
        return await asyncio.gather(*calls, return_exceptions=True)
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(len(arguments)) as threads:
        runs = [loop.run_in_executor(threads, getattr(memory, name), item) for item in arguments]
        return await asyncio.gather(*runs, return_exceptions=True)


class EndlessError(Exception):
    """A call that does not end."""


@asynccontextmanager
async def at_most(zep: Facade, seconds: float) -> AsyncIterator[None]:
    """Fail what does not end."""
    if zep.asynchronous:
        async with asyncio.timeout(seconds):
            yield
        return

    def end(*_: object) -> None:
        raise EndlessError  # a TimeoutError would be taken for the network's, and retried

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


async def test_a_new_session_is_returned_as_stored(
    zep: Facade, session_id: str, user_id: str
) -> None:
    await add_users(zep, user_id)
    given = Session(session_id=session_id, user_id=user_id, metadata={"topic": {"a": [1, None]}})
    created = await zep.memory.add_session(given)
    assert await zep.memory.get_session(session_id) == created
    assert created.session_id == session_id
    assert created.user_id == user_id
    assert created.metadata == {"topic": {"a": [1, None]}}


async def test_a_new_session_has_the_stores_fields(zep: Facade, session_id: str) -> None:
    created = await zep.memory.add_session(Session(session_id=session_id))
    assert (created.user_id, created.metadata, created.deleted_at) == (None, None, None)
    assert created.uuid
    assert str(UUID(created.uuid)) == created.uuid
    assert isinstance(created.id, int)
    assert created.id >= 1
    assert created.created_at is not None
    assert created.created_at == created.updated_at
    assert created.created_at.utcoffset() == timedelta()
    # The database's clock may be another machine's.
    assert abs(created.created_at - datetime.now(UTC)) < timedelta(minutes=1)


async def test_fields_set_by_the_store_are_ignored_on_create(zep: Facade, session_id: str) -> None:
    long_ago = datetime(2001, 1, 1, tzinfo=UTC)
    mine = Session(
        session_id=session_id,
        uuid="mine",
        id=-5,
        created_at=long_ago,
        updated_at=long_ago,
        deleted_at=long_ago,
    )
    created = await zep.memory.add_session(mine)
    assert created.uuid != "mine"
    assert created.id != -5
    assert created.created_at != long_ago
    assert created.updated_at != long_ago
    assert (await zep.memory.get_session(session_id)).deleted_at is None


async def test_the_given_session_is_not_changed(zep: Facade, session_id: str) -> None:
    session = Session(session_id=session_id, metadata={"system": 1, "a": {"$ref": {}}})
    before = session.model_copy(deep=True)
    await zep.memory.add_session(session)
    await zep.memory.update_session(session)
    assert session == before


async def test_a_missing_session_id_is_a_new_uuid_hex(zep: Facade) -> None:
    first, second = Session(), Session()
    created = await zep.memory.add_session(first)
    assert UUID(hex=created.session_id).hex == created.session_id == first.session_id
    assert (await zep.memory.add_session(second)).session_id != created.session_id


@pytest.mark.promise("creating a live id is refused")
async def test_a_live_session_cannot_be_created_again(zep: Facade, session_id: str) -> None:
    session = Session(session_id=session_id, metadata={"first": True})
    created = await zep.memory.add_session(session)
    with pytest.raises(AlreadyExistsError, match="exists already"):
        await zep.memory.add_session(Session(session_id=session_id, metadata={"second": True}))
    assert await zep.memory.get_session(session_id) == created


async def test_a_session_created_by_its_first_message_cannot_be_created_again(
    zep: Facade, session_id: str
) -> None:
    await zep.memory.add_memory(session_id, with_ids("a"))
    with pytest.raises(AlreadyExistsError):
        await zep.memory.add_session(Session(session_id=session_id))
    assert await contents(zep, session_id) == ["a"]


@pytest.mark.promise("creating a live id is refused")
async def test_exactly_one_of_32_concurrent_creates_succeeds(zep: Facade, session_id: str) -> None:
    sessions = [Session(session_id=session_id, metadata={"by": n}) for n in range(WRITERS)]
    results = await at_once(zep, "add_session", sessions)
    (winner,) = [result for result in results if isinstance(result, Session)]
    assert sum(isinstance(result, AlreadyExistsError) for result in results) == WRITERS - 1
    assert await zep.memory.get_session(session_id) == winner


async def test_exactly_one_of_32_concurrent_recreates_succeeds(
    zep: Facade, session_id: str
) -> None:
    await zep.memory.add_memory(session_id, with_ids("old"))
    await zep.memory.delete_memory(session_id)
    sessions = [Session(session_id=session_id, metadata={"by": n}) for n in range(WRITERS)]
    results = await at_once(zep, "add_session", sessions)
    (winner,) = [result for result in results if isinstance(result, Session)]
    assert sum(isinstance(result, AlreadyExistsError) for result in results) == WRITERS - 1
    assert await zep.memory.get_session(session_id) == winner
    assert await contents(zep, session_id) == []


async def test_concurrently_created_sessions_have_different_ids(zep: Facade) -> None:
    created = await at_once(zep, "add_session", [Session() for _ in range(WRITERS)])
    assert len({session.id for session in created}) == WRITERS
    assert len({session.uuid for session in created}) == WRITERS


@pytest.mark.promise(
    "creating a deleted id revives the session with the given fields, not its messages"
)
async def test_a_recreated_session_has_the_given_fields(
    zep: Facade, session_id: str, user_id: str
) -> None:
    await add_users(zep, user_id)
    old = Session(session_id=session_id, user_id=user_id, metadata={"old": 1})
    first = await zep.memory.add_session(old)
    await zep.memory.delete_memory(session_id)
    await asyncio.sleep(TICK)
    again = await zep.memory.add_session(
        Session(session_id=session_id, user_id=user_id, metadata={"new": 2})
    )
    assert (again.user_id, again.metadata, again.deleted_at) == (user_id, {"new": 2}, None)
    assert again.updated_at > first.updated_at
    assert await zep.memory.get_session(session_id) == again
    await zep.memory.delete_memory(session_id)
    bare = await zep.memory.add_session(Session(session_id=session_id))
    assert (bare.user_id, bare.metadata) == (None, None)


@pytest.mark.promise(
    "creating a deleted id revives the session with the given fields, not its messages"
)
async def test_messages_of_a_recreated_session_stay_deleted(zep: Facade, session_id: str) -> None:
    await zep.memory.add_memory(session_id, with_ids("old"))
    await zep.memory.delete_memory(session_id)
    await zep.memory.add_session(Session(session_id=session_id))
    assert await contents(zep, session_id) == []
    assert await zep.message.count(session_id) == 0
    await zep.memory.add_memory(session_id, with_ids("new"))
    assert await contents(zep, session_id) == ["new"]


async def test_messages_of_a_session_recreated_by_its_user_can_be_undeleted(
    zep: Facade, session_id: str, user_id: str
) -> None:
    await add_users(zep, user_id)
    await zep.memory.add_session(Session(session_id=session_id, user_id=user_id))
    await zep.memory.add_memory(session_id, with_ids("old"))
    await zep.memory.delete_memory(session_id)
    await zep.memory.add_session(Session(session_id=session_id, user_id=user_id))
    await zep.memory.add_memory(session_id, with_ids("new"))
    await zep.memory.undelete_session(session_id)
    assert await contents(zep, session_id) == ["old", "new"]


@pytest.mark.promise(
    "creating a deleted id revives the session with the given fields, not its messages"
)
@pytest.mark.parametrize("heir", ["another user", "nobody", "a user after none"])
async def test_messages_of_a_session_recreated_for_another_user_cannot_be_undeleted(
    zep: Facade, session_id: str, user_id: str, heir: str
) -> None:
    other = f"{user_id} other"
    await add_users(zep, user_id, other)
    users = {
        "another user": (user_id, other),
        "nobody": (user_id, None),
        "a user after none": (None, other),
    }
    before, after = users[heir]
    first = await zep.memory.add_session(Session(session_id=session_id, user_id=before))
    await zep.memory.add_memory(session_id, with_ids("secret"))
    await zep.memory.delete_memory(session_id)
    again = await zep.memory.add_session(Session(session_id=session_id, user_id=after))
    assert again.user_id == after
    assert again.uuid != first.uuid
    with pytest.raises(NotFoundError):
        await zep.memory.undelete_session(session_id)
    await zep.memory.add_memory(session_id, with_ids("new"))
    await zep.memory.delete_memory(session_id)
    await zep.memory.undelete_session(session_id)
    assert await contents(zep, session_id) == ["new"]


async def test_one_message_of_a_session_recreated_for_another_user_cannot_be_undeleted(
    zep: Facade, session_id: str, user_id: str
) -> None:
    await add_users(zep, user_id)
    await zep.memory.add_memory(session_id, with_ids("secret"))
    await zep.memory.delete_memory(session_id)
    await zep.memory.add_session(Session(session_id=session_id, user_id=user_id))
    async with at_most(zep, 2):
        with pytest.raises(NotFoundError):
            await zep.message.undelete_message(session_id, "secret")
    assert await contents(zep, session_id) == []


async def test_a_message_id_of_a_session_recreated_for_another_user_can_be_reused(
    zep: Facade, session_id: str, user_id: str
) -> None:
    await add_users(zep, user_id)
    await zep.memory.add_memory(session_id, with_ids("id", "other"))
    await zep.memory.delete_memory(session_id)
    await zep.memory.add_session(Session(session_id=session_id, user_id=user_id))
    await zep.memory.add_memory(session_id, with_ids("new", "id"))
    assert await contents(zep, session_id) == ["new", "id"]


@pytest.mark.promise("creating for an unknown user is refused; a chat history creates the user")
async def test_a_session_of_an_unknown_user_is_refused(
    zep: Facade, session_id: str, user_id: str
) -> None:
    with pytest.raises(BadRequestError, match="no user"):
        await zep.memory.add_session(Session(session_id=session_id, user_id=user_id))
    with pytest.raises(NotFoundError):
        await zep.memory.get_session(session_id)
    assert await even_deleted(zep, user_id) == []


async def test_a_session_of_a_deleted_user_is_refused(
    zep: Facade, session_id: str, user_id: str
) -> None:
    await add_users(zep, user_id)
    await zep.user.delete(user_id)
    with pytest.raises(BadRequestError, match="no user"):
        await zep.memory.add_session(Session(session_id=session_id, user_id=user_id))


async def test_a_deleted_session_stays_deleted_when_created_for_an_unknown_user(
    zep: Facade, session_id: str, user_id: str
) -> None:
    await zep.memory.add_memory(session_id, with_ids("old"))
    await zep.memory.delete_memory(session_id)
    with pytest.raises(BadRequestError, match="no user"):
        await zep.memory.add_session(Session(session_id=session_id, user_id=user_id))
    with pytest.raises(NotFoundError):
        await zep.memory.get_session(session_id)


async def test_an_unknown_or_deleted_session_is_not_found(zep: Facade, session_id: str) -> None:
    with pytest.raises(NotFoundError, match=session_id):
        await zep.memory.get_session(session_id)
    await zep.memory.add_session(Session(session_id=session_id))
    await zep.memory.delete_memory(session_id)
    with pytest.raises(NotFoundError, match=session_id):
        await zep.memory.get_session(session_id)


@pytest.mark.promise(
    "the first message to an unknown id creates the session, of two writers both succeed"
)
async def test_the_first_memory_creates_a_complete_session(zep: Facade, session_id: str) -> None:
    await zep.memory.add_memory(session_id, with_ids("a"))
    session = await zep.memory.get_session(session_id)
    assert session.session_id == session_id
    assert (session.user_id, session.metadata, session.deleted_at) == (None, None, None)
    assert session.uuid
    assert session.id
    assert session.created_at == session.updated_at is not None


async def test_an_update_returns_the_session_as_stored(zep: Facade, session_id: str) -> None:
    created = await zep.memory.add_session(Session(session_id=session_id, metadata={"a": 1}))
    await asyncio.sleep(TICK)
    updated = await zep.memory.update_session(Session(session_id=session_id, metadata={"b": 2}))
    assert updated.metadata == {"a": 1, "b": 2}
    assert await zep.memory.get_session(session_id) == updated
    kept = {"uuid", "id", "created_at", "user_id", "session_id", "deleted_at"}
    assert updated.model_dump(include=kept) == created.model_dump(include=kept)
    assert updated.updated_at > created.updated_at


async def test_updated_at_changes_with_metadata_but_not_with_messages(
    zep: Facade, session_id: str
) -> None:
    created = await zep.memory.add_session(Session(session_id=session_id))
    await asyncio.sleep(TICK)
    await zep.memory.add_memory(session_id, with_ids("a"))
    assert (await zep.memory.get_session(session_id)).updated_at == created.updated_at
    await zep.memory.add_memory(session_id, Memory(metadata={"a": 1}))
    assert (await zep.memory.get_session(session_id)).updated_at > created.updated_at


async def test_an_unknown_session_cannot_be_updated(
    zep: Facade, session_id: str, user_id: str
) -> None:
    await add_users(zep, user_id)
    with pytest.raises(NotFoundError, match=session_id):
        await zep.memory.update_session(Session(session_id=session_id, metadata={"a": 1}))
    with pytest.raises(NotFoundError, match=session_id):
        await zep.memory.update_session(Session(session_id=session_id, user_id=user_id))
    with pytest.raises(NotFoundError):
        await zep.memory.get_session(session_id)


@pytest.mark.promise("a user given to an update is assigned if there is none, else must match")
async def test_an_update_assigns_a_user_to_a_session_without_one(
    zep: Facade, session_id: str, user_id: str
) -> None:
    await add_users(zep, user_id)
    await zep.memory.add_session(Session(session_id=session_id, metadata={"a": 1}))
    updated = await zep.memory.update_session(Session(session_id=session_id, user_id=user_id))
    assert (updated.user_id, updated.metadata) == (user_id, {"a": 1})
    assert await zep.user.get_sessions(user_id) == [updated]


async def test_an_update_with_the_same_or_no_user_keeps_the_user(
    zep: Facade, session_id: str, user_id: str
) -> None:
    await add_users(zep, user_id)
    await zep.memory.add_session(Session(session_id=session_id, user_id=user_id))
    same = Session(session_id=session_id, user_id=user_id, metadata={"a": 1})
    assert (await zep.memory.update_session(same)).user_id == user_id
    without = Session(session_id=session_id, metadata={"b": 1})
    assert (await zep.memory.update_session(without)).user_id == user_id


@pytest.mark.promise("a user given to an update is assigned if there is none, else must match")
async def test_an_update_with_another_user_is_refused_and_changes_nothing(
    zep: Facade, session_id: str, user_id: str
) -> None:
    other = f"{user_id} other"
    await add_users(zep, user_id, other)
    mine = Session(session_id=session_id, user_id=user_id, metadata={"a": 1})
    created = await zep.memory.add_session(mine)
    theirs = Session(session_id=session_id, user_id=other, metadata={"a": 2})
    with pytest.raises(BadRequestError, match="another user"):
        await zep.memory.update_session(theirs)
    assert await zep.memory.get_session(session_id) == created


async def test_an_update_with_another_user_does_not_undelete(
    zep: Facade, session_id: str, user_id: str
) -> None:
    other = f"{user_id} other"
    await add_users(zep, user_id, other)
    await zep.memory.add_session(Session(session_id=session_id, user_id=user_id))
    await zep.memory.delete_memory(session_id)
    with pytest.raises(BadRequestError, match="another user"):
        await zep.memory.update_session(Session(session_id=session_id, user_id=other))
    with pytest.raises(NotFoundError):
        await zep.memory.get_session(session_id)


async def test_an_update_with_an_unknown_user_is_refused_and_changes_nothing(
    zep: Facade, session_id: str, user_id: str
) -> None:
    created = await zep.memory.add_session(Session(session_id=session_id, metadata={"a": 1}))
    with pytest.raises(BadRequestError, match="no user"):
        await zep.memory.update_session(
            Session(session_id=session_id, user_id=user_id, metadata={"a": 2})
        )
    assert await zep.memory.get_session(session_id) == created


@pytest.mark.promise("a user given to an update is assigned if there is none, else must match")
async def test_exactly_one_of_concurrent_user_assignments_succeeds(
    zep: Facade, session_id: str, user_id: str
) -> None:
    users = [f"{user_id} {number}" for number in range(8)]
    await add_users(zep, *users)
    await zep.memory.add_session(Session(session_id=session_id))
    sessions = [Session(session_id=session_id, user_id=user) for user in users]
    results = await at_once(zep, "update_session", sessions)
    (winner,) = [result for result in results if isinstance(result, Session)]
    assert sum(isinstance(result, BadRequestError) for result in results) == 7
    assert (await zep.memory.get_session(session_id)).user_id == winner.user_id


@pytest.mark.promise("an update of a deleted session undeletes it")
async def test_an_update_of_a_deleted_session_undeletes_it_without_its_messages(
    zep: Facade, session_id: str
) -> None:
    created = await zep.memory.add_session(Session(session_id=session_id, metadata={"a": 1}))
    await zep.memory.add_memory(session_id, with_ids("old"))
    await zep.memory.delete_memory(session_id)
    updated = await zep.memory.update_session(Session(session_id=session_id, metadata={"b": 2}))
    assert (updated.metadata, updated.deleted_at) == ({"a": 1, "b": 2}, None)
    assert (updated.uuid, updated.id) == (created.uuid, created.id)
    assert await zep.memory.get_session(session_id) == updated
    assert await contents(zep, session_id) == []


@pytest.mark.promise("metadata of a memory is merged into the session's")
async def test_memory_metadata_is_merged_into_session_metadata(
    zep: Facade, session_id: str
) -> None:
    memory = with_ids("a")
    memory.metadata = {"topic": {"a": 1}, "a.b": [1], "system": "dropped"}
    await zep.memory.add_memory(session_id, memory)
    assert (await zep.memory.get_session(session_id)).metadata == {"topic": {"a": 1}, "a.b": [1]}
    memory.metadata = {"topic": {"$b": None}, "a.b": [2]}
    await zep.memory.add_memory(session_id, memory)
    merged = {"topic": {"a": 1, "$b": None}, "a.b": [2]}
    assert (await zep.memory.get_session(session_id)).metadata == merged
    assert await contents(zep, session_id) == ["a"]


@pytest.mark.promise("metadata of a memory is merged into the session's")
async def test_metadata_of_an_empty_memory_is_merged(zep: Facade, session_id: str) -> None:
    await zep.memory.add_memory(session_id, Memory(metadata={"a": 1}))
    assert (await zep.memory.get_session(session_id)).metadata == {"a": 1}
    await zep.memory.delete_memory(session_id)
    await zep.memory.add_memory(session_id, Memory(metadata={"b": 2}))
    assert (await zep.memory.get_session(session_id)).metadata == {"a": 1, "b": 2}
