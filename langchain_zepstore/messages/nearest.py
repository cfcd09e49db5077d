"""The nearest form that a store can hold of values that it cannot: of a tool's artifact, say.

LangChain and the frameworks let tools and models put any object into a message. A run must not end
for that, nor a turn be lost.
"""

import logging
from collections import Counter, UserString, deque
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from itertools import islice
from pathlib import PurePath
from reprlib import Repr
from typing import Any
from uuid import UUID

from langchain_core.messages import BaseMessage

from langchain_zepstore.errors import APIError
from langchain_zepstore.messages.langchain import MESSAGE_TYPES, build, nearest_type
from langchain_zepstore.messages.storable import MAX_ITEMS, MAX_LEVELS, in_milliseconds

_OTHER = object()  # in the place of a plain value
_WITH_ROLE = ("chat", "ChatMessageChunk")
_NEEDED = ("tool_call_id", "name")  # by messages of tools and functions
_WITH_TEXT = (date, time, timedelta, Decimal, Fraction, PurePath, UserString, UUID)
_HELD = (dict, list, tuple, set, frozenset, deque)
_COMPUTED_COST = 100  # items of those that are counted against MAX_ITEMS, for one of these
_MAX_COMPUTED = 100_000  # items of what makes them as they are asked for, as a range does
_MAX_SHOWN = 1000  # characters of what has no better form than its repr
_REPR = Repr()  # of what may hold itself, or a thing in many places
_MAX_NAME = 100  # characters of a class's name
_MAX_NAMED = 5  # reasons and paths that a warning names


class Nearest:
    """Replaces values that a store cannot hold, and remembers that it did.

    Attributes:
        path: The path of the values that are replaced next.
    """

    def __init__(self) -> None:
        self.path = "message"
        self._noted: dict[str, None] = {}
        self._paths: dict[str, None] = {}
        self._open: set[int] = set()
        self._items_left = MAX_ITEMS

    def note(self, path: str, reason: str) -> None:
        """Remember that something was replaced."""
        self._paths[path] = None
        self._noted[whole_text(reason)] = None

    @property
    def is_noted(self) -> bool:
        """Whether anything was replaced."""
        return bool(self._noted)

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
        """Return the value, or the nearest one that a store can hold, in plain types.

        Half characters are replaced without a note; half characters that make a whole one are put
        together. What contains itself, nests too deeply or has too many items ends in a text.
        """
        try:
            plain = _plain(value)
            if plain is not _OTHER:
                return plain
            if isinstance(value, datetime):
                return self._of_moment(value)
            if isinstance(value, list | dict):
                return self._of_container(value, levels)
            self.note(self.path, _class_name(value))
            return self._of_object(value, levels)
        except Exception:  # noqa: BLE001 - it may be any object, and its methods may do anything
            self.note(self.path, _class_name(value))
            return shown(value)

    def _of_moment(self, value: datetime) -> Any:
        moment = datetime(
            *(value.year, value.month, value.day, value.hour, value.minute, value.second),
            microsecond=value.microsecond,
            tzinfo=value.tzinfo,
            fold=value.fold,
        )
        if moment.tzinfo is None or moment.microsecond % 1000:
            self.note(self.path, "datetime")
        try:
            return in_milliseconds(moment)
        except (OverflowError, ValueError):
            self.note(self.path, "datetime")
            return moment.isoformat()

    def _of_container(self, value: Any, levels: int) -> Any:
        if not levels or id(value) in self._open:
            self.note(self.path, "what contains itself or nests too deeply")
            return shown(value)
        items = _items(value)
        self._items_left -= len(items) * (1 if isinstance(value, _HELD) else _COMPUTED_COST)
        if self._items_left < 0:
            self.note(self.path, f"what has more than {MAX_ITEMS:,} items")
            return shown(value)
        self._open.add(id(value))
        try:
            if isinstance(value, Mapping):
                return self._of_mapping(items, levels - 1)
            return [self.of(item, levels - 1) for item in items]
        finally:
            self._open.discard(id(value))

    def _of_mapping(self, items: list[tuple[Any, Any]], levels: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        seen: Counter[str] = Counter()
        for key, item in items:
            name = whole_text(key) if isinstance(key, str) else self._key(key)
            seen[name] += 1
            while name in result:
                name = f"{name} ({seen[name]})"
            result[name] = self.of(item, levels)
        return result

    def _key(self, key: Any) -> str:
        self.note(self.path, f"a key of type {_class_name(key)}")
        form = self.of(key)
        return form if isinstance(form, str) else shown(form)

    def _of_object(self, value: Any, levels: int) -> Any:
        if isinstance(value, Mapping | Sequence | AbstractSet) and not isinstance(
            value, _WITH_TEXT
        ):
            return self._of_container(value, levels)
        plainer = _plainer(value)
        # A level for the object itself, which may lead back to itself.
        if plainer is None or not levels or id(value) in self._open:
            return shown(value)
        self._open.add(id(value))
        try:
            return self.of(plainer(), levels - 1)
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
        text = whole_text(_REPR.repr(value) if isinstance(value, _HELD) else repr(value))
    except Exception:  # noqa: BLE001 - a class's repr may do anything
        text = f"<{_class_name(value)}>"
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"


def _plain(value: Any) -> Any:
    """Return a scalar in a plain type, without calling a method that a subclass may have."""
    match value:
        case None | bool():
            return value
        case str():
            return whole_text(value)
        case int():
            return int.__index__(value)
        case float():
            return float.__float__(value)
        case bytes() | bytearray() | memoryview():
            return b"".join((value,))
    return _OTHER


def _items(value: Any) -> list[Any]:
    """Return the items of a list, a set or the like, or the pairs of a map."""
    if not isinstance(value, _HELD) and len(value) > _MAX_COMPUTED:
        raise OverflowError("too many to be made only to be stored")
    try:
        if isinstance(value, AbstractSet):
            return _ordered(value)
        items = value.items() if isinstance(value, Mapping) else value
        return list(islice(items, len(value)))
    except Exception:  # a subclass's methods may do anything
        if isinstance(value, dict):
            return list(dict.items(value))
        if isinstance(value, list):
            return list(list.__iter__(value))
        raise


def _ordered(value: AbstractSet[Any]) -> list[Any]:
    items = list(islice(value, len(value)))
    with suppress(Exception):
        return sorted(items)
    return items


def _plainer(value: Any) -> Callable[[], Any] | None:
    """Return the function that makes a plainer form of an object, if it has one."""
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
    return to_list if callable(to_list) and getattr(value, "size", 0) <= MAX_ITEMS else None


def _dumped(value: Any) -> Any:
    with suppress(Exception):
        return value.model_dump(warnings=False)
    return dict(vars(value))


def _class_name(value: Any) -> str:
    try:
        return str(type(value).__qualname__)[:_MAX_NAME]
    except Exception:  # noqa: BLE001 - its class may have a class of its own
        return "object"


def _plain_content(content: Any, nearest: Nearest) -> str | list[Any]:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        nearest.note(nearest.path, f"a content of type {_class_name(content)}")
        return "" if content is None else shown(content)
    if all(isinstance(block, str | dict) for block in content):
        return content
    nearest.note(nearest.path, "blocks that are no maps")
    return [block if isinstance(block, str | dict) else shown(block) for block in content]


def plain_message(message: BaseMessage, nearest: Nearest) -> BaseMessage:
    """Return the nearest message that a store can hold, of a class of langchain-core's.

    One of another class becomes one of the class that it comes from, or else a ``ChatMessage``,
    with its type in ``additional_kwargs``. What langchain-core would not read back is left out.

    Args:
        message: Any message; it is not changed.
        nearest: Replaces what the store cannot hold, and remembers that.
    """
    fields = nearest.of({**vars(message), **(message.__pydantic_extra__ or {})})
    own, type_ = str(fields.pop("type", "")), nearest_type(message)
    content = _plain_content(fields.pop("content", ""), nearest)
    role = fields.pop("role", own) if type_ in _WITH_ROLE or type_ is None else own
    if own != (type_ or "chat"):
        nearest.note(nearest.path, f"a message of type {own[:_MAX_NAME]!r}")
    if own not in MESSAGE_TYPES:
        kwargs = fields.get("additional_kwargs")
        fields["additional_kwargs"] = {"type": own, **(kwargs if isinstance(kwargs, dict) else {})}
    fields.pop("id", None)
    needed = {name: fields[name] for name in _NEEDED if isinstance(fields.get(name), str)}
    for data in (fields, needed):
        with suppress(APIError):
            return build(str(role), content, None, type_ or "chat", data)
        nearest.note(nearest.path, "fields that langchain-core would not read back")
    return build(str(role), content, None)
