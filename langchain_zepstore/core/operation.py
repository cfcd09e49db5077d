"""Operations and the two loops that run them.

An operation is a generator that yields driver calls. With a synchronous driver what it yields is
the result already; with an asynchronous one it is an awaitable. So each operation is written once.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from inspect import isawaitable
from typing import Any, Generic, TypeVar

T = TypeVar("T")

Operation = Generator[Any, Any, T]
"""Yields driver calls, is sent their results, returns a ``T``."""


@dataclass(frozen=True, slots=True)
class Cancellable:
    """An awaitable that changes nothing in the store: a cancellation need not wait for its end."""

    call: Awaitable[Any]


def run(operation: Operation[T]) -> T:
    """Run an operation over a synchronous driver and return what it returns."""
    result = None
    try:
        while True:
            result = operation.send(result)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


async def arun(operation: Operation[T]) -> T:
    """Run an operation over an asynchronous driver and return what it returns.

    A failure of a driver call is thrown into the operation at its ``yield``. Cancellation waits for
    the call in flight to end, and is thrown in then: a write that was begun never lands after the
    cancellation has been raised.
    """
    step: Callable[[], Any] = partial(next, operation)
    while True:
        try:
            yielded = step()
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        try:
            result = await _resolve(yielded)
        except BaseException as error:  # noqa: BLE001 - the operation decides what it means
            step = partial(operation.throw, error)
        else:
            step = partial(operation.send, result)


async def _resolve(yielded: Any) -> Any:
    if isinstance(yielded, Cancellable):
        return await yielded.call
    return await _shielded(yielded) if isawaitable(yielded) else yielded


async def _shielded(call: Awaitable[T]) -> T:
    future = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError:
                continue
        if not future.cancelled():
            future.exception()  # seen, so that asyncio does not report it as lost
        raise


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a listing, and the cursor of the one after it (``None``: this was the last)."""

    items: list[T]
    cursor: Any


def pages(fetch: Callable[[Any], Page[T]]) -> Iterator[list[T]]:
    """Yield the items of page after page, calling ``fetch`` with each page's cursor."""
    cursor = None
    while True:
        page = fetch(cursor)
        if page.items:
            yield page.items
        if (cursor := page.cursor) is None:
            return


async def apages(fetch: Callable[[Any], Awaitable[Page[T]]]) -> AsyncIterator[list[T]]:
    """Yield the items of page after page, awaiting ``fetch`` with each page's cursor."""
    cursor = None
    while True:
        page = await fetch(cursor)
        if page.items:
            yield page.items
        if (cursor := page.cursor) is None:
            return
