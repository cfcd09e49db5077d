"""Records of exports, and their form as lines of JSON."""

from datetime import datetime
from typing import Any, TypeAlias

Record: TypeAlias = dict[str, Any]
"""A user, a session or a message of an export; its ``type`` says which."""

MAX_FORKS = 1000
"""The most forks of a session."""

HEADER: Record = {"type": "zepstore", "version": 1}
"""The first line of an export."""


def times_as_text(record: Record) -> Record:
    """Return a record whose times are texts, as RFC 3339 has them."""
    return {name: _as_text(value) for name, value in record.items()}


def _as_text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
