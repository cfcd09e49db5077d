"""Records of exports as they are read back: models, and the check of a line."""

from typing import Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from langchain_zepstore.core.records import MAX_FORKS
from langchain_zepstore.core.validation import (
    checked_id,
    checked_tags,
    checked_title,
)
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.models import Message, UTCDatetime

_MAX_SEQ = 100_000_000  # deletions walk the numbers in spans
_Int = Field(ge=0, lt=2**62)
_OptionalInt = Field(default=None, ge=0, lt=2**62)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=False)


class UserRecord(_Strict):
    """A user."""

    user_id: str
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    metadata: dict[str, Any] | None = None
    created_at: UTCDatetime | None = None
    updated_at: UTCDatetime | None = None
    deleted_at: UTCDatetime | None = None


class _Deletion(_Strict):
    id: int = _Int
    at: UTCDatetime
    seq: int = _Int
    open: bool = False
    settled: bool = True


class _Fork(_Strict):
    first: int = _Int
    after: int = _Int
    activated: int = _Int


class _Summary(_Strict):
    uuid: str
    content: str
    recent_message_uuid: str
    token_count: int = _Int
    metadata: dict[str, Any] | None = None
    seq: int = _Int
    created_at: UTCDatetime


class SessionRecord(_Strict):
    """A session, with the last sequence number of its messages.

    A former one is gone, and another may have its id: only messages in the trash are left.
    """

    session_id: str
    uuid: str
    seq: int = Field(ge=0, le=_MAX_SEQ)
    user_id: str | None = None
    metadata: dict[str, Any] | None = None
    title: str | None = None
    pinned: bool = False
    archived: bool = False
    tags: list[str] = []
    created_at: UTCDatetime | None = None
    updated_at: UTCDatetime | None = None
    active_at: UTCDatetime | None = None
    deleted_at: UTCDatetime | None = None
    deletion: dict[str, Any] | None = None
    deletion_count: int | None = _OptionalInt
    summary: dict[str, Any] | None = None
    branched: bool | None = None
    turn: int | None = _OptionalInt
    forks: list[dict[str, Any]] | None = None
    former: bool = False


class MessageRecord(Message):
    """A message, with its sequence number; in a former session, with the user."""

    model_config = ConfigDict(extra="ignore", strict=False)

    session_id: str
    session_uuid: str
    seq: int = _Int
    uuid: str
    token_count: int | None = _OptionalInt
    given: str | None = None
    deletion: int | None = _OptionalInt
    user_id: str | None = None


AnyRecord: TypeAlias = UserRecord | SessionRecord | MessageRecord
_MODELS: dict[str, type[AnyRecord]] = {
    "user": UserRecord,
    "session": SessionRecord,
    "message": MessageRecord,
}


def read_record(record: Any) -> AnyRecord:
    """Return a record that can be stored.

    Raises:
        BadRequestError: It is none; the error says what is wrong, and where.
    """
    if not isinstance(record, dict) or record.get("type") not in _MODELS:
        raise BadRequestError("a line must have a type: user, session or message")
    try:
        read = _MODELS[record["type"]].model_validate(record)
        if isinstance(read, SessionRecord):
            _check_session(read)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        raise BadRequestError(f"{record['type']}.{path}: {first['msg']}") from error
    for name in ("user_id", "session_id", "uuid"):
        if getattr(read, name, None) is not None:
            checked_id(getattr(read, name), name)
    return read


def _check_session(session: SessionRecord) -> None:
    if session.title is not None:
        session.title = checked_title(session.title, "title")
    session.tags = checked_tags(session.tags, "tags")
    if session.deletion is not None:
        session.deletion = _Deletion(**session.deletion).model_dump()
        if session.deletion["seq"] > session.seq:
            raise BadRequestError("session.deletion: seq must not be above the session's")
    if session.summary is not None:
        session.summary = _Summary(**session.summary).model_dump(exclude_none=True)
    if session.forks:
        forks = [_Fork(**fork) for fork in session.forks]
        if not _is_tree(forks, session.seq):
            raise BadRequestError(
                f"session.forks: between 1 and {MAX_FORKS:,} forks must begin at rising numbers "
                "from 1 to the one behind seq, each after a smaller number"
            )
        session.forks = [fork.model_dump() for fork in forks]
        session.branched, session.turn = True, session.turn or 1


def _is_tree(forks: list[_Fork], last: int) -> bool:
    """Return whether each path through forks comes to an end."""
    firsts = [fork.first for fork in forks]
    return (
        len(forks) <= MAX_FORKS
        and firsts[0] == 1
        and firsts == sorted(set(firsts))
        and firsts[-1] <= last + 1
        and all(fork.after < fork.first for fork in forks)
    )
