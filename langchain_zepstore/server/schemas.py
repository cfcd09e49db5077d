"""The schemas of requests: ids in paths, parameters, and bodies. Invalid ones are a 400."""

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Self, TypeVar
from urllib.parse import unquote

from fastapi import Path, Query, Request
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from langchain_zepstore.core.arguments import GivenMessage, KnownIds, SessionChanges
from langchain_zepstore.core.validation import checked_id, rfc_3339
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.messages.wire import EXACT, from_json, payload_of
from langchain_zepstore.models import Message, Session, Summary

Body = TypeVar("Body")


def _id(text: Any) -> str:
    # Paths are routed as they came (see paths); an id is decoded only here.
    try:
        return checked_id(unquote(str(text), errors="strict"), "the id in the path")
    except UnicodeDecodeError:
        raise ValueError("the id in the path is no UTF-8") from None


def _blank_as_none(value: Any) -> Any:
    return None if value == "" else value  # zep-python sends them


def _no_limit(value: Any) -> Any:
    return None if value in {"", "0"} else value


Id = Annotated[str, Path(description="Percent-encoded."), BeforeValidator(_id)]
Limit = Annotated[
    int | None,
    Query(description="How many at most; all of them without it.", ge=1, lt=2**63),
    BeforeValidator(_no_limit),
]
Cursor = Annotated[
    int | None,
    Query(description="The `id` of the last one of the page before.", ge=0, lt=2**63),
    BeforeValidator(_blank_as_none),
]
Count = Annotated[
    int | None,
    Query(description="How many of the last; all of them without it.", ge=0, lt=2**63),
    BeforeValidator(_blank_as_none),
]
Window = Annotated[int, Query(description="How many before, and how many after.", ge=0, le=1000)]
Text = Annotated[str | None, Query(), BeforeValidator(_blank_as_none)]
Date = Annotated[datetime | None, Query(), BeforeValidator(rfc_3339)]
Tags = Annotated[list[str] | None, Query(description="All of these.")]
MessageId = Annotated[
    str | None,
    Query(description="The `uuid` of a message."),
    AfterValidator(lambda value: value and checked_id(value, "the id of a message")),
    BeforeValidator(_blank_as_none),
]
Metadata = dict[str, Any] | None
User = Annotated[str | None, BeforeValidator(_blank_as_none)]


class _Strict(BaseModel):
    """A body of a route of our own: a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid")


class OrganizeBody(_Strict):
    """Changes to a session's place in a list; a field that is not given stays."""

    title: str | None = Field(None, description="`null` clears it.")
    pinned: bool = False
    archived: bool = False
    tags: list[str] = Field([], description="In place of the old ones.")
    metadata: Annotated[dict[str, Any], Field(description="Merged into the session's.")] = {}

    def changes(self) -> SessionChanges:
        """Return the fields that were given."""
        return SessionChanges(**{name: getattr(self, name) for name in self.model_fields_set})


class RewindBody(_Strict):
    """Where the active branch is to end."""

    before: str = Field(description="The `uuid` of the first message that goes.")


class SwitchBody(_Strict):
    """The branch that is to be active."""

    message_id: str = Field(description="The `uuid` of any of its messages.")


class ResumeBody(_Strict):
    """The input of an agent's run."""

    lastn: int = Field(ge=0, description="How many messages to return at most.")
    start_on: list[str] = Field([], description="As for `GET …/memory`.")
    user_id: str | None = Field(None, description="Another user's session is refused.")
    given: list[GivenMessage] = Field(description="The messages, with fingerprints of their words.")


class ForkBody(_Strict):
    """The messages to copy into a new session."""

    at: str | None = Field(None, description="The `uuid` of the last message; without it, all.")
    new_session_id: str | None = Field(None, description="The new session's id.")


class _SessionFields(BaseModel):
    user_id: User = Field(None, description="Assigned if the session has none.")
    metadata: Metadata = None
    title: str | None = None
    pinned: bool = False
    archived: bool = False
    tags: list[str] = []

    def session(self, session_id: str, user_id: str | None) -> Session:
        """Return a session with the fields that were given."""
        names = self.model_fields_set & {"title", "pinned", "archived", "tags"}
        given = {name: getattr(self, name) for name in names}
        return Session(session_id=session_id, user_id=user_id, metadata=self.metadata, **given)


class SessionBody(_SessionFields):
    """A session to create."""

    session_id: str


class SessionPatch(_SessionFields):
    """Changes to a session: metadata is merged, then keys are removed."""

    unset: list[list[str]] = Field([], description="Paths of keys to remove.")


class ListingBody(_Strict):
    """Which sessions to list."""

    limit: int | None = Field(None, ge=1, lt=2**63)
    cursor: int | None = Field(None, ge=0, lt=2**63)
    user_id: str | None = None
    metadata: Metadata = Field(None, description="What a session's metadata must hold.")
    include_deleted: bool = False


class MessageBody(Message):
    """A message to add."""

    created_at: Annotated[datetime | None, BeforeValidator(rfc_3339)] = None
    role_type: str | None = Field(None, description="What zep-python 2 says beside a name.")

    @model_validator(mode="after")
    def _keep_role_type(self) -> Self:
        self.langchain = self.langchain or payload_of(self.role, self.role_type)
        return self


class KnownIdsBody(BaseModel):
    """How ids are treated that the session has already."""

    replacing: list[str] = Field([], description="Of messages that replace the stored ones.")
    after: str | None = Field(None, description="Of the stored message before the first one.")
    given: dict[str, str] = Field(
        {}, description="Fingerprints of words that were given, where others are stored."
    )
    branch_of: str | None = Field(None, description="Of a stored message whose branch they extend.")


class MemoryBody(BaseModel):
    """Messages to add."""

    messages: list[MessageBody] | None = None
    metadata: Metadata = Field(None, description="Merged into the session's.")
    user_id: User = Field(None, description="Whose the session is if it is new.")
    session_metadata: Metadata = Field(None, description="The session's if it is new.")
    before: str | None = Field(
        None, description="The `uuid` of the message that they replace, with all that follows it."
    )
    keep_deleted: bool = Field(False, description="Leave out messages whose ids deleted ones have.")
    may_be_cut: bool = Field(False, description="Shorten what is too large, with a marker.")
    known_ids: KnownIdsBody | None = Field(
        None,
        description="With it, even an empty one, a message with a known id that is no repetition "
        "gets another id; the answer is `{new_ids: {old: new}}` then.",
    )

    @property
    def ids(self) -> KnownIds | None:
        """How known ids are treated, for the store."""
        known = self.known_ids
        if known is None:
            return None
        return KnownIds(frozenset(known.replacing), known.after, known.given, known.branch_of)


class MessagePatch(BaseModel):
    """Changes to a message."""

    content: str | None = Field(None, description="Replaces the message's content.")
    metadata: Metadata = Field(None, description="Merged into the message's.")


class UserBody(BaseModel):
    """A user to create."""

    user_id: str
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    metadata: Metadata = None


class UserPatch(BaseModel):
    """Changes to a user: missing fields stay, null clears, metadata is merged."""

    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    metadata: Metadata = None


class EmbedBody(_Strict):
    """Whose vectors to make: a page of a session's, of a user's, or of all messages."""

    session_id: str | None = None
    user_id: str | None = None
    after: str | None = Field(None, description="The `cursor` of the page before.")
    limit: int = Field(128, ge=1, le=1000)


class IndexBody(_Strict):
    """Whose messages to index: a session's, a user's, or all."""

    session_id: str | None = None
    user_id: str | None = None


class SummaryBody(_Strict):
    """A summary to keep, in the place of the one before."""

    session_id: str
    summary: Summary
    replacing: str | None = Field(None, description="The `uuid` of the one before.")
    state: str = Field(description="The `state` that came with what it sums up.")


class PurgeBody(_Strict):
    """The deleted data to remove for good."""

    older_than: float | None = Field(
        None, description="Only what was deleted so many seconds ago.", ge=0, le=2**31
    )
    user_id: str | None = Field(None, description="Only this user's.")
    session_id: str | None = Field(None, description="Only this session's.")


class ExportBody(_Strict):
    """A page of an export."""

    user_id: str | None = Field(None, description="Only this user and the user's sessions.")
    session_id: str | None = Field(None, description="Only this session.")
    cursor: str | None = Field(None, description="The `cursor` of the page before.")


class ImportBody(_Strict):
    """Records of an export."""

    records: Annotated[list[dict[str, Any]], Field(max_length=1000)]


class EraseBody(_Strict):
    """A step of an erasure."""

    cursor: str | None = Field(
        None,
        description="The `cursor` of the step before; without it, the first step.",
        pattern="^[0-9]{1,18}$",
    )
    user_id: str | None = Field(None, description="Only if it is this user's.")
    dry_run: bool = Field(False, description="Only count.")


async def read_body(request: Request, model: type[Body]) -> Body:
    """Return the body of a request, of any content type.

    Raises:
        BadRequestError: It is no JSON, or does not fit the model; the error says what and where.
    """
    return _validated(await _json(request), model)


async def read_arguments(request: Request, model: type[Body], **defaults: Any) -> Body:
    """Return the body of a request as arguments of one of the store's operations.

    ``null`` is as good as absent.

    Raises:
        BadRequestError: As ``read_body``.
    """
    value = await _json(request)
    if isinstance(value, dict):
        value = {
            name: item
            for given in (defaults, value)
            for name, item in given.items()
            if item is not None
        }
    return _validated(value, model)


async def _json(request: Request) -> Any:
    text = await request.body()
    try:
        is_exact = request.headers.get("content-type", "").startswith(EXACT)
        value = from_json(text, is_exact=is_exact)
    except (ValueError, RecursionError, OverflowError) as error:
        raise BadRequestError(f"the body is no JSON: {error}") from error
    return value


_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


def _validated(value: Any, model: type[Body]) -> Body:
    try:
        valid: Body = _adapter(model).validate_python(value)
    except ValidationError as error:
        raise BadRequestError(reasons(error.errors(include_url=False))) from error
    return valid


def read_filter(text: str | None) -> dict[str, Any] | None:
    """Return the metadata filter of a listing, a JSON object in a parameter.

    Raises:
        BadRequestError: It is none.
    """
    if text is None:
        return None
    try:
        value = from_json(text.encode(), is_exact=True)
    except (ValueError, RecursionError, OverflowError) as error:
        raise BadRequestError(f"metadata is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadRequestError("metadata must be a JSON object")
    return value


def reasons(errors: Any) -> str:
    """Return pydantic's errors in one line, with their paths."""
    return "; ".join(map(_reason, errors))


def _reason(error: Any) -> str:
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, BadRequestError) and not error["loc"]:
        return str(cause)  # of arguments that check themselves
    return f"{_path(error['loc'])}: {error['msg']}"


def _path(parts: tuple[Any, ...]) -> str:
    shown = ""
    for part in parts:
        shown += f"[{part}]" if isinstance(part, int) else f".{part}" if shown else str(part)
    return shown or "the body"
