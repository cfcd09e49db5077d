"""The operations of a hook: messages are stored, a session gets its title."""

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from inspect import isawaitable, iscoroutine

from langchain_core.messages import BaseMessage

from langchain_zepstore.core.arguments import KnownIds, SessionChanges, SessionDefaults
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.store import Store
from langchain_zepstore.core.validation import MAX_TITLE_CHARACTERS
from langchain_zepstore.errors import BadRequestError, NotFoundError, StoreUnavailableError
from langchain_zepstore.messages.known_ids import log_renamed
from langchain_zepstore.messages.nearest import whole_text
from langchain_zepstore.messages.parts import all_from_langchain
from langchain_zepstore.middleware.recorder import Plan, Seen

_logger = logging.getLogger(__name__)


@contextmanager
def log_unavailable(*, logs: bool) -> Iterator[None]:
    """Log that the store cannot be reached, or let it raise."""
    try:
        yield
    except StoreUnavailableError:
        if not logs:
            raise
        _logger.warning("the chat history cannot be reached; going on", exc_info=True)


def save(
    store: Store, session_id: str, user_id: str | None, plan: Plan, after: str | None = None
) -> Operation[Seen]:
    """Append new messages to a session, and replace changed ones.

    Args:
        store: Where.
        session_id: The session.
        user_id: Whose it becomes, and must be.
        plan: What is stored.
        after: The id of the stored message that was said before.

    Returns:
        What is to be remembered.
    """
    user, changed = SessionDefaults(user_id), list(plan.changed)
    new_ids: dict[str, str] = {}
    branch_of = plan.after
    for edited, messages in plan.parts():
        given = KnownIds(given=plan.given)
        if edited and (yield from _edit(store, (session_id, user), edited, messages[0], given)):
            after = branch_of = messages.pop(0).id
        replacing = frozenset(str(message.id) for message in changed)
        # By default what was deleted would come to life at the end of the session.
        new_ids |= yield from store.messages.add(
            session_id,
            all_from_langchain([*changed, *messages]),
            user,
            keep_deleted=True,
            known_ids=KnownIds(replacing, after, plan.given, branch_of),
        )
        changed = []
        if messages:
            after = branch_of = new_ids.get(str(messages[-1].id), messages[-1].id)
    log_renamed(session_id, new_ids)
    return plan.remembered(new_ids)


def _edit(
    store: Store,
    of: tuple[str, SessionDefaults],
    edited: str,
    message: BaseMessage,
    known_ids: KnownIds,
) -> Operation[bool]:
    """Store a message in the place of the one that it edits; return whether that is there.

    If it is stored already its branch becomes active.
    """
    session_id, user = of
    try:
        yield from store.messages.add(
            session_id,
            all_from_langchain([message]),
            user,
            keep_deleted=True,
            known_ids=known_ids,
            before=edited,
        )
    except NotFoundError:
        return False
    with suppress(NotFoundError):  # it was deleted meanwhile
        yield from store.branches.switch(session_id, str(message.id))
    return True


def set_title(
    store: Store, session_id: str, title: Callable[[], str | Awaitable[str | None] | None]
) -> Operation[None]:
    """Give a live session a title, unless it has one.

    Raises:
        BadRequestError: The title has to be awaited, and this is no event loop.
    """
    session = yield from store.sessions.find(session_id)
    if session is None or session.deleted_at or session.title:
        return
    text = yield title()
    if isawaitable(text):  # only an event loop has awaited it
        if iscoroutine(text):
            text.close()
        raise BadRequestError("title is a coroutine function: use ainvoke or astream")
    if text:
        if isinstance(text, str):
            text = whole_text(text)[:MAX_TITLE_CHARACTERS]
        with suppress(NotFoundError):  # it was deleted meanwhile
            yield from store.sessions.organize(session_id, SessionChanges(title=text))
