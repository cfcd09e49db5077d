"""The client of a server: its coroutines run operations in threads, over the synchronous driver.

An asynchronous driver takes more of the server's time for each command than a synchronous one, and
an operation takes a few commands. So a request's operation is handed to a thread as a whole.
"""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

from langchain_zepstore.core.operation import run
from langchain_zepstore.core.store import Call
from langchain_zepstore.core.telemetry import traced
from langchain_zepstore.store_client import StoreClient

T = TypeVar("T")

_THREADS = 100  # the driver opens as many connections


class ThreadedClient(StoreClient):
    """A client of which only coroutines are used. The arguments are ``ZepClient``'s."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="zepstore")

    async def arun(self, call: Call[T], *, prepare: bool = True) -> T:
        """Run an operation of the store in a thread.

        A cancellation lets the driver call in flight end, and then the operation: a write that was
        begun never lands after the cancellation has been raised. It does not wait for embeddings,
        or whatever else takes longer than driver calls may.
        """
        if self._whole is not None:
            return await self._whole.arun(self._narrowed(call), prepare=prepare)
        if self._closed:
            self._opened()  # raises that it is
        is_cancelled = threading.Event()

        def work() -> T:
            store = traced(self._opened().open(prepare=prepare))
            return run(call(store), is_cancelled.is_set)

        working = self._threads.submit(copy_context().run, work)
        future = asyncio.wrap_future(working)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            is_cancelled.set()
            if not working.cancel():  # it has begun
                await _wait(future, self._settings.timeout)
            raise

    async def aclose(self) -> None:
        """Close the connections, when the operations in flight have ended. May be called twice.

        Those that wait for a thread raise that the client is closed.
        """
        if self._whole is None:
            self._closed = True
            await asyncio.to_thread(self._threads.shutdown)
        await super().aclose()


async def _wait(future: "asyncio.Future[Any]", seconds: float) -> None:
    """Wait for a future, however often that is cancelled."""
    future.add_done_callback(_see)
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not future.done() and (left := end - loop.time()) > 0:
        try:
            await asyncio.wait([future], timeout=left)
        except asyncio.CancelledError:
            continue


def _see(future: "asyncio.Future[Any]") -> None:
    """Take a future's error, so that asyncio does not report it as lost."""
    if not future.cancelled():
        future.exception()
