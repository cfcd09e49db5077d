"""Messages that are larger than a store can hold, shortened with a marker. Pure functions."""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from langchain_zepstore.core.message_parts import MessageParts

_MARKER_BYTES = 80


def shortened_parts(parts: MessageParts, excess: int) -> MessageParts:
    """Return a message that is smaller by at least so many bytes, as far as its texts allow."""
    value = {"content": parts.content, "data": parts.data, "metadata": parts.metadata}
    return replace(parts, **shortened(value, excess))


def shortened(value: Any, excess: int, size_of: Callable[[str], int] | None = None) -> Any:
    """Return a value whose longest texts are cut, with a marker that says how much is missing.

    Bytes are left out as a whole, since a part of a picture is none. Where texts and bytes do not
    suffice, the largest lists and maps are left out.

    Args:
        value: A storable value; it is not changed.
        excess: How many bytes must go.
        size_of: How many bytes a text has in the format; those of UTF-8 without it.
    """
    measure = size_of or _utf8
    sizes = [
        (_size(leaf, measure), index, path, leaf)
        for index, (path, leaf) in enumerate(_leaves(value))
    ]
    for size, _, path, leaf in heapq.nlargest(1000, sizes):
        if excess <= 0 or size <= 2 * _MARKER_BYTES:
            break
        gone = min(size, excess + _MARKER_BYTES)
        value = _with(value, path, _cut(leaf, size, gone))
        excess -= gone - _MARKER_BYTES
    return value if excess <= 0 else _without_largest(value, excess)


def _cut(leaf: str | bytes, size: int, gone: int) -> str:
    if isinstance(leaf, bytes):
        return f"[{len(leaf):,} bytes left out]"
    kept = leaf[: int(len(leaf) * (size - gone) / size)]
    while _utf8(kept) > size - gone:
        kept = kept[: len(kept) * 9 // 10]
    return f"{kept}… [{len(leaf) - len(kept):,} of {len(leaf):,} characters left out]"


def _without_largest(value: Any, excess: int) -> Any:
    """Leave out the largest of the lists and maps that suffices."""
    path: tuple[Any, ...] = ()
    inner = value
    while True:
        containers = [
            (_bulk(item), index, key, item)
            for index, (key, item) in enumerate(_items(inner))
            if isinstance(item, dict | list)
        ]
        if not containers or (largest := max(containers, key=lambda each: each[:2]))[0] < excess:
            break
        path, inner = (*path, largest[2]), largest[3]
    # Fields keep their types, as the classes of LangChain want them.
    marker = f"[{len(inner):,} items left out]"
    return _with(value, path, {"": marker} if isinstance(inner, dict) else [marker])


def _bulk(value: Any) -> int:
    if isinstance(value, dict | list):
        keys = sum(map(_utf8, value)) if isinstance(value, dict) else 0
        return 8 + keys + sum(map(_bulk, value.values() if isinstance(value, dict) else value))
    return 16 + _size(value, _utf8)


def texts_in(value: Any) -> Iterator[str]:
    """Yield the texts in a value, which may contain itself."""
    pending, seen = [value], set()
    while pending:
        inner = pending.pop()
        if isinstance(inner, str):
            yield inner
        elif id(inner) not in seen:
            seen.add(id(inner))
            pending += [item for _, item in _items(inner)]


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, str | bytes):
        yield path, value
    for key, item in _items(value):
        yield from _leaves(item, (*path, key))


def _items(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def _with(value: Any, path: tuple[Any, ...], leaf: Any) -> Any:
    if not path:
        return leaf
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _with(value[path[0]], path[1:], leaf)
    return copy


def _size(leaf: Any, measure: Callable[[str], int]) -> int:
    if isinstance(leaf, bytes):
        return len(leaf)
    return measure(leaf) if isinstance(leaf, str) else 0


def _utf8(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
