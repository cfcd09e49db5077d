"""Models to BSON documents and back. Pure functions.

A message's document holds nothing twice: ``content`` is the LangChain content as it is, text or
blocks, and ``langchain`` only what has no field of its own.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import bson
from langchain_core.messages import BaseMessage

from langchain_zepstore import lc_messages
from langchain_zepstore.checks import checked_count, checked_id
from langchain_zepstore.errors import APIError, BadRequestError
from langchain_zepstore.models import Message, Session, User
from langchain_zepstore.mongo.collections import Document
from langchain_zepstore.values import Encoder, encoded_metadata, unescape

_MAX_DOCUMENT = 16 * 1024 * 1024
_HEADROOM = 8 * 1024  # for the fields that a body does not hold yet; two of them carry a 1 kB id


def message_body(message: Message, where: str) -> tuple[Document, int]:
    """Encode what a message's document holds whatever session and number it gets.

    Returns:
        The document's fields, with a new ``uuid`` if the message has none, and their size in bytes.

    Raises:
        BadRequestError: The message is none, or holds what BSON cannot; it says which and where.
    """
    if not isinstance(message, Message):
        raise BadRequestError(f"{where} is a {type(message).__name__}, not a Message")
    encoder = Encoder()
    content: Any = message.content
    if not isinstance(content, str):
        raise BadRequestError(f"{where}.content must be a str, not {type(content).__name__}")
    if not isinstance(message.role, str):
        raise BadRequestError(f"{where}.role must be a str, not {type(message.role).__name__}")
    body: Document = {
        "uuid": str(uuid4()) if message.uuid is None else checked_id(message.uuid, f"{where}.uuid"),
        "role": encoder.encode(message.role, f"{where}.role"),
    }
    if message.langchain is not None:
        body["langchain"] = payload = _payload(message, encoder, where)
        content = payload["data"].pop("content", content)
    if content is message.content:
        content = encoder.encode(content, f"{where}.content")
    body["content"] = content
    body["token_count"] = (
        lc_messages.approximate_tokens(message)
        if message.token_count is None
        else checked_count(message.token_count, f"{where}.token_count")
    )
    if message.metadata is not None:
        body["metadata"] = encoded_metadata(message.metadata, f"{where}.metadata")
    if message.created_at is not None:
        body["created_at"] = _moment(message.created_at, f"{where}.created_at")
    if encoder.escaped:
        body["escaped"] = True
    size = len(bson.encode(body))
    if size > _MAX_DOCUMENT - _HEADROOM:
        raise BadRequestError(
            f"{where} (uuid {body['uuid']!r}) has {size:,} bytes; "
            f"a document of MongoDB holds at most {_MAX_DOCUMENT:,}"
        )
    return body, size


def _payload(message: Message, encoder: Encoder, where: str) -> Document:
    payload = message.langchain
    if not (
        isinstance(payload, dict)
        and isinstance(payload.get("type"), str)
        and isinstance(payload.get("data"), dict)
    ):
        raise BadRequestError(f"{where}.langchain must be a dict as message_to_dict makes it")
    encoded: Document = encoder.encode(payload, f"{where}.langchain")
    try:
        lc_messages.to_langchain(message)
    except APIError as error:
        raise BadRequestError(f"{where}.langchain is no LangChain message: {error}") from error
    return encoded


def _moment(value: Any, where: str) -> datetime:
    if not isinstance(value, datetime):
        raise BadRequestError(f"{where} must be a datetime, not {type(value).__name__}")
    moment = value if value.tzinfo else value.replace(tzinfo=UTC)
    whole: datetime = Encoder().encode(
        moment.replace(microsecond=moment.microsecond // 1000 * 1000), where
    )
    return whole


def message_bodies(messages: Sequence[Message]) -> list[tuple[Document, int]]:
    """Encode the messages of one call; of an id that comes twice the last wins, at its first place.

    Raises:
        BadRequestError: As ``message_body``, with the message's index.
    """
    if not isinstance(messages, Sequence) or isinstance(messages, str | bytes):
        raise BadRequestError(f"messages must be a list, not {type(messages).__name__}")
    bodies: dict[str, tuple[Document, int]] = {}
    for index, message in enumerate(messages):
        body, size = message_body(message, f"messages[{index}]")
        bodies[body["uuid"]] = body, size
    return list(bodies.values())


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
            "uuid": f"placeholder {uuid4()}",
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
    {"$unset": ["content", "langchain", "metadata", "deletion", "restored", "role", "scope"]},
]
"""What makes a placeholder of a deleted message."""


def scope_of(session: Document) -> str:
    """Return whose messages a session's are: its user's, or its own."""
    user_id = session.get("user_id")
    return f"s:{session['_id']}" if user_id is None else f"u:{user_id}"


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
