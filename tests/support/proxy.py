"""A network between a client and a server: it loses, cuts, delays, swallows and refuses.

It knows where one message ends and the next begins, and which command an answer belongs to.
"""

import contextlib
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlsplit

OP_MSG = 2013
BODY = 25  # after the head, the flags, a section's kind and the document's size
TEXT, NUMBER = 2, 18
_DROP = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset


class LossyProxy:
    """Forwards to a server. All attributes may be set at any time, by any thread.

    Attributes:
        lose: Decides by a command's name and collection whether its answer is lost: the command is
            carried out, nobody hears of it.
        cut: Decides by the same, which are empty for handshakes and heartbeats, after how many
            bytes of the answer the connection ends; ``None``: it does not.
        reset: Whether a cut is a reset, not an end in good order.
        delay: Seconds that every answer takes longer.
        request_delay: Seconds that every request takes longer.
        silent: Whether everything is swallowed, both ways, on old connections and on new ones.
        lost: The commands whose answers were lost or cut.
        answered: How often the server has answered which command, whatever became of the answer.
        url: How to connect through it.
    """

    def __init__(self, url: str) -> None:
        host, port = urlsplit(url).netloc.rpartition("@")[2].split(":")
        self.server = (host, int(port))
        self.lose: Callable[[str, str], bool] = lambda name, collection: False
        self.cut: Callable[[str, str], int | None] = lambda name, collection: None
        self.reset = False
        self.delay = 0.0
        self.request_delay = 0.0
        self.silent = False
        self.lost: list[str] = []
        self.answered: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self.links: set[_Link] = set()
        self._held = socket.socket()  # keeps the port while new connections are refused
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind(("127.0.0.1", 0))
        self.url = f"mongodb://127.0.0.1:{self._held.getsockname()[1]}/?directConnection=true"
        self._switching = threading.Lock()
        self._listener: socket.socket | None = None
        self._listening: threading.Thread | None = None
        self.accept()

    def accept(self) -> None:
        """Accept new connections (again)."""
        with self._switching:
            if self._listener is None and not self.closing.is_set():
                self._listener = socket.create_server(self._held.getsockname(), backlog=512)
                self._listening = threading.Thread(target=self._listen, args=(self._listener,))
                self._listening.start()

    def refuse(self) -> None:
        """Refuse new connections; those that there are stay."""
        with self._switching:
            if self._listener:
                assert self._listening
                self._listener.shutdown(socket.SHUT_RDWR)  # closing alone would not wake the thread
                self._listening.join()
                self._listener.close()
                self._listener = None

    def heal(self) -> None:
        """Be a good network again, for what is sent from now on."""
        self.lose = lambda name, collection: False
        self.cut = lambda name, collection: None
        self.delay = self.request_delay = 0.0
        self.silent = self.reset = False
        self.accept()

    def cut_all(self) -> None:
        """End every connection that there is."""
        for link in self._linked():
            link.end()

    def close(self) -> None:
        """End everything; no socket and no thread is left."""
        self.closing.set()
        self.refuse()
        self._held.close()
        for link in self._linked():
            link.end()
            link.join()

    def _linked(self) -> "list[_Link]":
        with self.lock:
            return list(self.links)

    def _listen(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                try:
                    server = socket.create_connection(self.server)
                except OSError:
                    client.close()
                else:
                    _Link(self, client, server).start()

    def fate(self, name: str, collection: str) -> int | None:
        """Return after how many bytes an answer is cut, if it is."""
        with self.lock:
            self.answered[f"{name} {collection}"] += 1
            bytes_left = self.cut(name, collection)
            if bytes_left is None and name and self.lose(name, collection):
                bytes_left = 0
            if bytes_left is not None:
                self.lost.append(f"{name} {collection}")
            return bytes_left


class _Link:
    """A connection through the proxy: two sockets, and a thread for each direction."""

    def __init__(self, proxy: LossyProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._asked: dict[int, tuple[str, str]] = {}
        self._threads = [
            threading.Thread(target=self._run, args=(direction,))
            for direction in (self._requests, self._answers)
        ]
        self._running = len(self._threads)
        self._ended = threading.Lock()

    def start(self) -> None:
        with self._proxy.lock:
            self._proxy.links.add(self)
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def end(self, *, reset: bool = False) -> None:
        """Let both threads end; the last of them closes the sockets."""
        if not self._ended.acquire(blocking=False):
            return
        with contextlib.suppress(OSError):
            if reset:
                self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DROP)
            self._client.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)

    def _run(self, direction: Callable[[], None]) -> None:
        with contextlib.suppress(OSError):
            direction()
        if direction == self._requests:
            # What was passed on before the client went away is still answered.
            with contextlib.suppress(OSError):
                self._server.shutdown(socket.SHUT_WR)
        else:
            self.end()
        with self._proxy.lock:
            self._running -= 1
            if self._running:
                return
            self._proxy.links.discard(self)
        self._client.close()
        self._server.close()

    def _requests(self) -> None:
        proxy = self._proxy
        while request := read_message(self._client):
            self._asked[struct.unpack_from("<i", request, 4)[0]] = command_of(request)
            self._wait(proxy.request_delay)
            if not proxy.silent:
                self._server.sendall(request)

    def _answers(self) -> None:
        proxy = self._proxy
        while answer := read_message(self._server):
            name, collection = self._asked.pop(struct.unpack_from("<i", answer, 8)[0], ("", ""))
            bytes_left = proxy.fate(name, collection)
            self._wait(proxy.delay)
            if proxy.silent:
                continue
            self._client.sendall(answer if bytes_left is None else answer[:bytes_left])
            if bytes_left is not None:
                self.end(reset=proxy.reset)
                return

    def _wait(self, seconds: float) -> None:
        if seconds:
            self._proxy.closing.wait(seconds)


def read_message(source: socket.socket) -> bytes:
    head = read_exactly(source, 4)
    rest = read_exactly(source, struct.unpack("<i", head)[0] - 4) if head else b""
    return head + rest if rest else b""


def read_exactly(source: socket.socket, size: int) -> bytes:
    read = bytearray()
    while len(read) < size:
        part = source.recv(size - len(read))
        if not part:
            return b""
        read += part
    return bytes(read)


def command_of(message: bytes) -> tuple[str, str]:
    """Return a command's name and collection; nothing for what belongs to no collection.

    They are the first element of the body, or, where that is the number of a cursor, the second.
    """
    if struct.unpack_from("<i", message, 12)[0] != OP_MSG:
        return "", ""
    kind, name, value = element(message, BODY)
    if kind == NUMBER:
        kind, _, value = element(message, value + 8)
    if kind != TEXT:
        return "", ""
    size = struct.unpack_from("<i", message, value)[0]
    return name, message[value + 4 : value + 3 + size].decode()


def element(message: bytes, start: int) -> tuple[int, str, int]:
    """Return an element's type and name, and where its value begins."""
    end = message.index(0, start + 1)
    return message[start], message[start + 1 : end].decode(), end + 1
