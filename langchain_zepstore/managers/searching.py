"""What a search asks for, from what callers say: checked, and in one shape."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from langchain_zepstore.checks import checked_count, checked_id
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.managers.runner import Call
from langchain_zepstore.models import MemorySearchPayload, MemorySearchResult
from langchain_zepstore.running import Operation
from langchain_zepstore.store import Sought
from langchain_zepstore.values import Encoder

_LIMIT = 10
_TYPES = ("text", "similarity", "mmr", "hybrid")
_DATES = ("start_date", "end_date")


def searching(
    text: str,
    *,
    session_id: str | None,
    user_id: str | None,
    limit: int | None,
    search_type: str | None = None,
    metadata: dict[str, Any] | None = None,
    start_date: datetime | None = None,
    end_date: datetime | None = None,
) -> Call[list[MemorySearchResult]]:
    """Return the call that searches, its arguments checked.

    Raises:
        BadRequestError: An argument cannot be used.
    """
    if session_id is None and user_id is None:
        raise BadRequestError("search needs a session_id or a user_id: where to look")
    if not isinstance(text, str) or not text.strip():
        raise BadRequestError("text must be a non-empty str: what to look for")
    if search_type is not None and search_type not in _TYPES:
        raise BadRequestError(f"search_type must be one of {', '.join(_TYPES)}")
    if search_type not in (None, "text"):
        raise BadRequestError(f"search_type {search_type!r} needs embeddings; use 'text'")
    sought = Sought(
        text=Encoder().encode(text, "text"),
        session_id=None if session_id is None else checked_id(session_id, "session_id"),
        user_id=None if user_id is None else checked_id(user_id, "user_id"),
        limit=_LIMIT if limit is None else checked_count(limit, "limit", least=1),
        metadata=_checked_filter(metadata),
        since=_checked_date(start_date, "start_date"),
        until=_checked_date(end_date, "end_date"),
    )
    return lambda store: store.search.find(sought)


def searching_session(
    session_id: str, payload: MemorySearchPayload, limit: int | None
) -> Call[list[MemorySearchResult]]:
    """Return the call that searches as zep-python asks for it.

    Its own default type, ``similarity``, follows ours.

    Raises:
        BadRequestError: The payload or an argument cannot be used.
    """
    if not isinstance(payload, MemorySearchPayload):
        raise BadRequestError(
            f"search_payload must be a MemorySearchPayload, not {type(payload).__name__}"
        )
    if payload.search_scope not in (None, "messages", "summary"):
        raise BadRequestError("search_scope must be 'messages' or 'summary'")
    metadata = payload.metadata or {}
    if not isinstance(metadata, Mapping):
        raise BadRequestError(f"metadata must be a dict, not {type(metadata).__name__}")
    if unknown := set(metadata) - set(_DATES):
        shown = min(map(repr, unknown))[:100]
        raise BadRequestError(f"metadata may hold start_date and end_date, not {shown}")
    if payload.search_scope == "summary":  # there are none
        return lambda _: _nothing()
    start, end = (_parsed_date(metadata.get(name), f"metadata.{name}") for name in _DATES)
    kind = payload.search_type
    return searching(
        payload.text or "",
        session_id=session_id,
        user_id=None,
        limit=limit,
        search_type=None if kind == "similarity" else kind,
        start_date=start,
        end_date=end,
    )


def _nothing() -> Operation[list[MemorySearchResult]]:
    return []
    yield


def _checked_filter(metadata: dict[str, Any] | None) -> dict[str, Any] | None:
    if metadata is not None and not isinstance(metadata, dict):
        raise BadRequestError(f"metadata must be a dict, not {type(metadata).__name__}")
    return metadata


def _checked_date(value: datetime | None, name: str) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise BadRequestError(f"{name} must be a datetime, not {type(value).__name__}")
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _parsed_date(value: Any, name: str) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(value)
    except (ValueError, TypeError):
        raise BadRequestError(f"{name} must be a date as ISO 8601 has it") from None
