"""Purging, exporting and examining a store as a whole."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

from langchain_zepstore.core.store import Call
from langchain_zepstore.core.validation import checked_id, checked_period
from langchain_zepstore.managers import transfer
from langchain_zepstore.managers.base import Runner
from langchain_zepstore.models import Activity, Finding, Stats


class Administration(Runner):
    """The methods of a client for its whole store."""

    def purge(
        self,
        older_than: timedelta | None = None,
        *,
        user_id: str | None = None,
        session_id: str | None = None,
    ) -> dict[str, int]:
        """Remove soft-deleted data for good, before the database does.

        Args:
            older_than: Only what has been soft-deleted for so long; without it, all of it.
            user_id: Only this user's trash.
            session_id: Only this session's trash; with a user, only if it is that user's.

        Returns:
            How many were removed: ``{"messages": …, "sessions": …, "users": …}``.

        Raises:
            BadRequestError: ``older_than`` is no timedelta, or negative.
            StoreUnavailableError: The database cannot be reached; repeating the call goes on.
        """
        return self.run(_purging(older_than, user_id, session_id))

    async def apurge(
        self,
        older_than: timedelta | None = None,
        *,
        user_id: str | None = None,
        session_id: str | None = None,
    ) -> dict[str, int]:
        """Remove soft-deleted data for good, before the database does; see ``purge``."""
        return await self.arun(_purging(older_than, user_id, session_id))

    def stats(self) -> Stats:
        """Return statistics of the store.

        Raises:
            StoreUnavailableError: The database cannot be reached.
        """
        return self.run(lambda store: store.diagnosis.stats(), prepare=False)

    async def astats(self) -> Stats:
        """Return statistics of the store; see ``stats``."""
        return await self.arun(lambda store: store.diagnosis.stats(), prepare=False)

    def activity(self, *, user_id: str | None = None) -> Activity:
        """Return statistics of recent activity: messages per day, role and size.

        Its cost is bounded: up to 2,000 sessions are looked at, the last active first, and those
        of their messages that are among up to 10,000.

        Args:
            user_id: Only this user's sessions.

        Raises:
            BadRequestError: The id cannot be one.
            StoreUnavailableError: The database cannot be reached.
        """
        return self.run(_counting(user_id))

    async def aactivity(self, *, user_id: str | None = None) -> Activity:
        """Return statistics of recent activity; see ``activity``."""
        return await self.arun(_counting(user_id))

    def diagnose(self, *, mend: bool = False) -> list[Finding]:
        """Check the database: server, rights, indexes, retention, interrupted operations, and more.

        Over HTTP the server checks its own.

        Args:
            mend: Make missing indexes and finish interrupted deletions before; without it,
                nothing is changed.

        Returns:
            What is right and what is wrong, with its cure.

        Raises:
            StoreUnavailableError: The database cannot be reached.
        """
        return self.run(lambda store: store.diagnosis.diagnose(mend=mend), prepare=False)

    async def adiagnose(self, *, mend: bool = False) -> list[Finding]:
        """Check the database; see ``diagnose``."""
        return await self.arun(lambda store: store.diagnosis.diagnose(mend=mend), prepare=False)

    def export(
        self, *, user_id: str | None = None, session_id: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield everything that is stored, or a part, as dicts for lines of JSON.

        A header comes first, then users, then each session with its messages, trash and branches
        included. ``json.dumps`` takes each as it is; ``migration.import_lines`` reads them back.
        Memory stays flat. What changes meanwhile may be in it or not.

        Args:
            user_id: Only this user, with the user's sessions.
            session_id: Only this session.

        Raises:
            BadRequestError: An id cannot be one.
            StoreUnavailableError: The database cannot be reached.
        """
        return transfer.export(self, user_id, session_id)

    def aexport(
        self, *, user_id: str | None = None, session_id: str | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield everything that is stored, or a part, as dicts; see ``export``."""
        return transfer.aexport(self, user_id, session_id)


def _counting(user_id: str | None) -> Call[Activity]:
    if user_id is not None:
        user_id = checked_id(user_id, "user_id")
    return lambda store: store.diagnosis.activity(user_id)


def _purging(
    older_than: timedelta | None, user_id: str | None, session_id: str | None
) -> Call[dict[str, int]]:
    if older_than is not None:
        checked_period(older_than, "older_than")
    if user_id is not None:
        user_id = checked_id(user_id, "user_id")
    if session_id is not None:
        session_id = checked_id(session_id, "session_id")
    return lambda store: store.deletion.purge(older_than, user_id, session_id)
