"""Marks for what a format lacks: ``{"$bytes": "AA=="}`` where JSON has no bytes. Pure functions.

Keys that look like a mark get one more ``$`` on the way in and lose it on the way back, so stored
data never chooses a type.
"""

import math
from base64 import b64decode, b64encode
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from langchain_zepstore.messages.storable import in_milliseconds

BYTES, MOMENT, NUMBER, INT, ENTRIES = "$bytes", "$datetime", "$float", "$int", "$entries"

_MIN_INT, _MAX_INT = -(2**63), 2**63 - 1
_DECIMAL_BITS = 4096  # Python refuses to print longer ints but in hexadecimal


class Marks:
    """The marks of a format.

    Args:
        names: The marks of what it lacks.
        reserved: Other keys to which it gives a meaning, and which are escaped like marks.
    """

    def __init__(self, names: Iterable[str], reserved: Iterable[str] = ()) -> None:
        self._names = frozenset(names)
        self._reserved = self._names | frozenset(reserved)

    def mark(self, value: Any) -> Any:
        """Return a storable value in plain types; what the format lacks is marked."""
        match value:
            case dict():
                return self._marked_map(value)
            case list():
                return [self.mark(item) for item in value]
            case str():
                return str.__str__(value)
            case int() | float() if not isinstance(value, bool):
                return self._marked_number(value)
            case bytes() | datetime():
                return self._marked_bytes_or_moment(value)
        return value

    def _marked_bytes_or_moment(self, value: bytes | datetime) -> Any:
        if isinstance(value, bytes):
            return {BYTES: b64encode(value).decode()} if BYTES in self._names else b"".join([value])
        moment = in_milliseconds(value)
        return {MOMENT: moment.isoformat()} if MOMENT in self._names else moment

    def _marked_map(self, value: dict[str, Any]) -> dict[str, Any]:
        if ENTRIES in self._names and any("\0" in key for key in value):
            return {ENTRIES: [[str.__str__(key), self.mark(item)] for key, item in value.items()]}
        return {self.escape(str.__str__(key)): self.mark(item) for key, item in value.items()}

    def _marked_number(self, value: float) -> Any:
        if isinstance(value, int):
            value = int.__index__(value)
            is_long = INT in self._names and not _MIN_INT <= value <= _MAX_INT
            return {INT: _digits(value)} if is_long else value
        value = float.__float__(value)
        is_marked = NUMBER in self._names and not math.isfinite(value)
        return {NUMBER: str(value)} if is_marked else value

    def unmark(self, value: Any) -> Any:
        """Undo ``mark``.

        Raises:
            ValueError: A mark stands over something else than it says.
        """
        if isinstance(value, list):
            return [self.unmark(item) for item in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            [(key, item)] = value.items()
            if key in self._names:
                return self._unmarked(key, item)
        return {self.unescape(key): self.unmark(item) for key, item in value.items()}

    def _unmarked(self, mark: str, item: Any) -> Any:
        if mark == ENTRIES:
            if not isinstance(item, list):
                raise ValueError(f"{mark} must stand over a list")
            return {_key(entry): self.unmark(entry[1]) for entry in item}
        if not isinstance(item, str):
            raise ValueError(f"{mark} must stand over a text")
        if mark == BYTES:
            return b64decode(item, validate=True)
        if mark == NUMBER:
            return float(item)
        if mark == INT:
            return int(item, 0)
        return in_milliseconds(datetime.fromisoformat(item))

    def escape(self, key: str) -> str:
        """Return the name of a key in the format."""
        return "$" + key if key[:1] == "$" and self._is_escapable(key) else key

    def unescape(self, key: str) -> str:
        """Undo ``escape``."""
        return key[1:] if key[:2] == "$$" and self._is_escapable(key) else key

    def _is_escapable(self, key: str) -> bool:
        return "$" + key.lstrip("$") in self._reserved


def _digits(value: int) -> str:
    return str(value) if value.bit_length() <= _DECIMAL_BITS else hex(value)


def _key(entry: Any) -> str:
    if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[0], str):  # noqa: PLR2004
        raise ValueError(f"{ENTRIES} must stand over pairs of a key and a value")
    return entry[0]


JSON = Marks((BYTES, MOMENT, NUMBER, INT, ENTRIES))
"""The marks of our JSON: of the wire, and of exports."""
