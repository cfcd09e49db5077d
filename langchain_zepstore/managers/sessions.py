"""Sessions: created, read, changed, listed, deleted and undeleted."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from langchain_zepstore.core.arguments import (
    UNSET,
    Listing,
    RecentQuery,
    SessionChanges,
    Unset,
    changes_in,
)
from langchain_zepstore.core.operation import Operation, Page, apages, pages
from langchain_zepstore.core.store import Call, Store
from langchain_zepstore.core.validation import checked_count, checked_id, checked_paths
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.managers.base import Manager, arguments_of
from langchain_zepstore.models import Session, SessionPage


class Sessions(Manager):
    """The methods of ``client.memory`` for sessions."""

    def add_session(self, session: Session) -> Session:
        """Create a session.

        A soft-deleted one of that id lives again, with the metadata and user given; its old
        messages stay deleted. (Zep refuses the id until the purge.)

        Args:
            session: Its id, user and metadata; other fields are ignored.

        Returns:
            The session as it is stored.

        Raises:
            AlreadyExistsError: A live session has that id.
            BadRequestError: There is no such user, or something cannot be stored.
            StoreUnavailableError: The database cannot be reached.
        """
        return self._runner.run(_creating(session))

    async def aadd_session(self, session: Session) -> Session:
        """Create a session; see ``add_session``."""
        return await self._runner.arun(_creating(session))

    def get_session(self, session_id: str) -> Session:
        """Return a session.

        Raises:
            BadRequestError: The id cannot be one.
            NotFoundError: There is no such session, or it is deleted.
            StoreUnavailableError: The database cannot be reached.
        """
        session_id = checked_id(session_id, "session_id")
        return self._runner.run(lambda store: store.sessions.get(session_id))

    async def aget_session(self, session_id: str) -> Session:
        """Return a session; see ``get_session``."""
        session_id = checked_id(session_id, "session_id")
        return await self._runner.arun(lambda store: store.sessions.get(session_id))

    def update_session(self, session: Session, *, unset: Iterable[Iterable[str]] = ()) -> Session:
        """Merge metadata into a session's, in one atomic update, as Zep does.

        Maps merge recursively; lists are replaced whole; ``None`` is stored; an empty map over a
        map changes nothing; a map and anything else replace each other. What stands under
        ``system`` at the top is left out. Keys are data, with dots and dollars too. A deleted
        session is undeleted, without its messages.

        Args:
            session: Its id and the metadata to merge; ``None`` merges nothing. A user is assigned
                if the session has none.
            unset: Paths of keys to remove afterwards, such as ``[("key",), ("outer", "a.b")]``.

        Returns:
            The session as it is then.

        Raises:
            BadRequestError: The session belongs to another user, there is no such user, the
                metadata nests more than 16 maps, or cannot be stored.
            NotFoundError: There never was such a session.
            StoreUnavailableError: The database cannot be reached; repeating the call is harmless.
        """
        return self._runner.run(_updating(session, unset))

    async def aupdate_session(
        self, session: Session, *, unset: Iterable[Iterable[str]] = ()
    ) -> Session:
        """Merge metadata into a session's; see ``update_session``."""
        return await self._runner.arun(_updating(session, unset))

    def list_sessions(
        self,
        limit: int | None = None,
        cursor: int | None = None,
        *,
        user_id: str | None = None,
        metadata: dict[str, Any] | None = None,
        include_deleted: bool = False,
    ) -> list[Session]:
        """Return sessions by their ``id``, which is the order of their creation.

        Args:
            limit: How many at most, at least 1; without it, all of them.
            cursor: The ``id`` after which to begin: that of the last session of the page before.
            user_id: Only this user's.
            metadata: Only those whose metadata holds at least this: maps match key by key,
                everything else must be equal. Keys are data, never operators.
            include_deleted: Also the soft-deleted ones.

        Raises:
            BadRequestError: An argument is out of range or of the wrong type.
            StoreUnavailableError: The database cannot be reached.
        """
        return self._runner.run(
            _listing(limit, cursor, Listing(user_id, metadata, include_deleted))
        )

    async def alist_sessions(
        self,
        limit: int | None = None,
        cursor: int | None = None,
        *,
        user_id: str | None = None,
        metadata: dict[str, Any] | None = None,
        include_deleted: bool = False,
    ) -> list[Session]:
        """Return sessions by their ``id``; see ``list_sessions``."""
        return await self._runner.arun(
            _listing(limit, cursor, Listing(user_id, metadata, include_deleted))
        )

    def list_all_sessions(
        self,
        chunk_size: int = 100,
        *,
        user_id: str | None = None,
        metadata: dict[str, Any] | None = None,
        include_deleted: bool = False,
    ) -> Iterator[list[Session]]:
        """Yield all sessions, in lists of up to ``chunk_size``, by their ``id``, in flat memory.

        A session that lives throughout comes exactly once; one that is created, deleted or
        undeleted meanwhile at most once. (zep-python repeats some where ids have gaps.)

        Args:
            chunk_size: How many at once, at least 1.
            user_id: As for ``list_sessions``.
            metadata: As for ``list_sessions``.
            include_deleted: As for ``list_sessions``.

        Raises:
            BadRequestError: An argument is out of range or of the wrong type.
            StoreUnavailableError: The database cannot be reached.
        """
        fetch = _paging(chunk_size, Listing(user_id, metadata, include_deleted))
        return pages(lambda cursor: self._runner.run(fetch(cursor)))

    def alist_all_sessions(
        self,
        chunk_size: int = 100,
        *,
        user_id: str | None = None,
        metadata: dict[str, Any] | None = None,
        include_deleted: bool = False,
    ) -> AsyncIterator[list[Session]]:
        """Yield all sessions, in lists of up to ``chunk_size``; see ``list_all_sessions``."""
        fetch = _paging(chunk_size, Listing(user_id, metadata, include_deleted))
        return apages(lambda cursor: self._runner.arun(fetch(cursor)))

    def organize_session(
        self,
        session_id: str,
        *,
        title: str | Unset | None = UNSET,
        pinned: bool | Unset = UNSET,
        archived: bool | Unset = UNSET,
        tags: list[str] | Unset = UNSET,
        metadata: dict[str, Any] | Unset = UNSET,
    ) -> Session:
        """Change a session's place in a list, in one atomic update.

        What is not given stays. The session keeps its place among the recent ones, and a deleted
        one is not undeleted.

        Args:
            session_id: The session's id.
            title: Its title, up to 1,000 characters; ``None`` clears it.
            pinned: Whether it is pinned.
            archived: Whether it is archived.
            tags: Its tags, in place of the old ones: up to 100, of up to 1 kB.
            metadata: Merged into its metadata, as by ``update_session``.

        Returns:
            The session as it is then.

        Raises:
            BadRequestError: An argument cannot be stored.
            NotFoundError: There is no such session, or it is deleted.
            StoreUnavailableError: The database cannot be reached; repeating the call is harmless.
        """
        return self._runner.run(_organizing(**locals()))

    async def aorganize_session(
        self,
        session_id: str,
        *,
        title: str | Unset | None = UNSET,
        pinned: bool | Unset = UNSET,
        archived: bool | Unset = UNSET,
        tags: list[str] | Unset = UNSET,
        metadata: dict[str, Any] | Unset = UNSET,
    ) -> Session:
        """Change a session's place in a list; see ``organize_session``."""
        return await self._runner.arun(_organizing(**locals()))

    def recent_sessions(
        self,
        limit: int = 20,
        cursor: str | None = None,
        *,
        user_id: str | None = None,
        archived: bool | None = None,
        pinned: bool | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        deleted: bool = False,
        preview: bool = False,
        content_limit: int | None = None,
    ) -> SessionPage:
        """Return the most recently active sessions first, as a chat's sidebar shows them.

        A session is active when a message is added to it, or when it is created; not when it is
        renamed. From page to page, no session that stays as it is comes twice or is missed; one
        that becomes active meanwhile moves to the front.

        Args:
            limit: How many at most, at least 1.
            cursor: ``next_cursor`` of the page before; opaque.
            user_id: Only this user's.
            archived: Only archived ones, or only others.
            pinned: Only pinned ones, or only others.
            tags: Only those that have all of these.
            metadata: Only those whose metadata contains this, as for ``list_sessions``.
            since: Only those that were active then or later; a naive one is taken as UTC.
            until: Only those that were last active then or before.
            deleted: The trash instead: soft-deleted sessions, the last deleted first.
            preview: Also the ``message_count``, up to 1,000, and the ``last_message`` of each.
            content_limit: Of a ``last_message`` of more bytes only the beginning, as for
                ``client.message.window``; of ``metadata`` of more bytes only the title.

        Raises:
            BadRequestError: An argument is out of range, or the cursor is not one of these.
            StoreUnavailableError: The database cannot be reached.
        """
        return self._runner.run(_recent(RecentQuery(**arguments_of(locals()))))

    async def arecent_sessions(
        self,
        limit: int = 20,
        cursor: str | None = None,
        *,
        user_id: str | None = None,
        archived: bool | None = None,
        pinned: bool | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        deleted: bool = False,
        preview: bool = False,
        content_limit: int | None = None,
    ) -> SessionPage:
        """Return the most recently active sessions first; see ``recent_sessions``."""
        return await self._runner.arun(_recent(RecentQuery(**arguments_of(locals()))))


def _checked_session(session: Session) -> Session:
    if not isinstance(session, Session):
        raise BadRequestError(f"session must be a Session, not {type(session).__name__}")
    checked_id(session.session_id, "session.session_id")
    if session.user_id is not None:
        checked_id(session.user_id, "session.user_id")
    changes_in(session)
    return session


def _creating(session: Session) -> Call[Session]:
    checked = _checked_session(session)
    return lambda store: store.sessions.create(checked)


def _updating(session: Session, unset: Iterable[Iterable[str]]) -> Call[Session]:
    checked, paths = _checked_session(session), checked_paths(unset, "unset")
    return lambda store: store.sessions.update(checked, paths)


def _listing(limit: int | None, cursor: int | None, listing: Listing) -> Call[list[Session]]:
    most = 0 if limit is None else checked_count(limit, "limit", least=1)
    after = 0 if cursor is None else checked_count(cursor, "cursor")
    return lambda store: store.sessions.listed(listing, most, after)


def _paging(chunk_size: int, listing: Listing) -> Callable[[Any], Call[Page[Session]]]:
    limit = checked_count(chunk_size, "chunk_size", least=1)
    return lambda cursor: lambda store: store.sessions.page(listing, limit, cursor)


def _organizing(self: Manager, session_id: str, **fields: Any) -> Call[Session]:  # noqa: ARG001
    session_id, changes = checked_id(session_id, "session_id"), SessionChanges(**fields)
    return lambda store: store.sessions.organize(session_id, changes)


def _recent(query: RecentQuery) -> Call[SessionPage]:
    def operation(store: Store) -> Operation[SessionPage]:
        page = yield from store.sessions.recent(query)
        return SessionPage(sessions=page.items, next_cursor=page.cursor)

    return operation
