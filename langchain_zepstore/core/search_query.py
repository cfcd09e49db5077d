"""The query of a search; it checks its arguments."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from langchain_zepstore.core.arguments import (
    Arguments,
    Date,
    as_bool,
    checked_date,
    checked_metadata,
)
from langchain_zepstore.core.validation import (
    checked_bool,
    checked_choice,
    checked_count,
    checked_id,
    checked_number,
    checked_text,
)
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.models import MemorySearchPayload

MAX_MMR_LIMIT = 1000  # mmr compares each with each
MAX_SIMILARITY_WEIGHT = 1_000_000
SEARCH_TYPES = ("text", "similarity", "mmr", "hybrid")
SEARCH_SCOPES = ("messages", "summary", "sessions")


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchQuery(Arguments):
    """A search; the fields are those of ``client.memory.search``, and ``owner``.

    ``where`` is kept as it was given. Without a text, a search returns all that its filters leave.
    A session of another user than ``owner`` is refused.

    Raises:
        BadRequestError: A field is missing, out of range or of the wrong type.
    """

    text: str = ""
    session_id: str | None = None
    user_id: str | None = None
    limit: int = 10
    search_type: str | None = None
    search_scope: str | None = None
    metadata: dict[str, Any] | None = None
    where: dict[str, Any] | None = None
    start_date: Date | None = None
    end_date: Date | None = None
    mmr_lambda: float | None = None
    similarity_weight: float | None = None
    syntax: bool = False
    all_branches: bool = False
    owner: str | None = None

    def __post_init__(self) -> None:
        is_anywhere = self.session_id is None and self.user_id is None
        if is_anywhere and self.search_scope != "sessions":
            raise BadRequestError("search needs a session_id or a user_id: where to look")
        self._check(
            text=checked_text,
            search_type=checked_choice(*SEARCH_TYPES),
            search_scope=checked_choice(*SEARCH_SCOPES),
            metadata=checked_metadata,
            session_id=checked_id,
            user_id=checked_id,
            owner=checked_id,
            start_date=checked_date,
            end_date=checked_date,
            mmr_lambda=checked_number(0, 1),
            similarity_weight=checked_number(0, MAX_SIMILARITY_WEIGHT),
            syntax=as_bool,
            all_branches=checked_bool,
        )
        object.__setattr__(self, "limit", checked_count(self.limit, "limit", least=1))
        if self.where is not None:
            from langchain_zepstore.filters.where import parsed  # noqa: PLC0415 - takes long

            parsed(self.where, "where")
        if self.search_type == "mmr" and self.limit > MAX_MMR_LIMIT:
            raise BadRequestError(
                f"limit must be at most {MAX_MMR_LIMIT} for mmr, not {self.limit}"
            )
        if not (
            self.text.strip() or self.metadata or self.where or self.start_date or self.end_date
        ):
            raise BadRequestError("search needs a text, metadata or a date: what to look for")


def session_query(
    session_id: str, payload: MemorySearchPayload, limit: int | None, owner: str | None = None
) -> SearchQuery:
    """Return the query of zep-python's ``search_memory``.

    Its own default type, ``similarity``, leaves the choice to the store.

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
    if unknown := set(metadata) - {"where", "start_date", "end_date"}:
        shown = min(map(repr, unknown))[:100]
        raise BadRequestError(f"metadata may hold where, start_date and end_date, not {shown}")
    search_type = payload.search_type
    return SearchQuery(
        text=payload.text or "",
        session_id=session_id,
        limit=10 if limit is None else limit,
        search_type=None if search_type == "similarity" else search_type,
        search_scope=payload.search_scope,
        where=metadata.get("where"),
        start_date=_parsed_date(metadata.get("start_date"), "metadata.start_date"),
        end_date=_parsed_date(metadata.get("end_date"), "metadata.end_date"),
        mmr_lambda=payload.mmr_lambda,
        owner=owner,
    )


def _parsed_date(value: Any, name: str) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(value)
    except (ValueError, TypeError):
        raise BadRequestError(f"{name} must be a date as ISO 8601 has it") from None
