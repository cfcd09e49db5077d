"""Sessions, messages and users as JSON: Zep's shapes, and what we add to them. Pure functions.

JSON has no bytes, no datetimes, no infinities. Whoever says that it understands ``EXACT`` gets such
values, in metadata and in LangChain's payloads, as maps with one of the keys below; everybody else
gets bytes in base64, datetimes as text, and null for what is no number.
"""

import math
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from typing import Any

import pydantic_core

from langchain_zepstore.models import Message, Session, Summary, User

EXACT = "application/vnd.zepstore+json"
"""The media type of JSON in which every value comes back as what it was."""

PLAIN = "application/json"

ERROR_HEADER = "X-Zepstore-Error"
"""Names the exception, which a status alone does not always tell."""

NEXT_CURSOR_HEADER = "X-Next-Cursor"
"""What to pass as ``after`` for the page behind this one."""

_BYTES, _MOMENT, _NUMBER = "$bytes", "$datetime", "$float"
_MARKS = frozenset({_BYTES, _MOMENT, _NUMBER})

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
    """Return what zep-python 2 calls the type of a role.

    Args:
        role: The message's role.
        langchain: Its LangChain payload, which says the type when the role does not.
    """
    kind = langchain["type"].removesuffix("MessageChunk").lower() if langchain else role
    return _ROLE_TYPES.get(kind, "norole")


def payload_of(role: str, kind: str | None) -> Fields | None:
    """Return the LangChain payload that keeps the type of a role, where the role does not say it.

    Args:
        role: The message's role.
        kind: The type of the role, if it is given.
    """
    return None if kind in (None, role_type(role, None)) else _PAYLOADS.get(str(kind))


def to_json(value: Any) -> bytes:
    """Return JSON; what it cannot hold as plain clients get it."""
    return pydantic_core.to_json(value, bytes_mode="base64", inf_nan_mode="null")


def from_json(text: bytes | str) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: It is none, or holds ``NaN`` or ``Infinity``.
    """
    return pydantic_core.from_json(text, allow_inf_nan=False)


def exact(value: Any) -> Any:
    """Return a value in which what JSON cannot hold is marked; ``from_exact`` brings it back."""
    match value:
        case dict():
            return {_escaped(key): exact(item) for key, item in value.items()}
        case list():
            return [exact(item) for item in value]
        case bytes():
            return {_BYTES: b64encode(value).decode()}
        case datetime():
            return {_MOMENT: value.isoformat()}
        case float() if not math.isfinite(value):
            return {_NUMBER: str(value)}
    return value


def from_exact(value: Any) -> Any:
    """Undo ``exact``.

    Raises:
        ValueError: A mark stands over something else than it says.
    """
    if isinstance(value, list):
        return [from_exact(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        [(key, item)] = value.items()
        if key in _MARKS:
            return _unmarked(key, item)
    return {_unescaped(key): from_exact(item) for key, item in value.items()}


def _unmarked(mark: str, text: Any) -> Any:
    if not isinstance(text, str):
        raise ValueError(f"{mark} must stand over a text")
    if mark == _BYTES:
        return b64decode(text, validate=True)
    if mark == _NUMBER:
        return float(text)
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment


def _is_escapable(key: str) -> bool:
    return "$" + key.lstrip("$") in _MARKS


def _escaped(key: str) -> str:
    return "$" + key if key.startswith("$") and _is_escapable(key) else key


def _unescaped(key: str) -> str:
    return key[1:] if key.startswith("$$") and _is_escapable(key) else key


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
    for name in ("metadata", "langchain"):
        if (value := getattr(message, name)) is not None:
            fields[name] = exact(value) if is_exact else value
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
        fields["metadata"] = exact(fields["metadata"])
    return fields
