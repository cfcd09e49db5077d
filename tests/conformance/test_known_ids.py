"""Ids that a session knows already, at LangChain's door: repeats, or new messages."""

import logging
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from tests.support.facade import Facade

TURN = [HumanMessage("lights on", id="q"), AIMessage("Done.", id="a")]


def contents(messages: list[BaseMessage]) -> list[Any]:
    return [message.content for message in messages]


@pytest.mark.promise("a repeated call stores nothing twice; a new message under a used id is kept")
async def test_a_repeated_turn_changes_nothing(zep: Facade, session_id: str) -> None:
    history = zep.chat_history(session_id)
    await history.add(HumanMessage("hello", id="0"))
    for _ in range(3):
        await history.add(*TURN)
    assert await history.messages() == [HumanMessage("hello", id="0"), *TURN]


@pytest.mark.promise("a repeated call stores nothing twice; a new message under a used id is kept")
async def test_a_known_id_with_other_content_is_a_new_message(
    zep: Facade, session_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    history = zep.chat_history(session_id)
    await history.add(*TURN)
    other = ToolMessage("off", tool_call_id="1", id="q")
    with caplog.at_level(logging.WARNING, "langchain_zepstore"):
        for _ in range(2):  # the second is a repeat
            await history.add(other)
    found = await history.messages()
    assert contents(found) == ["lights on", "Done.", "off"]
    assert found[2].id not in {"q", "a"}
    assert "'q'" in caplog.text


async def test_a_known_id_after_a_new_message_is_a_new_message(
    zep: Facade, session_id: str
) -> None:
    history = zep.chat_history(session_id)
    for number in range(4):
        turn = [HumanMessage("lights on", id=f"q{number}"), AIMessage("Done.", id="run-1")]
        await history.add(*turn)
        await history.add(*turn)  # its answer was lost
    found = await history.messages()
    assert contents(found) == ["lights on", "Done."] * 4
    assert len({message.id for message in found}) == 8


async def test_a_duplicate_id_in_a_call_is_two_messages(zep: Facade, session_id: str) -> None:
    history = zep.chat_history(session_id)
    call = [HumanMessage("1", id="q"), AIMessage("x", id="a"), AIMessage("x", id="a")]
    for _ in range(2):
        await history.add(*call)
    assert contents(await history.messages()) == ["1", "x", "x"]


async def test_a_call_may_repeat_messages_and_add_new_ones(zep: Facade, session_id: str) -> None:
    history = zep.chat_history(session_id)
    await history.add(*TURN)
    await history.add(*TURN, HumanMessage("off", id="q2"), AIMessage("Done.", id="a"))
    assert contents(await history.messages()) == ["lights on", "Done.", "off", "Done."]


async def test_an_empty_id_counts_as_missing(zep: Facade, session_id: str) -> None:
    history = zep.chat_history(session_id)
    await history.add(AIMessage("one", id=""), AIMessage("one", id=""))
    assert contents(await history.messages()) == ["one", "one"]
