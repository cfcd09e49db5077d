"""How much a request may bring, and how long it may take."""

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from langchain_zepstore.server.answers import told

_DISCARDED = 20  # times as much as a body may have is read without being kept


class TooLargeError(Exception):
    """The body is larger than the server takes."""


class Limits:
    """Refuses bodies that are too large, and gives up what takes too long.

    Args:
        app: What is behind it.
        body: How many bytes a body may have.
        seconds: How long the answer may take to begin, and then each part of it to be taken.
    """

    def __init__(self, app: ASGIApp, *, body: int, seconds: float) -> None:
        self._app = app
        self._body = body
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > self._body:
            await self._refuse(scope, receive, send)
            return
        came, has_body, has_begun = 0, False, False

        async def counted() -> Message:
            nonlocal came, has_body
            message = await receive()
            came += len(message.get("body", b""))
            has_body = has_body or not message.get("more_body")
            if came > self._body:
                raise TooLargeError
            return message

        async def timed(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            timeout.reschedule(asyncio.get_running_loop().time() + self._seconds)
            await send(message)
            # Until there is more to send, it is we who are waited for.
            timeout.reschedule(None)

        try:
            async with asyncio.timeout(self._seconds) as timeout:
                await self._app(scope, counted, timed)
        except TooLargeError:
            await self._refuse(scope, receive, send)
        except TimeoutError:
            if not timeout.expired():
                raise
            if has_begun:
                return  # a reader that does not read: the connection is closed
            late = (503, "the answer took too long") if has_body else (408, "the body is too slow")
            await told(*late, {"Connection": "close"})(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        # One who still sends would not read the answer, but meet a closed connection.
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                left, more = _DISCARDED * self._body, True
                while more and left > 0:
                    message = await receive()
                    left -= len(message.get("body", b""))
                    more = message.get("more_body", False)
        text = f"the body is larger than {self._body:,} bytes"
        await told(413, text, {"Connection": "close"})(scope, receive, send)
