"""One resource per process for synchronous calls, and one per event loop for asynchronous ones."""

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from langchain_zepstore.core.operation import Operation, arun, run

T = TypeVar("T")

Loop = asyncio.AbstractEventLoop
_Key = tuple[int, Loop | None]


@dataclass
class _Kept(Generic[T]):
    resource: T
    keeper: AsyncGenerator[None, None] | None = None


class PerLoop(Generic[T]):
    """Opens a resource when it is first asked for, and shares it.

    Each process opens its own: what a fork left behind is neither used nor closed.

    Args:
        opening: Opens a resource for an event loop; for synchronous calls, with ``None``.
        closing: Closes a resource, on its running event loop; without a loop, with ``None``, as
            far as that is possible.
    """

    def __init__(
        self,
        opening: Callable[[Loop | None], Operation[T]],
        closing: Callable[[T, Loop | None], Operation[None]],
    ) -> None:
        self._open = opening
        self._close = closing
        self._kept: dict[_Key, _Kept[T]] = {}
        self._tasks: dict[_Key, asyncio.Task[T]] = {}
        # A fork copies a lock that another thread holds at that moment, and nobody releases it.
        self._locks: dict[int, threading.Lock] = {}

    def get(self) -> T:
        """Return the resource for synchronous calls."""
        key = os.getpid(), None
        kept = self._kept.get(key)
        if kept is None:
            with self._locks.setdefault(os.getpid(), threading.Lock()):
                kept = self._kept.get(key)
                if kept is None:
                    kept = self._kept[key] = _Kept(run(self._open(None)))
        return kept.resource

    async def aget(self) -> T:
        """Return the resource for calls on the running event loop."""
        loop = asyncio.get_running_loop()
        key = os.getpid(), loop
        kept = self._kept.get(key)
        if kept is not None:
            return kept.resource
        task = self._tasks.get(key)
        if task is None:
            self._drop_closed_loops()
            task = self._tasks[key] = loop.create_task(self._aopen(loop))
        return await asyncio.shield(task)

    async def _aopen(self, loop: Loop) -> T:
        key = os.getpid(), loop
        try:
            resource = await arun(self._open(loop))
            keeper = self._keep(resource, loop)
            await anext(keeper)
            self._kept[key] = _Kept(resource, keeper)
            return resource
        finally:
            self._tasks.pop(key, None)

    async def _keep(self, resource: T, loop: Loop) -> AsyncGenerator[None, None]:
        # asyncio.run closes what generators are left before it closes the loop: the only moment at
        # which a client of the loop's that nobody closed can be. Others do so and go on with the
        # loop (the Agents SDK's run_sync): the next call opens another resource.
        try:
            yield
        finally:
            key = os.getpid(), loop
            kept = self._kept.get(key)
            if kept is not None and kept.resource is resource:
                del self._kept[key]
            await arun(self._close(resource, loop))

    def resources(self) -> list[T]:
        """Return what is open in this process."""
        kept = list(self._kept.items())
        return [each.resource for (process, _), each in kept if process == os.getpid()]

    def forget(self) -> None:
        """Open other resources from now on; those in use are left to who uses them."""
        self._kept.clear()

    def close(self) -> None:
        """Close what can be closed without an event loop. May be called twice."""
        self._drop_closed_loops()
        for key, kept in list(self._kept.items()):
            process, loop = key
            if process == os.getpid():
                if loop is None:
                    self._kept.pop(key, None)
                # What is its loop's stays until that closes it, or ``aclose`` does.
                run(self._close(kept.resource, None))

    async def aclose(self) -> None:
        """Close everything. May be called twice."""
        key = os.getpid(), asyncio.get_running_loop()
        if task := self._tasks.get(key):
            with suppress(Exception):  # then there is nothing to close
                await asyncio.shield(task)
        kept = self._kept.pop(key, None)
        try:
            if kept and kept.keeper:
                await kept.keeper.aclose()
        finally:
            await asyncio.to_thread(self.close)

    def _drop_closed_loops(self) -> None:
        for key in list(self._kept):
            process, loop = key
            if process == os.getpid() and loop is not None and loop.is_closed():
                kept = self._kept.pop(key, None)
                if kept is not None:
                    run(self._close(kept.resource, None))
