"""Models to BSON documents and back. Pure functions.

A message's document holds nothing twice: ``content`` is the LangChain content as it is, text or
blocks, and ``langchain`` only what has no field of its own.
"""

from collections.abc import Callable, Iterable, Sequence
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

# What is plainly small need not be measured.
_BARE = {"uuid", "role", "content", "token_count"}
_BARE_BYTES = 80  # of names, lengths and the number
_SHORT = 100_000
_UTF8 = 4


def message_body(message: Message, where: str) -> tuple[Document, int]:
    """Encode what a message's document holds whatever session and number it gets.

    Returns:
        The document's fields, with a new ``uuid`` if the message has none, and how many bytes they
        take at most.

    Raises:
        BadRequestError: The message is none, or holds what BSON cannot; it says which and where.
    """
    if not isinstance(message, Message):
        raise BadRequestError(f"{where} is a {type(message).__name__}, not a Message")
    content: Any = message.content
    if not isinstance(content, str):
        raise BadRequestError(f"{where}.content must be a str, not {type(content).__name__}")
    if not isinstance(message.role, str):
        raise BadRequestError(f"{where}.role must be a str, not {type(message.role).__name__}")
    kind, data = _payload(message, where)
    if "content" in data:
        data = {**data}
        content = data.pop("content")
    encoder = Encoder()
    body = _body(encoder, (message.role, content, message.uuid, kind, data), where)
    body["token_count"] = (
        lc_messages.approximate_tokens(message)
        if message.token_count is None
        else checked_count(message.token_count, f"{where}.token_count")
    )
    if message.metadata is not None:
        body["metadata"] = encoded_metadata(message.metadata, f"{where}.metadata")
    if message.created_at is not None:
        body["created_at"] = _moment(message.created_at, f"{where}.created_at")
    return _sized(body, encoder, where)


def langchain_body(message: BaseMessage, where: str) -> tuple[Document, int]:
    """Encode a LangChain message, without a detour over Zep's; else as ``message_body``."""
    *parts, tokens = lc_messages.parts_of(message, where)
    encoder = Encoder()
    body = _body(encoder, parts, where)
    body["token_count"] = tokens
    return _sized(body, encoder, where)


def _payload(message: Message, where: str) -> tuple[str | None, Document]:
    if message.langchain is None:
        return None, {}
    match message.langchain:
        case {"type": str() as kind, "data": dict() as data}:
            return kind, data
    raise BadRequestError(f"{where}.langchain must be a dict as message_to_dict makes it")


def _body(encoder: Encoder, parts: Sequence[Any], where: str) -> Document:
    role, content, uuid, kind, data = parts
    body = {
        "uuid": str(uuid4()) if uuid is None else checked_id(uuid, f"{where}.uuid"),
        "role": encoder.encode(role, f"{where}.role"),
        "content": encoder.encode(content, f"{where}.content"),
    }
    if kind is not None:
        place = f"{where}.langchain['data']"
        body["langchain"] = {"type": kind, "data": encoder.encode(data, place)}
        try:
            lc_messages.build(role, content, uuid, kind, data)
        except APIError as error:
            raise BadRequestError(f"{where}.langchain is no LangChain message: {error}") from error
    return body


def _sized(body: Document, encoder: Encoder, where: str) -> tuple[Document, int]:
    if encoder.escaped:
        body["escaped"] = True
    content = body["content"]
    if body.keys() == _BARE and isinstance(content, str):
        characters = len(content) + len(body["role"]) + len(body["uuid"])
        if characters < _SHORT:
            return body, _BARE_BYTES + _UTF8 * characters
    size = len(bson.encode(body))
    if size > _MAX_DOCUMENT - _HEADROOM:
        raise BadRequestError(
            f"{where} (uuid {body['uuid']!r}) has {size:,} bytes; "
            f"a document of MongoDB holds at most {_MAX_DOCUMENT:,}"
        )
    return body, size


def _moment(value: Any, where: str) -> datetime:
    if not isinstance(value, datetime):
        raise BadRequestError(f"{where} must be a datetime, not {type(value).__name__}")
    moment = value if value.tzinfo else value.replace(tzinfo=UTC)
    whole: datetime = Encoder().encode(
        moment.replace(microsecond=moment.microsecond // 1000 * 1000), where
    )
    return whole


Encode = Callable[[Any, str], tuple[Document, int]]
"""``message_body`` or ``langchain_body``."""


def message_bodies(
    messages: Sequence[Any], encode: Encode = message_body
) -> list[tuple[Document, int]]:
    """Encode the messages of one call; of an id that comes twice the last wins, at its first place.

    Raises:
        BadRequestError: As ``message_body``, with the message's index.
    """
    if not isinstance(messages, Sequence) or isinstance(messages, str | bytes):
        raise BadRequestError(f"messages must be a list, not {type(messages).__name__}")
    bodies: dict[str, tuple[Document, int]] = {}
    for index, message in enumerate(messages):
        body, size = encode(message, f"messages[{index}]")
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
