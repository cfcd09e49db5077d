"""What is promised of calls that stop halfway, or meet another there; and of very many sessions."""

import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from pymongo import MongoClient

from langchain_zepstore import (
    CreateUserRequest,
    Memory,
    Message,
    NotFoundError,
    Session,
    ZepClient,
)
from langchain_zepstore.core.operation import Operation
from tests.support.facade import Facade
from tests.support.messages import contents, parts_of

MEGABYTE = 2**20


class DeathError(Exception):
    pass


def die() -> Operation[None]:
    raise DeathError
    yield


def interrupted(
    operation: Operation[Any], after: int, then: Callable[[], Operation[None]]
) -> Operation[bool]:
    """Run an operation, and another one after some of its steps; whether it had that many."""
    step = partial(operation.send, None)
    taken = 0
    while True:
        if taken == after:
            yield from then()
        try:
            yielded = step()
        except StopIteration:
            return taken > after
        taken += 1
        try:
            result = yield yielded
        except Exception as error:  # noqa: BLE001 - the operation decides about it
            step = partial(operation.throw, error)
        else:
            step = partial(operation.send, result)


async def run(zep: Facade, call: Callable[[Any], Operation[Any]]) -> Any:
    return await zep.client.arun(call) if zep.asynchronous else zep.client.run(call)


async def deaths(
    zep: Facade, operation: Callable[[Any, str], Operation[Any]], prepare: Callable[[str], Any]
) -> AsyncIterator[str]:
    """Yield the names of what an operation died on, after its first step, its second, and so on."""
    for after in range(1, 100):
        name = f"dying {uuid4()}"
        await prepare(name)
        try:
            await run(zep, lambda store, n=name, a=after: interrupted(operation(store, n), a, die))
        except DeathError:
            yield name
        else:
            assert after > 2
            return
    pytest.fail("it does not end")


async def speak(zep: Facade, session_id: str, *texts: str) -> None:
    messages = [Message(role="user", content=text) for text in texts]
    await zep.memory.add_memory(session_id, Memory(messages=messages))


async def is_live(zep: Facade, session_id: str) -> bool:
    try:
        await zep.memory.get_session(session_id)
    except NotFoundError:
        return False
    return True


@pytest.mark.promise("a delete or undelete that died is completed by its retry")
@pytest.mark.needs("steps")
async def test_a_retry_completes_a_delete_interrupted_after_any_step(zep: Facade) -> None:
    async def prepare(name: str) -> None:
        await speak(zep, name, "a", "b")

    async for name in deaths(zep, lambda store, n: store.deletion.delete_session(n), prepare):
        if await is_live(zep, name):
            await zep.memory.delete_memory(name)
        assert await contents(zep, name) == []
        assert not await is_live(zep, name)
        await zep.memory.undelete_session(name)
        assert await contents(zep, name) == ["a", "b"]


@pytest.mark.promise("a delete or undelete that died is completed by its retry")
@pytest.mark.needs("steps")
async def test_a_delete_interrupted_after_any_step_can_be_undone(zep: Facade) -> None:
    async def prepare(name: str) -> None:
        await speak(zep, name, "a", "b")

    async for name in deaths(zep, lambda store, n: store.deletion.delete_session(n), prepare):
        await zep.memory.undelete_session(name)
        assert await contents(zep, name) == ["a", "b"]
        assert await is_live(zep, name)


@pytest.mark.promise("a delete or undelete that died is completed by its retry")
@pytest.mark.needs("steps")
async def test_a_retry_completes_an_undelete_interrupted_after_any_step(zep: Facade) -> None:
    async def prepare(name: str) -> None:
        await speak(zep, name, "a", "b")
        await zep.memory.delete_memory(name)

    async for name in deaths(zep, lambda store, n: store.deletion.undelete_session(n), prepare):
        with suppress(NotFoundError):  # it died after its last write
            await zep.memory.undelete_session(name)
        assert await contents(zep, name) == ["a", "b"]
        assert await is_live(zep, name)


@pytest.mark.promise("a retry completes an interrupted deletion")
@pytest.mark.promise("deleting resumes, and takes the sessions")
@pytest.mark.needs("steps")
async def test_a_retry_completes_a_user_delete_interrupted_after_any_step(
    zep: Facade,
) -> None:
    async def prepare(name: str) -> None:
        await zep.user.add(CreateUserRequest(user_id=name))
        for number in range(2):
            session = Session(session_id=f"{name} {number}", user_id=name)
            await zep.memory.add_session(session)
            await speak(zep, session.session_id, "a")

    await prepare(first := f"first {uuid4()}")
    await zep.user.delete(first)  # which may make an index before
    async for name in deaths(zep, lambda store, n: store.users.delete(n), prepare):
        with pytest.raises(NotFoundError):
            await zep.user.get(name)
        with suppress(NotFoundError):  # it died after its last write
            await zep.user.delete(name)
        assert await zep.user.get_sessions(name) == []
        for number in range(2):
            assert await contents(zep, f"{name} {number}") == []


@pytest.mark.promise(
    "delete hides session and messages from every read; what is gone is not found; a message "
    "added meanwhile is not lost"
)
@pytest.mark.needs("steps")
async def test_an_add_between_any_two_steps_of_a_delete_keeps_the_session_alive(
    zep: Facade,
) -> None:
    late = Memory(messages=[Message(role="user", content="late")])
    for after in range(1, 100):
        name = f"session {uuid4()}"
        await speak(zep, name, "a", "b")

        def racing(store: Any, name: str = name, after: int = after) -> Operation[bool]:
            delete = store.deletion.delete_session(name)
            return interrupted(delete, after, lambda: store.messages.add(name, parts_of(late)))

        if not await run(zep, racing):
            break
        assert await contents(zep, name) == ["late"]
        assert await is_live(zep, name)
        await zep.memory.undelete_session(name)
        assert await contents(zep, name) == ["a", "b", "late"]
    assert after > 2


@pytest.mark.promise(
    "delete hides session and messages from every read; what is gone is not found; a message "
    "added meanwhile is not lost"
)
@pytest.mark.needs("steps")
async def test_a_delete_between_any_two_steps_of_an_add_precedes_the_whole_add(
    zep: Facade,
) -> None:
    memory = Memory(messages=[Message(role="user", content=text) for text in "xyz"])
    for after in range(1, 100):
        name = f"session {uuid4()}"
        await speak(zep, name, "a", "b")

        def racing(store: Any, name: str = name, after: int = after) -> Operation[bool]:
            add = store.messages.add(name, parts_of(memory))
            return interrupted(add, after, lambda: store.deletion.delete_session(name))

        if not await run(zep, racing):
            break
        assert await contents(zep, name) == ["x", "y", "z"]
        await zep.memory.undelete_session(name)
        assert await contents(zep, name) == ["a", "b", "x", "y", "z"]
    assert after > 1


@pytest.mark.promise("100,000 sessions in flat memory, the last page as fast as the first")
def test_many_sessions_are_listed_in_constant_memory_and_time_per_page(
    mongo_url: str, database_name: str, long: bool
) -> None:
    many = 100_000 if long else 8_000
    with ZepClient(mongo_url, database=database_name) as client, MongoClient(mongo_url) as raw:
        client.memory.add_session(Session(session_id="0"))
        sessions = raw[database_name].sessions
        model = sessions.find_one({"_id": "0"})
        first = model["id"]
        for start in range(1, many, 10_000):
            end = min(start + 10_000, many)
            sessions.insert_many(
                {**model, "_id": str(n), "uuid": f"u{n}", "id": first + n}
                for n in range(start, end)
            )
        tracemalloc.start()
        try:
            seen = 0
            for page in client.memory.list_all_sessions(chunk_size=100):
                assert page[0].session_id == str(seen)
                seen += len(page)
            assert seen == many
            assert tracemalloc.get_traced_memory()[1] < 5 * MEGABYTE
        finally:
            tracemalloc.stop()
        examined = []
        for cursor in (0, first + many - 101):
            page = {"id": {"$gt": cursor}, "deleted_at": None}
            plan = sessions.find(page).sort("id").limit(100).explain()["executionStats"]
            examined.append((plan["totalKeysExamined"], plan["totalDocsExamined"]))
        assert examined == [(100, 100), (100, 100)]
