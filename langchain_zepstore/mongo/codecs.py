"""Models to documents and back. Pure functions.

A message's document holds nothing twice: ``content`` is the LangChain content as it is, text or
blocks, and ``langchain`` only what has no field of its own.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

import bson
from langchain_core.messages import BaseMessage

from langchain_zepstore.core.ids import new_id
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.messages import langchain as lc_messages
from langchain_zepstore.messages.parts import Body
from langchain_zepstore.messages.storable import unescape
from langchain_zepstore.models import Message, Session, Summary, User
from langchain_zepstore.mongo.documents import (
    MessageDocument,
    Metadata,
    SessionDocument,
    Stage,
    SummaryDocument,
    UserDocument,
)

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
"""The largest document that MongoDB stores."""

_HEADROOM = 8 * 1024  # for the fields that a body lacks; two of them hold an id of 1 kB

# A short plain message needs no measuring: the size of this bound is enough.
_PLAIN_FIELDS = {"uuid", "role", "content", "token_count"}
_PLAIN_BYTES = 80  # of names, lengths and the number
_MAX_PLAIN_CHARACTERS = 100_000
_MAX_UTF8_BYTES = 4


def with_sizes(bodies: Iterable[tuple[Body, str]]) -> list[tuple[Body, int]]:
    """Return messages' bodies, each with an upper bound of its size in bytes.

    Args:
        bodies: The bodies, each with its path in the arguments.

    Raises:
        BadRequestError: One is larger than a document can be; the error names its path.
    """
    return [(body, _size(body, path)) for body, path in bodies]


def _size(body: Body, path: str) -> int:
    content = body["content"]
    if body.keys() == _PLAIN_FIELDS and isinstance(content, str):
        characters = len(content) + len(body["role"]) + len(body["uuid"])
        if characters < _MAX_PLAIN_CHARACTERS:
            return _PLAIN_BYTES + _MAX_UTF8_BYTES * characters
    size = len(bson.encode(body))
    if size > MAX_DOCUMENT_BYTES - _HEADROOM:
        raise BadRequestError(
            f"{path} (uuid {body['uuid']!r}) has {size:,} bytes; "
            f"a document of MongoDB holds at most {MAX_DOCUMENT_BYTES:,}"
        )
    return size


def with_sequence_numbers(
    session: SessionDocument, bodies: Sequence[Body]
) -> list[MessageDocument]:
    """Return the documents of bodies, under the numbers that were just reserved for them."""
    first = session["seq"] - len(bodies) + 1
    scope = scope_of(session)
    numbered = [
        {
            "_id": {"s": session["uuid"], "q": number},
            "session_id": session["_id"],
            "seq": number,
            "created_at": session["active_at"],
            "scope": scope,
            **body,
        }
        for number, body in enumerate(bodies, first)
    ]
    return cast("list[MessageDocument]", numbered)


def placeholders(
    session: SessionDocument, numbers: Iterable[int], deleted_at: datetime
) -> list[MessageDocument]:
    """Return placeholders for sequence numbers, which no message can take then."""
    holders = [
        {
            "_id": {"s": session["uuid"], "q": number},
            "session_id": session["_id"],
            "seq": number,
            "uuid": f"placeholder {new_id()}",
            "deleted_at": deleted_at,
            "placeholder": True,
        }
        for number in numbers
    ]
    return cast("list[MessageDocument]", holders)


MAX_ADD_DURATION = timedelta(hours=1)
"""The longest time between reserving a number and using it; placeholders stay that long."""

FORGETTING: list[Stage] = [
    {
        "$set": {
            "placeholder": True,
            "deleted_at": {"$add": ["$$NOW", MAX_ADD_DURATION // timedelta(milliseconds=1)]},
        }
    },
    {
        "$unset": [
            *("content", "langchain", "metadata", "role", "scope", "embedding"),
            *("deletion", "own_deletion", "restored"),
        ]
    },
]
"""The update that turns a deleted message into a placeholder."""


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


MESSAGE_FIELDS = {"embedding": 0}
"""The projection for ``to_message``."""

SESSION_FIELDS = {"summary": 0, "deletion.summary": 0}
"""The projection for ``to_session``."""


def to_message(document: MessageDocument) -> Message:
    """Decode a message."""
    type_, data, content = _langchain_parts(document)
    text = lc_messages.text_of(content)
    if text is not content:
        data = {**data, "content": content}
    metadata = document.get("metadata")
    return Message(
        role=document["role"],
        content=text,
        uuid=document["uuid"],
        created_at=document["created_at"],
        token_count=document["token_count"],
        metadata=None if metadata is None else unescape(metadata),
        langchain={"type": type_, "data": data} if type_ else None,
    )


LANGCHAIN_FIELDS = {"_id": 0, "role": 1, "content": 1, "uuid": 1, "langchain": 1, "escaped": 1}
"""The projection for ``to_langchain``."""


def to_langchain(document: MessageDocument) -> BaseMessage:
    """Decode a message as LangChain's."""
    type_, data, content = _langchain_parts(document)
    return lc_messages.build(document["role"], content, document["uuid"], type_, data)


def _langchain_parts(document: MessageDocument) -> tuple[str | None, Metadata, Any]:
    payload = document.get("langchain")
    data = (payload and payload.get("data")) or {}
    content = document["content"]
    if document.get("escaped"):
        data, content = unescape(data), unescape(content)
    return payload["type"] if payload else None, data, content


def to_session(document: SessionDocument) -> Session:
    """Decode a session."""
    return Session(session_id=document["_id"], **_same_names(document, Session))


def to_summary(document: SummaryDocument | None) -> Summary | None:
    """Decode a session's summary; ``None`` if it has none."""
    if document is None:
        return None
    metadata = document.get("metadata")
    return Summary(
        uuid=document["uuid"],
        created_at=document["created_at"],
        content=document["content"],
        recent_message_uuid=document["recent_message_uuid"],
        token_count=document["token_count"],
        metadata=None if metadata is None else unescape(metadata),
    )


def to_user(document: UserDocument) -> User:
    """Decode a user."""
    return User(user_id=document["_id"], **_same_names(document, User))


def _same_names(
    document: SessionDocument | UserDocument, model: type[Session | User]
) -> dict[str, Any]:
    """Return the fields of a model that a document has under the same names."""
    fields: dict[str, Any] = {
        name: value for name, value in document.items() if name in model.model_fields
    }
    if fields.get("metadata") is not None:
        fields["metadata"] = unescape(fields["metadata"])
    return fields
