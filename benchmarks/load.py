"""Load: callers over HTTP and callers of a client, each kind to be run in a process of its own.

The generator writes HTTP/1.1 by hand on connections that stay open. A client library takes longer
for a request than the server under test, on the same few cores: it would measure itself.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeVar
from uuid import uuid4

from benchmarks.works import WINDOW, said
from langchain_zepstore import Memory, Message, ZepClient
from langchain_zepstore.messages.wire import to_json

T = TypeVar("T")

READ, ADD = "GET", "POST"
_HOST = "127.0.0.1"
_ROLES = ("user", "assistant")


@dataclass(frozen=True)
class Taken:
    """What callers got done.

    Attributes:
        rate: Calls per second.
        middle: What half of the calls took at most, in ms.
        slow: What 99 of 100 calls took at most, in ms.
    """

    rate: float
    middle: float
    slow: float


def path(session_id: str) -> str:
    """Return where a session's memory is."""
    return f"/api/v1/sessions/{session_id}/memory"


def over_http(port: int, kind: str, sessions: Sequence[str], seconds: float) -> Taken:
    """Let each session's caller ask again as soon as it is answered, on a connection of its own."""
    return _run(_over_http(port, kind, sessions, seconds))


def direct(url: str, kind: str, sessions: Sequence[str], seconds: float) -> Taken:
    """Let each session's caller make the same calls of a client, in a task of its own."""
    return _run(_direct(url, kind, sessions, seconds))


async def _over_http(port: int, kind: str, sessions: Sequence[str], seconds: float) -> Taken:
    loop = asyncio.get_running_loop()
    callers = []
    for session_id in sessions:
        _, caller = await loop.create_connection(
            lambda session_id=session_id: _Caller(_requests(kind, session_id)), _HOST, port
        )
        callers.append(caller)
    try:
        await asyncio.gather(*(caller.talk(0) for caller in callers))
        return await _timed([caller.talk for caller in callers], seconds)
    finally:
        for caller in callers:
            caller.close()


async def _direct(url: str, kind: str, sessions: Sequence[str], seconds: float) -> Taken:
    async with ZepClient(url) as client:

        async def call(session_id: str) -> None:
            if kind == READ:
                await client.memory.aget_memory(session_id, lastn=WINDOW)
            else:
                await client.memory.aadd_memory(session_id, Memory(messages=_turn()))

        def talking(session_id: str) -> Callable[[float], Awaitable[list[float]]]:
            async def talk(until: float) -> list[float]:
                taken = []
                while (begun := time.perf_counter()) < until:
                    await call(session_id)
                    taken.append(time.perf_counter() - begun)
                return taken

            return talk

        await asyncio.gather(*(call(session_id) for session_id in sessions))
        return await _timed([talking(session_id) for session_id in sessions], seconds)


async def _timed(
    talks: Sequence[Callable[[float], Awaitable[list[float]]]], seconds: float
) -> Taken:
    begun = time.perf_counter()
    taken = await asyncio.gather(*(talk(begun + seconds) for talk in talks))
    elapsed = time.perf_counter() - begun
    calls = sorted(call for calls in taken for call in calls)
    slow = calls[min(len(calls) * 99 // 100, len(calls) - 1)]
    return Taken(len(calls) / elapsed, median(calls) * 1000, slow * 1000)


class _Caller(asyncio.Protocol):
    """A connection that asks, waits for the answer, and asks again."""

    def __init__(self, request: Callable[[], bytes]) -> None:
        self._request = request
        self._answered: asyncio.Future[list[float]] | None = None
        self._taken: list[float] = []
        self._came, self._whole = bytearray(), 0
        self._begun = self._until = 0.0

    def talk(self, until: float) -> "asyncio.Future[list[float]]":
        """Ask until then, and once at least; return what each answer took, in seconds."""
        answered = self._answered = asyncio.get_running_loop().create_future()
        self._taken, self._until = [], until
        self._ask()
        return answered

    def close(self) -> None:
        """Hang up."""
        self._transport.close()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the server hung up: {exc}")

    def data_received(self, data: bytes) -> None:
        self._came += data
        if not self._whole:
            end = self._came.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._came[:end]).lower()
            if not head.startswith(b"http/1.1 200"):
                self._fail(bytes(self._came).decode())
                return
            length = head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
            self._whole = end + 4 + int(length)
        if len(self._came) < self._whole:
            return
        now = time.perf_counter()
        self._taken.append(now - self._begun)
        if now < self._until:
            self._ask()
        elif self._answered:
            self._answered.set_result(self._taken)

    def _ask(self) -> None:
        if self._transport.is_closing():
            self._fail("the server hung up")
            return
        self._came.clear()
        self._whole = 0
        request = self._request()
        self._begun = time.perf_counter()
        self._transport.write(request)

    def _fail(self, reason: str) -> None:
        if self._answered and not self._answered.done():
            self._answered.set_exception(ConnectionError(reason))


def _requests(kind: str, session_id: str) -> Callable[[], bytes]:
    """Return what writes the next request: a reading, or an adding of messages with new ids."""
    if kind == READ:
        request = _head(READ, f"{path(session_id)}?lastn={WINDOW}")
        return lambda: request
    ids = [str(uuid4()) for _ in range(2)]
    body = to_json({"messages": [m.model_dump(exclude_none=True) for m in _turn(ids)]})
    template = _head(ADD, path(session_id), len(body)) + body
    parts = template.replace(ids[1].encode(), ids[0].encode()).split(ids[0].encode())

    def adding() -> bytes:
        first, second = str(uuid4()).encode(), str(uuid4()).encode()
        return b"".join([parts[0], first, parts[1], second, parts[2]])

    return adding


def _head(method: str, target: str, length: int | None = None) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {_HOST}", "Accept: application/json"]
    if length is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {length}"]
    return "\r\n".join([*lines, "", ""]).encode()


def _turn(ids: Sequence[str] | None = None) -> list[Message]:
    ids = ids or [str(uuid4()) for _ in _ROLES]
    return [
        Message(role=role, content=str(message.content), uuid=uuid)
        for role, message, uuid in zip(_ROLES, said(2), ids, strict=True)
    ]


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    # On the loop that uvicorn takes, so that both sides of a comparison have the same.
    factory = None
    if sys.platform != "win32":
        import uvloop  # noqa: PLC0415 - there is none on Windows

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(coroutine)


def bare(port: int, answer: bytes) -> None:
    """Serve a constant where the memory is, with the same framework and nothing else."""
    import uvicorn  # noqa: PLC0415 - callers need no framework
    from fastapi import FastAPI, Response  # noqa: PLC0415

    app = FastAPI()

    @app.get(path("{session_id}"))
    async def constant(session_id: str, lastn: int | None = None) -> Response:  # noqa: ARG001
        return Response(answer, media_type="application/json")

    uvicorn.run(app, host=_HOST, port=port, access_log=False, log_level="warning")
