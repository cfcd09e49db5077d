"""A server that dies between the reservation of a number and its use."""

import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from langchain_zepstore import Memory, Message, ZepClient
from langchain_zepstore.core.operation import Operation
from tests.support.invariants import Story
from tests.support.mongod import Mongod
from tests.support.races import adding, check


@pytest.fixture
def mongod(tmp_path: Path) -> Iterator[Mongod]:
    mongod = Mongod(tmp_path).start()
    yield mongod
    mongod.stop()


def reborn(mongod: Mongod, operation: Operation[None]) -> Operation[None]:
    """Run an operation, and let the server die right after its first step."""
    result = yield operation.send(None)
    mongod.stop(signal.SIGKILL)
    mongod.start()
    while True:
        try:
            yielded = operation.send(result)
        except StopIteration:
            return
        result = yield yielded


@pytest.mark.parametrize("deleted", [False, True])
def test_a_reservation_survives_a_server_crash(mongod: Mongod, deleted: bool) -> None:
    with ZepClient(mongod.url) as client:
        client.memory.add_memory("s", Memory(messages=[Message(role="user", content="", uuid="a")]))
        if deleted:
            client.memory.delete_memory("s")
        client.run(lambda store: reborn(mongod, adding("s", ["b", "c"])(store)))
        seen = [message.uuid for message in client.memory.get_memory("s").messages]
        assert seen == ["b", "c"] if deleted else ["a", "b", "c"]
        assert client.memory.get_session("s").deleted_at is None
        assert check(client, "s", Story(acknowledged=[["a"], ["b", "c"]])) == []
        client.memory.delete_memory("s")
        assert client.memory.get_memory("s").messages == []
        assert client.purge(timedelta())["messages"] == 3


def test_a_delete_covers_messages_of_a_writer_that_died_with_the_server(mongod: Mongod) -> None:
    with ZepClient(mongod.url) as client:
        client.memory.add_memory("s", Memory(messages=[Message(role="user", content="", uuid="a")]))

        def dying(store: object) -> Operation[None]:
            operation = reborn(mongod, adding("s", ["b"])(store))
            result = None
            for _ in range(2):  # the reservation and the insert; then its writer is gone
                result = yield operation.send(result)

        client.run(dying)
        client.memory.delete_memory("s")
        assert client.memory.get_memory("s").messages == []
        client.memory.undelete_session("s")
        assert [message.uuid for message in client.memory.get_memory("s").messages] == ["a", "b"]
