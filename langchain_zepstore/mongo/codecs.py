"""Models to documents and back. Pure functions.

A message's document holds nothing twice: ``content`` is the LangChain content as it is, text or
blocks, and ``langchain`` only what has no field of its own.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import bson
from langchain_core.messages import BaseMessage

from langchain_zepstore.core.arguments import as_read
from langchain_zepstore.core.ids import new_id
from langchain_zepstore.core.message_parts import MessageParts
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.messages import langchain as lc_messages
from langchain_zepstore.messages.fingerprints import fingerprint, given_fingerprint
from langchain_zepstore.messages.langchain import HUMAN_TYPES
from langchain_zepstore.messages.shortening import fitted_parts
from langchain_zepstore.models import Excerpt, Message, Session, Summary, User
from langchain_zepstore.mongo.documents import (
    MessageDocument,
    Metadata,
    SessionDocument,
    Stage,
    SummaryDocument,
    UserDocument,
)
from langchain_zepstore.mongo.encoding import (
    decoded,
    decoded_metadata,
    encoded,
    encoded_metadata,
    encoding_fields,
)

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
"""The largest document that MongoDB stores."""

# Without the fields that a body lacks: two of them hold an id of 1 kB.
_MAX_BODY_BYTES = MAX_DOCUMENT_BYTES - 8 * 1024

# A short plain message needs no measuring: the size of this bound is enough.
_PLAIN_FIELDS = {"uuid", "role", "content", "token_count", "created_at"}
_PLAIN_BYTES = 100  # of names, lengths, the number and the time
_MAX_PLAIN_CHARACTERS = 100_000
_MAX_UTF8_BYTES = 4


def with_sizes(messages: Iterable[MessageParts]) -> list[tuple[Stage, int]]:
    """Return messages' bodies, each with an upper bound of its size in bytes.

    A body is a document less what depends on the session. A message that may be cut is shortened to
    what a document holds.

    Raises:
        BadRequestError: One is larger than a document can be; the error names its path.
    """
    return [_with_size(parts) for parts in messages]


def _with_size(parts: MessageParts) -> tuple[Stage, int]:
    body, content = _body(parts), parts.content
    if body.keys() <= _PLAIN_FIELDS and isinstance(content, str):
        characters = len(content) + len(parts.role) + len(parts.uuid)
        if characters < _MAX_PLAIN_CHARACTERS:
            return body, _PLAIN_BYTES + _MAX_UTF8_BYTES * characters
    size = len(bson.encode(body))
    if size <= _MAX_BODY_BYTES:
        return body, size
    if not parts.may_be_cut:
        raise BadRequestError(
            f"{parts.path} (uuid {parts.uuid!r}) has {size:,} bytes; "
            f"a document of MongoDB holds at most {MAX_DOCUMENT_BYTES:,}"
        )
    body = _body(fitted_parts(parts, lambda each: len(bson.encode(_body(each))), _MAX_BODY_BYTES))
    return body, len(bson.encode(body))


def _body(parts: MessageParts) -> Stage:
    needs = parts.needs
    body: Stage = {
        "uuid": parts.uuid,
        "role": parts.role,
        "content": encoded(parts.content, needs) if needs else parts.content,
        "token_count": parts.token_count,
    }
    if parts.type is not None:
        data = encoded(parts.data, needs) if needs else parts.data
        body["langchain"] = {"type": parts.type, "data": data}
    if parts.metadata is not None:
        body["metadata"] = encoded_metadata(parts.metadata, f"{parts.path}.metadata")
    if parts.created_at is not None:
        body["created_at"] = parts.created_at
    if needs:
        body |= encoding_fields(needs)
    return body


BODY_FIELDS = (
    *("uuid", "role", "content", "token_count", "created_at"),
    *("langchain", "metadata", "escaped", "marked", "given"),
)
"""The fields of a message that do not depend on its session."""


def body_of(document: MessageDocument) -> Stage:
    """Return the body of a stored message, for another session."""
    return {name: value for name, value in document.items() if name in BODY_FIELDS}


def with_sequence_numbers(
    session: SessionDocument, bodies: Sequence[Stage]
) -> list[MessageDocument]:
    """Return the documents of bodies, under the numbers that were just reserved for them."""
    first = session["seq"] - len(bodies) + 1
    scope = scope_of(session)
    flags = {"branched": True} if session.get("branched") else {}
    numbered = [
        {
            "_id": {"s": session["uuid"], "q": number},
            "session_id": session["_id"],
            "seq": number,
            "created_at": session["active_at"],
            "scope": scope,
            **flags,
            **body,
        }
        for number, body in enumerate(bodies, first)
    ]
    return cast("list[MessageDocument]", numbered)


def placeholders(
    session: SessionDocument, numbers: Iterable[int], deleted_at: datetime
) -> list[MessageDocument]:
    """Return placeholders for sequence numbers, which no message can take then."""
    scope = scope_of(session)
    holders = [
        {
            "_id": {"s": session["uuid"], "q": number},
            "session_id": session["_id"],
            "seq": number,
            "uuid": f"placeholder {new_id()}",
            "scope": scope,
            "deleted_at": deleted_at,
            "placeholder": True,
        }
        for number in numbers
    ]
    return cast("list[MessageDocument]", holders)


def fences(
    incarnation: str, numbers: Iterable[int], session_id: str | None
) -> list[MessageDocument]:
    """Return placeholders as an erasure leaves them.

    Args:
        incarnation: The session's ``uuid``.
        numbers: The sequence numbers.
        session_id: The session's id, on a sharded cluster: without it the shards do not see that a
            number is taken.
    """
    expires_at = datetime.now(UTC) + MAX_ADD_DURATION
    holders = [
        {
            "_id": {"s": incarnation, "q": number},
            "superseded": {"s": incarnation, "q": number},
            "deleted_at": expires_at,
            "expires_at": expires_at,
            "placeholder": True,
            **({} if session_id is None else {"session_id": session_id}),
        }
        for number in numbers
    ]
    return cast("list[MessageDocument]", holders)


MAX_ADD_DURATION = timedelta(hours=1)
"""The longest time between reserving a number and using it; placeholders stay that long."""

BEING_ERASED = datetime(9999, 12, 31, tzinfo=UTC)
"""The ``deleted_at`` of an erased session, which neither TTL nor purge removes."""

IS_DELETED = {"$exists": True, "$lt": BEING_ERASED}
"""The ``deleted_at`` of soft-deleted documents."""

DERIVED_FIELDS = ("embedding", "tokens")
"""The fields of a message that are made from its content."""

FORGETTING: list[Stage] = [
    {
        "$set": {
            "placeholder": True,
            "deleted_at": {"$add": ["$$NOW", MAX_ADD_DURATION // timedelta(milliseconds=1)]},
        }
    },
    {
        "$unset": [
            *("content", "langchain", "metadata", "role", "given", *DERIVED_FIELDS),
            *("deletion", "own_deletion", "restored"),
        ]
    },
]
"""The update that turns a deleted message into a placeholder."""

_IN_AN_HOUR = {"$add": ["$$NOW", MAX_ADD_DURATION // timedelta(milliseconds=1)]}


def erasing(*, sharded: bool) -> list[Stage]:
    """Return the update that turns a message into a placeholder as ``fences`` makes them."""
    left: Stage = {
        "_id": "$_id",
        "superseded": "$_id",
        "deleted_at": _IN_AN_HOUR,
        "expires_at": _IN_AN_HOUR,
        "placeholder": True,
    }
    return [{"$replaceWith": left | ({"session_id": "$session_id"} if sharded else {})}]


def scope_of(session: SessionDocument) -> str:
    """Return the ``scope`` of a session's messages."""
    user_id = session.get("user_id")
    return session_scope(session["_id"]) if user_id is None else user_scope(user_id)


def session_scope(session_id: str) -> str:
    """Return the ``scope`` of messages in a session that is nobody's."""
    return f"s:{session_id}"


def user_scope(user_id: str) -> str:
    """Return the ``scope`` of a user's messages."""
    return f"u:{user_id}"


MESSAGE_FIELDS = dict.fromkeys(DERIVED_FIELDS, 0)
"""The projection for ``to_message``."""

SESSION_FIELDS = {"summary": 0, "deletion.summary": 0, "forks": 0}
"""The projection for ``to_session``."""


def to_message(document: MessageDocument) -> Message:
    """Decode a message."""
    type_, data, content = _langchain_parts(document)
    text, data = lc_messages.without_blocks(content, data)
    return Message(
        role=document["role"],
        content=text,
        uuid=document["uuid"],
        created_at=document["created_at"],
        token_count=document["token_count"],
        metadata=decoded_metadata(document.get("metadata")),
        langchain={"type": type_, "data": data} if type_ else None,
        deleted_at=document.get("deleted_at"),
    )


def to_excerpt(document: MessageDocument) -> Excerpt:
    """Decode a message that may be cut."""
    return Excerpt(**dict(to_message(document)), is_cut=bool(document.get("is_cut")))


LANGCHAIN_FIELDS = {
    "_id": 0,
    **dict.fromkeys(("role", "content", "uuid", "langchain", "escaped", "marked"), 1),
    "seq": 1,
    "scope": 1,
    "branched": 1,
    "given": 1,
}
"""The projection for ``to_langchain``."""


def to_langchain(document: MessageDocument) -> BaseMessage:
    """Decode a message as LangChain's."""
    type_, data, content = _langchain_parts(document)
    return lc_messages.build(document["role"], content, document["uuid"], type_, data)


def given_for(document: MessageDocument) -> str | None:
    """Return the ``given`` of a stored message that gets other words; ``None`` for others' words.

    Only of human messages is it asked for.
    """
    if langchain_type(document) not in HUMAN_TYPES:
        return None
    return document.get("given") or given_fingerprint(fingerprint(to_langchain(document)))


def _langchain_parts(document: MessageDocument) -> tuple[str | None, Metadata, Any]:
    payload, content = document.get("langchain"), document["content"]
    if payload is None:
        return None, {}, content if type(content) is str else decoded(content, document)
    data = decoded(payload.get("data") or {}, document)
    return payload["type"], data, decoded(content, document)


def langchain_type(document: MessageDocument | Stage) -> str:
    """Return the type of LangChain's message."""
    payload = document.get("langchain")
    return payload["type"] if payload else lc_messages.PLAIN_TYPES.get(document["role"], "chat")


def to_session(document: SessionDocument) -> Session:
    """Decode a session."""
    session = Session(session_id=document["_id"], **_same_names(document, Session))
    session.title = title_of(document)
    return as_read(session)


def title_of(document: SessionDocument) -> str | None:
    """Return a session's title; that in its metadata if none was set."""
    if (title := document.get("title")) is not None:
        return title
    title = (decoded_metadata(document.get("metadata")) or {}).get("title")
    return title if isinstance(title, str) else None


def to_summary(document: SummaryDocument | None) -> Summary | None:
    """Decode a session's summary; ``None`` if it has none."""
    if document is None:
        return None
    return Summary(
        uuid=document["uuid"],
        created_at=document["created_at"],
        content=document["content"],
        recent_message_uuid=document["recent_message_uuid"],
        token_count=document["token_count"],
        metadata=decoded_metadata(document.get("metadata")),
    )


def to_user(document: UserDocument) -> User:
    """Decode a user."""
    return User(user_id=document["_id"], **_same_names(document, User))


def _same_names(document: SessionDocument | UserDocument, model: type[Session | User]) -> Stage:
    """Return the fields of a model that a document has under the same names."""
    fields: Stage = {name: value for name, value in document.items() if name in model.model_fields}
    if fields.get("metadata") is not None:
        fields["metadata"] = decoded_metadata(fields["metadata"])
    return fields
