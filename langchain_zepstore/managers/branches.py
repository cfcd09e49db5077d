"""The branches of a session."""

from langchain_zepstore.core.store import Call
from langchain_zepstore.core.validation import checked_id
from langchain_zepstore.managers.base import Manager
from langchain_zepstore.models import Branch, Session


class Branches(Manager):
    """The part of ``client.memory`` that rewinds, switches, lists and copies branches."""

    def rewind(self, session_id: str, before: str) -> str:
        """End the active branch before a message; the following messages stay as another branch.

        Nothing happens if the message is not on the active branch, as when the call is repeated.
        The branch that is left can be activated again with ``switch_branch``. Where nothing is
        added to the shortened one until then, it is gone.

        Args:
            session_id: The session's id.
            before: The id of the first message that goes.

        Returns:
            ``"OK"``.

        Raises:
            BadRequestError: An id cannot be one, or the session has 1,000 branches.
            NotFoundError: The session has no such message, or it is deleted.
            StoreUnavailableError: The database cannot be reached; repeating the call is harmless.
        """
        self._runner.run(_rewinding(session_id, before))
        return "OK"

    async def arewind(self, session_id: str, before: str) -> str:
        """End the active branch before a message; see ``rewind``."""
        await self._runner.arun(_rewinding(session_id, before))
        return "OK"

    def switch_branch(self, session_id: str, message_id: str) -> str:
        """Activate the branch that holds a message; of several the last active one.

        Args:
            session_id: The session's id.
            message_id: The id of any message of the branch.

        Returns:
            ``"OK"``, also if the active branch holds it already.

        Raises:
            BadRequestError: An id cannot be one, or the session has 1,000 branches.
            NotFoundError: The session has no such message, or it is deleted.
            StoreUnavailableError: The database cannot be reached; repeating the call is harmless.
        """
        self._runner.run(_switching(session_id, message_id))
        return "OK"

    async def aswitch_branch(self, session_id: str, message_id: str) -> str:
        """Activate the branch that holds a message; see ``switch_branch``."""
        await self._runner.arun(_switching(session_id, message_id))
        return "OK"

    def branches(self, session_id: str) -> list[Branch]:
        """Return a session's branches, in the order of their making.

        Args:
            session_id: The session's id.

        Returns:
            The branches: one for a session that was never changed, none for one without messages.

        Raises:
            BadRequestError: The id cannot be one.
            StoreUnavailableError: The database cannot be reached.
        """
        return self._runner.run(_listing(session_id))

    async def abranches(self, session_id: str) -> list[Branch]:
        """Return a session's branches; see ``branches``."""
        return await self._runner.arun(_listing(session_id))

    def fork_session(
        self, session_id: str, *, at: str | None = None, new_session_id: str | None = None
    ) -> Session:
        """Create a session of the same user with a copy of the active branch.

        The messages keep their ids and times. The session gets the metadata, the title and the tags
        of the first, and its id as ``metadata["forked_from"]``; it is neither pinned nor archived.
        A call that was interrupted leaves a part, whose metadata have ``forking_from`` instead;
        repeated with the same ``new_session_id`` it completes that.

        Args:
            session_id: The session's id.
            at: The id of the last message to copy, also of another branch; without it, all.
            new_session_id: The new session's id; without it, a new one.

        Returns:
            The new session.

        Raises:
            AlreadyExistsError: There is a session with the new id.
            BadRequestError: An id cannot be one.
            NotFoundError: There is no such session or message, or it is deleted.
            StoreUnavailableError: The database cannot be reached; a part may have been copied.
        """
        return self._runner.run(_forking(session_id, at, new_session_id))

    async def afork_session(
        self, session_id: str, *, at: str | None = None, new_session_id: str | None = None
    ) -> Session:
        """Create a session with a copy of the active branch; see ``fork_session``."""
        return await self._runner.arun(_forking(session_id, at, new_session_id))


def _rewinding(session_id: str, before: str) -> Call[None]:
    session_id, before = checked_id(session_id, "session_id"), checked_id(before, "before")
    return lambda store: store.branches.rewind(session_id, before)


def _switching(session_id: str, message_id: str) -> Call[None]:
    session_id, uuid = checked_id(session_id, "session_id"), checked_id(message_id, "message_id")
    return lambda store: store.branches.switch(session_id, uuid)


def _listing(session_id: str) -> Call[list[Branch]]:
    session_id = checked_id(session_id, "session_id")
    return lambda store: store.branches.listed(session_id)


def _forking(session_id: str, at: str | None, new_session_id: str | None) -> Call[Session]:
    session_id = checked_id(session_id, "session_id")
    if at is not None:
        checked_id(at, "at")
    if new_session_id is not None:
        checked_id(new_session_id, "new_session_id")
    return lambda store: store.branches.fork(session_id, at, new_session_id)
