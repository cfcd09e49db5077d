"""Making vectors, and indexing for searches by words, in advance."""

import sys
from collections.abc import Callable

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.store import Call, Store
from langchain_zepstore.core.validation import checked_id
from langchain_zepstore.errors import BadRequestError

Progress = Callable[[int, int], object]
"""Called with how many messages are done, and how many there are."""

_PAGE = 128


def embedding(session_id: str | None, user_id: str | None, progress: Progress | bool) -> Call[int]:
    """Return the call that makes the vectors that messages lack, and returns how many it made.

    Raises:
        BadRequestError: An argument cannot be used.
    """
    if session_id is not None:
        checked_id(session_id, "session_id")
    if user_id is not None:
        checked_id(user_id, "user_id")
    if not (isinstance(progress, bool) or callable(progress)):
        raise BadRequestError("progress must be a bool or callable")
    report = _shown if progress is True else progress

    def operation(store: Store) -> Operation[int]:
        page = yield from store.search.embed(session_id, user_id, None, _PAGE)
        total, seen, made = page.total, page.seen, page.made
        while True:
            if report:
                report(seen, max(total, seen))
            if page.cursor is None:
                return made
            page = yield from store.search.embed(session_id, user_id, page.cursor, _PAGE)
            seen += page.seen
            made += page.made

    return operation


def indexing(session_id: str | None, user_id: str | None) -> Call[int]:
    """Return the call that indexes messages that no search by words has met, and counts them.

    Raises:
        BadRequestError: An id cannot be one.
    """
    if session_id is not None:
        checked_id(session_id, "session_id")
    if user_id is not None:
        checked_id(user_id, "user_id")

    def operation(store: Store) -> Operation[int]:
        total = 0
        while indexed := (yield from store.search.index(session_id, user_id)):
            total += indexed
        return total

    return operation


def _shown(done: int, total: int) -> None:
    end = "\n" if done == total else ""
    print(f"\r{done:,} of {total:,} messages", end=end, file=sys.stderr)  # noqa: T201 - asked for
