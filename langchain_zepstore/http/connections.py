"""Opening, sharing and closing the clients of httpx: a synchronous one, and one per event loop."""

import asyncio
import os
import ssl
import threading
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import httpx

from langchain_zepstore.core.validation import without_credentials
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.http.transport import HTTPX_ERRORS, Requests, Server

_CONNECTIONS = httpx.Limits(max_connections=100, max_keepalive_connections=20)


@dataclass(frozen=True)
class Settings:
    """How to reach the server.

    Attributes:
        url: Its ``http://`` or ``https://`` URL, with the path under which it is mounted.
        api_key: Its key, if it wants one.
        timeout: Seconds that a request may take, with its repeats.
        client: The caller's ``httpx.Client``.
        async_client: The caller's ``httpx.AsyncClient``.
    """

    url: str
    api_key: str | None
    timeout: float
    client: Any = None
    async_client: Any = None

    @property
    def place(self) -> str:
        """The server's name for a reader, without credentials."""
        return without_credentials(self.url)


class Connections:
    """The clients of one ``ZepClient``.

    Each process opens its own; those that a fork left behind are neither used nor closed.
    """

    def __init__(self, settings: Settings) -> None:
        _check_passed(settings)
        self._settings = settings
        self._server = Server(
            base(settings.url), _headers(settings.api_key), settings.place, settings.timeout
        )
        self._clients: dict[int, httpx.Client] = {}
        self._loops: dict[tuple[int, asyncio.AbstractEventLoop], _Kept] = {}
        self._lock = threading.Lock()
        self._ssl: ssl.SSLContext | bool = False

    def open(self) -> Requests:
        """Return what sends synchronous requests."""
        client = self._clients.get(os.getpid())
        if client is None:
            with self._lock:
                client = self._clients.get(os.getpid())
                if client is None:
                    self._load_certificates()
                    client = self._settings.client or self._made(httpx.Client)
                    self._clients[os.getpid()] = client
        return Requests(client, self._server)

    async def aopen(self) -> Requests:
        """Return what sends requests on the running event loop."""
        key = os.getpid(), asyncio.get_running_loop()
        kept = self._kept(key)
        if kept is None:
            await asyncio.to_thread(self._load_certificates)
            kept = self._kept(key)
        if kept is None:
            for closed in [each for each in self._loops if each[1].is_closed()]:
                del self._loops[closed]
            client = self._settings.async_client or self._made(httpx.AsyncClient)
            kept = self._loops[key] = _Kept(client, is_ours=not self._settings.async_client)
            await anext(kept.keeper)
        return Requests(kept.client, self._server)

    def _kept(self, key: tuple[int, asyncio.AbstractEventLoop]) -> "_Kept | None":
        kept = self._loops.get(key)
        # Some close what generators are left on a loop, as asyncio.run does, and go on with it.
        return None if kept and kept.is_ours and kept.client.is_closed else kept

    def _load_certificates(self) -> None:
        if not self._ssl and self._settings.url.startswith("https:"):
            self._ssl = httpx.create_ssl_context()

    def _made(self, kind: Any) -> Any:
        try:
            return kind(limits=_CONNECTIONS, timeout=self._settings.timeout, verify=self._ssl)
        except (*HTTPX_ERRORS, ValueError) as error:  # a proxy in the environment, for one
            raise BadRequestError(f"no client of httpx can be made: {error}") from error

    def close(self) -> None:
        """Close the synchronous client. May be called twice."""
        client = self._clients.pop(os.getpid(), None)
        if client is not None and self._settings.client is None:
            client.close()

    async def aclose(self) -> None:
        """Close everything. May be called twice."""
        kept = self._loops.pop((os.getpid(), asyncio.get_running_loop()), None)
        if kept is not None:
            await kept.keeper.aclose()
        self.close()


class _Kept:
    def __init__(self, client: httpx.AsyncClient, *, is_ours: bool) -> None:
        self.client = client
        self.is_ours = is_ours
        self.keeper = self._keep()

    async def _keep(self) -> AsyncGenerator[None, None]:
        # asyncio.run closes what generators are left before it closes the loop: the only moment at
        # which a client that nobody closed can be.
        try:
            yield
        finally:
            if self.is_ours:
                with suppress(*HTTPX_ERRORS):
                    await self.client.aclose()


def base(url: str) -> str:
    """Return the URL of the API: ``url`` itself if it names one already.

    Raises:
        BadRequestError: It is no URL of a server.
    """
    shown = without_credentials(url)
    try:
        parsed = httpx.URL(url)
    except HTTPX_ERRORS as error:
        raise BadRequestError(f"{shown} is no URL: {error}") from error
    if not parsed.host or parsed.query or parsed.fragment:
        raise BadRequestError(f"{shown} is no URL of a server; use http://host:port")
    trimmed = url.rstrip("/")
    return trimmed if trimmed.endswith("/api/v1") else f"{trimmed}/api/v1"


def _headers(api_key: str | None) -> dict[str, str]:
    headers = {"User-Agent": f"langchain-zepstore/{version('langchain-zepstore')}"}
    if api_key is not None:
        if not isinstance(api_key, str) or not api_key.isascii() or not api_key.isprintable():
            raise BadRequestError("api_key must be a str of printable ASCII characters")
        headers["Authorization"] = f"Bearer {api_key}"
    return headers


def _check_passed(settings: Settings) -> None:
    for name, kind in (("client", httpx.Client), ("async_client", httpx.AsyncClient)):
        passed = getattr(settings, name)
        if passed is not None and not isinstance(passed, kind):
            raise BadRequestError(
                f"with an http URL, {name} must be an httpx.{kind.__name__}, "
                f"not {type(passed).__name__}"
            )
