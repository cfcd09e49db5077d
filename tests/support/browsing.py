"""The page in a real browser: its server, and contexts that watch what a page does."""

import asyncio
import os
import shutil
import socket
import struct
import threading
import time
import zlib
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from langchain_zepstore import ZepClient
from langchain_zepstore.server import create_app

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def chromium() -> Iterator[Any]:
    """Run Chromium; without Playwright or a browser, the test is skipped."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as running:
        path = next(filter(None, map(shutil.which, BROWSERS)), running.chromium.executable_path)
        if not Path(path).exists():
            pytest.skip("there is no Chromium; on Debian: apt-get install chromium")
        options = ["--disable-gpu", *["--no-sandbox"] * (os.geteuid() == 0)]
        browser = running.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()


@contextmanager
def served(store: ZepClient, *keys: list[Any]) -> Iterator[list[str]]:
    """Serve the page of a store in a thread, once for each list of keys; yield their URLs."""
    import uvicorn

    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in keys]
    ports = [listener.getsockname()[1] for listener in listeners]
    apps = {
        port: create_app(store, ui=True, api_keys=allowed)
        for port, allowed in zip(ports, keys, strict=True)
    }

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await apps[scope["server"][1]](scope, receive, send)

    config = uvicorn.Config(app, lifespan="off", log_level="warning", ws="none")
    server = uvicorn.Server(config)

    async def run() -> None:
        await server.serve(sockets=listeners)
        await store.aclose()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started:
        assert thread.is_alive(), "the server ended"
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.02)
    try:
        yield [f"http://127.0.0.1:{port}" for port in ports]
    finally:
        server.should_exit = True
        thread.join(60)


def png(size: int) -> str:
    """Return a black picture as a data URL."""
    rows = zlib.compress((b"\0" * (size + 1)) * size)
    header = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")]
    content = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    return f"data:image/png;base64,{b64encode(content).decode()}"


class Watched:
    """A context of the browser; what its pages ask of other hosts, and what fails, is noted."""

    def __init__(self, browser: Any, base_url: str, **options: Any) -> None:
        # Nothing moves: axe would look at colors on their way.
        options |= {"base_url": base_url, "reduced_motion": "reduce"}
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(30_000)
        self.host = urlsplit(base_url).netloc
        self.foreign: list[str] = []
        self.errors: list[str] = []
        self.page = self.context.new_page()
        self.page.on("request", self._requested)
        self.page.on("console", self._logged)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", self._asked)

    def _requested(self, request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in {"http", "https", "ws", "wss"} and parts.netloc != self.host:
            self.foreign.append(request.url)

    def _logged(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.errors.append(message.text)

    def _asked(self, dialog: Any) -> None:
        self.errors.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def open(self, path: str) -> Any:
        """Open a page of the site."""
        self.page.goto(path)
        return self.page

    def check(self) -> None:
        """Check that nothing failed, and that no request went to another host."""
        assert self.foreign == []
        assert self.errors == []


OVERFLOWING = """() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    return [...document.querySelectorAll("body *")]
        .filter((each) => each.getBoundingClientRect().right > width + 1)
        .map((each) => each.outerHTML.slice(0, 120));
}"""
"""What sticks out of a page to the right, if it scrolls there."""

FOCUSABLE = """() => [...document.querySelectorAll(
    "a[href], button, input:not([type=hidden]), select, textarea, summary"
)].filter((each) => !each.disabled && each.checkVisibility()).length"""
"""How many elements of a page take the keyboard."""


def serious(page: Any, **options: Any) -> list[str]:
    """Return what axe finds that is serious or critical."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    if not page.evaluate("'axe' in window"):
        page.evaluate(axe.Axe().axe_script)
    options = {"resultTypes": ["violations"], **options}
    found = page.evaluate("options => axe.run(options)", options)
    return [
        f"{each['id']}: {node['target']} {node['html'][:150]} {node['failureSummary'][:300]}"
        for each in found["violations"]
        if each["impact"] in {"serious", "critical"}
        for node in each["nodes"]
    ]
