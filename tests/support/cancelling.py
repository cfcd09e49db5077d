"""Cancelling calls at a chosen point, with the machine at rest or busy."""

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import Any

import pytest

AGAIN = 0.0025

# pymongo 4 leaves a socket to the collector when a client is closed while it connects: its
# _async_create_connection closes it after an OSError, not after a cancellation.
pymongo_leaves_sockets = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)


class Counted:
    """Awaits a coroutine, counts how often it suspends, and there cancels the task that it is in.

    Attributes:
        suspensions: How often it has suspended so far.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any], cancel_at: int, times: int) -> None:
        self._coroutine = coroutine
        self._cancel_at = cancel_at
        self._times = times
        self.suspensions = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._coroutine.__await__()
        step: Callable[[], Any] = steps.__next__
        while True:
            try:
                future = step()
            except StopIteration as stop:
                return stop.value
            self.suspensions += 1
            if self.suspensions == self._cancel_at:
                self._cancel()
            try:
                yield future
            except BaseException as error:  # noqa: BLE001 - it is the coroutine's to deal with
                step = partial(steps.throw, error)
            else:
                step = steps.__next__

    def _cancel(self) -> None:
        task = asyncio.current_task()
        assert task
        task.cancel()
        for number in range(1, self._times):
            asyncio.get_running_loop().call_later(number * AGAIN, task.cancel)


async def cancelled_at_suspension(number: int, call: Coroutine[Any, Any, Any]) -> bool:
    """Cancel a call when it suspends for the so-manieth time; whether it came to that."""
    counted = Counted(call, number, times=1 + number % 3)

    async def awaited() -> None:
        await counted

    task = asyncio.create_task(awaited())
    await asyncio.wait([task])
    if counted.suspensions < number:
        task.result()
        return False
    assert task.cancelled()
    return True


async def cancelled_after_turns(number: int, call: Coroutine[Any, Any, Any]) -> bool:
    """Cancel a call when the event loop has turned so often; whether it had not ended by then."""
    task = asyncio.create_task(call)
    for _ in range(number):
        await asyncio.sleep(0)
    if not task.cancel():
        task.result()
        return False
    await asyncio.wait([task])
    assert task.cancelled()
    return True


# What keeps a machine busy


@asynccontextmanager
async def busy_tasks() -> AsyncIterator[None]:
    async def burn() -> None:
        while True:
            until = time.monotonic() + 0.001
            while time.monotonic() < until:
                pass
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(burn()) for _ in range(2)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@asynccontextmanager
async def busy_threads() -> AsyncIterator[None]:
    over = threading.Event()

    def spin() -> None:
        while not over.is_set():
            pass

    threads = [threading.Thread(target=spin) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


@asynccontextmanager
async def busy_processes() -> AsyncIterator[None]:
    endless = (sys.executable, "-S", "-c", "while True: pass")
    processes = [await asyncio.create_subprocess_exec(*endless) for _ in range(2)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            await process.wait()


LOADS: dict[str, Callable[[], AbstractAsyncContextManager[None]]] = {
    "nothing": nullcontext,
    "tasks": busy_tasks,
    "threads": busy_threads,
    "processes": busy_processes,
}
