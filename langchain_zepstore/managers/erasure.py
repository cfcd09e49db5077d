"""Erasing a session or a user, with the threads of a LangGraph checkpointer."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from langchain_zepstore.core.arguments import Listing
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.store import Call, Store
from langchain_zepstore.core.validation import checked_bool, checked_id
from langchain_zepstore.errors import BadRequestError

if TYPE_CHECKING:
    from langchain_zepstore.core.results import ErasurePage

_SESSIONS_PAGE_SIZE = 1000

Counts = dict[str, int]


class Threads:
    """The threads of a LangGraph checkpointer that have sessions' ids.

    Args:
        checkpointer: The checkpointer; ``None`` for none.
        is_async: Whether its asynchronous methods are called.

    Raises:
        BadRequestError: It cannot delete threads.
    """

    def __init__(self, checkpointer: Any, *, is_async: bool) -> None:
        self._delete = "adelete_thread" if is_async else "delete_thread"
        if checkpointer is not None and not callable(getattr(checkpointer, self._delete, None)):
            raise BadRequestError(
                f"checkpointer must be a LangGraph checkpointer with {self._delete}, "
                f"not {type(checkpointer).__name__}"
            )
        self._checkpointer = checkpointer
        self._is_async = is_async

    def erase(self, session_ids: Iterator[str], *, dry_run: bool) -> Operation[int]:
        """Delete the threads of these ids, and return how many there were."""
        count = 0
        for session_id in session_ids:
            count += yield from self._erase(session_id, dry_run=dry_run)
        return count

    def _erase(self, thread_id: str, *, dry_run: bool) -> Operation[int]:
        checkpointer: Any = self._checkpointer
        config = {"configurable": {"thread_id": thread_id}}
        if self._is_async:
            found = yield anext(checkpointer.alist(config, limit=1), None)
        else:
            found = next(iter(checkpointer.list(config, limit=1)), None)
        if not dry_run:  # also without checkpoints: a thread may have writes of its first step
            try:
                yield getattr(checkpointer, self._delete)(thread_id)
            except NotImplementedError as error:
                raise BadRequestError(
                    f"{type(checkpointer).__name__} cannot delete threads"
                ) from error
        return int(found is not None)

    def __bool__(self) -> bool:
        return self._checkpointer is not None


def erase_session(
    session_id: str, dry_run: bool, threads: Threads, *, is_view: bool
) -> Call[Counts]:
    """Return the operation that erases a session; in a view, with threads of its messages."""
    session_id, dry_run = checked_id(session_id, "session_id"), checked_bool(dry_run, "dry_run")

    def operation(store: Store) -> Operation[Counts]:
        deleted = 0
        if threads and not (is_view and (yield from store.sessions.find(session_id)) is None):
            deleted = yield from threads.erase(iter([session_id]), dry_run=dry_run)
        counts = yield from _each_step(
            lambda cursor: store.deletion.erase_session(session_id, cursor, dry_run=dry_run)
        )
        return counts | {"threads": deleted} if threads else counts

    return operation


def erase_user(user_id: str, dry_run: bool, threads: Threads) -> Call[Counts]:
    """Return the operation that erases a user."""
    user_id, dry_run = checked_id(user_id, "user_id"), checked_bool(dry_run, "dry_run")

    def operation(store: Store) -> Operation[Counts]:
        deleted, cursor = 0, None
        while threads:
            page = yield from store.sessions.page(
                Listing(user_id, include_deleted=True), _SESSIONS_PAGE_SIZE, cursor
            )
            ids = (session.session_id for session in page.items)
            deleted += yield from threads.erase(ids, dry_run=dry_run)
            if (cursor := page.cursor) is None:
                break
        counts = yield from _each_step(
            lambda cursor: store.deletion.erase_user(user_id, cursor, dry_run=dry_run)
        )
        return counts | {"threads": deleted} if threads else counts

    return operation


def _each_step(take: Callable[[str | None], "Operation[ErasurePage]"]) -> Operation[Counts]:
    total: Counts = {}
    cursor = None
    while True:
        page = yield from take(cursor)
        total = {name: total.get(name, 0) + count for name, count in page.counts.items()}
        if (cursor := page.cursor) is None:
            return total
