"""What the programs share. They run in environments without this package, and without pytest."""

import asyncio
import contextlib
import inspect
import json
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

# What zep-python 1.5.0, which leaves ids in URLs as they are, can carry.
IDS = [
    "plain",
    "with spaces in it",
    "Grüße aus Köln",
    "🚆 nach Kyōto",
    "日本 語",
    "a+b & c=d;e:f@g,h!",
    "100 % sure",
]
# What only quoting carries.
QUOTED_IDS = ["where? #1", "a%41", "50%25", "back\\slash"]


def of_way(values: list[str], way: str) -> list[str]:
    """Return the half of values that the synchronous methods try, or the asynchronous ones."""
    return values[way == _ASYNC :: 2]


_CHECKS: list[tuple[str, Callable[..., Any]]] = []
_SYNC, _ASYNC, _ONCE = "sync", "async", "once"


def both_ways(check: Callable[..., Any]) -> Callable[..., Any]:
    """Run a check over the synchronous methods, and again over the asynchronous ones."""
    _CHECKS.extend([(_SYNC, check), (_ASYNC, check)])
    return check


def once(check: Callable[..., Any]) -> Callable[..., Any]:
    """Run a check, which needs no telling which methods to take."""
    _CHECKS.append((_ONCE, check))
    return check


class Caller:
    """Calls an object's methods, or their twins with an ``a`` in front, and notes which.

    Args:
        target: Whose methods.
        is_async: Whether to take the twins.
        called: Where it is noted.
    """

    def __init__(self, target: Any, is_async: bool, called: set[str]) -> None:
        self._target = target
        self._is_async = is_async
        self._called = called

    def __getattr__(self, name: str) -> Callable[..., Any]:
        name = "a" + name if self._is_async else name
        method = getattr(self._target, name)

        async def call(*args: Any, **options: Any) -> Any:
            self._called.add(f"{type(self._target).__name__}.{name}")
            result = method(*args, **options)
            assert self._is_async == (inspect.isawaitable(result) or inspect.isasyncgen(result))
            if inspect.isawaitable(result):
                return await result
            if inspect.isasyncgen(result):
                return [item async for item in result]
            return list(result) if inspect.isgenerator(result) else result

        return call


def methods(*classes: type) -> set[str]:
    """Return the names of the public methods of classes."""
    return {
        f"{each.__name__}.{name}"
        for each in classes
        for name, value in vars(each).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }


@contextlib.contextmanager
def raises(kind: type[Exception], status: int | None = None) -> Iterator[None]:
    """Check that exactly this exception comes, with this status in it."""
    raised: Any = None
    try:
        yield
    except kind as error:
        raised = error
    assert type(raised) is kind, f"{raised!r} instead of {kind.__name__}"
    if status is not None:
        assert raised.response_data["status_code"] == status, raised
        assert raised.response_data["message"].endswith("\n"), raised


def pages_as_zep_walks(ids: Iterable[int], size: int) -> list[list[int]]:
    """Return the pages that Zep's clients get: they add the size of a page to the cursor."""
    ids = sorted(ids)
    pages = []
    cursor = 0
    while page := [each for each in ids if each > cursor][:size]:
        pages.append(page)
        cursor += size
    return pages


def _report(error: BaseException) -> str:
    # Without pytest an assert says nothing of its values.
    with_values = isinstance(error, AssertionError)
    told = traceback.TracebackException.from_exception(error, capture_locals=with_values)
    return "".join(told.format())


def main(prepare: Callable[[bool], Any]) -> None:
    """Run all checks and print JSON: what went wrong in each, or null.

    Args:
        prepare: Returns what a check gets, given whether it is the asynchronous run.
    """

    async def run() -> dict[str, str | None]:
        results = {}
        for way, check in _CHECKS:
            arguments = [] if way == _ONCE else [prepare(way == _ASYNC)]
            [result] = await asyncio.gather(check(*arguments), return_exceptions=True)
            failed = isinstance(result, BaseException)
            results[f"{check.__name__}-{way}"] = _report(result) if failed else None
        return results

    with contextlib.redirect_stdout(sys.stderr):  # zep-python 2.0.0rc6 prints
        results = asyncio.run(run())
    json.dump(results, sys.stdout)
