"""``client.message``: the messages of a session one by one."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from langchain_zepstore.core.arguments import WindowQuery
from langchain_zepstore.core.operation import Page, apages, pages
from langchain_zepstore.core.store import Call
from langchain_zepstore.core.validation import (
    checked_bool,
    checked_count,
    checked_id,
    checked_text,
)
from langchain_zepstore.managers.base import Manager, arguments_of
from langchain_zepstore.messages.storable import check_metadata
from langchain_zepstore.models import Excerpt, Message


class MessageManager(Manager):
    """The messages of a session one by one: ``client.message``."""

    def count(self, session_id: str) -> int:
        """Return how many messages a session has; 0 if it does not exist or is deleted.

        Raises:
            BadRequestError: The id cannot be one.
            StoreUnavailableError: The database cannot be reached.
        """
        session_id = checked_id(session_id, "session_id")
        return self._runner.run(lambda store: store.messages.count(session_id))

    async def acount(self, session_id: str) -> int:
        """Return how many messages a session has; see ``count``."""
        session_id = checked_id(session_id, "session_id")
        return await self._runner.arun(lambda store: store.messages.count(session_id))

    def iter_messages(
        self,
        session_id: str,
        chunk_size: int = 1000,
        *,
        after: str | None = None,
        include_deleted: bool = False,
        all_branches: bool = False,
    ) -> Iterator[Message]:
        """Yield the messages of a session one by one, oldest first, in flat memory.

        Each message that is there throughout comes exactly once; one added meanwhile comes at the
        end, one deleted meanwhile may or may not come. When another branch becomes active
        meanwhile, the rest is still that of the branch begun with.

        Args:
            session_id: The session's id.
            chunk_size: How many messages are fetched at once, at least 1.
            after: The id of a message, live or deleted: begin after it.
            include_deleted: Also soft-deleted messages, as for ``client.memory.get_memory``.
            all_branches: Those of all branches in the order of adding, each with the id of the
                message before it on its branch as ``parent_uuid``, ``None`` for a first one.

        Raises:
            BadRequestError: An id cannot be one, or ``chunk_size`` is below 1.
            NotFoundError: The session has no message with the id ``after``.
            StoreUnavailableError: The database cannot be reached.
        """
        fetch = _paging(session_id, chunk_size, after, include_deleted, all_branches)
        return (
            message
            for chunk in pages(lambda cursor: self._runner.run(fetch(cursor)))
            for message in chunk
        )

    def aiter_messages(
        self,
        session_id: str,
        chunk_size: int = 1000,
        *,
        after: str | None = None,
        include_deleted: bool = False,
        all_branches: bool = False,
    ) -> AsyncIterator[Message]:
        """Yield the messages of a session one by one; see ``iter_messages``."""
        fetch = _paging(session_id, chunk_size, after, include_deleted, all_branches)

        def page(cursor: object) -> Awaitable[Page[Message]]:
            return self._runner.arun(fetch(cursor))

        return (message async for chunk in apages(page) for message in chunk)

    def get_session_messages(
        self, session_id: str, limit: int = 100, cursor: int = 1
    ) -> list[Message]:
        """Return a page of a session's messages, oldest first, as Zep: by its number.

        Args:
            session_id: The session's id.
            limit: Messages per page, at least 1.
            cursor: The page's number, from 1. (For a whole history use ``iter_messages``: a page is
                reached by counting all before it.)

        Returns:
            The messages; none behind the last page, or for an unknown or deleted session.

        Raises:
            BadRequestError: An argument is out of range or of the wrong type.
            StoreUnavailableError: The database cannot be reached.
        """
        return self._runner.run(_numbered(session_id, limit, cursor))

    async def aget_session_messages(
        self, session_id: str, limit: int = 100, cursor: int = 1
    ) -> list[Message]:
        """Return a page of a session's messages; see ``get_session_messages``."""
        return await self._runner.arun(_numbered(session_id, limit, cursor))

    def window(
        self,
        session_id: str,
        limit: int = 50,
        *,
        before: str | None = None,
        after: str | None = None,
        around: str | None = None,
        include_deleted: bool = False,
        content_limit: int | None = None,
    ) -> list[Excerpt]:
        """Return a window of a session's active branch, oldest first, as a page shows it.

        Without an id the last ones; else those next to a message, also one of another branch, which
        is read then. Each says which other messages stand in its place (see ``alternatives``).

        Args:
            session_id: The session's id.
            limit: How many at most, from 1 to 1,000.
            before: The id of the message behind the last one.
            after: The id of the message in front of the first one.
            around: The id of a message in the middle.
            include_deleted: Also soft-deleted messages, as for ``client.memory.get_memory``.
            content_limit: Of a message of more bytes only the beginning: of its text so many
                characters, of texts in lists and maps a quarter of that, of lists and maps 50
                items. The database cuts it.

        Returns:
            The messages; none for an unknown or deleted session.

        Raises:
            BadRequestError: An argument is out of range or of the wrong type, or there is more than
                one of ``before``, ``after`` and ``around``.
            NotFoundError: The session has no such message.
            StoreUnavailableError: The database cannot be reached.
        """
        return self._runner.run(_window(**arguments_of(locals())))

    async def awindow(
        self,
        session_id: str,
        limit: int = 50,
        *,
        before: str | None = None,
        after: str | None = None,
        around: str | None = None,
        include_deleted: bool = False,
        content_limit: int | None = None,
    ) -> list[Excerpt]:
        """Return some messages of a session's active branch; see ``window``."""
        return await self._runner.arun(_window(**arguments_of(locals())))

    def get_session_message(self, session_id: str, message_id: str) -> Message:
        """Return one message.

        Raises:
            BadRequestError: An id cannot be one.
            NotFoundError: The session has no such message, or it is deleted.
            StoreUnavailableError: The database cannot be reached.
        """
        session_id, uuid = _checked(session_id, message_id)
        return self._runner.run(lambda store: store.messages.get(session_id, uuid))

    async def aget_session_message(self, session_id: str, message_id: str) -> Message:
        """Return one message; see ``get_session_message``."""
        session_id, uuid = _checked(session_id, message_id)
        return await self._runner.arun(lambda store: store.messages.get(session_id, uuid))

    def alternatives(self, session_id: str, message_id: str) -> list[Message]:
        """Return the alternatives of a message in all branches, the oldest first.

        Those are the messages with the same one before them, itself included: the "2 / 3" of a
        chat's page.

        Args:
            session_id: The session's id.
            message_id: The id of a message of any branch.

        Raises:
            BadRequestError: An id cannot be one.
            NotFoundError: The session has no such message, or it is deleted.
            StoreUnavailableError: The database cannot be reached.
        """
        session_id, uuid = _checked(session_id, message_id)
        return self._runner.run(lambda store: store.branches.alternatives(session_id, uuid))

    async def aalternatives(self, session_id: str, message_id: str) -> list[Message]:
        """Return the alternatives of a message in all branches; see ``alternatives``."""
        session_id, uuid = _checked(session_id, message_id)
        return await self._runner.arun(lambda store: store.branches.alternatives(session_id, uuid))

    def update_message_metadata(
        self, session_id: str, message_id: str, metadata: dict[str, Any]
    ) -> Message:
        """Merge metadata into a message's, in one atomic update, by the rules of sessions.

        Its token count stays. (Zep resets it.)

        Args:
            session_id: The session's id.
            message_id: The message's id.
            metadata: What to merge.

        Returns:
            The message as it is then.

        Raises:
            BadRequestError: An id cannot be one, or the metadata cannot be stored.
            NotFoundError: The session has no such message, or it is deleted.
            StoreUnavailableError: The database cannot be reached; repeating the call is harmless.
        """
        return self._runner.run(_merging(session_id, message_id, metadata))

    async def aupdate_message_metadata(
        self, session_id: str, message_id: str, metadata: dict[str, Any]
    ) -> Message:
        """Merge metadata into a message's; see ``update_message_metadata``."""
        return await self._runner.arun(_merging(session_id, message_id, metadata))

    def update_message(self, session_id: str, message_id: str, content: str) -> Message:
        """Replace a message's words, in the same place: its times, id and metadata stay.

        Args:
            session_id: The session's id.
            message_id: The message's id.
            content: The new words.

        Returns:
            The message as it is then.

        Raises:
            BadRequestError: An id cannot be one, or the content cannot be stored.
            NotFoundError: The session has no such message, or it is deleted.
            StoreUnavailableError: The database cannot be reached; repeating the call is harmless.
        """
        return self._runner.run(_changing(session_id, message_id, content))

    async def aupdate_message(self, session_id: str, message_id: str, content: str) -> Message:
        """Replace a message's words; see ``update_message``."""
        return await self._runner.arun(_changing(session_id, message_id, content))

    def delete_message(self, session_id: str, message_id: str) -> str:
        """Soft-delete one message; ``undelete_message`` brings it back, until the purge.

        Returns:
            ``"OK"``.

        Raises:
            BadRequestError: An id cannot be one.
            NotFoundError: The session has no such message, or it is deleted already.
            StoreUnavailableError: The database cannot be reached.
        """
        session_id, uuid = _checked(session_id, message_id)
        self._runner.run(lambda store: store.deletion.delete_message(session_id, uuid))
        return "OK"

    async def adelete_message(self, session_id: str, message_id: str) -> str:
        """Soft-delete one message; see ``delete_message``."""
        session_id, uuid = _checked(session_id, message_id)
        await self._runner.arun(lambda store: store.deletion.delete_message(session_id, uuid))
        return "OK"

    def undelete_message(self, session_id: str, message_id: str) -> Message:
        """Bring back one message of a live session, in its old place.

        Also one that was deleted with the session, when something has revived the session since.

        Returns:
            The message.

        Raises:
            BadRequestError: An id cannot be one.
            NotFoundError: There is no such message, it is not deleted, or its session is (then
                ``undelete_session`` brings both back).
            StoreUnavailableError: The database cannot be reached; repeating the call completes it.
        """
        session_id, uuid = _checked(session_id, message_id)
        return self._runner.run(lambda store: store.deletion.undelete_message(session_id, uuid))

    async def aundelete_message(self, session_id: str, message_id: str) -> Message:
        """Bring back one message; see ``undelete_message``."""
        session_id, uuid = _checked(session_id, message_id)
        return await self._runner.arun(
            lambda store: store.deletion.undelete_message(session_id, uuid)
        )


def _checked(session_id: str, message_id: str) -> tuple[str, str]:
    return checked_id(session_id, "session_id"), checked_id(message_id, "message_id")


def _merging(session_id: str, message_id: str, metadata: dict[str, Any]) -> Call[Message]:
    session_id, uuid = _checked(session_id, message_id)
    check_metadata(metadata, "metadata")
    return lambda store: store.messages.update(session_id, uuid, metadata=metadata)


def _changing(session_id: str, message_id: str, content: str) -> Call[Message]:
    session_id, uuid = _checked(session_id, message_id)
    content = checked_text(content, "content")
    return lambda store: store.messages.update(session_id, uuid, content=content)


def _numbered(session_id: str, limit: int, cursor: int) -> Call[list[Message]]:
    session_id = checked_id(session_id, "session_id")
    limit = checked_count(limit, "limit", least=1)
    number = checked_count(cursor, "cursor", least=1)
    return lambda store: store.messages.numbered_page(session_id, limit, number)


def _window(session_id: str, **query: Any) -> Call[list[Excerpt]]:
    session_id, window = checked_id(session_id, "session_id"), WindowQuery(**query)
    return lambda store: store.messages.window(session_id, window)


def _paging(
    session_id: str,
    chunk_size: int,
    after: str | None,
    include_deleted: bool,
    all_branches: bool,
) -> Callable[[object], Call[Page[Message]]]:
    session_id = checked_id(session_id, "session_id")
    chunk_size = checked_count(chunk_size, "chunk_size", least=1)
    after_id = None if after is None else checked_id(after, "after")
    checked_bool(include_deleted, "include_deleted")
    checked_bool(all_branches, "all_branches")

    def fetch(cursor: object) -> Call[Page[Message]]:
        return lambda store: store.messages.page(
            session_id,
            cursor,
            chunk_size,
            after_id=after_id,
            include_deleted=include_deleted,
            all_branches=all_branches,
        )

    return fetch
