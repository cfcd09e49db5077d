"""What the contenders have to do, one after another."""

from collections.abc import Callable, Sequence
from uuid import uuid4

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from benchmarks.contenders import Contender
from benchmarks.timing import Prepare, Work, side_by_side

_QUESTION = "Have you thought about the trip to the lake, and what we should bring along? ({})"
_ANSWER = (
    "I have. The tent is dry again, the stove works, and the weather should hold until Sunday. "
    "What is missing are the maps, and somebody who can read them. ({})"
)
WINDOW = 20


def said(count: int) -> list[BaseMessage]:
    """Return messages of a conversation, without ids."""
    return [
        AIMessage(_ANSWER.format(n)) if n % 2 else HumanMessage(_QUESTION.format(n))
        for n in range(count)
    ]


def turns(
    contenders: Sequence[Contender], length: int, *, rounds: int, budget: float
) -> dict[str, float]:
    """Time a turn in a session of some length: the last 20 messages are read, 2 are saved."""

    def preparing(contender: Contender) -> Prepare:
        session_id = _grown(contender, length)
        history = contender.history(session_id, WINDOW)

        def turn() -> None:
            history.messages[-WINDOW:]
            history.add_messages(said(2))

        return lambda: turn

    return _time(contenders, preparing, rounds, budget)


def reading(
    contenders: Sequence[Contender], length: int, *, rounds: int, budget: float
) -> dict[str, float]:
    """Time reading a whole session."""

    def preparing(contender: Contender) -> Prepare:
        history = contender.history(_grown(contender, length))
        return lambda: lambda: history.messages

    return _time(contenders, preparing, rounds, budget)


def adding(
    contenders: Sequence[Contender], count: int, *, rounds: int, budget: float
) -> dict[str, float]:
    """Time adding many messages in one call to a new session."""

    def preparing(contender: Contender) -> Prepare:
        def prepare() -> Work:
            history, messages = contender.history(str(uuid4())), said(count)
            return lambda: history.add_messages(messages)

        return prepare

    return _time(contenders, preparing, rounds, budget)


def clearing(
    contenders: Sequence[Contender], length: int, *, rounds: int, budget: float
) -> dict[str, float]:
    """Time clearing a session."""

    def preparing(contender: Contender) -> Prepare:
        def prepare() -> Work:
            clear: Work = contender.history(_grown(contender, length)).clear
            return clear

        return prepare

    return _time(contenders, preparing, rounds, budget)


def _grown(contender: Contender, length: int) -> str:
    session_id = str(uuid4())
    contender.grow(session_id, said(length))
    return session_id


def _time(
    contenders: Sequence[Contender],
    preparing: Callable[[Contender], Prepare],
    rounds: int,
    budget: float,
) -> dict[str, float]:
    works = {contender.name: preparing(contender) for contender in contenders}
    return side_by_side(works, rounds=rounds, budget=budget)
