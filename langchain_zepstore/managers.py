"""``client.memory`` and ``client.message``: what they do, and that each method is one operation."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Protocol, TypeVar

from langchain_zepstore.checks import checked_count, checked_id
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.models import Memory, Message, Session
from langchain_zepstore.running import Operation, Page, apages, pages
from langchain_zepstore.store import Store

T = TypeVar("T")


class Runner(Protocol):
    """Runs operations: a ``ZepClient``, which this module cannot import."""

    def run(self, call: Callable[[Store], Operation[T]]) -> T:
        """Run an operation of the store."""

    async def arun(self, call: Callable[[Store], Operation[T]]) -> T:
        """Run an operation of the store on the running event loop."""


class MemoryManager:
    """Sessions and their memories: ``client.memory``."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

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

        Args:
            session_id: The session's id.
            lastn: Return the last so many; without it, all of them. (Zep cuts at 12 then.)

        Returns:
            The memory; an empty one for a session that does not exist or is deleted, as Zep.

        Raises:
            BadRequestError: The id cannot be one, or ``lastn`` is below 0.
            StoreUnavailableError: The database cannot be reached.
        """
        return Memory(messages=self._runner.run(_reading(session_id, lastn)))

    async def aget_memory(self, session_id: str, lastn: int | None = None) -> Memory:
        """Return the messages of a session, oldest first; see ``get_memory``."""
        return Memory(messages=await self._runner.arun(_reading(session_id, lastn)))

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


class MessageManager:
    """The messages of a session one by one: ``client.message``."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

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

    def iter_messages(self, session_id: str, chunk_size: int = 1000) -> Iterator[Message]:
        """Yield the messages of a session one by one, oldest first, in flat memory.

        Each message that is there throughout comes exactly once; one added meanwhile comes at the
        end, one deleted meanwhile may or may not come.

        Args:
            session_id: The session's id.
            chunk_size: How many messages are fetched at once, at least 1.

        Raises:
            BadRequestError: The id cannot be one, or ``chunk_size`` is below 1.
            StoreUnavailableError: The database cannot be reached.
        """
        fetch = _paging(session_id, chunk_size)
        return (
            message
            for chunk in pages(lambda cursor: self._runner.run(fetch(cursor)))
            for message in chunk
        )

    def aiter_messages(self, session_id: str, chunk_size: int = 1000) -> AsyncIterator[Message]:
        """Yield the messages of a session one by one; see ``iter_messages``."""
        fetch = _paging(session_id, chunk_size)

        def page(cursor: object) -> Awaitable[Page[Message]]:
            return self._runner.arun(fetch(cursor))

        return (message async for chunk in apages(page) for message in chunk)


def _adding(session_id: str, memory: Memory) -> Callable[[Store], Operation[None]]:
    session_id = checked_id(session_id, "session_id")
    if not isinstance(memory, Memory):
        raise BadRequestError(f"memory must be a Memory, not {type(memory).__name__}")
    return lambda store: store.messages.add(session_id, memory)


def _reading(session_id: str, lastn: int | None) -> Callable[[Store], Operation[list[Message]]]:
    session_id = checked_id(session_id, "session_id")
    if lastn is not None:
        lastn = checked_count(lastn, "lastn")
    return lambda store: store.messages.read(session_id, lastn)


def _paging(
    session_id: str, chunk_size: int
) -> Callable[[object], Callable[[Store], Operation[Page[Message]]]]:
    session_id = checked_id(session_id, "session_id")
    chunk_size = checked_count(chunk_size, "chunk_size", least=1)
    return lambda cursor: lambda store: store.messages.page(session_id, cursor, chunk_size)
