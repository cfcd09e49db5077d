"""The operations of a hook: whose session it is, what is stored, how it is called."""

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from inspect import isawaitable, iscoroutine

from langchain_zepstore.core.arguments import SessionDefaults
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.store import Store
from langchain_zepstore.errors import BadRequestError, StoreUnavailableError
from langchain_zepstore.messages.parts import all_from_langchain
from langchain_zepstore.middleware.recorder import Plan
from langchain_zepstore.models import Session

_TITLE = "title"
_logger = logging.getLogger(__name__)


@contextmanager
def tolerance(*, logs: bool) -> Iterator[None]:
    """Let an unreachable store raise, or be logged."""
    try:
        yield
    except StoreUnavailableError:
        if not logs:
            raise
        _logger.warning("the chat history cannot be reached; going on", exc_info=True)


def require_owner(store: Store, session_id: str, user_id: str | None) -> Operation[None]:
    """Raise ``BadRequestError`` if a session, live or deleted, is another user's."""
    if user_id is None:
        return
    session = yield from store.sessions.find(session_id)
    if session is not None and session.user_id not in (None, user_id):
        raise BadRequestError(f"session {session_id!r} belongs to another user")


def save(store: Store, session_id: str, user_id: str | None, plan: Plan) -> Operation[None]:
    """Store what is new, at the end of a session, and what has changed, in its place."""
    # By default what was deleted would come to life at the end of the session.
    parts = all_from_langchain([*plan.changed, *plan.new])
    yield from store.messages.add(session_id, parts, SessionDefaults(user_id), keep_deleted=True)


def entitle(
    store: Store, session_id: str, title: Callable[[], str | Awaitable[str | None] | None]
) -> Operation[None]:
    """Give a live session a title, unless it has one.

    Raises:
        BadRequestError: The title has to be awaited, and this is no event loop.
    """
    session = yield from store.sessions.find(session_id)
    if session is None or session.deleted_at or (session.metadata or {}).get(_TITLE):
        return
    text = yield title()
    if isawaitable(text):  # only an event loop has awaited it
        if iscoroutine(text):
            text.close()
        raise BadRequestError("title is a coroutine function: use ainvoke or astream")
    if text:
        named = Session(session_id=session_id, metadata={_TITLE: text})
        yield from store.sessions.update(named, ())
