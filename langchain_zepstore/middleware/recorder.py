"""What of an agent's state is to be stored, and in which form. Pure functions."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any
from uuid import uuid4

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.messages.langchain import text_of
from langchain_zepstore.messages.nearest import Nearest
from langchain_zepstore.messages.parts import storable_message
from langchain_zepstore.middleware.window import SOURCE

Redact = Callable[[BaseMessage], BaseMessage | None]
"""Is given a copy of a message, returns what is stored of it; ``None``: nothing."""

Seen = dict[str, str]
"""The ids of messages that need not be looked at again, with what they looked like."""

_DERIVED = frozenset({"summarization", SOURCE})
_STORED, _LEFT_OUT = "+", "-"
_TITLE_LENGTH = 60
# What middleware changes in messages. The other fields may come back from a checkpoint in another
# form, a list for a tuple, and that is no change.
_COMPARED = ("content", "tool_calls", "invalid_tool_calls", "status", "tool_call_id", "name")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a hook has to store.

    Attributes:
        new: Messages that are not stored, in the order of the state.
        changed: Messages that were stored, or loaded, and have changed since.
        seen: What is to be remembered once that is done.
    """

    new: list[BaseMessage]
    changed: list[BaseMessage]
    seen: Seen

    @property
    def ids(self) -> set[str]:
        """The ids of the messages."""
        return {str(message.id) for message in (*self.new, *self.changed)}


class Recorder:
    """Decides what is stored, and in which form.

    Args:
        tools: Whether calls of tools and their answers are stored.
        redact: What changes messages before they are stored.
    """

    def __init__(self, *, tools: bool = True, redact: Redact | None = None) -> None:
        self._tools = tools
        self._redact = redact

    def plan(self, messages: Iterable[BaseMessage], seen: Mapping[str, str]) -> Plan:
        """Compare a state's messages with those that were seen.

        Args:
            messages: Those of the state. One without an id is given one.
            seen: What was remembered; of messages that left the state it is forgotten.
        """
        plan = Plan([], [], {})
        for message in messages:
            uuid, looks = identified(message), _fingerprint(message)
            before = seen.get(uuid, "")
            if before[1:] == looks:
                plan.seen[uuid] = before
                continue
            stored = self.stored(message)
            plan.seen[uuid] = (_LEFT_OUT if stored is None else _STORED) + looks
            if stored is not None:
                (plan.changed if before.startswith(_STORED) else plan.new).append(stored)
        return plan

    def stored(self, message: BaseMessage) -> BaseMessage | None:
        """Return what is stored of a message; ``None``: nothing.

        Raises:
            BadRequestError: ``redact`` returned something else than a message.
        """
        kept = message if _is_said(message) else None
        if kept is not None and not self._tools:
            kept = _without_tools(kept)
        if kept is None:
            return None
        if self._redact is None:
            return kept
        # Built anew: what cannot be stored often cannot be copied either.
        redacted = self._redact(storable_message(kept).model_copy(deep=True))
        if redacted is None:
            return None
        if not isinstance(redacted, BaseMessage):
            raise BadRequestError(
                f"redact must return a message or None, not {type(redacted).__name__}"
            )
        if isinstance(redacted, RemoveMessage):
            raise BadRequestError("redact must return a message or None, not a RemoveMessage")
        # Under another id it would be stored again each time.
        return redacted.model_copy(update={"id": message.id})


def noted(messages: Iterable[BaseMessage]) -> Seen:
    """Return what is to be remembered of messages that come from the store."""
    return {
        identified(message): (_STORED if _is_said(message) else _LEFT_OUT) + _fingerprint(message)
        for message in messages
    }


def first_words(messages: Iterable[BaseMessage]) -> str | None:
    """Return the beginning of the first human message, on one line, as a title."""
    for message in messages:
        words = " ".join(text_of(message.content).split())
        if isinstance(message, HumanMessage) and words:
            return words if len(words) <= _TITLE_LENGTH else words[: _TITLE_LENGTH - 1] + "…"
    return None


def identified(message: BaseMessage) -> str:
    """Return a message's id, which it is given if it has none, as LangGraph's reducer does."""
    if not message.id:
        message.id = str(uuid4())
    return message.id


def is_derived(message: BaseMessage) -> bool:
    """Whether a message was made of others: a summary, or a stand-in for an answer."""
    return message.additional_kwargs.get("lc_source") in _DERIVED


def _is_said(message: BaseMessage) -> bool:
    return not (isinstance(message, SystemMessage | RemoveMessage) or is_derived(message))


def _without_tools(message: BaseMessage) -> BaseMessage | None:
    if isinstance(message, ToolMessage):
        return None
    if not isinstance(message, AIMessage) or not (message.tool_calls or message.invalid_tool_calls):
        return message
    text = text_of(message.content)
    if not text:
        return None
    # Anew, for the calls are in content blocks and additional_kwargs as well.
    kept = {"name": message.name, "usage_metadata": message.usage_metadata}
    return AIMessage(text, id=message.id, **kept)


def _fingerprint(message: BaseMessage) -> str:
    fields: dict[str, Any] = {name: getattr(message, name, None) for name in _COMPARED}
    try:
        text = json.dumps([message.type, fields], default=str, skipkeys=True)
    except Exception:  # noqa: BLE001 - the classes of its values may do anything
        text = json.dumps(Nearest().of([message.type, fields]), default=str)
    return blake2b(text.encode(), digest_size=8).hexdigest()
