"""``ZepChatMessageHistory``: a session as LangChain's chat history."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import BaseMessage

from langchain_zepstore.core.arguments import KnownIds, SessionDefaults
from langchain_zepstore.core.message_parts import MessageParts
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.search_query import session_query
from langchain_zepstore.core.store import Call, Store
from langchain_zepstore.core.validation import checked_count, checked_id
from langchain_zepstore.errors import NotFoundError
from langchain_zepstore.messages.known_ids import log_renamed
from langchain_zepstore.messages.langchain import StartOn, types_of
from langchain_zepstore.messages.parts import all_from_langchain
from langchain_zepstore.messages.turns import opened
from langchain_zepstore.models import MemorySearchPayload, MemorySearchResult, Message
from langchain_zepstore.store_client import StoreClient, client_of


class ZepChatMessageHistory(BaseChatMessageHistory):
    """The messages of a session, for LangChain.

    Building one does no I/O, and costs nothing: build one per call. Those built from a URL share
    one client per URL in the process.

    Every message class of langchain-core comes back equal to what went in, ids included. A message
    without an id is stored with a new one; the object passed in is not touched.

    Args:
        session_id: The session's id; the session comes into being with its first message.
        url: As for ``ZepClient``.
        api_key: As for ``ZepClient``.
        client: A client to use instead of a URL.
        lastn: Read only the last so many messages; without it, all of them.
        start_on: A message type (``"human"``), a message class, or several of these: what is read
            begins with the first message of these types, as in langchain-core's ``trim_messages``.
            A window that has none begins with the last one before it, and goes on with its own end,
            each answer of a tool behind its call.
        user_id: Whose session it becomes if it has to be created. One of another user is refused.
        session_metadata: Its metadata then.

    Raises:
        BadRequestError: An argument cannot be used.
    """

    def __init__(
        self,
        session_id: str,
        url: str | None = None,
        api_key: str | None = None,
        *,
        client: StoreClient | None = None,
        lastn: int | None = None,
        start_on: StartOn | None = None,
        user_id: str | None = None,
        session_metadata: dict[str, Any] | None = None,
    ) -> None:
        self.session_id = checked_id(session_id, "session_id")
        self._client = client_of(client, url, api_key)
        self._lastn = None if lastn is None else checked_count(lastn, "lastn")
        self._start_on = None if start_on is None else types_of(start_on)
        self._defaults = SessionDefaults(user_id, session_metadata)

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]
        """The messages, oldest first; read anew each time.

        Raises:
            BadRequestError: They are another user's than ``user_id``.
            StoreUnavailableError: The database cannot be reached.
        """
        return self._client.run(self._read)

    async def aget_messages(self) -> list[BaseMessage]:
        """Return the messages, oldest first."""
        return await self._client.arun(self._read)

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Add messages at the end of the session: one call, one insert.

        Messages at the beginning that the session has already, with their ids and words, are not
        added again. Any other message whose id it has is a new one, and gets an id of its own.

        Args:
            messages: Of any of langchain-core's message classes.

        Raises:
            BadRequestError: One of them cannot be stored, and the error says which and where; or
                the session is another user's. None is stored then.
            StoreUnavailableError: The database cannot be reached.
        """
        self._client.run(self._adding(messages))

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Add messages at the end of the session; see ``add_messages``."""
        await self._client.arun(self._adding(messages))

    def edit(self, message_id: str, messages: Sequence[BaseMessage]) -> None:
        """Put messages in the place of one and of all that follows it on its branch.

        Their branch becomes the active one, which ``messages`` shows; what they replace stays as
        another. See ``client.memory.add_memory`` with ``before``.

        Args:
            message_id: The id of the message: of any branch.
            messages: The messages, at least one; none with that id.

        Raises:
            BadRequestError: One of them cannot be stored, or the session is another user's.
            NotFoundError: The session has no such message, or it is deleted.
            StoreUnavailableError: The database cannot be reached; repeating the call with messages
                that have ids completes it.
        """
        self._client.run(self._editing(message_id, messages))

    async def aedit(self, message_id: str, messages: Sequence[BaseMessage]) -> None:
        """Replace a message and all that follow it; see ``edit``."""
        await self._client.arun(self._editing(message_id, messages))

    def clear(self) -> None:
        """Soft-delete the session and its messages; ``undelete_session`` brings them back.

        Clearing a session that does not exist, or is deleted, does nothing.

        Raises:
            BadRequestError: It is another user's.
            StoreUnavailableError: The database cannot be reached.
        """
        with suppress(NotFoundError):
            self._client.run(self._clearing)

    async def aclear(self) -> None:
        """Soft-delete the session and its messages; see ``clear``."""
        with suppress(NotFoundError):
            await self._client.arun(self._clearing)

    @property
    def zep_messages(self) -> list[Message]:
        """The messages as Zep's, with their times, token counts and metadata, oldest first.

        The name is that of LangChain's class for Zep; ``lastn`` holds, ``start_on`` does not.

        Raises:
            BadRequestError: They are another user's.
            StoreUnavailableError: The database cannot be reached.
        """
        lastn, user_id = self._lastn, self._defaults.user_id
        return self._client.run(
            lambda store: store.messages.read(self.session_id, lastn, user_id=user_id)
        )

    @property
    def zep_summary(self) -> str | None:
        """The text of the session's summary, ``None`` without one; see ``client.memory.summarize``.

        The name is that of LangChain's class for Zep.

        Raises:
            BadRequestError: The session is another user's.
            StoreUnavailableError: The database cannot be reached.
        """
        user_id = self._defaults.user_id
        summary = self._client.run(lambda store: store.summaries.get(self.session_id, user_id))
        return summary.content if summary else None

    def search(  # noqa: PLR0917 - LangChain's
        self,
        query: str,
        metadata: dict[str, Any] | None = None,
        search_scope: str = "messages",
        search_type: str | None = None,
        mmr_lambda: float | None = None,
        limit: int | None = None,
    ) -> list[MemorySearchResult]:
        """Search the session, with the arguments of LangChain's class for Zep.

        Args:
            query: What to look for.
            metadata: ``where``, ``start_date`` and ``end_date``, as Zep has them.
            search_scope: ``messages``, ``summary`` or ``sessions``.
            search_type: ``text``, ``similarity``, ``mmr`` or ``hybrid``.
            mmr_lambda: Between relevance (1) and variety (0).
            limit: How many at most; 10 without it.

        Returns:
            What matches best, the best first; see ``client.memory.search``.

        Raises:
            BadRequestError: An argument cannot be used, or the session is another user's.
            StoreUnavailableError: The database cannot be reached.
        """
        return self._client.run(
            self._finding(
                limit,
                text=query,
                metadata=metadata,
                search_scope=search_scope,
                search_type=search_type,
                mmr_lambda=mmr_lambda,
            )
        )

    async def asearch(  # noqa: PLR0917 - LangChain's
        self,
        query: str,
        metadata: dict[str, Any] | None = None,
        search_scope: str = "messages",
        search_type: str | None = None,
        mmr_lambda: float | None = None,
        limit: int | None = None,
    ) -> list[MemorySearchResult]:
        """Search the session; see ``search``."""
        return await self._client.arun(
            self._finding(
                limit,
                text=query,
                metadata=metadata,
                search_scope=search_scope,
                search_type=search_type,
                mmr_lambda=mmr_lambda,
            )
        )

    def _finding(self, limit: int | None, **fields: Any) -> Call[list[MemorySearchResult]]:
        # The query checks them, as what zep-python's callers pass.
        payload = MemorySearchPayload.model_construct(**fields)
        sought = session_query(self.session_id, payload, limit, self._defaults.user_id)
        return lambda store: store.search.find(sought)

    def _clearing(self, store: Store) -> Operation[None]:
        return store.deletion.delete_session(self.session_id, self._defaults.user_id)

    def _adding(self, messages: Sequence[BaseMessage]) -> Call[None]:
        parts = all_from_langchain(messages)
        return lambda store: self._add(store, parts)

    def _add(self, store: Store, parts: list[MessageParts]) -> Operation[None]:
        new_ids = yield from store.messages.add(
            self.session_id, parts, self._defaults, known_ids=KnownIds()
        )
        log_renamed(self.session_id, new_ids)

    def _editing(self, message_id: str, messages: Sequence[BaseMessage]) -> Call[Any]:
        before, parts = checked_id(message_id, "message_id"), all_from_langchain(messages)
        return lambda store: store.messages.add(
            self.session_id, parts, self._defaults, before=before
        )

    def _read(self, store: Store) -> Operation[list[BaseMessage]]:
        messages = yield from store.messages.read_langchain(
            self.session_id,
            self._lastn,
            start_on=self._start_on or (),
            user_id=self._defaults.user_id,
        )
        if self._start_on is None:
            return messages
        return opened(messages, self._lastn, self._start_on)
