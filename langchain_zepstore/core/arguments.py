"""Arguments and results of the store's operations that have more than a few fields.

The arguments check themselves, wherever they are made, and carry the public names. The fields that
are set are what goes to a server, which reads the same class.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict

from langchain_zepstore.core.validation import (
    MAX_WINDOW,
    checked_bool,
    checked_count,
    checked_id,
    checked_tags,
    checked_text,
    checked_title,
    rfc_3339,
)
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.messages.storable import check_metadata
from langchain_zepstore.models import Session

Check = Callable[[Any, str], Any]
Date = Annotated[datetime, BeforeValidator(rfc_3339)]


def checked_metadata(value: Any, name: str) -> dict[str, Any]:
    """Return metadata that can be stored; raise ``BadRequestError`` otherwise."""
    check_metadata(value, name)
    return value  # type: ignore[no-any-return]


def as_bool(value: Any, name: str) -> bool:  # noqa: ARG001 - a check
    """Return whether a value is true."""
    return bool(value)


def checked_date(value: Any, name: str) -> datetime:
    """Return a time, a naive one in UTC; raise ``BadRequestError`` for anything else."""
    if not isinstance(value, datetime):
        raise BadRequestError(f"{name} must be a datetime, not {type(value).__name__}")
    return value if value.tzinfo else value.replace(tzinfo=UTC)


class Arguments:
    """Base of the arguments: frozen dataclasses whose ``__post_init__`` checks the fields."""

    __slots__ = ()
    __pydantic_config__ = ConfigDict(extra="forbid")  # of a server that reads them

    def given(self) -> dict[str, Any]:
        """Return the fields that are not ``None``."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return {name: value for name, value in values.items() if value is not None}

    def _check(self, **checks: Check) -> None:
        for name, check in checks.items():
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, check(value, name))


@dataclass(frozen=True, slots=True)
class KnownIds:
    """How an add treats an id that the session has already.

    A message that repeats a stored one, with its id, its words and its place in the order, is left
    out. With other words, or behind a message of the call that is new, it is a new message and
    gets another id.

    Attributes:
        replacing: The ids of messages that are put in the place of the stored ones.
        after: The id of a stored message that was said before: what stands before it is not
            repeated.
        given: By ids of messages that are not stored as they were given: what ``given_fingerprint``
            returns of their words.
        branch_of: The id of a stored message. If the active branch does not hold it any more, the
            messages are added to the one that does; it becomes active if one of them is human.
    """

    replacing: frozenset[str] = frozenset()
    after: str | None = None
    given: Mapping[str, str] = field(default_factory=dict)
    branch_of: str | None = None


@dataclass(frozen=True, slots=True)
class GivenMessage(Arguments):
    """A message of an agent's input, which its session may have.

    Attributes:
        uuid: The message's id.
        words: Fingerprints of its words, as they were given and as they would be stored.
        new_uuid: The id that it gets if it edits the stored one; ``None``: it cannot be an edit.
    """

    uuid: str
    words: tuple[str, ...]
    new_uuid: str | None = None


@dataclass(frozen=True, slots=True)
class SessionDefaults(Arguments):
    """Fields of a session that an add creates.

    Attributes:
        user_id: The session's user, created too if need be.
        session_metadata: The session's metadata.

    Raises:
        BadRequestError: The user's id cannot be one, or the metadata cannot be stored.
    """

    user_id: str | None = None
    session_metadata: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        self._check(user_id=checked_id, session_metadata=checked_metadata)


@dataclass(frozen=True, slots=True)
class Listing(Arguments):
    """The filter of a listing of sessions.

    Attributes:
        user_id: Only this user's sessions.
        metadata: Only sessions whose metadata contains this.
        include_deleted: Also the soft-deleted ones.

    Raises:
        BadRequestError: A field is of the wrong type.
    """

    user_id: str | None = None
    metadata: dict[str, Any] | None = None
    include_deleted: bool = False

    def __post_init__(self) -> None:
        self._check(user_id=checked_id, metadata=checked_metadata, include_deleted=as_bool)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentQuery(Arguments):
    """A page of recent sessions; the fields are those of ``client.memory.recent_sessions``.

    Raises:
        BadRequestError: A field is out of range or of the wrong type.
    """

    limit: int = 20
    cursor: str | None = None
    user_id: str | None = None
    archived: bool | None = None
    pinned: bool | None = None
    tags: list[str] | None = None
    metadata: dict[str, Any] | None = None
    since: Date | None = None
    until: Date | None = None
    deleted: bool = False
    preview: bool = False
    content_limit: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "limit", checked_count(self.limit, "limit", least=1))
        self._check(
            cursor=checked_text,
            user_id=checked_id,
            archived=checked_bool,
            pinned=checked_bool,
            tags=checked_tags,
            metadata=checked_metadata,
            since=checked_date,
            until=checked_date,
            deleted=checked_bool,
            preview=checked_bool,
            content_limit=partial(checked_count, least=1),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowQuery(Arguments):
    """Messages next to one; the fields are those of ``client.message.window``.

    Raises:
        BadRequestError: A field is out of range or of the wrong type, or there is more than one id.
    """

    limit: int = 50
    before: str | None = None
    after: str | None = None
    around: str | None = None
    include_deleted: bool = False
    content_limit: int | None = None

    def __post_init__(self) -> None:
        if checked_count(self.limit, "limit", least=1) > MAX_WINDOW:
            raise BadRequestError(f"limit must be at most {MAX_WINDOW}, not {self.limit}")
        self._check(
            before=checked_id,
            after=checked_id,
            around=checked_id,
            include_deleted=checked_bool,
            content_limit=partial(checked_count, least=1),
        )
        ids = self.given().keys() & {"before", "after", "around"}
        if len(ids) > 1:
            names = " and ".join(sorted(ids))
            raise BadRequestError(f"a window is next to one message, not to {names}")

    @property
    def anchor(self) -> str | None:
        """The id of the message that it is next to."""
        return self.before or self.after or self.around

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of a request."""
        return {**self.given(), "include_deleted": "true" if self.include_deleted else None}


class Unset(Enum):
    """The type of ``UNSET``."""

    UNSET = "UNSET"


UNSET = Unset.UNSET
"""Stands for an argument that was not given, where ``None`` has a meaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionChanges(Arguments):
    """Changes to a session's place in a list; a field that is ``UNSET`` stays.

    Attributes:
        title: The new title; ``None`` clears it.
        pinned: Whether the session is pinned.
        archived: Whether it is archived.
        tags: The new tags, in place of the old ones.
        metadata: Metadata to merge.

    Raises:
        BadRequestError: A field cannot be stored.
    """

    title: str | Unset | None = UNSET
    pinned: bool | Unset = UNSET
    archived: bool | Unset = UNSET
    tags: list[str] | Unset = UNSET
    metadata: dict[str, Any] | Unset = UNSET

    def __post_init__(self) -> None:
        for name, value in self.given().items():
            object.__setattr__(self, name, _CHANGES[name](value, name))

    def given(self) -> dict[str, Any]:
        """Return the fields that are set."""
        values = {name: getattr(self, name) for name in _CHANGES}
        return {name: value for name, value in values.items() if value is not UNSET}


_CHANGES: dict[str, Check] = {
    "title": lambda value, name: None if value is None else checked_title(value, name),
    "pinned": checked_bool,
    "archived": checked_bool,
    "tags": checked_tags,
    "metadata": checked_metadata,
}


def changes_in(session: Session) -> SessionChanges:
    """Return the title, pin, archive mark and tags that a session was given.

    Raises:
        BadRequestError: One of them cannot be stored.
    """
    names = session.model_fields_set & _SIDEBAR_FIELDS
    return SessionChanges(**{name: getattr(session, name) for name in names})


def as_read(session: Session) -> Session:
    """Return a session as a store returns it: an update with it changes what is assigned since."""
    session.model_fields_set.difference_update(_SIDEBAR_FIELDS)
    return session


_SIDEBAR_FIELDS = {"title", "pinned", "archived", "tags"}
