"""``client.memory``: the session manager."""

from typing import Any

from langchain_zepstore.core.store import Call
from langchain_zepstore.core.validation import checked_bool, checked_count, checked_id
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.managers.branches import Branches
from langchain_zepstore.managers.deletion import Deletion
from langchain_zepstore.managers.search import Searches
from langchain_zepstore.managers.sessions import Sessions
from langchain_zepstore.messages.parts import all_from_zep
from langchain_zepstore.messages.storable import check_metadata
from langchain_zepstore.models import Memory


class MemoryManager(Sessions, Deletion, Searches, Branches):
    """Sessions and their memories, searching them and summing them up: ``client.memory``."""

    def add_memory(self, session_id: str, memory: Memory, *, before: str | None = None) -> str:
        """Add messages at the end of a session, which comes into being with its first ones.

        With ``before`` they come in the place of a message and of all that follows it, and their
        branch becomes the active one; what they replace stays as another branch.

        The messages of one call stand together, in their order, whoever else adds. When the call
        returns they are durable. A message whose id the session has already replaces that one in
        its place, so repeating a call whose messages have ids is harmless; of an id that comes
        twice in one call the last wins. The models passed in are not changed.

        Args:
            session_id: The session's id.
            memory: The messages, any number; its metadata is merged into the session's.
            before: The id of a message of any branch. Repeated with the same ids, the call changes
                nothing more, and brings back none that was deleted since, unless all were. An id
                that a live message has elsewhere is refused.

        Returns:
            ``"OK"``, as Zep.

        Raises:
            BadRequestError: An id, or something in the messages, cannot be stored; nothing is. With
                ``before``: there are no messages, one has that id or another live message's, or
                the session has 1,000 branches.
            NotFoundError: The session has no message with the id ``before``, or it is deleted.
            StoreUnavailableError: The database cannot be reached; some of the messages may have
                been stored.
        """
        self._runner.run(_adding(session_id, memory, before))
        return "OK"

    async def aadd_memory(
        self, session_id: str, memory: Memory, *, before: str | None = None
    ) -> str:
        """Add messages at the end of a session; see ``add_memory``."""
        await self._runner.arun(_adding(session_id, memory, before))
        return "OK"

    def get_memory(
        self,
        session_id: str,
        lastn: int | None = None,
        *,
        include_deleted: bool = False,
        branch: str | None = None,
    ) -> Memory:
        """Return the messages of a session, oldest first, in the order in which they were added.

        With them comes the session's summary, if ``summarize`` has made one.

        Args:
            session_id: The session's id.
            lastn: Return the last so many; without it, all of them. (Zep cuts at 12 then.)
            include_deleted: Also soft-deleted messages, each with its ``deleted_at``, also of a
                deleted session; only those of the present user and life of the session.
            branch: The id of a message: read the last active branch that holds it.

        Returns:
            The memory; an empty one for a session that does not exist or is deleted, as Zep.

        Raises:
            BadRequestError: An id cannot be one, or ``lastn`` is below 0.
            NotFoundError: The session has no message with the id ``branch``, or it is deleted.
            StoreUnavailableError: The database cannot be reached.
        """
        return self._runner.run(_reading(session_id, lastn, include_deleted, branch))

    async def aget_memory(
        self,
        session_id: str,
        lastn: int | None = None,
        *,
        include_deleted: bool = False,
        branch: str | None = None,
    ) -> Memory:
        """Return the messages of a session, oldest first; see ``get_memory``."""
        return await self._runner.arun(_reading(session_id, lastn, include_deleted, branch))


def _adding(session_id: str, memory: Memory, before: str | None) -> Call[Any]:
    session_id = checked_id(session_id, "session_id")
    if before is not None:
        checked_id(before, "before")
    if not isinstance(memory, Memory):
        raise BadRequestError(f"memory must be a Memory, not {type(memory).__name__}")
    messages = all_from_zep(memory.messages)
    if memory.metadata:
        check_metadata(memory.metadata, "memory.metadata")
    return lambda store: store.messages.add(
        session_id, messages, metadata=memory.metadata, before=before
    )


def _reading(
    session_id: str, lastn: int | None, include_deleted: bool, branch: str | None
) -> Call[Memory]:
    session_id = checked_id(session_id, "session_id")
    if lastn is not None:
        lastn = checked_count(lastn, "lastn")
    checked_bool(include_deleted, "include_deleted")
    if branch is not None:
        checked_id(branch, "branch")
    return lambda store: store.messages.memory(
        session_id, lastn, include_deleted=include_deleted, branch=branch
    )
