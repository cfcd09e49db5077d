"""HTTP/1.1: uvicorn's protocol by httptools, with a limit on the head of a request."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from langchain_zepstore.server.asgi.limits import MAX_HEAD_BYTES


class Protocol(HttpToolsProtocol):
    """A connection. httptools alone would keep a head, or what follows a body, without end."""

    _pending_bytes = 0  # received since the last whole head or part of a body
    _is_in_head = False

    def data_received(self, data: bytes) -> None:
        """Parse bytes."""
        self._pending_bytes += len(data)
        super().data_received(data)
        if self._pending_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.\n")

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._is_in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header; those behind a body are left out."""
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """End a head."""
        self._pending_bytes, self._is_in_head = 0, False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Add a part of a body."""
        self._pending_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._pending_bytes = 0
        super().on_message_complete()
