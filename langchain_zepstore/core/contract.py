"""The contract of a backend: the operations that MongoDB and HTTP both offer.

Each is an operation (see ``core.operation``). Ids and counts come checked.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any, Protocol

from langchain_core.messages import BaseMessage

from langchain_zepstore.core.arguments import (
    GivenMessage,
    KnownIds,
    Listing,
    RecentQuery,
    SessionChanges,
    SessionDefaults,
    WindowQuery,
)
from langchain_zepstore.core.message_parts import MessageParts
from langchain_zepstore.core.operation import Operation, Page
from langchain_zepstore.core.records import Record
from langchain_zepstore.core.results import EmbeddingPage, ErasurePage, Resumption, SummaryInput
from langchain_zepstore.core.search_query import SearchQuery
from langchain_zepstore.models import (
    Activity,
    Branch,
    CreateUserRequest,
    Excerpt,
    Finding,
    Memory,
    MemorySearchResult,
    Message,
    Session,
    Stats,
    Summary,
    UpdateUserRequest,
    User,
)


class SessionOperations(Protocol):
    """Creates, reads, updates and lists sessions."""

    def create(self, session: Session) -> Operation[Session]:
        """Create a session; ``AlreadyExistsError`` if a live one has the id."""

    def get(self, session_id: str) -> Operation[Session]:
        """Return a live session; ``NotFoundError`` if there is none."""

    def find(self, session_id: str) -> Operation[Session | None]:
        """Return a session, live or deleted; ``None`` if there is none."""

    def update(self, session: Session, unset: Sequence[Sequence[str]]) -> Operation[Session]:
        """Merge metadata and remove keys; ``NotFoundError`` if there never was a session."""

    def listed(self, listing: Listing, limit: int, cursor: int) -> Operation[list[Session]]:
        """Return sessions with ids above the cursor, by id; all of them with limit 0."""

    def page(self, listing: Listing, limit: int, cursor: Any) -> Operation[Page[Session]]:
        """Return the page after a page's cursor (``None``: the first), by id."""

    def organize(self, session_id: str, changes: SessionChanges) -> Operation[Session]:
        """Change a live session's place in a list; ``NotFoundError`` if there is none.

        Leaves ``active_at`` as it is.
        """

    def recent(self, query: RecentQuery) -> Operation[Page[Session]]:
        """Return live sessions, the most recently active first; or deleted ones, likewise."""


class UserOperations(Protocol):
    """Creates, reads, updates, lists and deletes users."""

    def create(self, request: CreateUserRequest) -> Operation[User]:
        """Create a user; ``AlreadyExistsError`` if a live one has the id."""

    def get(self, user_id: str) -> Operation[User]:
        """Return a live user; ``NotFoundError`` if there is none."""

    def update(self, request: UpdateUserRequest) -> Operation[User]:
        """Change the fields that are given; ``NotFoundError`` if there is no live user."""

    def delete(self, user_id: str) -> Operation[None]:
        """Soft-delete a user and the user's sessions; ``NotFoundError`` if there is none."""

    def listed(self, limit: int, cursor: int) -> Operation[list[User]]:
        """Return live users with ids above the cursor, by id; all of them with limit 0."""

    def page(self, limit: int, cursor: Any) -> Operation[Page[User]]:
        """Return the page after a page's cursor (``None``: the first), by id."""

    def sessions(self, user_id: str) -> Operation[list[Session]]:
        """Return the live sessions of a user, by id."""


class MessageOperations(Protocol):
    """Adds and reads messages."""

    def add(
        self,
        session_id: str,
        messages: Sequence[MessageParts],
        defaults: SessionDefaults | None = None,
        *,
        metadata: dict[str, Any] | None = None,
        keep_deleted: bool = False,
        known_ids: KnownIds | None = None,
        before: str | None = None,
    ) -> Operation[dict[str, str]]:
        """Store messages at the end of a session, which is created or revived.

        The metadata is merged into the session's. A message whose id the session has replaces that
        one, unless ``known_ids`` says otherwise; returns the new ids of those that got another one.
        ``keep_deleted`` leaves out messages whose id a soft-deleted one has. With ``before`` they
        take the place of that live message and what follows it, on a new active branch.
        ``NotFoundError`` without that message, ``BadRequestError`` if ``defaults`` have another.
        """

    def read(
        self,
        session_id: str,
        lastn: int | None = None,
        *,
        start_on: Collection[str] = (),
        user_id: str | None = None,
    ) -> Operation[list[Message]]:
        """Return the last messages, oldest first, or all of them.

        If none of them is of the types ``start_on`` (LangChain's), the last earlier one that is
        stands before them, and behind it the one whose tool calls the first of them answer.
        ``BadRequestError`` if the session is another user's than ``user_id``.
        """

    def memory(
        self,
        session_id: str,
        lastn: int | None = None,
        *,
        start_on: Collection[str] = (),
        user_id: str | None = None,
        include_deleted: bool = False,
        branch: str | None = None,
    ) -> Operation[Memory]:
        """Return the same with the session's summary.

        With ``include_deleted`` also soft-deleted messages, also of a deleted session: those of its
        present incarnation and owner. With ``branch`` of the last active branch that holds this
        live message; ``NotFoundError`` if there is none.
        """

    def read_langchain(
        self,
        session_id: str,
        lastn: int | None = None,
        *,
        start_on: Collection[str] = (),
        user_id: str | None = None,
    ) -> Operation[list[BaseMessage]]:
        """Return the same as LangChain's messages."""

    def page(
        self,
        session_id: str,
        after: Any,
        limit: int,
        *,
        after_id: str | None = None,
        include_deleted: bool = False,
        all_branches: bool = False,
    ) -> Operation[Page[Message]]:
        """Return the next messages after a cursor; the first after ``after_id``, if it is given."""

    def window(self, session_id: str, query: WindowQuery) -> Operation[list[Excerpt]]:
        """Return the last messages, or those next to one; ``NotFoundError`` if that is missing."""

    def numbered_page(
        self, session_id: str, limit: int, number: int, *, user_id: str | None = None
    ) -> Operation[list[Message]]:
        """Return a page by its number, from 1; ``BadRequestError`` if it is another user's."""

    def around(self, session_id: str, uuid: str, window: int) -> Operation[list[Message]]:
        """Return a live message with so many before and after it, oldest first."""

    def get(self, session_id: str, uuid: str) -> Operation[Message]:
        """Return one live message; ``NotFoundError`` if there is none."""

    def update(
        self,
        session_id: str,
        uuid: str,
        *,
        metadata: dict[str, Any] | None = None,
        content: str | None = None,
    ) -> Operation[Message]:
        """Merge metadata into a live message's and replace its words, in one update.

        ``NotFoundError`` if there is none.
        """

    def count(self, session_id: str) -> Operation[int]:
        """Return how many messages a session has."""


class BranchOperations(Protocol):
    """Rewinds, switches, lists and copies branches."""

    def rewind(self, session_id: str, before: str) -> Operation[None]:
        """End the active branch before a live message; ``NotFoundError`` if there is none.

        Nothing happens if the message is not on the active branch.
        """

    def switch(self, session_id: str, uuid: str) -> Operation[None]:
        """Activate the last active branch that holds a live message, if the active one does not.

        ``NotFoundError`` if there is no such message.
        """

    def resume(
        self,
        session_id: str,
        lastn: int,
        given: Sequence[GivenMessage],
        *,
        start_on: Collection[str] = (),
        user_id: str | None = None,
    ) -> Operation[Resumption]:
        """Return the history that an agent's run with this input resumes from.

        The first human message of the input that is stored with other words edits that one: the run
        goes on from what stands before it, or before the repeated edit if that is stored. Else it
        goes on from the end of the active branch. ``lastn``, ``start_on`` and ``user_id`` are those
        of ``read_langchain``.
        """

    def listed(self, session_id: str) -> Operation[list[Branch]]:
        """Return a session's branches, in the order of their making."""

    def alternatives(self, session_id: str, uuid: str) -> Operation[list[Message]]:
        """Return the alternatives of a live message in all branches, itself included.

        ``NotFoundError`` if there is no such message.
        """

    def fork(
        self, session_id: str, at: str | None, new_session_id: str | None
    ) -> Operation[Session]:
        """Create a session with a copy of the active branch, or of the branch up to a message.

        It gets the title, the tags and the metadata, with ``forked_from`` once it is whole.
        ``NotFoundError`` if there is no such session or message, ``AlreadyExistsError`` if a live
        session has the new id, unless that is the part that the same call left.
        """


class DeletionOperations(Protocol):
    """Soft-deletes, undeletes and purges."""

    def delete_session(self, session_id: str, user_id: str | None = None) -> Operation[None]:
        """Soft-delete a live session and its messages; ``NotFoundError`` if there is none.

        ``BadRequestError`` if it is another user's than ``user_id``.
        """

    def undelete_session(self, session_id: str) -> Operation[Session]:
        """Bring back a session and what its last deletion took; ``NotFoundError`` if nothing."""

    def delete_message(self, session_id: str, uuid: str) -> Operation[None]:
        """Soft-delete a live message; ``NotFoundError`` if there is none."""

    def undelete_message(self, session_id: str, uuid: str) -> Operation[Message]:
        """Bring back a deleted message of a live session; ``NotFoundError`` if there is none."""

    def erase_session(
        self,
        session_id: str,
        cursor: str | None,
        *,
        user_id: str | None = None,
        dry_run: bool = False,
    ) -> Operation[ErasurePage]:
        """Take a step of removing a session for good, or only count with ``dry_run``.

        The first step, without the cursor of another, decides what is removed.
        """

    def erase_user(
        self, user_id: str, cursor: str | None, *, dry_run: bool = False
    ) -> Operation[ErasurePage]:
        """Take a step of removing a user and all that is the user's, likewise."""

    def purge(
        self,
        older_than: timedelta | None,
        user_id: str | None = None,
        session_id: str | None = None,
    ) -> Operation[dict[str, int]]:
        """Remove what has been soft-deleted for so long; return the counts by collection."""


class SearchOperations(Protocol):
    """Finds messages."""

    def find(self, query: SearchQuery) -> Operation[list[MemorySearchResult]]:
        """Return the best matches among live data, the best first."""

    def embed(
        self, session_id: str | None, user_id: str | None, after: str | None, limit: int
    ) -> Operation[EmbeddingPage]:
        """Make the vectors that a page of messages lacks, the newest first.

        Of a session, of a user's sessions, or of all there are.
        """

    def index(self, session_id: str | None, user_id: str | None) -> Operation[int]:
        """Index what no search by words has met yet, for about a second; return how many."""


class SummaryOperations(Protocol):
    """Keeps the summaries of sessions."""

    def get(self, session_id: str, user_id: str | None = None) -> Operation[Summary | None]:
        """Return a live session's summary; ``None`` if there is none.

        ``BadRequestError`` if the session is another user's than ``user_id``.
        """

    def pending(self, session_id: str, limit: int) -> Operation[SummaryInput]:
        """Return a live session's summary and what was said after it, up to ``limit`` messages.

        ``NotFoundError`` if there is no such session.
        """

    def put(
        self, session_id: str, summary: Summary, replacing: str | None, state: str
    ) -> Operation[Summary | None]:
        """Store a summary in the place of the one with that uuid, and return it as it is stored.

        ``None`` if another is there by now, or the session was deleted or undeleted since that
        state.
        """


class TransferOperations(Protocol):
    """Exports and imports."""

    def page(
        self, user_id: str | None, session_id: str | None, cursor: str | None
    ) -> Operation[Page[Record]]:
        """Return the next records of an export: everything, a user's, or a session's."""

    def load(self, records: Sequence[Record]) -> Operation[list[str | None]]:
        """Store records; what is there already stays. Return for each why it was refused."""


class DiagnosisOperations(Protocol):
    """Counts documents, and checks the store."""

    def stats(self) -> Operation[Stats]:
        """Return statistics of the store."""

    def activity(self, user_id: str | None) -> Operation[Activity]:
        """Return statistics of recent activity, at a bounded cost."""

    def diagnose(self, *, mend: bool) -> Operation[list[Finding]]:
        """Return what is right and what is wrong, after mending what is harmless to mend."""
