"""Search over messages, and its preparation: vectors, tokens and summaries."""

from datetime import datetime
from typing import Any

from langchain_zepstore.core.search_query import SearchQuery, session_query
from langchain_zepstore.core.store import Call
from langchain_zepstore.managers.base import Manager, arguments_of
from langchain_zepstore.managers.embeddings import Progress, embedding, indexing
from langchain_zepstore.managers.summaries import PROMPT, Model, summarizing
from langchain_zepstore.models import MemorySearchPayload, MemorySearchResult, Summary


class Searches(Manager):
    """The methods of ``client.memory`` for searches."""

    def _query(self, variables: dict[str, Any]) -> SearchQuery:
        named = arguments_of(variables)
        arguments = {name: value for name, value in named.items() if value is not None}
        if self._runner.user_id is not None and "session_id" not in arguments:
            arguments.setdefault("user_id", self._runner.user_id)
        return SearchQuery(**arguments)

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
        return self._runner.run(_finding(session_query(session_id, search_payload, limit)))

    async def asearch_memory(
        self, session_id: str, search_payload: MemorySearchPayload, limit: int | None = None
    ) -> list[MemorySearchResult]:
        """Search a session; see ``search_memory``."""
        return await self._runner.arun(_finding(session_query(session_id, search_payload, limit)))

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
        all_branches: bool = False,
    ) -> list[MemorySearchResult]:
        """Search a session, or all sessions of a user.

        By ``text``, words match in any form of theirs (``walked`` finds ``walking``), and what
        stands beside a message counts too. Where no word matches, beginnings of words do. A search
        indexes the messages that it meets for the first time, for up to about two seconds: of more,
        it finds what is indexed by then (see ``index``). By ``similarity``, messages match
        that mean the same; those that have no vector yet get one, which takes a while too (see
        ``embed``). ``mmr`` chooses among the most similar ones those that are unlike each other,
        and ``hybrid`` ranks what either finds by both. Without a text, what is left to
        choose from comes, the newest first.

        Args:
            text: What to look for. It is never syntax, unless ``syntax`` is set.
            session_id: Where; this or ``user_id`` is needed, but in one user's view.
            user_id: In all sessions of this user; with a session, only if it is the user's.
            limit: How many at most, at least 1; for ``mmr`` at most 1,000.
            search_type: ``text``, ``similarity``, ``mmr`` or ``hybrid``. Without it ``hybrid``
                if the store has embeddings, else ``text``.
            search_scope: ``messages``; ``summary`` for the summaries of sessions; or ``sessions``
                for sessions, by the words of title, tags and summary, among a user's 5,000 most
                recently active ones.
            metadata: Only what has metadata that holds at least this, as for ``list_sessions``.
            where: Only what has metadata that is so, as Zep says it: ``{"jsonpath": '$[*] ? (@.foo
                == "bar")'}``, ``{"and": […]}`` or ``{"or": […]}``.
            start_date: Only what was said then or later; a naive one is taken as UTC.
            end_date: Only what was said then or before.
            mmr_lambda: Between relevance (1) and variety (0); 0.5 without it, as Zep.
            similarity_weight: In a hybrid search, what the best similarity is worth, of the best
                score by words; 0.3 without it.
            syntax: In a search by text, quotes ask for phrases and a minus leaves out a word.
            all_branches: Also what is not on the active branch of its session.

        Returns:
            What matches best, the best first, in an order that is the same each time. ``score`` and
            ``dist`` are the same: a cosine, or a number that is comparable within one search only.

        Raises:
            BadRequestError: An argument is missing, out of range or of the wrong type; or the store
                has no embeddings.
            StoreUnavailableError: The database cannot be reached.
            APIError: The embeddings gave something else than vectors of one length.
        """
        return self._runner.run(_finding(self._query(locals())))

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
        all_branches: bool = False,
    ) -> list[MemorySearchResult]:
        """Search a session, or all sessions of a user; see ``search``."""
        return await self._runner.arun(_finding(self._query(locals())))

    def index(self, *, session_id: str | None = None, user_id: str | None = None) -> int:
        """Index messages for searching by words in advance, those that no search has met yet.

        A search does it too, of what it searches, for up to about two seconds. What is done stays
        done: a repeated call goes on where the last one was stopped.

        Args:
            session_id: Only a session's.
            user_id: Only those of a user's sessions. Without either, all messages.

        Returns:
            How many were indexed.

        Raises:
            BadRequestError: An id cannot be one.
            StoreUnavailableError: The database cannot be reached.
        """
        return self._runner.run(indexing(session_id, user_id))

    async def aindex(self, *, session_id: str | None = None, user_id: str | None = None) -> int:
        """Index messages for searching by words in advance; see ``index``."""
        return await self._runner.arun(indexing(session_id, user_id))

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
        """Bring a session's summary up to date: only messages since the last one are read.

        The summary is stored with the session, is deleted and undeleted with it, is returned by
        ``get_memory`` and found by a search with the scope ``summary``. The messages stay. A long
        session is summed up in parts, each stored: a repeated call goes on where the last one was
        stopped. A message that is deleted, or changed, after it was summed up stays in the summary.

        Args:
            session_id: The session's id.
            llm: A LangChain chat model.
            prompt: What the model is told to do; it then gets the summary so far and the messages.
            keep_last: How many of the last messages to leave for the next summary, up to 1,000.

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


def _finding(query: SearchQuery) -> Call[list[MemorySearchResult]]:
    return lambda store: store.search.find(query)
