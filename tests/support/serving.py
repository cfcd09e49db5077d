"""Servers of the tests' own: a process that serves any database, each under a path of its own.

``python -m tests.support.serving URL PORT_FILE`` runs one: ``/NAME/api/v1/…`` is the interface of
the database ``NAME``.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from langchain_zepstore import ZepClient
from tests.support.embeddings import Subjects
from tests.support.preloaded import Popen

ROOT = Path(__file__).parents[2]

MEANING = "meaning"
"""What a database's name begins with that is searched by meaning."""


class Databases:
    """An ASGI application with one of ours for every database that is asked for."""

    def __init__(self, url: str, **options: Any) -> None:
        self._url = url
        self._options = options
        self._apps: dict[str, Any] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        from langchain_zepstore.server import create_app  # the extra may be missing

        if scope["type"] != "http":
            return
        name = scope["path"].split("/")[1]
        if name not in self._apps:
            embeddings = Subjects() if name.startswith(MEANING) else None
            client = ZepClient(self._url, database=name, embeddings=embeddings)
            self._apps[name] = create_app(client, **self._options)
        await self._apps[name]({**scope, "root_path": f"/{name}"}, receive, send)


def main(url: str, port_file: str) -> None:
    import uvicorn

    app = Databases(url, api_keys=())
    config = uvicorn.Config(app, lifespan="off", log_level="warning", ws="none")
    listener = socket.create_server(("127.0.0.1", 0))
    Path(port_file + ".new").write_text(str(listener.getsockname()[1]))
    Path(port_file + ".new").rename(port_file)
    uvicorn.Server(config).run(sockets=[listener])


class Served:
    """A server process.

    Attributes:
        url: Where it is; a database's name comes behind it.
    """

    def __init__(self, mongo_url: str, directory: Path) -> None:
        port_file = directory / "port"
        self.process = Popen(
            [sys.executable, "-m", "tests.support.serving", mongo_url, str(port_file)],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while not port_file.exists():
            assert self.process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.02)
        self.url = f"http://127.0.0.1:{port_file.read_text()}"

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(60)
            return
        self.process.kill()
        self.process.wait(60)


if __name__ == "__main__":
    main(*sys.argv[1:])
