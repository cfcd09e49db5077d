"""``client.memory``: the session manager."""

from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import datetime
from typing import Any

from langchain_zepstore.checks import checked_count, checked_id, checked_paths
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.managers.embedding import Progress, embedding
from langchain_zepstore.managers.runner import Call, Runner
from langchain_zepstore.managers.searching import searching, searching_session
from langchain_zepstore.managers.summarizing import PROMPT, Model, summarizing
from langchain_zepstore.models import (
    Memory,
    MemorySearchPayload,
    MemorySearchResult,
    Session,
    SessionPage,
    Summary,
)
from langchain_zepstore.running import Page, apages, pages
from langchain_zepstore.store import Listing


class MemoryManager:
    """Sessions and their memories: ``client.memory``."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

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
        return self._runner.run(_listing(limit, cursor, user_id, metadata, include_deleted))

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
        return await self._runner.arun(_listing(limit, cursor, user_id, metadata, include_deleted))

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
        fetch = _Pages(chunk_size, user_id, metadata, include_deleted)
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
        fetch = _Pages(chunk_size, user_id, metadata, include_deleted)
        return apages(lambda cursor: self._runner.arun(fetch(cursor)))

    def recent_sessions(
        self, limit: int = 20, cursor: str | None = None, *, user_id: str | None = None
    ) -> SessionPage:
        """Return the most recently active sessions first: what a chat's sidebar shows.

        A session is active when a message is added to it, or when it is created; not when it is
        renamed. From page to page, no session that stays as it is comes twice or is missed; one
        that becomes active meanwhile moves to the front.

        Args:
            limit: How many at most, at least 1.
            cursor: ``next_cursor`` of the page before; opaque.
            user_id: Only this user's.

        Raises:
            BadRequestError: An argument is out of range, or the cursor is not one of these.
            StoreUnavailableError: The database cannot be reached.
        """
        page = self._runner.run(_recent(limit, cursor, user_id))
        return SessionPage(sessions=page.items, next_cursor=page.cursor)

    async def arecent_sessions(
        self, limit: int = 20, cursor: str | None = None, *, user_id: str | None = None
    ) -> SessionPage:
        """Return the most recently active sessions first; see ``recent_sessions``."""
        page = await self._runner.arun(_recent(limit, cursor, user_id))
        return SessionPage(sessions=page.items, next_cursor=page.cursor)

    def add_memory(self, session_id: str, memory: Memory) -> str:
        """Add messages at the end of a session, which comes into being with its first ones.

        The messages of one call stand together, in their order, whoever else adds. When the call
        returns they are durable. A message whose id the session has already replaces that one in
        its place, so repeating a call whose messages have ids is harmless; of an id that comes
        twice in one call the last wins. The models passed in are not changed.

        Args:
            session_id: The session's id.
            memory: The messages, any number; its metadata is merged into the session's.

        Returns:
            ``"OK"``, as Zep.

        Raises:
            BadRequestError: An id, or something in the messages, cannot be stored; nothing is.
            StoreUnavailableError: The database cannot be reached; some of the messages may have
                been stored.
        """
        call = _adding(session_id, memory)
        self._runner.run(call)
        return "OK"

    async def aadd_memory(self, session_id: str, memory: Memory) -> str:
        """Add messages at the end of a session; see ``add_memory``."""
        call = _adding(session_id, memory)
        await self._runner.arun(call)
        return "OK"

    def get_memory(self, session_id: str, lastn: int | None = None) -> Memory:
        """Return the messages of a session, oldest first, in the order in which they were added.

        With them comes the session's summary, if ``summarize`` has made one.

        Args:
            session_id: The session's id.
            lastn: Return the last so many; without it, all of them. (Zep cuts at 12 then.)

        Returns:
            The memory; an empty one for a session that does not exist or is deleted, as Zep.

        Raises:
            BadRequestError: The id cannot be one, or ``lastn`` is below 0.
            StoreUnavailableError: The database cannot be reached.
        """
        return self._runner.run(_reading(session_id, lastn))

    async def aget_memory(self, session_id: str, lastn: int | None = None) -> Memory:
        """Return the messages of a session, oldest first; see ``get_memory``."""
        return await self._runner.arun(_reading(session_id, lastn))

    def delete_memory(self, session_id: str) -> str:
        """Soft-delete a session and its messages.

        When it returns, no read shows a message that was there when it began. One that is added
        meanwhile is not lost: it keeps the session alive. What is deleted can be brought back with
        ``undelete_session`` until the database purges it, after the retention.

        Args:
            session_id: The session's id.

        Returns:
            ``"OK"``, as Zep.

        Raises:
            BadRequestError: The id cannot be one.
            NotFoundError: There is no such session, or it is deleted already, as Zep.
            StoreUnavailableError: The database cannot be reached; repeating the call completes it.
        """
        session_id = checked_id(session_id, "session_id")
        self._runner.run(lambda store: store.deletion.delete_session(session_id))
        return "OK"

    async def adelete_memory(self, session_id: str) -> str:
        """Soft-delete a session and its messages; see ``delete_memory``."""
        session_id = checked_id(session_id, "session_id")
        await self._runner.arun(lambda store: store.deletion.delete_session(session_id))
        return "OK"

    def undelete_session(self, session_id: str) -> Session:
        """Bring back a session and the messages that its last deletion took, in their old places.

        Also when an add has revived the session since: what was added then stays, behind them.
        Messages that were deleted one by one stay deleted.

        Args:
            session_id: The session's id.

        Returns:
            The session.

        Raises:
            BadRequestError: The id cannot be one.
            NotFoundError: There is nothing to bring back, or it is purged.
            StoreUnavailableError: The database cannot be reached; repeating the call completes it.
        """
        session_id = checked_id(session_id, "session_id")
        return self._runner.run(lambda store: store.deletion.undelete_session(session_id))

    async def aundelete_session(self, session_id: str) -> Session:
        """Bring back a session and the messages of its last deletion; see ``undelete_session``."""
        session_id = checked_id(session_id, "session_id")
        return await self._runner.arun(lambda store: store.deletion.undelete_session(session_id))

    def search_memory(
        self, session_id: str, search_payload: MemorySearchPayload, limit: int | None = None
    ) -> list[MemorySearchResult]:
        """Search a session, as zep-python asks for it; see ``search``.

        Args:
            session_id: The session's id.
            search_payload: What to look for.
            limit: How many at most; 10 without it, as Zep.

        Returns:
            What matches best, the best first; nothing in a session that does not exist or is
            deleted.

        Raises:
            BadRequestError: There is nothing to look for, or something asked for cannot be done.
            StoreUnavailableError: The database cannot be reached.
        """
        return self._runner.run(searching_session(session_id, search_payload, limit))

    async def asearch_memory(
        self, session_id: str, search_payload: MemorySearchPayload, limit: int | None = None
    ) -> list[MemorySearchResult]:
        """Search a session; see ``search_memory``."""
        return await self._runner.arun(searching_session(session_id, search_payload, limit))

    def search(
        self,
        text: str | None = None,
        *,
        session_id: str | None = None,
        user_id: str | None = None,
        limit: int = 10,
        search_type: str | None = None,
        search_scope: str | None = None,
        metadata: dict[str, Any] | None = None,
        where: dict[str, Any] | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        mmr_lambda: float | None = None,
        similarity_weight: float | None = None,
        syntax: bool = False,
    ) -> list[MemorySearchResult]:
        """Search a session, or all sessions of a user.

        By ``text``, words match in any form of theirs (``walked`` finds ``walking``), and what
        stands beside a message counts too. The first such search in a database makes the index for
        it, which takes a while where there are many messages. By ``similarity``, messages match
        that mean the same; those that have no vector yet get one, which takes a while too (see
        ``embed``). ``mmr`` chooses among the most similar ones those that are unlike each other,
        and ``hybrid`` ranks what either finds by both. Without a text, what is left to
        choose from comes, the newest first.

        Args:
            text: What to look for. It is never syntax, unless ``syntax`` is set.
            session_id: Where; this or ``user_id`` is needed.
            user_id: In all sessions of this user; with a session, only if it is the user's.
            limit: How many at most, at least 1; for ``mmr`` at most 1,000.
            search_type: ``text``, ``similarity``, ``mmr`` or ``hybrid``. Without it ``similarity``
                if the store has embeddings, else ``text``.
            search_scope: ``messages``, or ``summary`` for the summaries of sessions.
            metadata: Only what has metadata that holds at least this, as for ``list_sessions``.
            where: Only what has metadata that is so, as Zep says it: ``{"jsonpath": '$[*] ? (@.foo
                == "bar")'}``, ``{"and": […]}`` or ``{"or": […]}``.
            start_date: Only what was said then or later; a naive one is taken as UTC.
            end_date: Only what was said then or before.
            mmr_lambda: Between relevance (1) and variety (0); 0.5 without it, as Zep.
            similarity_weight: In a hybrid search, what the best similarity is worth, of the best
                score by words; 0.3 without it.
            syntax: In a search by text, quotes ask for phrases and a minus leaves out a word.

        Returns:
            What matches best, the best first, in an order that is the same each time. ``score`` and
            ``dist`` are the same: a cosine, or a number that is comparable within one search only.

        Raises:
            BadRequestError: An argument is missing, out of range or of the wrong type; or the store
                has no embeddings.
            StoreUnavailableError: The database cannot be reached.
            APIError: The embeddings gave something else than vectors of one length.
        """
        return self._runner.run(
            searching(
                text,
                session_id=session_id,
                user_id=user_id,
                limit=limit,
                search_type=search_type,
                search_scope=search_scope,
                metadata=metadata,
                where=where,
                start_date=start_date,
                end_date=end_date,
                mmr_lambda=mmr_lambda,
                similarity_weight=similarity_weight,
                syntax=syntax,
            )
        )

    async def asearch(
        self,
        text: str | None = None,
        *,
        session_id: str | None = None,
        user_id: str | None = None,
        limit: int = 10,
        search_type: str | None = None,
        search_scope: str | None = None,
        metadata: dict[str, Any] | None = None,
        where: dict[str, Any] | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        mmr_lambda: float | None = None,
        similarity_weight: float | None = None,
        syntax: bool = False,
    ) -> list[MemorySearchResult]:
        """Search a session, or all sessions of a user; see ``search``."""
        return await self._runner.arun(
            searching(
                text,
                session_id=session_id,
                user_id=user_id,
                limit=limit,
                search_type=search_type,
                search_scope=search_scope,
                metadata=metadata,
                where=where,
                start_date=start_date,
                end_date=end_date,
                mmr_lambda=mmr_lambda,
                similarity_weight=similarity_weight,
                syntax=syntax,
            )
        )

    def embed(
        self,
        *,
        session_id: str | None = None,
        user_id: str | None = None,
        progress: Progress | bool = False,
    ) -> int:
        """Make the vectors for searching by meaning in advance, for the messages that lack them.

        A search makes them too, of what it searches; never does a chat turn. What is done stays
        done: a repeated call goes on where the last one was stopped.

        Args:
            session_id: Only a session's.
            user_id: Only those of a user's sessions. Without either, of all messages.
            progress: ``True`` shows it on stderr; a callable is called with how many messages are
                done, and how many there are.

        Returns:
            How many were made.

        Raises:
            BadRequestError: The store has no embeddings, or an id cannot be one.
            StoreUnavailableError: The database cannot be reached.
            APIError: The embeddings gave something else than vectors of one length.
        """
        return self._runner.run(embedding(session_id, user_id, progress))

    async def aembed(
        self,
        *,
        session_id: str | None = None,
        user_id: str | None = None,
        progress: Progress | bool = False,
    ) -> int:
        """Make the vectors for searching by meaning in advance; see ``embed``."""
        return await self._runner.arun(embedding(session_id, user_id, progress))

    def summarize(
        self, session_id: str, llm: Model, *, prompt: str = PROMPT, keep_last: int = 0
    ) -> Summary | None:
        """Bring a session's summary up to date: only what is new since the last is read.

        The summary is stored with the session, is deleted and undeleted with it, is returned by
        ``get_memory`` and found by a search with the scope ``summary``. The messages stay. A long
        session is summed up in parts, each stored: a repeated call goes on where the last one was
        stopped. A message that is deleted, or changed, after it was summed up stays in the summary.

        Args:
            session_id: The session's id.
            llm: A LangChain chat model.
            prompt: What the model is told to do; it then gets the summary so far and the messages.
            keep_last: How many of the last messages to leave for the next summary.

        Returns:
            The summary; ``None`` if nothing was said yet.

        Raises:
            BadRequestError: An argument cannot be used.
            NotFoundError: There is no such session, or it is deleted.
            APIError: The model gave no text.
            StoreUnavailableError: The database cannot be reached.
        """
        return self._runner.run(
            summarizing(session_id, llm, prompt, keep_last, asynchronously=False)
        )

    async def asummarize(
        self, session_id: str, llm: Model, *, prompt: str = PROMPT, keep_last: int = 0
    ) -> Summary | None:
        """Bring a session's summary up to date; see ``summarize``."""
        return await self._runner.arun(
            summarizing(session_id, llm, prompt, keep_last, asynchronously=True)
        )


def _adding(session_id: str, memory: Memory) -> Call[None]:
    session_id = checked_id(session_id, "session_id")
    if not isinstance(memory, Memory):
        raise BadRequestError(f"memory must be a Memory, not {type(memory).__name__}")
    return lambda store: store.messages.add(session_id, memory)


def _reading(session_id: str, lastn: int | None) -> Call[Memory]:
    session_id = checked_id(session_id, "session_id")
    if lastn is not None:
        lastn = checked_count(lastn, "lastn")
    return lambda store: store.messages.memory(session_id, lastn)


def _checked_session(session: Session) -> Session:
    if not isinstance(session, Session):
        raise BadRequestError(f"session must be a Session, not {type(session).__name__}")
    checked_id(session.session_id, "session.session_id")
    if session.user_id is not None:
        checked_id(session.user_id, "session.user_id")
    return session


def _creating(session: Session) -> Call[Session]:
    checked = _checked_session(session)
    return lambda store: store.sessions.create(checked)


def _updating(session: Session, unset: Iterable[Iterable[str]]) -> Call[Session]:
    checked, paths = _checked_session(session), checked_paths(unset, "unset")
    return lambda store: store.sessions.update(checked, paths)


def _checked_listing(
    user_id: str | None, metadata: dict[str, Any] | None, include_deleted: bool
) -> Listing:
    if user_id is not None:
        user_id = checked_id(user_id, "user_id")
    if metadata is not None and not isinstance(metadata, dict):
        raise BadRequestError(f"metadata must be a dict, not {type(metadata).__name__}")
    return Listing(user_id, metadata, bool(include_deleted))


def _listing(
    limit: int | None,
    cursor: int | None,
    user_id: str | None,
    metadata: dict[str, Any] | None,
    include_deleted: bool,
) -> Call[list[Session]]:
    listing = _checked_listing(user_id, metadata, include_deleted)
    most = 0 if limit is None else checked_count(limit, "limit", least=1)
    after = 0 if cursor is None else checked_count(cursor, "cursor")
    return lambda store: store.sessions.listed(listing, most, after)


class _Pages:
    def __init__(
        self,
        chunk_size: int,
        user_id: str | None,
        metadata: dict[str, Any] | None,
        include_deleted: bool,
    ) -> None:
        self._limit = checked_count(chunk_size, "chunk_size", least=1)
        self._listing = _checked_listing(user_id, metadata, include_deleted)

    def __call__(self, cursor: Any) -> Call[Page[Session]]:
        return lambda store: store.sessions.page(self._listing, self._limit, cursor)


def _recent(limit: int, cursor: str | None, user_id: str | None) -> Call[Page[Session]]:
    limit = checked_count(limit, "limit", least=1)
    if cursor is not None and not isinstance(cursor, str):
        raise BadRequestError(f"cursor must be a str, not {type(cursor).__name__}")
    if user_id is not None:
        user_id = checked_id(user_id, "user_id")
    return lambda store: store.sessions.recent(limit, cursor, user_id)
