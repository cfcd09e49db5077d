"""Windows that lie within one turn."""

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from tests.support.facade import Facade


def call(*names: str) -> AIMessage:
    calls = [{"name": "look", "args": {}, "id": name} for name in names]
    return AIMessage("", tool_calls=calls, id=f"call {names[0]}")


def answer(name: str) -> ToolMessage:
    return ToolMessage(f"seen {name}", tool_call_id=name, id=f"answer {name}")


def one_by_one(count: int) -> list[BaseMessage]:
    return [each for n in range(count) for each in (call(f"c{n}"), answer(f"c{n}"))]


def pairs_are_whole(messages: list[BaseMessage]) -> bool:
    waiting: list[str] = []
    for message in messages:
        if isinstance(message, ToolMessage):
            if message.tool_call_id not in waiting:
                return False
            waiting.remove(message.tool_call_id)
        elif waiting:
            return False
        elif isinstance(message, AIMessage):
            waiting = [str(each["id"]) for each in message.tool_calls]
    return not waiting


@pytest.mark.promise("a window within a long turn begins with the turn's human message")
@pytest.mark.parametrize("lastn", [1, 2, 3, 19, 20])
async def test_a_window_within_a_turn_of_sequential_tool_calls(
    zep: Facade, session_id: str, lastn: int
) -> None:
    question, end = HumanMessage("Look around", id="q"), AIMessage("All seen.", id="end")
    turn = [*one_by_one(15), end]
    await zep.chat_history(session_id).add(
        HumanMessage("before", id="b"), AIMessage("yes", id="y"), question, *turn
    )
    found = await zep.chat_history(session_id, lastn=lastn, start_on="human").messages()
    assert found[0] == question
    assert len(found) <= max(lastn, 2)
    assert found[1:] == turn[len(turn) - len(found) + 1 :]
    assert len(found) > lastn - 2
    assert pairs_are_whole(found)


@pytest.mark.promise("a window within a long turn begins with the turn's human message")
@pytest.mark.parametrize("has_end", [True, False])
async def test_a_window_within_the_results_of_parallel_tool_calls(
    zep: Facade, session_id: str, has_end: bool
) -> None:
    names = [f"c{n}" for n in range(120)]
    end = [AIMessage("All seen.", id="end")] if has_end else []
    await zep.chat_history(session_id).add(
        HumanMessage("Look", id="q"), call(*names), *map(answer, names), *end
    )
    found = await zep.chat_history(session_id, lastn=100, start_on="human").messages()
    assert [message.id for message in found[:2]] == ["q", "call c0"]
    assert pairs_are_whole(found)
    kept = [each for each in found if isinstance(each, ToolMessage) and each.status == "success"]
    assert kept == [answer(name) for name in names[-len(kept) :]]
    assert len(kept) >= 97
    assert found[len(found) - len(end) :] == end


async def test_the_window_is_empty_without_a_message_of_the_start_on_type(
    zep: Facade, session_id: str
) -> None:
    await zep.chat_history(session_id).add(SystemMessage("s"), *one_by_one(3))
    assert await zep.chat_history(session_id, lastn=2, start_on="human").messages() == []
    assert len(await zep.chat_history(session_id, lastn=2, start_on="system").messages()) == 3
