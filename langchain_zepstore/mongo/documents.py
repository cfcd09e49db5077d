"""Models to BSON documents and back. Pure functions.

A message's document holds nothing twice: ``content`` is the LangChain content as it is, text or
blocks, and ``langchain`` only what has no field of its own.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import bson
from langchain_core.messages import BaseMessage

from langchain_zepstore.core.ids import new_id
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.messages import langchain as lc_messages
from langchain_zepstore.messages.storable import unescape
from langchain_zepstore.models import Message, Session, Summary, User
from langchain_zepstore.mongo.driver.collection import Document

MAX_DOCUMENT = 16 * 1024 * 1024
"""Bytes that MongoDB takes at most."""

_HEADROOM = 8 * 1024  # for the fields that a body does not hold yet; two of them carry a 1 kB id

# What is plainly small need not be measured.
_BARE = {"uuid", "role", "content", "token_count"}
_BARE_BYTES = 80  # of names, lengths and the number
_SHORT = 100_000
_UTF8 = 4


def sized(bodies: Iterable[tuple[Document, str]]) -> list[tuple[Document, int]]:
    """Return messages' bodies with the number of bytes that each of them takes at most.

    Args:
        bodies: The bodies, and where they came from.

    Raises:
        BadRequestError: One is larger than a document can be; it says which.
    """
    return [(body, _size(body, where)) for body, where in bodies]


def _size(body: Document, where: str) -> int:
    content = body["content"]
    if body.keys() == _BARE and isinstance(content, str):
        characters = len(content) + len(body["role"]) + len(body["uuid"])
        if characters < _SHORT:
            return _BARE_BYTES + _UTF8 * characters
    size = len(bson.encode(body))
    if size > MAX_DOCUMENT - _HEADROOM:
        raise BadRequestError(
            f"{where} (uuid {body['uuid']!r}) has {size:,} bytes; "
            f"a document of MongoDB holds at most {MAX_DOCUMENT:,}"
        )
    return size


def numbered(session: Document, bodies: Sequence[Document]) -> list[Document]:
    """Give bodies the last numbers of those that were just reserved on their session."""
    first = session["seq"] - len(bodies) + 1
    scope = scope_of(session)
    return [
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


def placeholders(session: Document, numbers: Iterable[int], deleted_at: datetime) -> list[Document]:
    """Return documents that hold numbers, so that no message can take them; no read shows them."""
    return [
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


GRACE = timedelta(hours=1)
"""How long an add may take from reserving a number to using it; so long placeholders stay."""

FORGETTING: list[Document] = [
    {
        "$set": {
            "placeholder": True,
            "deleted_at": {"$add": ["$$NOW", GRACE // timedelta(milliseconds=1)]},
        }
    },
    {
        "$unset": [
            *("content", "langchain", "metadata", "deletion", "restored", "role", "scope"),
            "embedding",
        ]
    },
]
"""What makes a placeholder of a deleted message."""


def scope_of(session: Document) -> str:
    """Return whose messages a session's are: its user's, or its own."""
    user_id = session.get("user_id")
    return f"s:{session['_id']}" if user_id is None else f"u:{user_id}"


MESSAGE_FIELDS = {"embedding": 0}
"""What to leave out in reading what ``to_message`` needs."""

SESSION_FIELDS = {"summary": 0, "deletion.summary": 0}
"""What to leave out in reading what ``to_session`` needs."""


def to_message(document: Document) -> Message:
    """Decode a message."""
    kind, data, content = _langchain_parts(document)
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
        langchain={"type": kind, "data": data} if kind else None,
    )


LANGCHAIN_FIELDS = {"_id": 0, "role": 1, "content": 1, "uuid": 1, "langchain": 1, "escaped": 1}
"""What ``to_langchain`` needs."""


def to_langchain(document: Document) -> BaseMessage:
    """Decode a message as LangChain's."""
    kind, data, content = _langchain_parts(document)
    return lc_messages.build(document["role"], content, document["uuid"], kind, data)


def _langchain_parts(document: Document) -> tuple[str | None, Document, Any]:
    payload = document.get("langchain") or {}
    data, content = payload.get("data") or {}, document["content"]
    if document.get("escaped"):
        data, content = unescape(data), unescape(content)
    return payload.get("type"), data, content


def to_session(document: Document) -> Session:
    """Decode a session."""
    return Session(
        session_id=document["_id"], user_id=document.get("user_id"), **_kept_by_store(document)
    )


def to_summary(document: Document | None) -> Summary | None:
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


def to_user(document: Document) -> User:
    """Decode a user."""
    return User(
        user_id=document["_id"],
        email=document.get("email"),
        first_name=document.get("first_name"),
        last_name=document.get("last_name"),
        **_kept_by_store(document),
    )


def _kept_by_store(document: Document) -> dict[str, Any]:
    metadata = document.get("metadata")
    return {
        "metadata": None if metadata is None else unescape(metadata),
        "uuid": document["uuid"],
        "id": document["id"],
        "created_at": document["created_at"],
        "updated_at": document["updated_at"],
        "deleted_at": document.get("deleted_at"),
    }
