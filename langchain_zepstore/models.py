"""Zep's vocabulary as pydantic models: the arguments and results of the managers.

The field names are those of zep-python 1.5.0. Times are aware UTC datetimes, kept to the
millisecond, which is what the database holds.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import uuid4

from pydantic import AfterValidator, BaseModel, Field


def _in_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


UTCDatetime = Annotated[datetime, AfterValidator(_in_utc)]
"""A datetime in UTC; a naive one is taken as UTC."""


class Message(BaseModel):
    """One message of a conversation.

    Attributes:
        role: Who speaks; free text. ``human``, ``ai``, ``system``, ``tool`` … for LangChain's;
            ``user`` and ``assistant`` are understood as well.
        content: What was said, as text. Of a multimodal LangChain message, its text blocks.
        uuid: Its id, unique within the session; any non-empty string up to 1 kB. The store gives
            it a new one if there is none. A message added again under its id replaces the first.
        created_at: When it was said; the time of storing if not given.
        token_count: Number of tokens; langchain-core's approximation if not given.
        metadata: The application's own data about the message.
        langchain: What a LangChain message holds beyond the fields above, in the shape of
            langchain-core's ``message_to_dict``; ``None`` for a plain one.
        deleted_at: Filled by the store: when it was soft-deleted; ``None`` while it lives.
        parent_uuid: Filled on request: the message before it on its branch.
    """

    role: str
    content: str
    uuid: str | None = None
    created_at: UTCDatetime | None = None
    token_count: int | None = None
    metadata: dict[str, Any] | None = None
    langchain: dict[str, Any] | None = None
    deleted_at: UTCDatetime | None = None
    parent_uuid: str | None = None


class Excerpt(Message):
    """A message of a window, or its beginning.

    Attributes:
        is_cut: Whether it is only the beginning of the message.
        alternatives: The ids of what stands in its place in the branches, the first said first,
            itself included; ``None`` if that is itself alone.
    """

    is_cut: bool = False
    alternatives: list[str] | None = None


class Branch(BaseModel):
    """A branch of a session: its messages from the first one to a last one.

    Attributes:
        last_message_id: The id of its last message; ``None`` for one without messages.
        message_count: How many messages it has.
        created_at: When the first message was said that no older branch has; ``None`` if there is
            none, as after a rewind.
        is_active: Whether it is the one that reads, searches and counts see.
    """

    last_message_id: str | None
    message_count: int
    created_at: UTCDatetime | None
    is_active: bool


class Summary(BaseModel):
    """A summary of a session up to one of its messages.

    Attributes:
        uuid: Its id.
        created_at: When it was written.
        content: Its text.
        recent_message_uuid: The last message that it covers.
        token_count: Number of tokens.
        metadata: Data about the summary.
    """

    uuid: str
    created_at: UTCDatetime
    content: str
    recent_message_uuid: str
    token_count: int
    metadata: dict[str, Any] | None = None


class Memory(BaseModel):
    """Messages of a session, oldest first, with its summary.

    Attributes:
        messages: The messages, in the order in which they were said.
        metadata: On adding, merged into the session's metadata.
        summary: The session's summary, if there is one.
        uuid: Unused; a field of zep-python.
        created_at: Unused; a field of zep-python.
        token_count: Unused; a field of zep-python.
    """

    messages: list[Message] = Field(default_factory=list)
    metadata: dict[str, Any] | None = None
    summary: Summary | None = None
    uuid: str | None = None
    created_at: UTCDatetime | None = None
    token_count: int | None = None


class Session(BaseModel):
    """A conversation.

    Attributes:
        session_id: Its key: any non-empty string up to 1 kB; a new uuid if not given.
        user_id: Whose conversation it is, if anyone's. A user has any number of sessions.
        metadata: The application's own data about it; merged, never replaced.
        title: Its title; ``metadata["title"]`` where none was set.
        pinned: Whether it is pinned.
        archived: Whether it is archived.
        tags: Its tags.
        uuid: Filled by the store; new whenever the id is used again after a purge.
        id: Filled by the store: a small increasing int, the cursor of listings.
        created_at: Filled by the store.
        updated_at: Filled by the store: when metadata, user or deletion last changed.
        deleted_at: Filled by the store: when it was soft-deleted; ``None`` while it lives.
        active_at: Filled by the store: the time of the last message, or of the creation.
        message_count: Filled on request: the number of messages; 1,000 means so many or more.
        last_message: Filled on request: the last message, if there is any.
    """

    session_id: str = Field(default_factory=lambda: uuid4().hex)
    user_id: str | None = None
    metadata: dict[str, Any] | None = None
    title: str | None = None
    pinned: bool = False
    archived: bool = False
    tags: list[str] = Field(default_factory=list)
    uuid: str | None = None
    id: int | None = None
    created_at: UTCDatetime | None = None
    updated_at: UTCDatetime | None = None
    deleted_at: UTCDatetime | None = None
    active_at: UTCDatetime | None = None
    message_count: int | None = None
    last_message: Message | None = None


class SessionPage(BaseModel):
    """A page of recent sessions.

    Attributes:
        sessions: The sessions, the most recently active first.
        next_cursor: What to pass for the page after it; ``None`` if this was the last.
    """

    sessions: list[Session]
    next_cursor: str | None = None


class MemorySearchPayload(BaseModel):
    """The query of a search, as zep-python has it.

    Attributes:
        text: The words.
        metadata: ``start_date`` and ``end_date``, as ISO 8601: when it was said. ``where``: what
            its metadata must be like.
        search_scope: ``messages``, ``summary`` or ``sessions``.
        search_type: ``text``, ``mmr`` or ``hybrid``; ``similarity``, zep-python's own default,
            leaves it to the store.
        mmr_lambda: Between relevance (1) and variety (0), for ``mmr``.
    """

    text: str | None = None
    metadata: dict[str, Any] | None = None
    search_scope: str | None = "messages"
    search_type: str | None = None
    mmr_lambda: float | None = None


class MemorySearchResult(BaseModel):
    """Something that was found.

    Attributes:
        message: The message.
        summary: The summary, when summaries are searched.
        metadata: Data about the result; a field of zep-python.
        dist: How well it matches, more is better; Zep's name for the score.
        score: How well it matches, more is better; comparable within one search only.
        session_id: The id of the session that it is in, or that was found.
        session_title: The title of that session, if it has one.
        snippet: The words around the hit, on one line of at most 240 characters.
        highlights: Where the snippet holds words of the query: their begins and ends in it.
    """

    message: Message | None = None
    summary: Summary | None = None
    metadata: dict[str, Any] | None = None
    dist: float | None = None
    score: float | None = None
    session_id: str | None = None
    session_title: str | None = None
    snippet: str | None = None
    highlights: list[tuple[int, int]] = Field(default_factory=list)


class CreateUserRequest(BaseModel):
    """A user to add.

    Attributes:
        user_id: The user's key: any non-empty string up to 1 kB.
        email: An address.
        first_name: The first name.
        last_name: The last name.
        metadata: The application's own data about the user.
    """

    user_id: str
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    metadata: dict[str, Any] | None = None


class UpdateUserRequest(CreateUserRequest):
    """Changes to a user: fields that are not given stay, ``None`` clears, metadata is merged.

    Attributes:
        uuid: Unused; a field of zep-python.
    """

    uuid: str | None = None


class User(CreateUserRequest):
    """Someone who has sessions.

    Attributes:
        uuid: Filled by the store; new whenever the id is used again after a purge.
        id: Filled by the store: a small increasing int, the cursor of listings.
        created_at: Filled by the store.
        updated_at: Filled by the store.
        deleted_at: Filled by the store: when the user was soft-deleted; ``None`` while it lives.
    """

    uuid: str | None = None
    id: int | None = None
    created_at: UTCDatetime | None = None
    updated_at: UTCDatetime | None = None
    deleted_at: UTCDatetime | None = None


class Stats(BaseModel):
    """Statistics of the store.

    Attributes:
        sessions: Live sessions.
        messages: Live messages.
        users: Live users.
        deleted_sessions: Soft-deleted sessions.
        deleted_messages: Soft-deleted messages.
        deleted_users: Soft-deleted users.
        data_bytes: Bytes on disk of the documents.
        index_bytes: Bytes on disk of the indexes.
        retention_seconds: After how long deleted messages are removed; sessions and users a day
            later. ``None`` if nothing is removed.
        active_sessions_per_day: How many sessions were last active on a day, of the last 30 days.
    """

    sessions: int = 0
    messages: int = 0
    users: int = 0
    deleted_sessions: int = 0
    deleted_messages: int = 0
    deleted_users: int = 0
    data_bytes: int = 0
    index_bytes: int = 0
    retention_seconds: int | None = None
    active_sessions_per_day: dict[str, int] = Field(default_factory=dict)


class Activity(BaseModel):
    """Statistics of recent activity: of the sessions last active, and of their messages.

    Attributes:
        sessions: How many sessions were looked at, the last active first.
        messages: How many messages were looked at, those of all branches.
        is_complete: Whether these are all that there are.
        messages_per_day: How many of the messages were said on a day.
        messages_per_role: How many have a role.
        messages_per_size: How many have up to so many bytes, and more than the size before.
        sessions_per_user: How many of the sessions a user has; ``""`` is nobody.
        retention_seconds: As in ``Stats``.
    """

    sessions: int = 0
    messages: int = 0
    is_complete: bool = True
    messages_per_day: dict[str, int] = Field(default_factory=dict)
    messages_per_role: dict[str, int] = Field(default_factory=dict)
    messages_per_size: dict[int, int] = Field(default_factory=dict)
    sessions_per_user: dict[str, int] = Field(default_factory=dict)
    retention_seconds: int | None = None


class Finding(BaseModel):
    """Something that ``client.diagnose`` looked at.

    Attributes:
        name: Its name.
        level: Whether it is as it should be.
        message: Its state.
        cure: What mends it; ``None`` where nothing is wrong.
    """

    name: str
    level: Literal["ok", "warning", "fault"]
    message: str
    cure: str | None = None
