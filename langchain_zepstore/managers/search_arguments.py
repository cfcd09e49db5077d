"""What a search asks for, from what callers say: checked, and in one shape."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from langchain_zepstore.core.store import Call, Sought
from langchain_zepstore.core.validation import checked_count, checked_id
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.filters.where import parsed
from langchain_zepstore.messages.storable import Encoder, encoded_metadata
from langchain_zepstore.models import MemorySearchPayload, MemorySearchResult

_LIMIT = 10
_MOST_VARIED = 1000  # mmr compares each with each
_MOST_WEIGHT = 1_000_000
_TYPES = ("text", "similarity", "mmr", "hybrid")
_SCOPES = ("messages", "summary")
_DATES = ("start_date", "end_date")


def searching(
    text: str | None,
    *,
    session_id: str | None,
    user_id: str | None,
    limit: int | None,
    search_type: str | None = None,
    search_scope: str | None = None,
    metadata: dict[str, Any] | None = None,
    where: dict[str, Any] | None = None,
    start_date: datetime | None = None,
    end_date: datetime | None = None,
    mmr_lambda: float | None = None,
    similarity_weight: float | None = None,
    syntax: bool = False,
) -> Call[list[MemorySearchResult]]:
    """Return the call that searches, its arguments checked.

    Raises:
        BadRequestError: An argument cannot be used.
    """
    if session_id is None and user_id is None:
        raise BadRequestError("search needs a session_id or a user_id: where to look")
    if text is not None and not isinstance(text, str):
        raise BadRequestError(f"text must be a str, not {type(text).__name__}")
    if search_type is not None:
        _check_one_of(search_type, "search_type", _TYPES)
    if search_scope is not None:
        _check_one_of(search_scope, "search_scope", _SCOPES)
    if metadata is not None:
        encoded_metadata(metadata, "metadata")
    limit = _LIMIT if limit is None else checked_count(limit, "limit", least=1)
    if search_type == "mmr" and limit > _MOST_VARIED:
        raise BadRequestError(f"limit must be at most {_MOST_VARIED} for mmr, not {limit}")
    sought = Sought(
        text=Encoder().encode(text or "", "text"),
        session_id=None if session_id is None else checked_id(session_id, "session_id"),
        user_id=None if user_id is None else checked_id(user_id, "user_id"),
        limit=limit,
        kind=search_type,
        in_summaries=search_scope == "summary",
        metadata=metadata,
        where=None if where is None else parsed(where, "where"),
        since=_checked_date(start_date, "start_date"),
        until=_checked_date(end_date, "end_date"),
        mmr_lambda=None if mmr_lambda is None else _checked_lambda(mmr_lambda),
        similarity_weight=None if similarity_weight is None else _checked_weight(similarity_weight),
        has_syntax=bool(syntax),
    )
    if not (sought.text.strip() or metadata or where or start_date or end_date):
        raise BadRequestError("search needs a text, metadata or a date: what to look for")
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
    metadata = payload.metadata or {}
    if not isinstance(metadata, Mapping):
        raise BadRequestError(f"metadata must be a dict, not {type(metadata).__name__}")
    if unknown := set(metadata) - {"where", *_DATES}:
        shown = min(map(repr, unknown))[:100]
        raise BadRequestError(f"metadata may hold where, start_date and end_date, not {shown}")
    start, end = (_parsed_date(metadata.get(name), f"metadata.{name}") for name in _DATES)
    kind = payload.search_type
    return searching(
        payload.text,
        session_id=session_id,
        user_id=None,
        limit=limit,
        search_type=None if kind == "similarity" else kind,
        search_scope=payload.search_scope,
        where=metadata.get("where"),
        start_date=start,
        end_date=end,
        mmr_lambda=payload.mmr_lambda,
    )


def _check_one_of(value: Any, name: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise BadRequestError(f"{name} must be one of {', '.join(choices)}")


def _checked_lambda(value: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise BadRequestError("mmr_lambda must be a number from 0 (variety) to 1 (relevance)")
    return float(value)


def _checked_weight(value: float) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= _MOST_WEIGHT:
        raise BadRequestError(f"similarity_weight must be a number from 0 to {_MOST_WEIGHT:,}")
    return float(value)


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
