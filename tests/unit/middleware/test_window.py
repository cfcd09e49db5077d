"""What a model is given of a stored conversation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_zepstore.middleware.window import paired, window


def human(text: str) -> HumanMessage:
    return HumanMessage(text, id=text)


def ai(text: str, *calls: str, invalid: tuple[str, ...] = ()) -> AIMessage:
    return AIMessage(
        text,
        id=text,
        tool_calls=[{"name": "t", "args": {}, "id": call} for call in calls],
        invalid_tool_calls=[
            {"name": "t", "args": "{", "id": call, "error": None, "type": "invalid_tool_call"}
            for call in invalid
        ],
    )


def tool(call: str, text: str = "") -> ToolMessage:
    return ToolMessage(text or f"={call}", tool_call_id=call, id=f"{text}={call}")


def shown(messages: list[BaseMessage]) -> list[str]:
    return [
        "?" + message.tool_call_id
        if isinstance(message, ToolMessage) and message.status == "error"
        else str(message.content)
        for message in messages
    ]


def words(messages: list[BaseMessage]) -> int:
    return sum(len(str(message.content).split()) for message in messages)


def test_a_whole_conversation_is_unchanged() -> None:
    messages = [ai("hello"), human("h"), ai("c", "1", "2"), tool("1"), tool("2"), ai("a")]
    assert window(messages, is_whole=True) == messages


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([tool("0"), ai("a"), human("h"), ai("b")], ["h", "b"]),
        ([ai("a"), human("h")], ["h"]),
        ([human("h"), ai("b")], ["h", "b"]),
        ([tool("0"), ai("a"), tool("1")], []),
        ([], []),
    ],
)
def test_a_window_starts_with_a_human_message(messages, expected) -> None:
    assert shown(window(messages, is_whole=False)) == expected


def test_a_result_without_its_call_is_omitted_from_a_whole_conversation() -> None:
    assert shown(window([tool("0"), ai("a"), tool("1"), human("h")], is_whole=True)) == ["a", "h"]


def test_a_call_without_a_result_gets_a_placeholder_result() -> None:
    found = paired([human("h"), ai("c", "1", "2"), tool("2"), human("i")])
    assert shown(found) == ["h", "c", "?1", "=2", "i"]
    stand_in = found[2]
    assert isinstance(stand_in, ToolMessage)
    assert (stand_in.name, stand_in.id) == ("t", "c:1")
    assert "not completed" in str(stand_in.content)


def test_an_invalid_tool_call_gets_a_placeholder_result() -> None:
    assert shown(paired([ai("c", invalid=("1",)), human("h")])) == ["c", "?1", "h"]


def test_messages_between_a_call_and_its_result_follow_the_result() -> None:
    messages = [ai("a", "1"), human("i"), ai("b", "2"), tool("2"), tool("1"), ai("z")]
    assert shown(paired(messages)) == ["a", "=1", "i", "b", "=2", "z"]


def test_a_result_belongs_to_the_last_call_with_its_id() -> None:
    messages = [ai("a", "0"), human("h"), ai("b", "0"), tool("0"), ai("c", "0"), tool("0", "x")]
    assert shown(paired(messages)) == ["a", "?0", "h", "b", "=0", "c", "x"]


def test_results_are_in_call_order_without_duplicates() -> None:
    messages = [ai("a", "1", "2"), tool("2"), tool("1"), tool("1", "again")]
    assert shown(paired(messages)) == ["a", "=1", "=2"]


def test_an_input_message_may_answer_a_call() -> None:
    messages = [human("h"), ai("c", "1", "2"), tool("1")]
    assert shown(window(messages, [tool("2")], is_whole=True)) == ["h", "c", "=1", "=2"]
    then = [human("i"), tool("2"), tool("3")]
    assert shown(window(messages, then, is_whole=True)) == ["h", "c", "=1", "=2", "i"]
    assert shown(window(messages, [human("i")], is_whole=True)) == ["h", "c", "=1", "?2", "i"]


def test_the_input_is_always_included() -> None:
    then = [SystemMessage("s"), tool("0")]
    assert window([], then, is_whole=True) == then
    assert window([ai("a")], then, is_whole=False) == then
    found = window([human("h")], [human("i")], is_whole=True, max_tokens=0, token_counter=words)
    assert shown(found) == ["i"]


def test_system_messages_are_omitted() -> None:
    messages = [SystemMessage("s"), human("h"), SystemMessage("s"), ai("a")]
    assert shown(window(messages, is_whole=True)) == ["h", "a"]


def test_chunks_become_messages() -> None:
    found = window([human("h"), AIMessageChunk("a", id="a")], is_whole=True)
    assert [type(each) for each in found] == [HumanMessage, AIMessage]
    assert found[1].id == "a"


@pytest.mark.parametrize(
    ("max_tokens", "expected"),
    [
        (100, ["a b", "c d", "e f", "g h"]),
        (8, ["a b", "c d", "e f", "g h"]),
        (7, ["e f", "g h"]),
        (4, ["e f", "g h"]),
        (3, []),
        (0, []),
    ],
)
def test_the_oldest_messages_beyond_the_token_limit_are_dropped(max_tokens, expected) -> None:
    messages = [human("a b"), ai("c d"), human("e f"), ai("g h")]
    found = window(messages, is_whole=True, max_tokens=max_tokens, token_counter=words)
    assert shown(found) == expected


def test_the_token_limit_never_separates_a_call_from_its_result() -> None:
    messages = [human("h"), ai("c c", "1"), tool("1", "t"), ai("d"), human("i"), ai("e")]
    for most in range(8):
        found = window(messages, is_whole=True, max_tokens=most, token_counter=words)
        assert shown(found) in ([], ["i", "e"], shown(messages))


@st.composite
def conversations(draw: st.DrawFn) -> list[BaseMessage]:
    calls = st.lists(st.sampled_from("1234"), max_size=3, unique=True)
    kinds = st.sampled_from(["human", "ai", "tool", "system"])
    messages: list[BaseMessage] = []
    for number, kind in enumerate(draw(st.lists(kinds, max_size=20))):
        if kind == "human":
            messages.append(human(f"h{number}"))
        elif kind == "ai":
            messages.append(ai(f"a{number}", *draw(calls)))
        elif kind == "tool":
            messages.append(tool(draw(st.sampled_from("1234")), f"t{number}"))
        else:
            messages.append(SystemMessage("s"))
    return messages


@given(conversations(), st.booleans(), st.none() | st.integers(0, 20))
def test_every_window_is_valid_for_a_model(messages, is_whole, max_tokens) -> None:
    found = window(messages, is_whole=is_whole, max_tokens=max_tokens, token_counter=words)
    waiting: list[str] = []
    for message in found:
        assert not isinstance(message, SystemMessage)
        if isinstance(message, ToolMessage):
            assert message.tool_call_id == waiting.pop(0)
            continue
        assert not waiting
        if isinstance(message, AIMessage):
            waiting = [str(call["id"]) for call in message.tool_calls]
    assert not waiting
    assert is_whole or not found or isinstance(found[0], HumanMessage)
    spoken = [message.id for message in messages if message.type in ("human", "ai")]
    heard = [message.id for message in found if message.type in ("human", "ai")]
    if heard != spoken[len(spoken) - len(heard) :]:  # within a turn: its beginning, and its end
        humans = [message.id for message in messages if message.type == "human"]
        assert heard[0] == humans[-1]
        assert heard[1:] == spoken[len(spoken) - len(heard) + 1 :]
