"""Who never branches pays nothing for branches: the same commands, the same documents."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pymongo
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from pymongo.monitoring import CommandListener

from langchain_zepstore import Memory, Message, ZepClient
from tests.support.agents import Scripted, agent, of, said


class Commands(CommandListener):
    """Remembers the commands that a driver sends."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def started(self, event: Any) -> None:
        self.names.append(event.command_name)

    def succeeded(self, event: Any) -> None: ...

    def failed(self, event: Any) -> None: ...

    def of(self, call: Callable[[], Any]) -> list[str]:
        self.names.clear()
        call()
        return list(self.names)


TURN = [HumanMessage("Hello"), AIMessage("Hi")]


@pytest.mark.promise("a session that was never changed costs what it did: the same commands")
def test_a_linear_session_takes_no_extra_commands(mongo_url: str, session_id: str) -> None:
    commands = Commands()
    with (
        pymongo.MongoClient(mongo_url, event_listeners=[commands]) as driver,
        ZepClient(client=driver, database="linear") as client,
    ):
        history = client.chat_history(session_id, lastn=20)
        for _ in range(2):
            history.add_messages(TURN)
        message = client.message
        assert commands.of(lambda: history.messages) == ["find"]
        assert commands.of(lambda: history.add_messages(TURN)) == ["findAndModify", "insert"]
        assert commands.of(lambda: message.count(session_id)) == ["aggregate"]
        assert commands.of(lambda: list(message.iter_messages(session_id))) == ["find", "find"]
        assert commands.of(lambda: message.get_session_messages(session_id)) == ["find"]
        assert commands.of(lambda: client.memory.get_memory(session_id)) == ["find", "find"]
        stored = driver["linear"]
        session = stored["sessions"].find_one({"_id": session_id})
        assert not {"branched", "turn", "forks"} & set(session)
        assert not stored["messages"].find_one({"session_id": session_id, "branched": True})


@pytest.mark.promise("a session that was never changed costs what it did: the same commands")
def test_an_agents_turn_in_a_linear_session_takes_no_extra_commands(
    mongo_url: str, session_id: str
) -> None:
    commands = Commands()
    with (
        pymongo.MongoClient(mongo_url, event_listeners=[commands]) as driver,
        ZepClient(client=driver, database="linear") as client,
    ):
        speaker = agent(client, Scripted())
        stored = ["findAndModify", "insert"]
        for number in range(3):
            said_now = said(f"q{number}", id=str(number))
            found = commands.of(partial(speaker.invoke, said_now, **of(session_id)))
        assert found == ["find", *stored, *stored]


def test_a_read_of_a_branched_session_takes_two_commands(mongo_url: str, session_id: str) -> None:
    commands = Commands()
    with (
        pymongo.MongoClient(mongo_url, event_listeners=[commands]) as driver,
        ZepClient(client=driver, database="linear") as client,
    ):
        history = client.chat_history(session_id, lastn=20)
        first, _ = TURN
        history.add_messages([first.model_copy(update={"id": "q1"})])
        edit = Memory(messages=[Message(role="user", content="Hello?")])
        client.memory.add_memory(session_id, edit, before="q1")
        assert len(history.messages) == 1
        assert commands.of(lambda: history.messages) == ["find", "find"]
        assert commands.of(lambda: history.add_messages(TURN)) == ["findAndModify", "insert"]
