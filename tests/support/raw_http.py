"""Raw requests, and processes of ``zepstore serve``.

``python -m tests.support.raw_http SECONDS serve …`` is ``zepstore serve …`` with that time limit.
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
from bson import json_util
from pymongo.database import Database

from tests.support.preloaded import Popen

FIGURE = "figure"  # what conftest prints in the end
ROOT = Path(__file__).parents[2]
TELLING = (b"Traceback", b"pymongo", b"mongodb://", b"motor", b'File "')
"""What no answer may hold: the server's inside."""
NO_HTTP = b"Invalid HTTP request received."

Headers = Iterable[tuple[str, str]]


class Answer:
    """What a server answered, checked for what every answer must keep to."""

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        self.body = body
        for word in TELLING:
            assert word not in body, body
        if status >= 400:
            assert self.headers["content-type"].startswith("text/plain"), self.headers
            assert body.count(b"\n") == body.endswith(b"\n"), body
            assert body.endswith(b"\n") or body == NO_HTTP, body
        elif self.headers.get("content-type", "").startswith("application/json"):
            json.loads(body)

    def __repr__(self) -> str:
        return f"<{self.status} {self.body[:200]!r}>"

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def data(self) -> Any:
        return json.loads(self.body)


async def ask(
    app: Any,
    method: str,
    path: str | bytes,
    body: Any = None,
    *,
    key: str | None = None,
    headers: Headers = (),
) -> Answer:
    """Ask an application, with the path as it is given; a body that is no bytes goes as JSON."""
    raw, _, query = (path.encode() if isinstance(path, str) else path).partition(b"?")
    content = b"" if body is None else body if isinstance(body, bytes) else to_json(body)
    sent = [("host", "server"), *headers]
    if not any(name == "transfer-encoding" for name, _ in sent):
        sent.append(("content-length", str(len(content))))
    if key is not None:
        sent.append(("authorization", f"Bearer {key}"))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": raw.decode("latin-1"),
        "raw_path": raw,
        "query_string": query,
        "root_path": "",
        "scheme": "http",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in sent],
        "client": ("127.0.0.1", 1),
        "server": ("server", 80),
    }
    requests = iter([{"type": "http.request", "body": content, "more_body": False}])
    start: dict[str, Any] = {}
    parts: list[bytes] = []

    async def receive() -> Any:
        return next(requests, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        parts.append(message.get("body", b""))

    await app(scope, receive, send)
    told = [(name.decode(), value.decode("latin-1")) for name, value in start["headers"]]
    return Answer(start["status"], told, b"".join(parts))


def to_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def in_path(session_id: str) -> str:
    return quote(session_id, safe="")


def raw_data(database: Database[Any]) -> str:
    """Return all documents of a database as text: equal texts, equal data."""
    names = sorted(database.list_collection_names())
    return json_util.dumps({name: list(database[name].find().sort("_id")) for name in names})


def note(request: Any, capsys: Any, figure: str) -> None:
    """Print a figure: at once, or from a process of pytest-xdist, which cannot, in the end."""
    if hasattr(request.config, "workerinput"):
        request.node.user_properties.append((FIGURE, figure))
        return
    with capsys.disabled():
        print(f"\n  {figure}", end="", flush=True)


class Serve:
    """A process of ``zepstore serve``, with its log."""

    def __init__(
        self,
        directory: Path,
        *arguments: str,
        timeout: float | None = None,
        environment: dict[str, str] | None = None,
        ready: bool = True,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.log_file = directory / "log"
        module = ["langchain_zepstore.cli"]
        if timeout is not None:
            module = ["tests.support.raw_http", str(timeout)]
        inherited = {name: value for name, value in os.environ.items() if "ZEPSTORE" not in name}
        with self.log_file.open("wb") as log:
            self.process = Popen(
                [sys.executable, "-m", *module, "serve", "--port", "0", *arguments],
                cwd=ROOT,
                env={**inherited, "PYTHONUNBUFFERED": "1", **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.port = self._port() if ready else 0

    def _port(self) -> int:
        deadline = time.monotonic() + 60
        while not (found := re.search(r"running on http://\S+:(\d+)", self.log)):
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)
        return int(found[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    @property
    def accesses(self) -> list[dict[str, Any]]:
        """The entries of the access log, which are the lines that begin as JSON does."""
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]

    @property
    def connections(self) -> int:
        """How many connections are open, as the kernel has it."""
        found = psutil.Process(self.process.pid).net_connections("tcp")
        return len([each for each in found if each.laddr.port == self.port and each.raddr])

    @property
    def megabytes(self) -> float:
        return float(psutil.Process(self.process.pid).memory_info().rss) / 2**20

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 60)

    def ask(self, request: bytes) -> list[Answer]:
        """Send bytes and return what is answered until the server closes the connection."""
        with self.connect() as connection:
            connection.sendall(request)
            return answers(connection)

    def wait_for_connections(self, number: int, seconds: float) -> float:
        """Return how long it took until there are no more than so many connections."""
        begun = time.monotonic()
        while self.connections > number:
            assert time.monotonic() - begun < seconds, f"{self.connections} connections are open"
            time.sleep(0.05)
        return time.monotonic() - begun

    def stop(self, seconds: float = 40) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(60)
            raise


@contextlib.contextmanager
def serve(directory: Path, *arguments: str, **options: Any) -> Iterator[Serve]:
    served = Serve(directory, *arguments, **options)
    try:
        yield served
    finally:
        if served.process.poll() is None:
            served.process.kill()
        served.process.wait(60)


def answers(connection: socket.socket) -> list[Answer]:
    """Return the answers that come until the server closes the connection."""
    received = bytearray()
    while part := connection.recv(2**16):
        received += part
    return parsed(bytes(received))


def parsed(received: bytes) -> list[Answer]:
    found = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = [(name, value.strip()) for name, _, value in (x.partition(":") for x in lines)]
        status = int(first.split(" ")[1])
        if status == 100:
            received = rest
            continue
        lengths: dict[str, str] = defaultdict(str, {n.lower(): v for n, v in headers})
        if lengths["transfer-encoding"] == "chunked":
            body = b""
            while True:
                size, _, rest = rest.partition(b"\r\n")
                body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
                if not int(size, 16):
                    break
        else:
            length = int(lengths["content-length"] or len(rest))
            body, rest = rest[:length], rest[length:]
        found.append(Answer(status, headers, body))
        received = rest
    return found


def request(method: str, path: str, body: bytes = b"", *headers: str, close: bool = True) -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    if close:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Pouring(threading.Thread):
    """Sends the same bytes again and again, until the connection takes no more."""

    def __init__(self, connection: socket.socket, part: bytes) -> None:
        super().__init__(daemon=True)
        self._connection = connection
        self._part = part
        self.sent = 0
        self.start()

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._connection.sendall(self._part)
                self.sent += len(self._part)


def main(seconds: str, *arguments: str) -> int:
    from langchain_zepstore.cli import main as cli
    from langchain_zepstore.server import run as serving

    serving._GRACE = 5
    serving.create_app = partial(serving.create_app, timeout=float(seconds))
    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
