"""``client.user``: the user manager."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_zepstore.core.operation import Page, apages, pages
from langchain_zepstore.core.store import Call
from langchain_zepstore.core.validation import checked_count, checked_id
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.managers import erasure, transfer
from langchain_zepstore.managers.base import Manager
from langchain_zepstore.models import CreateUserRequest, Session, UpdateUserRequest, User


class UserManager(Manager):
    """Users and their sessions: ``client.user``."""

    def add(self, user: CreateUserRequest) -> User:
        """Add a user; a soft-deleted one lives again with the given fields, without the sessions.

        Returns:
            The user as it is stored.

        Raises:
            AlreadyExistsError: A live user has that id.
            BadRequestError: Something cannot be stored.
            StoreUnavailableError: The database cannot be reached.
        """
        return self._runner.run(_creating(user))

    async def aadd(self, user: CreateUserRequest) -> User:
        """Add a user; see ``add``."""
        return await self._runner.arun(_creating(user))

    def get(self, user_id: str) -> User:
        """Return a user.

        Raises:
            BadRequestError: The id cannot be one.
            NotFoundError: There is no such user, or it is deleted.
            StoreUnavailableError: The database cannot be reached.
        """
        user_id = checked_id(user_id, "user_id")
        return self._runner.run(lambda store: store.users.get(user_id))

    async def aget(self, user_id: str) -> User:
        """Return a user; see ``get``."""
        user_id = checked_id(user_id, "user_id")
        return await self._runner.arun(lambda store: store.users.get(user_id))

    def update(self, user: UpdateUserRequest) -> User:
        """Change a user: fields not given stay, metadata is merged by the rules of sessions.

        ``None`` given explicitly clears a field; an empty text changes nothing, as in Zep.

        Returns:
            The user as it is then.

        Raises:
            BadRequestError: Something cannot be stored.
            NotFoundError: There is no such user, or it is deleted.
            StoreUnavailableError: The database cannot be reached; repeating the call is harmless.
        """
        return self._runner.run(_updating(user))

    async def aupdate(self, user: UpdateUserRequest) -> User:
        """Change a user; see ``update``."""
        return await self._runner.arun(_updating(user))

    def delete(self, user_id: str) -> str:
        """Soft-delete a user, then the user's sessions one by one.

        When it was interrupted, repeating it goes on where it was. Adding the user again revives
        the user alone; the sessions are undeleted one by one. (Zep removes all at once, for good.)

        Returns:
            ``"OK"``, as Zep.

        Raises:
            BadRequestError: The id cannot be one.
            NotFoundError: There is no such user, or it is deleted with all sessions.
            StoreUnavailableError: The database cannot be reached; repeating the call completes it.
        """
        user_id = checked_id(user_id, "user_id")
        self._runner.run(lambda store: store.users.delete(user_id))
        return "OK"

    async def adelete(self, user_id: str) -> str:
        """Soft-delete a user and the user's sessions; see ``delete``."""
        user_id = checked_id(user_id, "user_id")
        await self._runner.arun(lambda store: store.users.delete(user_id))
        return "OK"

    def export(self, user_id: str) -> Iterator[dict[str, Any]]:
        """Yield all that is a user's, as ``client.export`` does.

        Args:
            user_id: The user's id.

        Raises:
            BadRequestError: The id cannot be one.
            StoreUnavailableError: The database cannot be reached.
        """
        return transfer.export(self._runner, checked_id(user_id, "user_id"), None)

    def aexport(self, user_id: str) -> AsyncIterator[dict[str, Any]]:
        """Yield all that is a user's; see ``export``."""
        return transfer.aexport(self._runner, checked_id(user_id, "user_id"), None)

    def erase(
        self, user_id: str, *, dry_run: bool = False, checkpointer: Any = None
    ) -> dict[str, int]:
        """Remove a user at once and for good, with all that the user ever said.

        That is the user, the sessions with their messages, summaries and vectors, the trash, and
        what the user said under ids that others have since. When it returns, nothing that was made
        from it is in the database. What is added meanwhile is new, and stays.

        Args:
            user_id: The user's id.
            dry_run: Count what would be removed, and remove nothing.
            checkpointer: A LangGraph checkpointer. Its threads that have the ids of the user's
                sessions are deleted first, so that a repeat of a killed call finds them again.

        Returns:
            How many were removed: ``{"users": …, "sessions": …, "messages": …}``, all 0 if there
            is nothing, and with a checkpointer ``"threads"``. A repeat of a killed call counts
            what was left to do.

        Raises:
            BadRequestError: The id cannot be one, or the checkpointer cannot delete threads.
            StoreUnavailableError: The database cannot be reached; repeating the call completes it.
        """
        threads = erasure.Threads(checkpointer, is_async=False)
        return self._runner.run(erasure.erase_user(user_id, dry_run, threads))

    async def aerase(
        self, user_id: str, *, dry_run: bool = False, checkpointer: Any = None
    ) -> dict[str, int]:
        """Remove a user at once and for good; see ``erase``."""
        threads = erasure.Threads(checkpointer, is_async=True)
        return await self._runner.arun(erasure.erase_user(user_id, dry_run, threads))

    def list_chunked(self, chunk_size: int = 100) -> Iterator[list[User]]:
        """Yield all users, in lists of up to ``chunk_size``, by their ``id``, each once.

        Raises:
            BadRequestError: ``chunk_size`` is below 1.
            StoreUnavailableError: The database cannot be reached.
        """
        limit = checked_count(chunk_size, "chunk_size", least=1)
        return pages(lambda cursor: self._runner.run(_page(limit, cursor)))

    def alist_chunked(self, chunk_size: int = 100) -> AsyncIterator[list[User]]:
        """Yield all users, in lists of up to ``chunk_size``; see ``list_chunked``."""
        limit = checked_count(chunk_size, "chunk_size", least=1)
        return apages(lambda cursor: self._runner.arun(_page(limit, cursor)))

    def get_sessions(self, user_id: str) -> list[Session]:
        """Return the live sessions of a user, by their ``id``; none for an unknown user.

        Raises:
            BadRequestError: The id cannot be one.
            StoreUnavailableError: The database cannot be reached.
        """
        user_id = checked_id(user_id, "user_id")
        return self._runner.run(lambda store: store.users.sessions(user_id))

    async def aget_sessions(self, user_id: str) -> list[Session]:
        """Return the live sessions of a user; see ``get_sessions``."""
        user_id = checked_id(user_id, "user_id")
        return await self._runner.arun(lambda store: store.users.sessions(user_id))

    async def alist(self, limit: int | None = None, cursor: int | None = None) -> list[User]:
        """Return users by their ``id``; see ``list``."""
        return await self._runner.arun(_listing(limit, cursor))

    def list(self, limit: int | None = None, cursor: int | None = None) -> list[User]:
        """Return users by their ``id``, which is the order of their creation.

        Args:
            limit: How many at most, at least 1; without it, all of them.
            cursor: The ``id`` after which to begin: that of the last user of the page before.

        Raises:
            BadRequestError: An argument is out of range or of the wrong type.
            StoreUnavailableError: The database cannot be reached.
        """
        return self._runner.run(_listing(limit, cursor))


def _creating(user: CreateUserRequest) -> Call[User]:
    if not isinstance(user, CreateUserRequest):
        raise BadRequestError(f"user must be a CreateUserRequest, not {type(user).__name__}")
    checked_id(user.user_id, "user.user_id")
    return lambda store: store.users.create(user)


def _updating(user: UpdateUserRequest) -> Call[User]:
    if not isinstance(user, UpdateUserRequest):
        raise BadRequestError(f"user must be an UpdateUserRequest, not {type(user).__name__}")
    checked_id(user.user_id, "user.user_id")
    return lambda store: store.users.update(user)


def _listing(limit: int | None, cursor: int | None) -> Call[list[User]]:
    most = 0 if limit is None else checked_count(limit, "limit", least=1)
    after = 0 if cursor is None else checked_count(cursor, "cursor")
    return lambda store: store.users.listed(most, after)


def _page(limit: int, cursor: object) -> Call[Page[User]]:
    return lambda store: store.users.page(limit, cursor)
