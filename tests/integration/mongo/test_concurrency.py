"""Many writers on one session, and answers that are lost on the way."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from pymongo import MongoClient

from langchain_zepstore import (
    CreateUserRequest,
    Memory,
    Session,
    UpdateUserRequest,
    ZepClient,
)
from tests.support.facade import Facade
from tests.support.messages import contents, said, with_ids
from tests.support.proxy import LossyProxy

pytestmark = pytest.mark.turns("zep", "proxy", "url_fixture")

DRIVERS = {
    "sync": (False, {}),
    "motor": (True, {"async_driver": "motor"}),
    "pymongo-async": (True, {"async_driver": "pymongo"}),
}
WRITERS = 8
CALLS = 12


# Many writers


@pytest.mark.promise("order, whole calls, large calls")
@pytest.mark.parametrize("url_fixture", ["mongo_url", "replica_set_url"])
async def test_concurrent_clients_see_whole_calls_in_one_order(url_fixture, request, session_id):
    url = request.getfixturevalue(url_fixture)
    batches = [
        [f"{writer} {call} {n}" for n in range(3)] for writer in range(16) for call in range(CALLS)
    ]
    by_writer = [batches[writer * CALLS : (writer + 1) * CALLS] for writer in range(16)]

    def in_thread(mine: list[list[str]]) -> None:
        with ZepClient(url) as client:
            for batch in mine:
                client.memory.add_memory(session_id, said(*batch))

    async def in_task(number: int, mine: list[list[str]]) -> None:
        driver = ("motor", "pymongo")[number % 2]
        async with ZepClient(url, async_driver=driver) as client:
            for batch in mine:
                await client.memory.aadd_memory(session_id, said(*batch))

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(WRITERS) as threads:
        await asyncio.gather(
            *(loop.run_in_executor(threads, in_thread, mine) for mine in by_writer[:WRITERS]),
            *(in_task(number, mine) for number, mine in enumerate(by_writer[WRITERS:])),
        )
    with MongoClient(url) as raw:
        found = list(raw.zepstore.messages.find({"session_id": session_id}, sort={"seq": 1}))
        session = raw.zepstore.sessions.find_one({"_id": session_id})
    assert [message["seq"] for message in found] == list(range(1, 3 * len(batches) + 1))
    assert [message["_id"] for message in found] == [
        {"s": session["uuid"], "q": message["seq"]} for message in found
    ]
    assert session["seq"] == len(found)
    said_in_order = [message["content"] for message in found]
    calls = [said_in_order[start : start + 3] for start in range(0, len(said_in_order), 3)]
    assert sorted(calls) == sorted(batches), "each call's messages stand together, all of them"
    for mine in by_writer:
        assert [call for call in calls if call in mine] == mine, "a writer's calls keep their order"


@pytest.mark.promise("retries with ids leave no doubles, also when answers are lost")
async def test_concurrent_retries_with_ids_leave_no_duplicates(mongo_url, session_id):
    memories = [with_ids(*(f"{call} {n}" for n in range(3))) for call in range(CALLS)]

    def add(memory: Memory) -> None:
        with ZepClient(mongo_url) as client:
            client.memory.add_memory(session_id, memory)

    with ThreadPoolExecutor(WRITERS) as threads:
        list(threads.map(add, memories * 4))
    with ZepClient(mongo_url) as client:
        found = await contents(Facade(client, asynchronous=False), session_id)
    assert Counter(found) == Counter(m.content for memory in memories for m in memory.messages)


# Lost answers


@pytest.fixture(params=["mongo_url", "replica_set_url"], ids=["standalone", "replica-set"])
def proxy(request) -> Iterator[LossyProxy]:
    proxy = LossyProxy(request.getfixturevalue(request.param))
    yield proxy
    proxy.close()


@pytest.fixture(params=DRIVERS)
async def zep(request, proxy, monkeypatch):
    # After a lost connection the driver waits so long before it looks at the server again.
    monkeypatch.setattr("pymongo.common.MIN_HEARTBEAT_INTERVAL", 0.01)
    monkeypatch.setattr("pymongo.network_layer._POLL_TIMEOUT", 0.01)
    asynchronous, options = DRIVERS[request.param]
    client = ZepClient(proxy.url, database="lossy", **options)
    yield Facade(client, asynchronous=asynchronous)
    await client.aclose()


def answers_to(*commands: str) -> Callable[[str, str], bool]:
    """Lose one answer to each of these commands, in this order."""
    left = list(commands)

    def lose(name: str, collection: str) -> bool:
        if left and f"{name} {collection}" == left[0]:
            del left[0]
            return True
        return False

    return lose


RESERVATION = "findAndModify sessions"
INSERT = "insert messages"
LOSSES = {
    "insert": [INSERT],
    "insert, three times": [INSERT] * 3,
    "reservation": [RESERVATION],
    "reservation and insert": [RESERVATION, INSERT],
}


@pytest.mark.promise("retries with ids leave no doubles, also when answers are lost")
@pytest.mark.parametrize("losses", LOSSES)
async def test_an_add_with_lost_replies_is_completed_without_duplicates(
    losses, proxy, zep, session_id
):
    await zep.memory.add_memory(session_id, said("before"))
    proxy.lose = answers_to(*LOSSES[losses])
    await zep.memory.add_memory(session_id, said("one", "two", "three"))
    assert proxy.lost == LOSSES[losses]
    await zep.memory.add_memory(session_id, said("after"))
    assert await contents(zep, session_id) == ["before", "one", "two", "three", "after"]


@pytest.mark.parametrize("losses", ["reservation and insert"])
async def test_a_replacement_with_lost_replies_keeps_the_position(losses, proxy, zep, session_id):
    await zep.memory.add_memory(session_id, with_ids("one", "two", "three"))
    again = with_ids("two", "new")
    again.messages[0].content = "two, again"
    proxy.lose = answers_to(*LOSSES[losses])
    await zep.memory.add_memory(session_id, again)
    assert proxy.lost == LOSSES[losses]
    assert await contents(zep, session_id) == ["one", "two, again", "three", "new"]


@pytest.mark.parametrize("losses", ["reservation"])
async def test_a_session_is_created_once_despite_lost_replies(losses, proxy, zep, session_id):
    await zep.message.count(session_id)
    proxy.lose = answers_to(*LOSSES[losses])
    await zep.memory.add_memory(session_id, said("one", "two"))
    assert proxy.lost == LOSSES[losses]
    assert await contents(zep, session_id) == ["one", "two"]
    assert (await zep.memory.get_session(session_id)).session_id == session_id


async def test_a_batched_add_survives_a_lost_reply_to_each_batch(proxy, zep, session_id):
    proxy.lose = answers_to(INSERT, INSERT, INSERT)
    expected = [str(number) for number in range(2500)]
    await zep.memory.add_memory(session_id, said(*expected))
    assert len(proxy.lost) == 3
    assert await contents(zep, session_id) == expected


# Every operation


async def delete_and_undelete(zep: Facade, name: str) -> object:
    await zep.memory.add_memory(name, with_ids("one", "two"))
    await zep.memory.delete_memory(name)
    deleted = await contents(zep, name)
    await zep.memory.undelete_session(name)
    return deleted, await contents(zep, name)


async def delete_one_and_undelete_it(zep: Facade, name: str) -> object:
    await zep.memory.add_memory(name, with_ids("one", "two", "three"))
    await zep.message.delete_message(name, "two")
    deleted = await contents(zep, name)
    await zep.message.undelete_message(name, "two")
    await zep.message.update_message_metadata(name, "two", {"a": 1})
    messages = (await zep.memory.get_memory(name)).messages
    return deleted, [(message.content, message.metadata) for message in messages]


async def add_deleted_messages_again(zep: Facade, name: str) -> object:
    await zep.memory.add_memory(name, with_ids("one", "two", "three"))
    await zep.message.delete_message(name, "two")
    await zep.memory.add_memory(name, with_ids("two"))
    return await contents(zep, name), await zep.message.count(name)


async def create_update_and_revive(zep: Facade, name: str) -> object:
    await zep.user.add(CreateUserRequest(user_id=name, email="a@example.org"))
    await zep.memory.add_session(Session(session_id=name, user_id=name, metadata={"a": 1}))
    await zep.memory.update_session(Session(session_id=name, metadata={"b": 2}))
    updated = (await zep.memory.get_session(name)).metadata
    await zep.memory.delete_memory(name)
    await zep.memory.add_session(Session(session_id=name, user_id=name, metadata={"c": 3}))
    return updated, (await zep.memory.get_session(name)).metadata


async def delete_a_user(zep: Facade, name: str) -> object:
    await zep.user.add(CreateUserRequest(user_id=name))
    for number in range(1):
        await zep.memory.add_session(Session(session_id=f"{name} {number}", user_id=name))
    await zep.user.update(UpdateUserRequest(user_id=name, first_name="A"))
    sessions = len(await zep.user.get_sessions(name))
    await zep.user.delete(name)
    await zep.user.add(CreateUserRequest(user_id=name))
    return sessions, len(await zep.user.get_sessions(name))


@pytest.mark.promise("every operation survives a lost answer")
@pytest.mark.parametrize("zep", ["sync"], indirect=True)
@pytest.mark.parametrize("proxy", ["mongo_url"], indirect=True, ids=["standalone"])
@pytest.mark.parametrize(
    ("story", "expected"),
    [
        (delete_and_undelete, ([], ["one", "two"])),
        (
            delete_one_and_undelete_it,
            (["one", "three"], [("one", None), ("two", {"a": 1}), ("three", None)]),
        ),
        (add_deleted_messages_again, (["one", "three", "two"], 3)),
        (create_update_and_revive, ({"a": 1, "b": 2}, {"c": 3})),
        (delete_a_user, (1, 0)),
    ],
)
async def test_every_operation_survives_the_loss_of_any_one_reply(story, expected, proxy, zep):
    await zep.message.count("nobody")
    wrong = []
    for victim in range(100):
        seen: list[str] = []

        def lose(name: str, collection: str, seen: list[str] = seen, victim: int = victim) -> bool:
            seen.append(f"{name} {collection}")
            return len(seen) == victim + 1

        proxy.lose = lose
        try:
            outcome = await story(zep, f"story {uuid4()}")
        except Exception as error:  # noqa: BLE001 - it is told below, with the lost answer
            outcome = error
        if len(seen) <= victim:
            break
        if outcome != expected:
            wrong.append(f"without the answer to {seen[victim]!r} ({victim}): {outcome!r}")
    assert victim > 5
    assert not wrong, "\n".join(wrong)
