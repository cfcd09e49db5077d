"""The end of a stored conversation, in a form that the models' APIs accept. Pure functions."""

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    BaseMessageChunk,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    message_chunk_to_message,
    trim_messages,
)
from langchain_core.messages.utils import count_tokens_approximately

TokenCounter = Callable[[list[BaseMessage]], int]
"""Counts the tokens of messages."""

SOURCE = "zepstore"
"""``lc_source`` of the answers that stand in for missing ones."""

_UNANSWERED = "This tool call has no result: it was not completed."


def window(
    messages: Sequence[BaseMessage],
    then: Sequence[BaseMessage] = (),
    *,
    is_whole: bool,
    max_tokens: int | None = None,
    token_counter: TokenCounter = count_tokens_approximately,
) -> list[BaseMessage]:
    """Return what a model may be given of the last messages of a conversation, and what comes next.

    System messages are left out: instructions are the agent's own, and most APIs take them at the
    beginning only. Calls and answers of tools are put right, see ``paired``. If something before it
    is out of sight, the window begins with its first human message; without one it is empty.

    Args:
        messages: The last messages, oldest first; they are not changed.
        then: What comes behind them, and may hold answers to their calls. None of it goes, but
            answers to no call.
        is_whole: Whether these are all that there are.
        max_tokens: How many tokens at most; the oldest messages go.
        token_counter: What counts them.
    """
    said = [_message(each) for each in messages if not isinstance(each, SystemMessage)]
    shown = paired(said)
    if max_tokens is not None:
        fitting = trim_messages(
            shown, max_tokens=max_tokens, token_counter=token_counter, strategy="last"
        )
        is_whole = is_whole and len(fitting) == len(shown)
        shown = shown[len(shown) - len(fitting) :]
    if not is_whole:
        shown = _from_human(shown)
    if not shown or not then:
        return [*shown, *then]
    return paired([*(each for each in shown if not _is_stand_in(each)), *then])


def paired(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Return messages with every tool call followed by its answer, in the order of the calls.

    That is what the APIs ask for. An answer without its call is left out. A call without its answer
    gets one that says so, with ``status="error"``: leaving the call out would take the text with
    it, and the answers to the calls beside it. What turns that ran at once said between a call and
    its answer comes behind the answer.

    Args:
        messages: In the order in which they were said.
    """
    turns: list[tuple[BaseMessage, dict[str, ToolMessage | None]]] = []
    waiting: dict[str, dict[str, ToolMessage | None]] = {}
    for message in messages:
        if isinstance(message, ToolMessage):
            # Of calls with one id, which some models repeat from turn to turn, the last.
            answers = waiting.pop(message.tool_call_id, None)
            if answers is not None:
                answers[message.tool_call_id] = message
            continue
        answers = dict.fromkeys(_calls(message))
        waiting.update(dict.fromkeys(answers, answers))
        turns.append((message, answers))
    return [
        each
        for message, answers in turns
        for each in (
            message,
            *(answer or _stand_in(message, call) for call, answer in answers.items()),
        )
    ]


def _from_human(messages: list[BaseMessage]) -> list[BaseMessage]:
    for index, message in enumerate(messages):
        if isinstance(message, HumanMessage):
            return messages[index:]
    return []


def _message(message: BaseMessage) -> BaseMessage:
    # Chains store chunks when they stream; LangGraph keeps none in a state.
    if isinstance(message, BaseMessageChunk):
        return message_chunk_to_message(message)
    return message


def _calls(message: BaseMessage) -> dict[str, str | None]:
    """Return the names of the tools that a message calls, by the ids of the calls."""
    if not isinstance(message, AIMessage):
        return {}
    # LangChain's integrations send invalid calls too.
    calls: list[Any] = [*message.tool_calls, *message.invalid_tool_calls]
    return {call["id"]: call["name"] for call in calls if call.get("id")}


def _is_stand_in(message: BaseMessage) -> bool:
    return message.additional_kwargs.get("lc_source") == SOURCE


def _stand_in(message: BaseMessage, call: str) -> ToolMessage:
    return ToolMessage(
        _UNANSWERED,
        tool_call_id=call,
        name=_calls(message)[call],
        status="error",
        id=f"{message.id}:{call}",
        additional_kwargs={"lc_source": SOURCE},
    )
