"""Sessions, messages and users as JSON: Zep's shapes, and our additions to them. Pure functions.

JSON has no bytes, datetimes, or infinities. Clients that accept ``EXACT`` get such values, in
metadata and in LangChain's payloads, marked (see ``marks``); all others get bytes in base64,
datetimes as text, and null for what is not a number.
"""

from typing import Any

import pydantic_core

from langchain_zepstore.core.message_parts import MessageParts
from langchain_zepstore.messages.langchain import without_blocks
from langchain_zepstore.messages.marks import JSON
from langchain_zepstore.models import Excerpt, Message, Session, Summary, User

EXACT = "application/vnd.zepstore+json"
"""The media type of JSON in which every value comes back equal."""

PLAIN = "application/json"

MAX_BODY_BYTES = 17 * 1024 * 1024
"""Of a request's body in ``EXACT``: a document of MongoDB's, and what JSON adds to it."""

ERROR_HEADER = "X-Zepstore-Error"
"""Names the exception, which a status alone does not always tell."""

NEXT_CURSOR_HEADER = "X-Next-Cursor"
"""The ``after`` of the next page."""

USER_HEADER = "X-Zepstore-User"
"""Names, percent-encoded, the user whose sessions alone a request is about; answers repeat it."""

Fields = dict[str, Any]

_ZEP_SESSION = (
    *("session_id", "user_id", "metadata", "uuid", "id"),
    *("created_at", "updated_at", "deleted_at"),
)

# zep-python 2 tells a role, which may be a name, from its type; the type is a class of LangChain's.
_ROLE_TYPES = {
    "ai": "assistant",
    "assistant": "assistant",
    "function": "function",
    "human": "user",
    "system": "system",
    "tool": "tool",
    "user": "user",
}
_PAYLOADS: dict[str, Fields] = {
    "assistant": {"type": "ai", "data": {}},
    "function": {"type": "function", "data": {"name": ""}},
    "norole": {"type": "chat", "data": {}},
    "system": {"type": "system", "data": {}},
    "tool": {"type": "tool", "data": {"tool_call_id": ""}},
    "user": {"type": "human", "data": {}},
}


def role_type(role: str, langchain: Fields | None) -> str:
    """Return the type of a role as zep-python 2 names it.

    Args:
        role: The message's role.
        langchain: Its LangChain payload, which says the type when the role does not.
    """
    type_ = langchain["type"].removesuffix("MessageChunk").lower() if langchain else role
    return _ROLE_TYPES.get(type_, "norole")


def payload_of(role: str, type_: str | None) -> Fields | None:
    """Return the LangChain payload that keeps the type of a role, where the role does not say it.

    Args:
        role: The message's role.
        type_: The type of the role, if it is given.
    """
    return None if type_ in (None, role_type(role, None)) else _PAYLOADS.get(str(type_))


def to_json(value: Any) -> bytes:
    """Return JSON; what it cannot hold as plain clients get it."""
    return pydantic_core.to_json(value, bytes_mode="base64", inf_nan_mode="null")


def from_json(text: bytes, *, is_exact: bool = False) -> Any:
    """Return the value of a JSON text.

    Args:
        text: The text.
        is_exact: Whether values may be marked.

    Raises:
        ValueError: It is none, or holds ``NaN`` or ``Infinity``, or a mark over something else
            than it says.
    """
    value = pydantic_core.from_json(text, allow_inf_nan=False)
    # Marks are keys that begin with a dollar, which some encoders write as an escape.
    if is_exact and (b'"$' in text or b'"\\u0024' in text):
        return JSON.unmark(value)
    return value


def parts_fields(parts: MessageParts) -> Fields:
    """Return the JSON object of a message to store, its values marked."""
    content, data = without_blocks(parts.content, parts.data)
    fields: Fields = {
        "uuid": parts.uuid,
        "role": parts.role,
        "content": content,
        "token_count": parts.token_count,
    }
    if parts.type is not None:
        fields["langchain"] = {
            "type": parts.type,
            "data": JSON.mark(data) if parts.needs else data,
        }
    if parts.metadata is not None:
        fields["metadata"] = JSON.mark(parts.metadata)
    if parts.created_at is not None:
        fields["created_at"] = parts.created_at
    return fields


def session_fields(session: Session, *, is_exact: bool, is_own: bool = False) -> Fields:
    """Return a session's JSON object: Zep's S for plain clients on Zep's routes.

    Args:
        session: The session.
        is_exact: Whether values that JSON cannot hold are marked.
        is_own: Whether the route is ours, and so may have more fields.
    """
    fields = _fields(session, is_exact)
    if not (is_exact or is_own):
        return {name: fields[name] for name in _ZEP_SESSION}
    for name in ("message_count", "last_message"):
        if fields[name] is None:
            del fields[name]
    if "last_message" in fields:
        fields["last_message"] = message_fields(fields["last_message"], is_exact=is_exact)
    return fields


def user_fields(user: User, *, is_exact: bool) -> Fields:
    """Return a user's JSON object, as Zep's U."""
    return _fields(user, is_exact)


def message_fields(message: Message, *, is_exact: bool) -> Fields:
    """Return a message's JSON object, as Zep's M; ``langchain`` is ours."""
    fields: Fields = {
        "uuid": message.uuid,
        "created_at": message.created_at,
        "updated_at": message.created_at,
        "role": message.role,
        "content": message.content,
        "token_count": message.token_count or 0,
    }
    if message.deleted_at is not None:
        fields["deleted_at"] = message.deleted_at
    if "parent_uuid" in message.model_fields_set:  # it was asked for; the first have none
        fields["parent_uuid"] = message.parent_uuid
    if isinstance(message, Excerpt):
        fields |= {"is_cut": message.is_cut, "alternatives": message.alternatives}
    for name in ("metadata", "langchain"):
        if (value := getattr(message, name)) is not None:
            fields[name] = JSON.mark(value) if is_exact else value
    return fields


def summary_fields(summary: Summary | None) -> Fields:
    """Return a summary's JSON object, as Zep's Y: all zero if there is none."""
    if summary is not None:
        return summary.model_dump()
    return {
        "uuid": _NOBODY,
        "created_at": "0001-01-01T00:00:00Z",
        "content": "",
        "recent_message_uuid": _NOBODY,
        "token_count": 0,
    }


_NOBODY = "00000000-0000-0000-0000-000000000000"


def _fields(model: Session | User, is_exact: bool) -> Fields:
    fields = dict(model)
    if is_exact and fields["metadata"] is not None:
        fields["metadata"] = JSON.mark(fields["metadata"])
    return fields
