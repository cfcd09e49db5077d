"""The two loops that run operations, over drivers that are small functions."""

import asyncio
import gc
from functools import partial

import pytest

from langchain_zepstore.core.operation import Page, apages, arun, pages, run


class LostError(Exception):
    pass


def now(action):
    """Call as a synchronous driver does: the result is there already."""
    return action()


async def soon(action):
    """Call as an asynchronous driver does."""
    await asyncio.sleep(0)
    return action()


def played(operation):
    """Run an operation in both ways and return what both return."""
    result = run(operation(now))
    assert asyncio.run(arun(operation(soon))) == result
    return result


def fail():
    raise LostError("on the way")


@pytest.mark.promise(
    "one implementation of each operation, sync and async: a generator, and two loops that run it"
)
def test_call_results_are_sent_to_their_yields_and_the_value_returned() -> None:
    def operation(call):
        first = yield call(lambda: 1)
        second = yield call(lambda: first + 1)
        return [first, second]

    assert played(operation) == [1, 2]


def test_an_operation_without_calls_returns() -> None:
    def operation(call):
        return "nothing to do"
        yield

    assert played(operation) == "nothing to do"


def test_operations_can_be_composed() -> None:
    def inner(call, value):
        return (yield call(lambda: value)) * 2

    def operation(call):
        return (yield from inner(call, 1)) + (yield from inner(call, 2))

    assert played(operation) == 6


def test_a_failed_call_raises_at_its_yield_and_can_be_retried() -> None:
    def operation(call):
        attempts = []
        for action in (fail, fail, lambda: "landed"):
            try:
                attempts.append((yield call(action)))
            except LostError as error:
                attempts.append(str(error))
        return attempts

    assert played(operation) == ["on the way", "on the way", "landed"]


def test_an_uncaught_failure_propagates() -> None:
    def operation(call):
        yield call(fail)

    with pytest.raises(LostError, match="on the way"):
        run(operation(now))
    with pytest.raises(LostError, match="on the way"):
        asyncio.run(arun(operation(soon)))


def test_an_operation_may_translate_a_failure() -> None:
    def operation(call):
        try:
            yield call(fail)
        except LostError as error:
            raise LookupError("nowhere") from error

    for play in (lambda: run(operation(now)), lambda: asyncio.run(arun(operation(soon)))):
        with pytest.raises(LookupError, match="nowhere") as caught:
            play()
        assert isinstance(caught.value.__cause__, LostError)


@pytest.mark.parametrize("value", [None, 0, [], {"a": 1}, StopIteration])
async def test_arun_returns_values_that_are_not_awaitable(value) -> None:
    def operation():
        return (yield value)

    assert await arun(operation()) is value


@pytest.mark.promise(
    "one implementation of each operation, sync and async: a generator, and two loops that run it"
)
async def test_arun_awaits_any_awaitable() -> None:
    def operation():
        future = asyncio.get_running_loop().create_future()
        future.set_result("future")
        return [(yield soon(lambda: "coroutine")), (yield future)]

    assert await arun(operation()) == ["coroutine", "future"]


def test_a_failed_operation_runs_its_cleanup() -> None:
    for loop, call in ((run, now), (lambda o: asyncio.run(arun(o)), soon)):
        cleaned = []

        def operation(call=call, cleaned=cleaned):
            try:
                yield call(fail)
            finally:
                cleaned.append((yield call(lambda: "cleaned")))

        with pytest.raises(LostError):
            loop(operation())
        assert cleaned == ["cleaned"]


class Server:
    """Answers when it is told to, and remembers what it was asked and what it has done."""

    def __init__(self) -> None:
        self.asked, self.done = [], []
        self.answer = asyncio.Event()

    async def write(self, name, action=lambda: None):
        self.asked.append(name)
        await self.answer.wait()
        self.done.append(name)
        return action()


@pytest.fixture
async def complaints():
    """What asyncio reports as lost, which must be nothing."""
    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
    yield reported
    gc.collect()
    await asyncio.sleep(0)
    assert reported == []


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


async def cancelled(task, times=1):
    await turns()
    for _ in range(times):
        task.cancel()
        await turns()
    assert not task.done()


@pytest.mark.promise("a cancelled call leaves no write behind")
@pytest.mark.parametrize("times", [1, 2, 3])
async def test_cancellation_waits_for_the_call_in_flight(complaints, times) -> None:
    server = Server()
    seen = []

    def operation():
        try:
            yield server.write("first")
        except asyncio.CancelledError:
            seen.append(list(server.done))
            raise
        yield server.write("second")

    task = asyncio.create_task(arun(operation()))
    await cancelled(task, times)
    assert seen == []
    server.answer.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert seen == [["first"]]
    assert server.asked == ["first"]


async def test_a_call_that_fails_after_the_cancellation_is_not_reported_as_lost(complaints) -> None:
    server = Server()

    def operation():
        yield server.write("first", fail)

    task = asyncio.create_task(arun(operation()))
    await cancelled(task)
    server.answer.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert server.done == ["first"]


async def test_a_cancelled_operation_may_make_calls_in_its_cleanup(complaints) -> None:
    server = Server()

    def operation():
        try:
            yield server.write("first")
        finally:
            yield server.write("clean up")

    task = asyncio.create_task(arun(operation()))
    await cancelled(task)
    server.answer.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert server.done == ["first", "clean up"]


async def test_a_second_cancellation_does_not_abandon_a_cleanup_call(complaints) -> None:
    server, cleaner = Server(), Server()

    def operation():
        try:
            yield server.write("first")
        finally:
            yield cleaner.write("clean up")

    task = asyncio.create_task(arun(operation()))
    await cancelled(task)
    server.answer.set()
    await cancelled(task)
    cleaner.answer.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaner.done == ["clean up"]


async def test_a_cancelled_operation_can_be_retried(complaints) -> None:
    server = Server()

    def operation(name):
        return (yield server.write(name, lambda: f"{name} landed"))

    task = asyncio.create_task(arun(operation("first")))
    await cancelled(task)
    again = asyncio.create_task(arun(operation("again")))
    server.answer.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await again == "again landed"


async def test_a_timeout_waits_for_the_call_in_flight(complaints) -> None:
    server = Server()

    def operation():
        yield server.write("first")

    asyncio.get_running_loop().call_later(0.05, server.answer.set)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await arun(operation())
    assert server.done == ["first"]


async def test_a_call_that_cancels_itself_raises_cancelled_error(complaints) -> None:
    async def cancel_itself():
        raise asyncio.CancelledError

    def operation():
        try:
            yield cancel_itself()
        except asyncio.CancelledError:
            return "seen"

    assert await arun(operation()) == "seen"


BOOK = {None: Page([1, 2], "b"), "b": Page([], "c"), "c": Page([3], 0), 0: Page([4], None)}


def test_pages_follow_cursors_and_skip_empty_pages() -> None:
    assert list(pages(BOOK.__getitem__)) == [[1, 2], [3], [4]]


async def test_apages_yield_the_same_pages() -> None:
    assert [items async for items in apages(lambda cursor: soon(partial(BOOK.get, cursor)))] == [
        [1, 2],
        [3],
        [4],
    ]


def test_pages_are_fetched_lazily() -> None:
    fetched = []
    listing = pages(lambda cursor: fetched.append(cursor) or BOOK[cursor])
    assert fetched == []
    next(listing)
    assert fetched == [None]


async def test_async_pages_are_fetched_lazily() -> None:
    fetched = []
    listing = apages(lambda cursor: soon(lambda: fetched.append(cursor) or BOOK[cursor]))
    assert fetched == []
    await anext(listing)
    assert fetched == [None]
    await listing.aclose()
