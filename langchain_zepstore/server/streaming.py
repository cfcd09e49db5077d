"""Answers that may be longer than memory: read and written page by page.

The first page is there before an answer begins: what goes wrong by then has a status of its own.
When reading fails later, the connection ends before the answer does, and nobody takes it for whole.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from starlette.responses import Response, StreamingResponse

from langchain_zepstore.running import Page
from langchain_zepstore.wire import Fields, to_json

PAGE = 1000
"""How many objects are read at once."""

T = TypeVar("T")
Fetch = Callable[[Any], Awaitable[Page[T]]]
"""Returns the page after a page's cursor; the first one after ``None``."""


async def json_array(
    fetch: Fetch[T],
    after: Any,
    fields_of: Callable[[T], Fields],
    media_type: str,
    around: tuple[bytes, bytes] = (b"", b""),
) -> Response:
    """Return all that there is after a cursor, as a JSON array.

    Args:
        fetch: Reads a page.
        after: A page's cursor, or ``None``.
        fields_of: Makes an object of what was read.
        media_type: What the JSON is called.
        around: What stands before and behind the array.
    """
    first = await fetch(after)

    def encoded(page: Page[T]) -> bytes:
        return b",".join(to_json(fields_of(item)) for item in page.items)

    if first.cursor is None:
        content = around[0] + b"[" + encoded(first) + b"]" + around[1]
        return Response(content, media_type=media_type)

    async def parts() -> AsyncIterator[bytes]:
        yield around[0] + b"[" + encoded(first)
        async for page in _behind(fetch, first):
            if page.items:
                yield b"," + encoded(page)
        yield b"]" + around[1]

    return StreamingResponse(parts(), media_type=media_type)


async def json_lines(
    fetch: Fetch[T], after: Any, fields_of: Callable[[T], Fields], media_type: str
) -> Response:
    """Return all that there is after a cursor, as an object per line."""
    first = await fetch(after)

    async def parts() -> AsyncIterator[bytes]:
        yield encoded_lines(first, fields_of)
        async for page in _behind(fetch, first):
            yield encoded_lines(page, fields_of)

    return StreamingResponse(parts(), media_type=media_type)


def encoded_lines(page: Page[T], fields_of: Callable[[T], Fields]) -> bytes:
    """Return a page, an object per line."""
    return b"".join(to_json(fields_of(item)) + b"\n" for item in page.items)


async def _behind(fetch: Fetch[T], page: Page[T]) -> AsyncIterator[Page[T]]:
    while page.cursor is not None:
        page = await fetch(page.cursor)
        yield page
