"""The beginning of a run: the last messages of its session, or those before an edited message."""

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage, SystemMessage
from langgraph.types import Overwrite

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.results import Resumption
from langchain_zepstore.core.store import Store
from langchain_zepstore.messages.known_ids import renamed
from langchain_zepstore.messages.langchain import HUMAN_TYPES
from langchain_zepstore.messages.parts import words_of_langchain
from langchain_zepstore.messages.turns import opened
from langchain_zepstore.middleware.recorder import (
    Recorder,
    Seen,
    awaiting,
    awaiting_edit,
    identified,
    is_awaiting,
    is_derived,
    noted,
    stored_again,
    stored_as,
)
from langchain_zepstore.middleware.state import SEEN
from langchain_zepstore.middleware.window import TokenCounter, window


class Beginning:
    """The beginning of a run.

    Args:
        recorder: Says what is stored of a message.
        lastn: How many messages are loaded at most; 0 in the mode ``archive``.
        max_tokens: How many tokens of these at most.
        token_counter: What counts them.
    """

    def __init__(
        self,
        recorder: Recorder,
        lastn: int,
        max_tokens: int | None,
        token_counter: TokenCounter,
    ) -> None:
        self._recorder = recorder
        self._lastn = lastn
        self._max_tokens = max_tokens
        self._token_counter = token_counter

    def resume(
        self,
        store: Store,
        where: tuple[str, str | None],
        messages: Sequence[BaseMessage],
        before: Seen,
        seen: Seen,
    ) -> Operation[dict[str, Any]]:
        """Return the update of a run's state.

        Args:
            store: Where the session is.
            where: The session and its user.
            messages: Those of the state.
            before: What was remembered of them.
            seen: What is to be remembered of them.
        """
        fresh = {
            stored_as(before.get(uuid, "")) or uuid: each
            for each in messages
            if seen[uuid := identified(each)] != before.get(uuid)
            and is_awaiting(seen[uuid])
            and not is_derived(each)
        }
        given = [self._recorder.given(each, uuid) for uuid, each in fresh.items()]
        found = yield from store.branches.resume(
            where[0],
            self._lastn,
            [each for each in given if each is not None],
            start_on=HUMAN_TYPES,
            user_id=where[1],
        )
        new, edited = self._new(fresh, found), found.edited
        if self._lastn:
            shown = self._window(found.messages, list(new.values()))
            # Not what the state held: loaded, a message is as it was stored, perhaps redacted.
            last = found.messages[-1].id if found.messages else None
            again = [new[last]] if last and last in new and found.repeated.get(last) else []
            marks = noted(shown) | awaiting(new.values(), {}) | noted(again)
        elif edited is None:
            again = [each for uuid, each in fresh.items() if found.repeated.get(uuid)]
            return {SEEN: seen | stored_again(again, before)}
        else:
            earlier = _before(messages, fresh[edited], found.previous, before)
            later = list(new.values())[list(new).index(edited) :]
            shown = [*earlier, *later]
            marks = {identified(each): seen[identified(each)] for each in earlier}
            marks |= awaiting(later, {})
        if edited is not None:
            marks[identified(new[edited])] = awaiting_edit(new[edited], edited)
        update: dict[str, Any] = {SEEN: marks}
        if shown != messages:
            # Not by the reducer: what was said long ago would come out of a stream of messages.
            update["messages"] = Overwrite(shown)
        return update

    def _new(self, fresh: Mapping[str, BaseMessage], found: Resumption) -> dict[str, BaseMessage]:
        """Return the input with the ids under which it is stored.

        What stands behind an edited message, and repeats what was said, is left out: it is on the
        branch that the run leaves.
        """
        new = {}
        for uuid, message in fresh.items():
            is_repeated = found.repeated.get(uuid)
            if is_repeated and found.edited in new:
                continue
            new[uuid] = message
            if is_repeated is False and (stored := self._recorder.stored(message)) is not None:
                renamed_id = renamed(uuid, words_of_langchain(stored), None)
                new[uuid] = message.model_copy(update={"id": renamed_id})
        return new

    def _window(self, said: Sequence[BaseMessage], new: Sequence[BaseMessage]) -> list[BaseMessage]:
        again = {each.id for each in new}
        is_whole = len(said) < self._lastn
        if not is_whole:
            said = opened(said, self._lastn, HUMAN_TYPES)
        return window(
            [each for each in said if each.id not in again],
            new,
            is_whole=is_whole,
            max_tokens=self._max_tokens,
            token_counter=self._token_counter,
        )


def _before(
    messages: Sequence[BaseMessage], edited: BaseMessage, previous: str | None, seen: Seen
) -> list[BaseMessage]:
    """Return the messages before an edited one in a state that holds the conversation.

    Args:
        messages: Those of the state.
        edited: The message.
        previous: The id of the stored message before it.
        seen: What was remembered of the messages.
    """
    earlier = list(messages[: messages.index(edited)])
    if previous is None:
        return [each for each in earlier if isinstance(each, SystemMessage)]
    for index, message in enumerate(earlier):
        if previous in {message.id, stored_as(seen.get(identified(message), ""))}:
            return earlier[: index + 1]
    return earlier
