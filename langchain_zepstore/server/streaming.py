"""Responses that may not fit in memory: read and written page by page.

The first page is read before the response begins, so an error until then has its own status. When
reading fails later, the connection is closed before the end, so the response cannot look complete.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from starlette.responses import Response, StreamingResponse

from langchain_zepstore.core.operation import Page
from langchain_zepstore.messages.wire import Fields, to_json

PAGE = 1000
"""The number of objects read at once."""

_PART = 2**16  # bytes; the time limit holds for each

T = TypeVar("T")
Fetch = Callable[[Any], Awaitable[Page[T]]]
"""Returns the page after a cursor, the first one after ``None``."""


async def json_array(
    fetch: Fetch[T],
    after: Any,
    fields_of: Callable[[T], Fields],
    media_type: str,
    around: tuple[bytes, bytes] = (b"", b""),
) -> Response:
    """Return all items after a cursor as a JSON array.

    Args:
        fetch: Reads a page.
        after: A page's cursor, or ``None``.
        fields_of: Returns the JSON object of an item.
        media_type: The media type of the JSON.
        around: The text before and after the array.
    """
    first = await fetch(after)

    async def objects() -> AsyncIterator[bytes]:
        separator = around[0] + b"["
        async for page in _from(first, fetch):
            for item in page.items:
                yield separator + to_json(fields_of(item))
                separator = b","
        yield (b"" if separator == b"," else separator) + b"]" + around[1]

    return await _answer(objects(), media_type, is_short=first.cursor is None)


async def json_lines(
    fetch: Fetch[T], after: Any, fields_of: Callable[[T], Fields], media_type: str
) -> Response:
    """Return all items after a cursor as JSON lines."""
    first = await fetch(after)

    async def objects() -> AsyncIterator[bytes]:
        async for page in _from(first, fetch):
            yield encoded_lines(page, fields_of)

    return await _answer(objects(), media_type, is_short=first.cursor is None)


def encoded_lines(page: Page[T], fields_of: Callable[[T], Fields]) -> bytes:
    """Return a page as JSON lines."""
    return b"".join(to_json(fields_of(item)) + b"\n" for item in page.items)


async def _from(page: Page[T], fetch: Fetch[T]) -> AsyncIterator[Page[T]]:
    yield page
    while page.cursor is not None:
        page = await fetch(page.cursor)
        yield page


async def _answer(pieces: AsyncIterator[bytes], media_type: str, *, is_short: bool) -> Response:
    parts = _in_parts(pieces)
    if is_short:
        first = await anext(parts)
        if len(first) < _PART:
            return Response(first, media_type=media_type)
        parts = _after(first, parts)
    return StreamingResponse(parts, media_type=media_type)


async def _in_parts(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    part = bytearray()
    async for piece in pieces:
        part += piece
        for start in range(0, len(part) - _PART + 1, _PART):
            yield bytes(part[start : start + _PART])
        del part[: len(part) // _PART * _PART]
    yield bytes(part)


async def _after(first: bytes, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for part in parts:
        yield part
