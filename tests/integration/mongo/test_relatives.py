"""What MongoDB's relatives do otherwise, provoked on MongoDB: write conflicts, smaller limits."""

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from pymongo import MongoClient
from pymongo.monitoring import CommandListener

from langchain_zepstore import StoreUnavailableError, ZepClient
from tests.support.mongod import Mongod

CONFLICTS = 7  # more than the attempts after a lost connection


@pytest.fixture(scope="module")
def conflicting(tmp_path_factory) -> Iterator[Mongod]:
    options = ("--setParameter", "enableTestCommands=1")
    mongod = Mongod(tmp_path_factory.mktemp("conflicting"), options=options).start()
    yield mongod
    mongod.stop()


def fail(mongod: Mongod, command: str, mode: Any) -> None:
    data = {"failCommands": [command], "errorCode": 112}
    with MongoClient(mongod.url) as driver:
        driver.admin.command("configureFailPoint", "failCommand", mode=mode, data=data)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("command", ["insert", "findAndModify"])
async def test_a_conflicting_write_is_retried(command, asynchronous, conflicting, session_id):
    async with ZepClient(conflicting.url, timeout=60) as client:
        history = client.chat_history(session_id)
        history.add_messages([HumanMessage("first")])
        fail(conflicting, command, {"times": CONFLICTS})
        if asynchronous:
            await history.aadd_messages([HumanMessage("second")])
        else:
            history.add_messages([HumanMessage("second")])
        assert [message.content for message in history.messages] == ["first", "second"]


def test_endless_write_conflicts_are_an_unavailable_store(conflicting, session_id):
    with ZepClient(conflicting.url, timeout=1) as client:
        client.chat_history(session_id).add_messages([HumanMessage("first")])
        fail(conflicting, "insert", "alwaysOn")
        try:
            with pytest.raises(StoreUnavailableError, match="try again"):
                client.chat_history(session_id).add_messages([HumanMessage("second")])
        finally:
            fail(conflicting, "insert", "off")


class Limits(CommandListener):
    """Notes the numbers that limit what is read."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def started(self, event: Any) -> None:
        names = ("limit", "batchSize", "skip")
        self.seen += [event.command[name] for name in names if name in event.command]

    def succeeded(self, event: Any) -> None:
        pass

    def failed(self, event: Any) -> None:
        pass


def test_limits_stay_below_31_bits(mongo_url, database_name, session_id):
    limits = Limits()
    with MongoClient(mongo_url, event_listeners=[limits]) as driver:
        client = ZepClient(client=driver, database=database_name)
        client.memory.get_memory(session_id, lastn=2**62)
        client.message.get_session_messages(session_id, limit=2**31, cursor=2)
    assert limits.seen
    assert max(limits.seen) < 2**31
