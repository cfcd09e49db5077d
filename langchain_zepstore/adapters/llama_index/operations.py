"""Operations of the stores on a session, for ``client.run`` and ``client.arun``."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, TypeVar

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.storage.chat_store.base_db import MessageStatus

from langchain_zepstore.adapters._items import RawSession
from langchain_zepstore.adapters.llama_index.messages import (
    KEY,
    all_to_llama_index,
    from_llama_index,
    one_to_llama_index,
    status_of,
    to_llama_index,
)
from langchain_zepstore.core.arguments import Listing
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.store import Call, Store
from langchain_zepstore.core.validation import checked_count
from langchain_zepstore.errors import NotFoundError
from langchain_zepstore.messages.nearest import Nearest
from langchain_zepstore.models import Message

T = TypeVar("T")

_CHUNK = 1000


def having(session: RawSession, status: MessageStatus | None) -> Call[list[Message]]:
    """Return the messages of a status; all of them for ``None``."""

    def operation(store: Store) -> Operation[list[Message]]:
        found = yield from session.reading()(store)
        return [each for each in found if status in (None, status_of(each))]

    return operation


def adding(
    session: RawSession, messages: list[ChatMessage], status: MessageStatus = MessageStatus.ACTIVE
) -> Call[Any]:
    """Add messages at the end."""
    nearest = Nearest()
    return session.adding(from_llama_index(messages, nearest, status), nearest)


def setting(
    session: RawSession, messages: list[ChatMessage], status: MessageStatus = MessageStatus.ACTIVE
) -> Call[None]:
    """Replace the messages; those at the beginning that stay the same stay as they are."""
    nearest = Nearest()
    wanted = from_llama_index(messages, nearest, status)  # an error before anything is deleted

    def operation(store: Store) -> Operation[None]:
        stored = yield from session.reading()(store)
        same = 0
        for one, other in zip(stored, wanted, strict=False):
            if status_of(one) != status or to_llama_index(one) != to_llama_index(other):
                break
            same += 1
        if same:
            yield from _deleting(store, session, stored[same:])
        else:
            yield from session.clearing()(store)
        yield from session.adding(wanted[same:], nearest)(store)

    return operation


def clearing(session: RawSession) -> Call[list[ChatMessage] | None]:
    """Soft-delete the session; return its messages, ``None`` if there is no session."""

    def operation(store: Store) -> Operation[list[ChatMessage] | None]:
        found = yield from session.reading()(store)
        try:
            yield from store.deletion.delete_session(session.session_id, session.user_id)
        except NotFoundError:
            return None
        return all_to_llama_index(found)

    return operation


def removing(session: RawSession, idx: int) -> Call[ChatMessage | None]:
    """Soft-delete the message at an index, and return it; ``None`` if there is none."""
    place = checked_count(idx, "idx", least=-(2**62))

    def operation(store: Store) -> Operation[ChatMessage | None]:
        if place >= 0:
            found = yield from store.messages.numbered_page(
                session.session_id, 1, place + 1, user_id=session.user_id
            )
        else:
            found = yield from session.reading(-place)(store)
            found = found[:1] if len(found) == -place else []
        found = yield from _deleting(store, session, found)
        return one_to_llama_index(found[0] if found else None)

    return operation


def removing_oldest(
    session: RawSession, status: MessageStatus, n: int | None = None
) -> Call[list[Message]]:
    """Soft-delete the first ``n`` messages of a status, or all of them, and return them."""

    def operation(store: Store) -> Operation[list[Message]]:
        found = yield from having(session, status)(store)
        return (yield from _deleting(store, session, found if n is None else found[: max(n, 0)]))

    return operation


def _deleting(
    store: Store, session: RawSession, messages: Iterable[Message]
) -> Operation[list[Message]]:
    deleted = []
    for message in messages:
        with suppress(NotFoundError):  # somebody else has
            yield from store.deletion.delete_message(session.session_id, str(message.uuid))
            deleted.append(message)
    return deleted


def archiving(session: RawSession, n: int) -> Call[list[Message]]:
    """Mark the first ``n`` active messages as archived, and return them."""
    mark = {KEY: {"status": MessageStatus.ARCHIVED.value}}

    def operation(store: Store) -> Operation[list[Message]]:
        found = yield from having(session, MessageStatus.ACTIVE)(store)
        oldest = found[: max(n, 0)]
        for message in oldest:
            with suppress(NotFoundError):  # somebody has deleted it
                yield from store.messages.update(
                    session.session_id, str(message.uuid), metadata=mark
                )
        return oldest

    return operation


def listing(user_id: str | None) -> Call[list[str]]:
    """Return the ids of live sessions, or of a user's, in the order of their creation."""

    def operation(store: Store) -> Operation[list[str]]:
        keys: list[str] = []
        cursor = None
        while True:
            page = yield from store.sessions.page(Listing(user_id=user_id), _CHUNK, cursor)
            keys += [session.session_id for session in page.items]
            if (cursor := page.cursor) is None:
                return keys

    return operation
