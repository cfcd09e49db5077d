"""Windows on a conversation, in a form that the models' APIs accept. Pure functions."""

from collections.abc import Collection, Sequence
from itertools import dropwhile
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

SOURCE = "zepstore"
"""``lc_source`` of the answers that stand in for missing ones."""

_UNANSWERED = "This tool call has no result: it was not completed."
_UNSEEN = "The result of this tool call is not shown here."


def opened(
    messages: Sequence[BaseMessage], lastn: int | None, types: Collection[str]
) -> list[BaseMessage]:
    """Return a window from its first message of some types; empty if there is none.

    Args:
        messages: What ``MessageOperations.read_langchain`` returns for these types.
        lastn: How many it was asked for. There are more where the window lies within a turn: its
            beginning, and the message whose tool calls the first ones of the window answer. The
            window's oldest messages give way to these; an answer never stands without its call.
        types: The types of LangChain's messages.
    """
    start = next((index for index, each in enumerate(messages) if each.type in types), None)
    if start is None:
        return []
    if lastn is None or len(messages) <= lastn:
        return list(messages[start:])
    first, *tail = messages
    over = len(messages) - lastn
    caller, tail = tail[: over - 1], tail[over - 1 :]
    count = next(
        (index for index, each in enumerate(tail) if not isinstance(each, ToolMessage)), len(tail)
    )
    answers, rest = tail[:count], tail[count:]
    if caller and not (rest and count <= over):
        kept = answers[over:] or answers
        return [first, *paired([*caller, *kept], missing=_UNSEEN), *rest]
    # Without the answers of a call that goes.
    shorter = list(dropwhile(lambda each: isinstance(each, ToolMessage), rest[1:]))
    return [first, *(rest if count else shorter or rest)]


def paired(messages: Sequence[BaseMessage], missing: str = _UNANSWERED) -> list[BaseMessage]:
    """Return messages with every tool call followed by its answer, in the order of the calls.

    That is what the APIs ask for. An answer without its call is left out. A call without its answer
    gets one that says so, with ``status="error"``: leaving the call out would take the text with
    it, and the answers to the calls beside it. What turns that ran at once said between a call and
    its answer comes behind the answer.

    Args:
        messages: In the order in which they were said.
        missing: What the answers say that stand in for missing ones.
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
            *(answer or _stand_in(message, call, missing) for call, answer in answers.items()),
        )
    ]


def is_stand_in(message: BaseMessage) -> bool:
    """Whether a message stands in for a missing answer."""
    return message.additional_kwargs.get("lc_source") == SOURCE


def _calls(message: BaseMessage) -> dict[str, str | None]:
    """Return the names of the tools that a message calls, by the ids of the calls."""
    if not isinstance(message, AIMessage):
        return {}
    # LangChain's integrations send invalid calls too.
    calls: list[Any] = [*message.tool_calls, *message.invalid_tool_calls]
    return {call["id"]: call["name"] for call in calls if call.get("id")}


def _stand_in(message: BaseMessage, call: str, text: str) -> ToolMessage:
    return ToolMessage(
        text,
        tool_call_id=call,
        name=_calls(message)[call],
        status="error",
        id=f"{message.id}:{call}",
        additional_kwargs={"lc_source": SOURCE},
    )
