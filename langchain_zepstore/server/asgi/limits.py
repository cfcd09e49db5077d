"""Limits on the size of a request and on the time it may take."""

import asyncio
from contextlib import suppress
from itertools import chain

from h11 import LocalProtocolError
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from langchain_zepstore.messages import wire
from langchain_zepstore.server.responses import text_response

MAX_HEAD_BYTES = 32 * 1024
MAX_BODY_BYTES = 5 * 2**20

_MAX_DISCARDED = 20  # times the size of a body
_LINGER_SECONDS = 2.0


class TooLargeError(Exception):
    """The body is larger than allowed."""


class Limits:
    """Refuses heads and bodies that are too large and ends requests that take too long.

    Requests that say the length of their body in two ways are refused as well.

    Args:
        app: The next application.
        max_body: The size of a body in bytes; by default it depends on the media type.
        seconds: The time until the answer begins, and until each part of it has been sent.
    """

    def __init__(self, app: ASGIApp, *, max_body: int | None, seconds: float) -> None:
        self._app = app
        self._max_body = max_body
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI call."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if refusal := _refusal_of_head(scope, headers):
            await refusal(scope, receive, send)
            return
        max_body = self._max_body_of(headers)
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > max_body:
            # With ``Expect: 100-continue`` no body has been sent yet.
            waits = headers.get("expect", "").lower() == "100-continue"
            await self._refuse(scope, receive, send, max_body, more=not waits)
            return
        complete = length == "0" and "transfer-encoding" not in headers
        exchange = _Exchange(receive, send, max_body, self._seconds, complete=complete)
        try:
            async with exchange.time_limit:
                await self._app(scope, exchange.receive, exchange.send)
        except TooLargeError:
            await self._refuse(scope, receive, send, max_body, more=not exchange.is_complete)
        except ClientDisconnect:
            return
        except TimeoutError:
            if not exchange.time_limit.expired():
                raise
            if exchange.has_begun:
                return  # the server closes the connection
            if exchange.is_complete:
                late = text_response(503, "the answer took too long", _CLOSE)
                await late(scope, receive, send)
                return
            late = text_response(408, "the body is too slow", _CLOSE)
            await late(scope, receive, _lingering(receive, send, max_body))

    def _max_body_of(self, headers: Headers) -> int:
        if self._max_body is not None:
            return self._max_body
        is_exact = headers.get("content-type", "").startswith(wire.EXACT)
        return wire.MAX_BODY_BYTES if is_exact else MAX_BODY_BYTES

    async def _refuse(
        self, scope: Scope, receive: Receive, send: Send, max_body: int, *, more: bool
    ) -> None:
        # A client that is still sending reads the answer only after its body.
        if more:
            await _discard(receive, _MAX_DISCARDED * max_body, self._seconds)
        text = f"the body is larger than {max_body:,} bytes"
        await text_response(413, text, _CLOSE)(scope, receive, send)


_CLOSE = {"Connection": "close"}


def _lingering(receive: Receive, send: Send, max_body: int) -> Send:
    """Return a ``send`` that ends an answer only when the client is done, or has had the time.

    The end closes the connection. If the client were still sending, its system would answer that
    with a reset, and could drop what the client has not read yet.
    """

    async def lingering(message: Message) -> None:
        if message["type"] == "http.response.body":
            await send({**message, "more_body": True})
            await _discard(receive, max_body, _LINGER_SECONDS)
            message = {"type": "http.response.body"}
        await send(message)

    return lingering


async def _discard(receive: Receive, size: int, seconds: float) -> None:
    """Receive the rest of a body, as far as it comes in this size and time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            more = True
            while more and size > 0:
                message = await receive()
                size -= len(message.get("body", b""))
                more = message.get("more_body", False)


def _head_bytes(scope: Scope) -> int:
    headers = sum(map(len, chain.from_iterable(scope["headers"])))
    return len(scope["path"]) + len(scope["query_string"]) + headers


def _refusal_of_head(scope: Scope, headers: Headers) -> Response | None:
    if _head_bytes(scope) > MAX_HEAD_BYTES:
        return text_response(431, "the head of the request is too large", _CLOSE)
    encodings = [each.lower() for each in headers.getlist("transfer-encoding")]
    if encodings and ("content-length" in headers or encodings != ["chunked"]):
        # A proxy in front may take part of the body for another request (request smuggling).
        return text_response(400, "the length of the body is given ambiguously", _CLOSE)
    return None


class _Exchange:
    """A request and its answer, counted and timed.

    Attributes:
        is_complete: Whether the whole body has been received.
        has_begun: Whether the answer has begun.
        time_limit: Cancels the application when it expires.
    """

    def __init__(
        self, receive: Receive, send: Send, max_body: int, seconds: float, *, complete: bool
    ) -> None:
        self.is_complete = complete
        self.has_begun = False
        self.time_limit = asyncio.timeout(seconds)
        self._receive = receive
        self._send = send
        self._left = max_body
        self._seconds = seconds

    async def receive(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        self.is_complete = self.is_complete or not message.get("more_body")
        if self._left < 0:
            raise TooLargeError
        return message

    async def send(self, message: Message) -> None:
        if not self.has_begun:  # the head goes within the time for the whole, and so begins it
            self.has_begun = True
            await self._sent(message)
            return
        self._reschedule(asyncio.get_running_loop().time() + self._seconds)
        await self._sent(message)
        if message.get("more_body"):
            self._reschedule(None)  # the time between two parts is the application's

    async def _sent(self, message: Message) -> None:
        try:
            await self._send(message)
        except LocalProtocolError as error:
            # What came after the head was no HTTP, and the server has answered that.
            raise ClientDisconnect from error

    def _reschedule(self, when: float | None) -> None:
        if not self.time_limit.expired():  # a cancellation may be on its way
            self.time_limit.reschedule(when)
