"""The middleware's part of an agent's state."""

from dataclasses import replace
from typing import Annotated, Any, NotRequired
from uuid import uuid4

from langchain.agents.middleware.types import (
    AgentState,
    ExtendedModelResponse,
    ModelCallResult,
    ModelResponse,
    PrivateStateAttr,
)
from langgraph.types import Command

from langchain_zepstore.middleware.recorder import Seen

SEEN = "chat_history_seen"


class ChatHistoryState(AgentState[Any]):
    """The middleware's part of an agent's state.

    Attributes:
        chat_history_seen: Which messages of the state were stored or loaded. A checkpointer keeps
            it, so that in another process, too, none is stored again that somebody deleted.
    """

    chat_history_seen: NotRequired[Annotated[Seen, PrivateStateAttr]]


def extended(
    response: ModelResponse[Any], state: ChatHistoryState, update: dict[str, Any] | None
) -> ModelCallResult[Any]:
    """Return a response whose answers have ids of their own, with what is to be remembered.

    A cached answer has the id of the first, which the session has, or had and deleted; some servers
    give all answers the id "", or one that they gave before.
    """
    known = {each.id for each in state["messages"]}
    result = [
        each.model_copy(update={"id": f"lc_run--{uuid4()}"})
        if not each.id
        or each.id in known
        or "total_cost" in (getattr(each, "usage_metadata", None) or {})
        else each
        for each in response.result
    ]
    response = replace(response, result=result)
    return ExtendedModelResponse(response, Command(update=update)) if update else response


def seen_in(state: ChatHistoryState) -> Seen:
    """Return which messages of the state were stored or loaded."""
    return state.get("chat_history_seen") or {}
