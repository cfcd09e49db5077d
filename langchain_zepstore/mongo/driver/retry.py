"""Which driver calls are made again, how often, and until when."""

import random
import time
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from inspect import iscoroutine
from typing import Any

import pymongo

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.mongo.driver.errors import (
    DRIVER_ERRORS,
    is_lost_connection,
    is_unreachable,
    is_write_conflict,
    translated,
)

_ATTEMPTS = 5
_MIN_LIMIT = 0.001  # seconds
_MAX_PAUSE = 0.02  # seconds before a write that met another is made again


@dataclass(frozen=True, slots=True)
class Deployment:
    """The server, replica set or cluster that calls go to.

    Attributes:
        name: For a reader, without credentials.
        timeout: Seconds that a call may take, with its repeats.
        process: Returns the server's process, if it stands alone and the driver knows it.
        primaries: Returns which server processes take writes, and since which election; after a
            crash or an election, what was not durable may be gone.
        sleep: Pauses; yielded as a driver call.
        revive: Starts the server again if it is ours to start; yielded as a driver call.
        limits_calls: Whether the driver is told how much time is left for a call. It then ignores
            the limits that a URL sets for its parts.
    """

    name: str
    timeout: float
    process: Callable[[], Any]
    primaries: Callable[[], Any]
    sleep: Callable[[float], Any]
    revive: Callable[[], Any] | None = None
    limits_calls: bool = False

    def call(
        self,
        attempt: Callable[[], Any],
        *,
        repeat_on: type[BaseException] | tuple[()] = (),
        seconds: float | None = None,
        check: Callable[[Any], None] | None = None,
    ) -> Operation[Any]:
        """Make a driver call; after a lost connection or a write conflict, make it again.

        Args:
            attempt: Makes the call.
            repeat_on: An error that is worth another attempt too.
            seconds: How long it may take, if that is not the usual time.
            check: Raises the driver's error that an answer holds.
        """
        deadline = time.monotonic() + (seconds or self.timeout)
        is_limited = self.limits_calls or seconds is not None
        attempts_left = _ATTEMPTS
        while True:
            try:
                # In a context of its own, which an interrupt in the driver cannot leave spoilt.
                # The limit costs a turn 2 to 3 % (medians of five interleaved runs).
                limited = partial(_within, deadline, attempt) if is_limited else attempt
                answer = yield copy_context().run(limited)
                if check:
                    check(answer)
                return answer
            except DRIVER_ERRORS as error:
                conflicts = is_write_conflict(error)
                attempts_left -= not conflicts  # each of them means that another write went through
                repeat = conflicts or (
                    is_lost_connection(error)
                    or (self.revive and is_unreachable(error))
                    or isinstance(error, repeat_on)
                )
                if not repeat or not attempts_left or time.monotonic() > deadline:
                    raise translated(error, self.name) from error
            if conflicts:
                yield self.sleep(random.uniform(0, _MAX_PAUSE))  # noqa: S311 - a pause
            elif self.revive:
                yield self.revive()


def _within(deadline: float, attempt: Callable[[], Any]) -> Any:
    with pymongo.timeout(max(deadline - time.monotonic(), _MIN_LIMIT)):
        call = attempt()
    return _awaited_within(deadline, call) if iscoroutine(call) else call


async def _awaited_within(deadline: float, call: Any) -> Any:
    with pymongo.timeout(max(deadline - time.monotonic(), _MIN_LIMIT)):
        return await call
