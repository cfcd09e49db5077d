"""uvicorn's protocol, with limits on the head of a request: how large it is, how slow it comes."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 32 * 1024
HEAD_SECONDS = 10.0
WRITE_SECONDS = 30.0

_TOO_LARGE = b"the head of the request is too large\n"


class _HeadTooLargeError(Exception):
    pass


class LimitedProtocol(HttpToolsProtocol):
    """Closes connections whose next request does not come, or comes with too large a head.

    A head is what is no body: blank lines before it, extensions of chunks and trailers count too.
    One that does not read its answer is cut off as well.
    """

    _timer: asyncio.TimerHandle | None = None
    _reader_timer: asyncio.TimerHandle | None = None
    _unread = 0
    _in_head = True
    _head_bytes = 0
    _is_too_large = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a head, so long."""
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_waiting()
        self._stop_watching()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._head_bytes > HEAD_BYTES:
            self._is_too_large = True
            self.send_400_response("")
        elif self.timeout_keep_alive_task is None and self._is_idle():
            # What came was no request, and has ended the wait for one.
            self._wait_for_head()

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def on_message_begin(self) -> None:
        """Begin with a head."""
        super().on_message_begin()
        self._in_head = True
        self._stop_waiting()
        self._wait_for_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; one behind the body is none of those that were asked for."""
        if self._in_head:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._head_bytes = 0
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """End the head."""
        self._stop_waiting()
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > HEAD_BYTES:
            self._is_too_large = True
            raise _HeadTooLargeError
        self._in_head, self._head_bytes = False, 0
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse a head and close the connection."""
        if self.cycle is not None and not self._is_idle() and self.cycle.response_started:
            self.transport.close()  # it would stand within another answer
            return
        if not self._is_too_large:
            super().send_400_response(msg + "\n")
            return
        head = (
            "HTTP/1.1 431 Request Header Fields Too Large\r\n"
            "content-type: text/plain; charset=utf-8\r\n"
            f"content-length: {len(_TOO_LARGE)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + _TOO_LARGE)
        self.transport.close()

    def _wait_for_head(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self, *_: Any) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()  # to close it would wait for the reader
        else:
            self.transport.close()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that nobody has used for long."""
        self._give_up()

    def pause_writing(self) -> None:
        """Watch whether the reader reads."""
        super().pause_writing()
        self._unread = self.transport.get_write_buffer_size()
        self._stop_watching()
        self._reader_timer = self.loop.call_later(WRITE_SECONDS, self._watch_reader)

    def resume_writing(self) -> None:
        """Watch no longer."""
        self._stop_watching()
        super().resume_writing()

    def _watch_reader(self) -> None:
        unread = self.transport.get_write_buffer_size()
        if unread >= self._unread:
            self.transport.abort()
            return
        self._unread = unread
        self._reader_timer = self.loop.call_later(WRITE_SECONDS, self._watch_reader)

    def _stop_watching(self) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None
