"""The nearest form that a store can hold of values that it cannot: of a tool's artifact, say.

LangChain and the frameworks let tools and models put any object into a message. A run must not end
for that, nor a turn be lost.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from typing import Any
from uuid import UUID

from langchain_zepstore.messages.storable import MAX_LEVELS, in_milliseconds

_MAX_SHOWN = 1000  # characters of what has no better form than its repr
_WITH_TEXT = (date, time, timedelta, Decimal, Fraction, PurePath, UUID)
_MAX_NAMED = 5  # kinds of values that a warning names


class Nearest:
    """Replaces what a store cannot hold, and remembers that it did.

    Attributes:
        path: Where the values stand that are replaced next.
    """

    def __init__(self) -> None:
        self.path = "message"
        self._noted: dict[str, None] = {}
        self._paths: dict[str, None] = {}
        self._open: set[int] = set()

    def note(self, path: str, reason: str) -> None:
        """Remember that something was replaced."""
        self._paths[path] = None
        self._noted[reason] = None

    def log(self, logger: logging.Logger) -> None:
        """Log one warning, if anything was replaced."""
        if self._noted:
            paths, reasons = list(self._paths), list(self._noted)
            logger.warning(
                "stored in the nearest form that the store can hold: %s in %s%s",
                ", ".join(reasons[:_MAX_NAMED]) + (", …" if len(reasons) > _MAX_NAMED else ""),
                ", ".join(paths[:_MAX_NAMED]),
                f" and {len(paths) - _MAX_NAMED:,} more" if len(paths) > _MAX_NAMED else "",
            )

    def of(self, value: Any, levels: int = MAX_LEVELS) -> Any:
        """Return the value, or the nearest one that a store can hold.

        Half characters are replaced without a note; half characters that make a whole one are put
        together. What contains itself, or nests too deeply, ends in a text.
        """
        match value:
            case str():
                return whole_text(value)
            case datetime():
                return self._of_moment(value)
            case list() | dict():
                return self._of_container(value, levels)
            case None | int() | float() | bytes() | bytearray() | memoryview():
                return bytes(value) if isinstance(value, bytearray | memoryview) else value
        self.note(self.path, type(value).__name__)
        try:
            return self._of_object(value, levels)
        except Exception:  # noqa: BLE001 - it may be any object, and its methods may do anything
            return shown(value)

    def _of_moment(self, value: datetime) -> Any:
        if value.tzinfo is None or value.microsecond % 1000:
            self.note(self.path, type(value).__name__)
        try:
            return in_milliseconds(value)
        except (OverflowError, ValueError):
            self.note(self.path, type(value).__name__)
            return value.isoformat()

    def _of_container(self, value: Any, levels: int) -> Any:
        if not levels or id(value) in self._open:
            self.note(self.path, "what contains itself or nests too deeply")
            return shown(value)
        self._open.add(id(value))
        try:
            if isinstance(value, Mapping):
                return self._of_mapping(value, levels - 1)
            return [self.of(item, levels - 1) for item in value]
        finally:
            self._open.discard(id(value))

    def _of_mapping(self, value: Mapping[Any, Any], levels: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        seen: Counter[str] = Counter()
        for key, item in value.items():
            name = whole_text(key) if isinstance(key, str) else self._key(key)
            seen[name] += 1
            while name in result:
                name = f"{name} ({seen[name]})"
            result[name] = self.of(item, levels)
        return result

    def _key(self, key: Any) -> str:
        self.note(self.path, f"a key of type {type(key).__name__}")
        form = self.of(key)
        return form if isinstance(form, str) else shown(form)

    def _of_object(self, value: Any, levels: int) -> Any:
        match value:
            case Mapping() | Sequence():
                return self._of_container(value, levels)
            case AbstractSet():
                return self._of_container(_ordered(value), levels)
        inner = _plainer(value)
        # A level for the object itself, which may lead back to itself.
        if inner is None or not levels or id(value) in self._open:
            return shown(value)
        self._open.add(id(value))
        try:
            return self.of(inner(), levels - 1)
        finally:
            self._open.discard(id(value))


def whole_text(text: str) -> str:
    """Return a text without half characters: two halves are joined, a lone one is replaced."""
    text = str.__str__(text)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def shown(value: Any) -> str:
    """Return an object's ``repr``, shortened; its class's name if it has none."""
    try:
        text = whole_text(repr(value))
    except Exception:  # noqa: BLE001 - a class's repr may do anything
        text = f"<{type(value).__qualname__}>"
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"


def _plainer(value: Any) -> Callable[[], Any] | None:
    """Return what makes a plainer form of an object, if it has one."""
    if isinstance(value, type):
        return None
    if isinstance(value, Enum):
        return lambda: value.value
    if isinstance(value, _WITH_TEXT):
        return value.isoformat if isinstance(value, date | time) else value.__str__
    if is_dataclass(value):
        return lambda: {each.name: getattr(value, each.name) for each in fields(value)}
    if callable(getattr(value, "model_dump", None)):
        return lambda: _dumped(value)
    to_list = getattr(value, "tolist", None)  # of numpy's scalars and arrays
    return to_list if callable(to_list) else None


def _dumped(value: Any) -> Any:
    with suppress(Exception):
        return value.model_dump(warnings=False)
    return dict(vars(value))


def _ordered(value: AbstractSet[Any]) -> list[Any]:
    try:
        return sorted(value)
    except TypeError:
        return list(value)
