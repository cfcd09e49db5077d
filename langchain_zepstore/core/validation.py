"""Checks of arguments: ids and counts."""

import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from langchain_zepstore.errors import BadRequestError

MAX_ID_BYTES = 1024
MAX_RETENTION = timedelta(seconds=2**31 - 1) - timedelta(days=1)
"""The longest time of a TTL index, less the day that sessions outlive their messages."""

GivenId = str | int | UUID
"""An id as frameworks give it."""

MAX_WINDOW = 1000
"""The most messages of a window."""

MAX_TAGS = 100
MAX_TITLE_CHARACTERS = 1000
_MAX_TIMEOUT = 24 * 60 * 60


def checked_id(value: Any, name: str) -> str:
    """Return an id if it is one: a non-empty string of up to 1 kB of UTF-8 without NUL.

    Raises:
        BadRequestError: It is anything else, such as a map that would be a query operator.
    """
    if not isinstance(value, str):
        raise BadRequestError(f"{name} must be a str, not {type(value).__name__}")
    text: str = str.__str__(value)
    if text.isascii() and 0 < len(text) <= MAX_ID_BYTES and "\0" not in text:
        return text  # most are, and there are as many as messages
    if not text:
        raise BadRequestError(f"{name} must not be empty")
    if "\0" in text:
        raise BadRequestError(f"{name} must not hold a NUL character")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise BadRequestError(f"{name} holds a lone surrogate, which has no UTF-8 form") from None
    if size > MAX_ID_BYTES:
        raise BadRequestError(f"{name} has {size} bytes; at most {MAX_ID_BYTES} can be stored")
    return text


def given_id(value: Any, name: str) -> str:
    """Return the id that a framework gives, a text, an int or a UUID, as a text.

    Raises:
        BadRequestError: It cannot be an id.
    """
    is_other = isinstance(value, int | UUID) and not isinstance(value, bool)
    return checked_id(str(value) if is_other else value, name)


def checked_count(value: Any, name: str, *, least: int = 0) -> int:
    """Return an int if it is one of at least ``least`` and at most 63 bits.

    Raises:
        BadRequestError: It is anything else; a bool is no int here.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadRequestError(f"{name} must be an int, not {type(value).__name__}")
    if not least <= value < 2**63:
        shown = f", not {value}" if abs(value) < 2**64 else ""  # Python refuses to print huge ones
        raise BadRequestError(f"{name} must be at least {least} and below 2**63{shown}")
    return int(value)


def checked_text(value: Any, name: str) -> str:
    """Return a text if it is one: a string that has a UTF-8 form.

    Raises:
        BadRequestError: It is anything else.
    """
    if not isinstance(value, str):
        raise BadRequestError(f"{name} must be a str, not {type(value).__name__}")
    text: str = str.__str__(value)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadRequestError(f"{name} holds a lone surrogate, which has no UTF-8 form") from None
    return text


def checked_bool(value: Any, name: str) -> bool:
    """Return a bool if it is one.

    Raises:
        BadRequestError: It is anything else.
    """
    if not isinstance(value, bool):
        raise BadRequestError(f"{name} must be a bool, not {type(value).__name__}")
    return value


def checked_title(value: Any, name: str) -> str:
    """Return the title of a session if it is a text of up to 1,000 characters.

    Raises:
        BadRequestError: It is anything else.
    """
    text = checked_text(value, name)
    if len(text) > MAX_TITLE_CHARACTERS:
        raise BadRequestError(f"{name} may have {MAX_TITLE_CHARACTERS:,} characters")
    return text


def checked_tags(value: Any, name: str) -> list[str]:
    """Return tags, each once: up to 100 non-empty strings without NUL, of up to 1 kB.

    Raises:
        BadRequestError: They are anything else.
    """
    if not isinstance(value, list | tuple | set | frozenset):
        raise BadRequestError(f"{name} must be a list, not {type(value).__name__}")
    tags = list(dict.fromkeys(checked_id(tag, f"{name}[{i}]") for i, tag in enumerate(value)))
    if len(tags) > MAX_TAGS:
        raise BadRequestError(f"{name} may hold {MAX_TAGS} tags, not {len(tags)}")
    return tags


def checked_choice(*choices: str) -> Callable[[Any, str], str]:
    """Return a check that a value is one of these."""

    def checked(value: Any, name: str) -> str:
        if value not in choices:
            raise BadRequestError(f"{name} must be one of {', '.join(choices)}")
        return str(value)

    return checked


def checked_number(least: float, most: float) -> Callable[[Any, str], float]:
    """Return a check that a value is a number of this range; a bool is none."""

    def checked(value: Any, name: str) -> float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not least <= value <= most:
            raise BadRequestError(f"{name} must be a number from {least:,} to {most:,}")
        return float(value)

    return checked


def checked_paths(value: Any, name: str) -> list[list[str]]:
    """Return paths of keys, each a non-empty sequence of strings.

    Raises:
        BadRequestError: They are not; a bare string is no path.
    """
    paths = []
    for path in value if isinstance(value, Iterable) and not isinstance(value, str) else [value]:
        if isinstance(path, str) or not isinstance(path, Iterable):
            raise BadRequestError(f"{name} must hold tuples of keys, not {path!r}")
        keys = [checked_key(key, name) for key in path]
        if not keys:
            raise BadRequestError(f"{name} must not hold an empty path")
        paths.append(keys)
    return paths


def checked_key(value: Any, name: str) -> str:
    """Return a key of a map if it can be one: a string without NUL or lone surrogates.

    Raises:
        BadRequestError: It cannot.
    """
    if not isinstance(value, str) or "\0" in value:
        raise BadRequestError(f"{name}: a key must be a str without NUL, not {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadRequestError(f"{name}: a key holds a lone surrogate") from None
    return value


_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)


def rfc_3339(value: Any) -> Any:
    """Return a date in JSON as pydantic reads it; one without an offset is in UTC.

    Raises:
        ValueError: It is no text as RFC 3339 has it.
    """
    if value is None or isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise ValueError("a date must be as RFC 3339 has it, such as 2026-01-31T12:00:00Z")
    return value


def checked_period(value: Any, name: str) -> timedelta:
    """Return how long something is kept if it is that: a timedelta from 0 to what an index holds.

    Raises:
        BadRequestError: It is anything else.
    """
    if not isinstance(value, timedelta) or not timedelta() <= value <= MAX_RETENTION:
        raise BadRequestError(
            f"{name} must be a timedelta from 0 to {MAX_RETENTION.days} days, not {value!r}"
        )
    return value


def check_timeout(value: Any) -> None:
    """Check that a timeout is a number of seconds above 0, up to a day.

    Raises:
        BadRequestError: It is not.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value <= _MAX_TIMEOUT:
        raise BadRequestError(
            f"timeout must be a number of seconds above 0, up to a day, not {value!r}"
        )
