"""Sessions deleted, undeleted and erased."""

from typing import Any

from langchain_zepstore.core.store import Call
from langchain_zepstore.core.validation import checked_id
from langchain_zepstore.managers import erasure
from langchain_zepstore.managers.base import Manager
from langchain_zepstore.models import Session


class Deletion(Manager):
    """The methods of ``client.memory`` that delete and undelete sessions."""

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

    def erase_session(
        self, session_id: str, *, dry_run: bool = False, checkpointer: Any = None
    ) -> dict[str, int]:
        """Remove a session at once and for good, live or deleted, with all that was said in it.

        When it returns, nothing that was made from it is in the database, in any collection. What
        keeps late adds out for an hour holds no word and no id of it (but, on a sharded cluster,
        the session's id). What is added meanwhile is a new session.

        Args:
            session_id: The session's id.
            dry_run: Count what would be removed, and remove nothing.
            checkpointer: A LangGraph checkpointer, whose thread of the same id is deleted first.

        Returns:
            How many were removed: ``{"users": 0, "sessions": …, "messages": …}``, all 0 if there
            is nothing, and with a checkpointer ``"threads"``.

        Raises:
            BadRequestError: The id cannot be one, or the checkpointer cannot delete threads.
            StoreUnavailableError: The database cannot be reached; repeating the call completes it.
        """
        threads = erasure.Threads(checkpointer, is_async=False)
        return self._runner.run(self._erasing(session_id, dry_run, threads))

    async def aerase_session(
        self, session_id: str, *, dry_run: bool = False, checkpointer: Any = None
    ) -> dict[str, int]:
        """Remove a session at once and for good; see ``erase_session``."""
        threads = erasure.Threads(checkpointer, is_async=True)
        return await self._runner.arun(self._erasing(session_id, dry_run, threads))

    def _erasing(
        self, session_id: str, dry_run: bool, threads: erasure.Threads
    ) -> Call[dict[str, int]]:
        is_view = self._runner.user_id is not None
        return erasure.erase_session(session_id, dry_run, threads, is_view=is_view)
