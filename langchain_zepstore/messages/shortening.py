"""Values that are larger than a store can hold, cut with markers that say so. Pure functions."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from langchain_zepstore.core.message_parts import MessageParts
from langchain_zepstore.errors import APIError
from langchain_zepstore.messages.langchain import build

T = TypeVar("T")

_MARKER_BYTES = 80
_MIN_SHARE = 2 * _MARKER_BYTES  # an item that would have to be cut to less is left out
_ITEM_BYTES = 16  # of a number, or of what a format puts around an item
_DIGIT_BITS = 3  # a decimal digit has more
_ATTEMPTS = 20
_CUT_FIELDS = ("role", "content", "data", "metadata")


def fitted_parts(
    parts: MessageParts, size_of: Callable[[MessageParts], int], limit: int
) -> MessageParts:
    """Return a message that is cut where it is largest, until it fits.

    If langchain-core could not read it back then, role and content stay.

    Args:
        parts: The message; it is not changed.
        size_of: Measures a message in the store's format.
        limit: How much that may be: a few kilobytes at least.
    """
    fitting = _fitted(parts, size_of, limit, _cut_parts)
    if fitting is not None and _is_readable(fitting):
        return fitting
    marker = f"[{size_of(parts):,} bytes left out]"
    words = replace(fitting or parts, type=None, data={}, metadata=None)
    if fitting is None or not words.content:
        words = replace(words, role=_cut(parts.role, _MIN_SHARE, {}), content=marker)
    return words


def fitted(value: Any, size_of: Callable[[Any], int], limit: int) -> Any:
    """Return a value that is cut where it is largest, until it fits.

    Of a text or a list the beginning stays, with a marker that says how much is missing. Bytes are
    left out as a whole, since a part of a picture is none.

    Args:
        value: A storable value; it is not changed.
        size_of: Measures a value in the store's format.
        limit: How much that may be.
    """
    fitting = _fitted(value, size_of, limit, lambda whole, budget: _cut(whole, budget, {}))
    return f"[{size_of(value):,} bytes left out]" if fitting is None else fitting


def bulk(value: Any) -> int:
    """Return roughly how many bytes a storable value has in any format."""
    return _bulk(value, {})


def _fitted(
    value: T, size_of: Callable[[T], int], limit: int, cut: Callable[[T, int], T]
) -> T | None:
    if size_of(value) <= limit:
        return value
    budget = limit
    for _ in range(_ATTEMPTS):
        fitting = cut(value, budget)
        size = size_of(fitting)
        if size <= limit:
            return fitting
        # What is measured is the budget and something more, or a multiple of it.
        budget = max(budget - (size - limit), budget * limit // size) - _MARKER_BYTES
    return None


def _cut_parts(parts: MessageParts, budget: int) -> MessageParts:
    sizes: dict[int, int] = {}
    values = {name: getattr(parts, name) for name in _CUT_FIELDS}
    share = _share([_bulk(value, sizes) for value in values.values()], budget)
    return replace(parts, **{name: _cut(value, share, sizes) for name, value in values.items()})


def _is_readable(parts: MessageParts) -> bool:
    try:
        build(parts.role, parts.content, parts.uuid, parts.type, parts.data)
    except APIError:
        return False
    return True


def _cut(value: Any, budget: int, sizes: dict[int, int]) -> Any:  # noqa: PLR0911 - one of each
    if _bulk(value, sizes) <= budget:
        return value
    inner = budget - _MARKER_BYTES
    match value:
        case str():
            return _cut_text(value, inner)
        case bytes():
            return f"[{len(value):,} bytes left out]"
        case int():
            return f"[an int of {value.bit_length():,} bits left out]"
        case list():
            kept = _cut_items(list(enumerate(value)), inner, sizes)
            return [item for _, item in kept] + _marker(kept, value)
        case dict():
            kept = _cut_items(list(value.items()), inner, sizes)
            return dict([*kept, *(("…", text) for text in _marker(kept, value))])
    return value


def _cut_text(text: str, budget: int) -> str:
    kept = text.encode()[: max(budget, 0)].decode(errors="ignore")
    return f"{kept}… [{len(text) - len(kept):,} of {len(text):,} characters left out]"


def _cut_items(
    items: list[tuple[Any, Any]], budget: int, sizes: dict[int, int]
) -> list[tuple[Any, Any]]:
    """Return the first of a list's or a map's items that fit, the larger ones cut."""
    weights = [_key_bytes(key) + _bulk(item, sizes) for key, item in items]
    share = max(_share(weights, budget), _MIN_SHARE)
    kept = []
    for (key, item), weight in zip(items, weights, strict=True):
        if weight > share and _key_bytes(key) > share // 2:
            continue
        budget -= min(weight, share)
        if budget < 0:
            break
        kept.append((key, _cut(item, min(weight, share) - _key_bytes(key), sizes)))
    return kept


def _marker(kept: Sequence[Any], items: Sequence[Any] | dict[str, Any]) -> list[str]:
    gone = len(items) - len(kept)
    return [f"[{gone:,} of {len(items):,} items left out]"] if gone else []


def _share(weights: list[int], budget: int) -> int:
    """Return the length to which the larger ones have to be cut for all to fit."""
    for count, weight in zip(range(len(weights), 0, -1), sorted(weights), strict=True):
        if weight * count > budget:
            return budget // count
        budget -= weight
    return max(weights, default=0)


def _bulk(value: Any, sizes: dict[int, int]) -> int:
    """Return roughly how many bytes a value has; ``sizes`` has those of lists and maps by id."""
    match value:
        case str():
            return _ITEM_BYTES + _utf8(value)
        case bytes():
            return _ITEM_BYTES + len(value)
        case int():
            return _ITEM_BYTES + value.bit_length() // _DIGIT_BITS
        case list() | dict() if id(value) not in sizes:
            inner = value.values() if isinstance(value, dict) else value
            keys = sum(map(_utf8, value)) if isinstance(value, dict) else 0
            sizes[id(value)] = _ITEM_BYTES + keys + sum(_bulk(item, sizes) for item in inner)
    return sizes.get(id(value), _ITEM_BYTES)


def _key_bytes(key: Any) -> int:
    return _utf8(key) if isinstance(key, str) else 0


def _utf8(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
