"""Which messages of an agent's state are to be stored, and in which form. Pure functions."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from uuid import uuid4

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_zepstore.core.arguments import GivenMessage
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.messages.fingerprints import fingerprint, given_fingerprint
from langchain_zepstore.messages.known_ids import renamed
from langchain_zepstore.messages.langchain import text_of
from langchain_zepstore.messages.parts import storable_message, words_of_langchain
from langchain_zepstore.messages.turns import SOURCE

Redact = Callable[[BaseMessage], BaseMessage | None]
"""Is given a copy of a message, returns the form to store; ``None``: none."""

Seen = dict[str, str]
"""The ids of messages that a hook has met. Of each a mark, its fingerprint, and behind an ``@`` the
id under which it is stored if that is another one, or of the message that it is to edit."""

_DERIVED = frozenset({"summarization", SOURCE})
_STORED, _LEFT_OUT = "+", "-"
_AWAITING = "?"  # not stored before the model is called
_UNSAVED = "!"  # the model has been called, and the store could not be reached
_REFUSED = "x"  # the run ended before the model was called: never stored
_TITLE_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Plan:
    """The messages that a hook has to store.

    Attributes:
        new: Messages that are not stored, in the order of the state.
        changed: Messages that were stored, or loaded, and have changed since.
        seen: What is to be remembered once that is done.
        after: The id of the last stored message before the first new one.
        edits: By the ids of new messages: of the stored ones that they edit.
        given: By the ids of new messages that are not stored as they were given: fingerprints.
    """

    new: list[BaseMessage] = field(default_factory=list)
    changed: list[BaseMessage] = field(default_factory=list)
    seen: Seen = field(default_factory=dict)
    after: str | None = None
    edits: dict[str, str] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)

    def parts(self) -> list[tuple[str | None, list[BaseMessage]]]:
        """Return the new messages in parts, each but the first with the id that it edits."""
        parts: list[tuple[str | None, list[BaseMessage]]] = [(None, [])]
        for message in self.new:
            if edited := self.edits.get(str(message.id)):
                parts.append((edited, []))
            parts[-1][1].append(message)
        return parts

    def remembered(self, new_ids: Mapping[str, str]) -> Seen:
        """Return what is to be remembered, with the ids that the store has given."""
        return {
            uuid: f"{mark}@{new_ids[uuid]}" if uuid in new_ids else mark
            for uuid, mark in self.seen.items()
        }

    def unsaved(self) -> Seen:
        """Return what is to be remembered if the store could not be reached."""
        unsaved = {str(message.id) for message in self.new}
        return {
            uuid: _mark(_UNSAVED, mark[1:], self.edits.get(uuid)) if uuid in unsaved else mark
            for uuid, mark in self.seen.items()
        }


class Recorder:
    """Decides which messages are stored, and in which form.

    Args:
        tools: Whether calls of tools and their answers are stored.
        redact: What changes messages before they are stored.
    """

    def __init__(self, *, tools: bool = True, redact: Redact | None = None) -> None:
        self._tools = tools
        self._redact = redact

    def plan(
        self, messages: Iterable[BaseMessage], seen: Mapping[str, str], *, is_given: bool = True
    ) -> Plan:
        """Compare a state's messages with those that were seen.

        Args:
            messages: Those of the state. One without an id is given one.
            seen: What was remembered; of messages that left the state it is forgotten.
            is_given: Whether the model is given, or was given, what awaits it.
        """
        plan = Plan()
        now, after = plan.seen, None
        for message in messages:
            uuid, current = identified(message), fingerprint(message)
            mark, before, stored_id = _parsed(seen.get(uuid, ""))
            if mark == _REFUSED or (before == current and mark in {_STORED, _LEFT_OUT}):
                now[uuid] = seen[uuid]
            elif not is_given and _awaits(message, mark):
                now[uuid] = seen.get(uuid) or _AWAITING + current
            elif (stored := self.stored(message)) is None:
                now[uuid] = _LEFT_OUT + current
            elif mark == _STORED:
                plan.changed.append(stored.model_copy(update={"id": stored_id or uuid}))
                now[uuid] = _mark(_STORED, current, stored_id)
            else:
                plan.new.append(stored)
                now[uuid] = _STORED + current
                if stored_id:
                    plan.edits[uuid] = stored_id
                given = before or current
                if isinstance(stored, HumanMessage) and given != _stored_fingerprint(stored):
                    plan.given[uuid] = given_fingerprint(given)
            if not plan.new and now[uuid].startswith(_STORED):
                after = stored_id or uuid
        return replace(plan, after=after)

    def given(self, message: BaseMessage, uuid: str) -> GivenMessage | None:
        """Return a message of the input for the store to look up; ``None`` if it is not stored.

        Args:
            message: The message.
            uuid: Its id in the store.
        """
        stored = self.stored(message)
        if stored is None:
            return None
        new_uuid = None
        if isinstance(stored, HumanMessage):
            new_uuid = renamed(uuid, words_of_langchain(stored), None)
        return GivenMessage(uuid, (fingerprint(message), _stored_fingerprint(stored)), new_uuid)

    def stored(self, message: BaseMessage) -> BaseMessage | None:
        """Return the form in which a message is stored; ``None``: it is not.

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


def awaiting(messages: Iterable[BaseMessage], seen: Mapping[str, str]) -> Seen:
    """Return what is to be remembered when a run begins: what is new awaits the model.

    What awaited it in an earlier run was refused there. A message that was stored, and has changed
    since that run, is new.
    """
    now: Seen = {}
    for message in messages:
        uuid, current = identified(message), fingerprint(message)
        mark, before, stored_id = _parsed(seen.get(uuid, ""))
        if mark in {"", _UNSAVED} or (mark == _STORED and before != current):
            edited = stored_id if mark == _UNSAVED else None
            now[uuid] = _mark(_AWAITING, current, edited)
        else:
            now[uuid] = _REFUSED if mark == _AWAITING else seen[uuid]
    return now


def refused(messages: Iterable[BaseMessage], seen: Mapping[str, str]) -> Seen:
    """Return what is to be remembered when a run has ended, of what never reached the model.

    That is an input which still awaits it, or was never seen, and all that follows.
    """
    found: Seen = {}
    for message in messages:
        mark, *_ = _parsed(seen.get(identified(message), ""))
        if _awaits(message, mark) or (found and not mark):
            found[identified(message)] = _REFUSED
    return found


def _awaits(message: BaseMessage, mark: str) -> bool:
    return mark == _AWAITING or (not mark and isinstance(message, HumanMessage))


def is_awaiting(mark: str) -> bool:
    """Whether a message awaits the model, by what is remembered of it."""
    return mark.startswith(_AWAITING)


def awaiting_edit(message: BaseMessage, edited: str) -> str:
    """Return what is to be remembered of a message that awaits the model and edits another."""
    return _mark(_AWAITING, fingerprint(message), edited)


def stored_as(mark: str) -> str | None:
    """Return the id of the stored message that one is, or is to edit, if it is not its own."""
    return _parsed(mark)[2] or None


def is_refused(mark: str) -> bool:
    """Whether a message was refused, by what is remembered of it."""
    return mark == _REFUSED


def _mark(mark: str, current: str, uuid: str | None) -> str:
    return f"{mark}{current}@{uuid}" if uuid else mark + current


def _stored_fingerprint(message: BaseMessage) -> str:
    return fingerprint(storable_message(message))


def _parsed(seen: str) -> tuple[str, str, str]:
    before, _, stored_id = seen[1:].partition("@")
    return seen[:1], before, stored_id


def noted(messages: Iterable[BaseMessage]) -> Seen:
    """Return what is to be remembered of messages that come from the store."""
    return {
        identified(message): (_STORED if _is_said(message) else _LEFT_OUT) + fingerprint(message)
        for message in messages
    }


def stored_again(messages: Iterable[BaseMessage], seen: Mapping[str, str]) -> Seen:
    """Return what is to be remembered of stored messages whose words have changed, but not anew."""
    return {
        uuid: _mark(_STORED, fingerprint(message), stored_as(seen[uuid]))
        for message in messages
        if seen.get(uuid := identified(message), "").startswith(_STORED)
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
