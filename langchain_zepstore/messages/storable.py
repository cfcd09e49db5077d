"""Checks that a store can hold a value: one walk through it, which copies nothing.

A value that a store could not give back is a ``BadRequestError`` that names its path. Keys are
data: ``.`` and ``$`` are ordinary characters in them.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from langchain_zepstore.errors import BadRequestError

MAX_LEVELS = 100
"""The depth to which maps and lists of a message may nest."""

MAX_ITEMS = 2_000_000
"""The number of items that the maps and lists of a value may have, about a document's."""

MAX_METADATA_MAPS = 16
MAX_METADATA_LEVELS = 80
"""The depth to which metadata and its lists may nest: a merge needs some of MongoDB's 200."""

NEEDS_TYPES = 1
"""It holds bytes, datetimes, numbers that are not finite, or subclasses of plain types."""
NEEDS_ESCAPES = 2
"""It holds keys that begin with ``$``."""
NEEDS_MARKS = 4
"""It holds ints beyond 64 bits, or keys with NUL."""
NEEDS_ROUNDING = 8
"""It holds datetimes that are naive or finer than a millisecond."""

_MIN_INT, _MAX_INT = -(2**63), 2**63 - 1


_TOO_DEEP = "nested deeper than {levels} levels"
_TOO_MANY = f"more than {MAX_ITEMS:,} items"  # one that stands in many places counts in each


class _UnstorableError(Exception):
    def __init__(self, reason: str) -> None:
        self.reason = reason
        self.path: list[str] = []


def check_storable(
    value: Any, path: str, levels: int = MAX_LEVELS, *, with_marks: bool = False
) -> int:
    """Check that a store can hold a value.

    Args:
        value: ``None``, bools, ints, floats, strings, bytes, datetimes, and lists and dicts of
            these, subclasses included.
        path: The value's path, for the error.
        levels: How deeply maps and lists may nest.
        with_marks: Whether ints beyond 64 bits and keys with NUL are allowed.

    Returns:
        What the value needs in a format: the sum of ``NEEDS_…``; 0 if JSON and BSON both take it
        as it stands.

    Raises:
        BadRequestError: The store could not give the value back.
    """
    if type(value) is str and value.isascii():
        return 0
    try:
        return _Walk(with_marks).check(value, levels)
    except _UnstorableError as error:
        where = path + "".join(reversed(error.path))
        reason = error.reason.replace("{levels}", str(levels))
        raise BadRequestError(f"{where}: {reason}") from None


def check_metadata(value: Any, path: str) -> int:
    """Check metadata, as ``check_storable``.

    Raises:
        BadRequestError: It is no dict, nests more than 16 maps, or holds what a store cannot.
    """
    if not isinstance(value, dict):
        raise BadRequestError(f"{path} must be a dict, not {type(value).__name__}")
    needs = check_storable(value, path, MAX_METADATA_LEVELS)
    if _maps(value) > MAX_METADATA_MAPS:
        raise BadRequestError(f"{path} nests more than {MAX_METADATA_MAPS} maps")
    return needs


def checked_moment(value: Any, path: str) -> datetime:
    """Return a datetime in UTC, in whole milliseconds; a naive one is in UTC already.

    Raises:
        BadRequestError: It is none, or not in the years 1 to 9999 of UTC.
    """
    if not isinstance(value, datetime):
        raise BadRequestError(f"{path} must be a datetime, not {type(value).__name__}")
    if type(value) is datetime and value.tzinfo is UTC and not value.microsecond % 1000:
        return value
    check_storable(value, path)
    return in_milliseconds(value)


def in_milliseconds(moment: datetime) -> datetime:
    """Return a datetime in UTC, cut to milliseconds; a naive one is in UTC already."""
    utc = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)


class _Walk:
    def __init__(self, with_marks: bool) -> None:
        self._with_marks = with_marks
        self._items_left = MAX_ITEMS
        self._checks: dict[type, Callable[[Any, int], int]] = {
            dict: self._check_map,
            list: self._check_list,
            int: self._check_number,
        }

    def check(self, value: Any, left: int) -> int:
        if isinstance(value, dict):
            return self._check_map(value, left)
        if isinstance(value, list):
            return self._check_list(value, left)
        return self._check_number(value) if isinstance(value, int) else _check_scalar(value)

    def _check_map(self, value: dict[Any, Any], left: int) -> int:
        self._items_left -= len(value)
        if not left or self._items_left < 0:
            raise _UnstorableError(_TOO_MANY if left else _TOO_DEEP)
        needs = 0 if type(value) is dict else NEEDS_TYPES
        for key, item in value.items():
            try:
                if not (type(key) is str and key.isascii() and key.isprintable()):
                    needs |= self._check_key(key)
                if key[:1] == "$":
                    needs |= NEEDS_ESCAPES
                if item is not None and not (type(item) is str and item.isascii()):
                    needs |= self._checks.get(type(item), self.check)(item, left - 1)
            except _UnstorableError as error:
                error.path.append(f"[{key!r}]")
                raise
        return needs

    def _check_list(self, value: list[Any], left: int) -> int:
        self._items_left -= len(value)
        if not left or self._items_left < 0:
            raise _UnstorableError(_TOO_MANY if left else _TOO_DEEP)
        needs = 0 if type(value) is list else NEEDS_TYPES
        for index, item in enumerate(value):
            try:
                if item is not None and not (type(item) is str and item.isascii()):
                    needs |= self._checks.get(type(item), self.check)(item, left - 1)
            except _UnstorableError as error:
                error.path.append(f"[{index}]")
                raise
        return needs

    def _check_key(self, key: Any) -> int:
        if not isinstance(key, str):
            raise _UnstorableError(f"a key must be a str, not {type(key).__name__}")
        _check_text(key)
        needs = 0 if type(key) is str else NEEDS_TYPES
        if "\0" not in key:
            return needs
        if not self._with_marks:
            raise _UnstorableError("a key cannot hold a NUL character")
        return needs | NEEDS_MARKS

    def _check_number(self, value: int, left: int = 0) -> int:  # noqa: ARG002 - as the others
        if _MIN_INT <= value <= _MAX_INT:
            return 0 if type(value) in (int, bool) else NEEDS_TYPES
        if not self._with_marks:
            raise _UnstorableError("an int beyond 64 bits cannot be stored; use a str")
        return NEEDS_MARKS if type(value) is int else NEEDS_MARKS | NEEDS_TYPES


def _check_scalar(value: Any) -> int:
    match value:
        case None:
            return 0
        case str():
            _check_text(value)
            return 0 if type(value) is str else NEEDS_TYPES
        case float():
            return 0 if type(value) is float and isfinite(value) else NEEDS_TYPES
        case bytes():
            return NEEDS_TYPES
        case datetime():
            return NEEDS_TYPES | _check_moment(value)
    raise _UnstorableError(
        f"a {type(value).__name__} cannot be stored unchanged; use dict, list, str, int, float, "
        "bool, bytes, datetime or None"
    )


def _check_moment(moment: datetime) -> int:
    try:
        offset = moment.utcoffset()
        if offset:
            moment.astimezone(UTC)
    except OverflowError:
        raise _UnstorableError("a datetime must be in the years 1 to 9999 of UTC") from None
    return NEEDS_ROUNDING if offset is None or moment.microsecond % 1000 else 0


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _UnstorableError("a lone surrogate is no text (it has no UTF-8 form)") from None


def _maps(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_maps, value.values()), default=0)
    if isinstance(value, list):
        return max(map(_maps, value), default=0)
    return 0
