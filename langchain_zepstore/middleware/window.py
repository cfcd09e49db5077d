"""The end of a stored conversation, as a model may be given it. Pure functions."""

from collections.abc import Callable, Sequence

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

from langchain_zepstore.messages.turns import is_stand_in, paired

TokenCounter = Callable[[list[BaseMessage]], int]
"""Counts the tokens of messages."""

_CUT = " […]"


def window(
    messages: Sequence[BaseMessage],
    then: Sequence[BaseMessage] = (),
    *,
    is_whole: bool,
    max_tokens: int | None = None,
    token_counter: TokenCounter = count_tokens_approximately,
) -> list[BaseMessage]:
    """Return the last messages of a conversation that a model may be given, before the next one.

    System messages are left out: instructions are the agent's own, and most APIs take them at the
    beginning only. Calls and answers of tools are put right, see ``paired``. If something before it
    is out of sight, the window begins with its first human message. One that lies within a turn
    begins with the human message of that turn, and goes on with its end; a text that alone has too
    many tokens is cut.

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
        fitting = _last(shown, max_tokens, token_counter)
        if len(fitting) < len(shown):
            is_whole = False
            shown = _from_human(fitting) or _turn(shown, max_tokens, token_counter)
    if not is_whole:
        shown = _from_human(shown)
    if not shown or not then:
        return [*shown, *then]
    answered = {each.tool_call_id for each in then if isinstance(each, ToolMessage)}
    return paired([*(each for each in shown if not _is_stand_in_for(each, answered)), *then])


def _last(
    messages: Sequence[BaseMessage], max_tokens: int, token_counter: TokenCounter
) -> list[BaseMessage]:
    return trim_messages(
        messages, max_tokens=max_tokens, token_counter=token_counter, strategy="last"
    )


def _turn(
    messages: list[BaseMessage], max_tokens: int, token_counter: TokenCounter
) -> list[BaseMessage]:
    """Return the last human message and as many of the last messages after it as fit."""
    start = _last_human(messages)
    if start is None:
        return []
    human = _cut(
        messages[start],
        max_tokens if start + 1 == len(messages) else max_tokens // 2,
        token_counter,
    )
    if human is None:
        return []
    rest = messages[start + 1 :]
    room = max_tokens - token_counter([human])
    fitting = paired(_last(rest, room, token_counter))
    if not fitting and rest and not isinstance(rest[-1], ToolMessage):
        last = _cut(rest[-1], room, token_counter)
        fitting = [] if last is None else [last]
    return [human, *fitting]


def _cut(message: BaseMessage, max_tokens: int, token_counter: TokenCounter) -> BaseMessage | None:
    """Return a message with as much of its text as fits; ``None`` if that is nothing."""
    if token_counter([message]) <= max_tokens:
        return message
    text = message.content
    if not isinstance(text, str) or (isinstance(message, AIMessage) and message.tool_calls):
        return None
    least, most = 0, len(text)  # characters that fit, and that do not
    while most - least > 1:
        size = (least + most) // 2
        shorter = message.model_copy(update={"content": text[:size] + _CUT})
        least, most = (size, most) if token_counter([shorter]) <= max_tokens else (least, size)
    return message.model_copy(update={"content": text[:least] + _CUT}) if least else None


def _last_human(messages: list[BaseMessage]) -> int | None:
    indexes = reversed(range(len(messages)))
    return next((index for index in indexes if isinstance(messages[index], HumanMessage)), None)


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


def _is_stand_in_for(message: BaseMessage, calls: set[str]) -> bool:
    return (
        is_stand_in(message) and isinstance(message, ToolMessage) and message.tool_call_id in calls
    )
