"""How much a request may bring, and how long it may take."""

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from langchain_zepstore.messages.wire import EXACT
from langchain_zepstore.server.responses import text_response

_DISCARDED = 20  # times as much as a body may have is read without being kept


class TooLargeError(Exception):
    """The body is larger than the server takes."""


class Limits:
    """Refuses bodies that are too large, and gives up what takes too long.

    Args:
        app: What is behind it.
        body: How many bytes a body may have.
        exact_body: How many bytes one in our own media type may have.
        seconds: How long the answer may take to begin, and then each part of it to be taken.
    """

    def __init__(
        self, app: ASGIApp, *, body: int, exact_body: int | None = None, seconds: float
    ) -> None:
        self._app = app
        self._body = body
        self._exact_body = exact_body or body
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        is_exact = headers.get("content-type", "").startswith(EXACT)
        most = self._exact_body if is_exact else self._body
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > most:
            # One who waits for leave to send sends nothing.
            waits = headers.get("expect", "").lower() == "100-continue"
            await self._refuse(scope, receive, send, most, more=not waits)
            return
        whole = length == "0" and "transfer-encoding" not in headers
        exchange = _Exchange(receive, send, most, self._seconds, whole=whole)
        try:
            async with exchange.time_limit:
                await self._app(scope, exchange.receive, exchange.send)
        except TooLargeError:
            await self._refuse(scope, receive, send, most, more=not exchange.is_whole)
        except ClientDisconnect:
            return  # nobody is left to answer
        except TimeoutError:
            if not exchange.time_limit.expired():
                raise
            if exchange.has_begun:
                return  # a reader that does not read: the connection is closed
            late = (503, "the answer took too long")
            if not exchange.is_whole:
                late = (408, "the body is too slow")
            await text_response(*late, {"Connection": "close"})(scope, receive, send)

    async def _refuse(
        self, scope: Scope, receive: Receive, send: Send, most: int, *, more: bool
    ) -> None:
        # One who still sends would not read the answer, but meet a closed connection.
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                left = _DISCARDED * most
                while more and left > 0:
                    message = await receive()
                    left -= len(message.get("body", b""))
                    more = message.get("more_body", False)
        text = f"the body is larger than {most:,} bytes"
        await text_response(413, text, {"Connection": "close"})(scope, receive, send)


class _Exchange:
    """A request and its answer, counted and timed.

    Attributes:
        is_whole: Whether the body has come.
        has_begun: Whether the answer has.
        time_limit: Ends what takes too long.
    """

    def __init__(
        self, receive: Receive, send: Send, most: int, seconds: float, *, whole: bool
    ) -> None:
        self.is_whole = whole
        self.has_begun = False
        self.time_limit = asyncio.timeout(seconds)
        self._receive = receive
        self._send = send
        self._left = most
        self._seconds = seconds

    async def receive(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        self.is_whole = self.is_whole or not message.get("more_body")
        if self._left < 0:
            raise TooLargeError
        return message

    async def send(self, message: Message) -> None:
        self.has_begun = True
        self._reschedule(asyncio.get_running_loop().time() + self._seconds)
        await self._send(message)
        # Until there is more to send, it is we who are waited for.
        self._reschedule(None)

    def _reschedule(self, when: float | None) -> None:
        if not self.time_limit.expired():  # it may be about to end what is sent here
            self.time_limit.reschedule(when)
