"""Opening and closing clients of httpx."""

import asyncio
import ssl
import time
from contextlib import suppress
from urllib.request import getproxies

import httpx

from langchain_zepstore.core.forking import no_forks
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.per_loop import Loop
from langchain_zepstore.core.settings import Settings
from langchain_zepstore.core.urls import without_credentials
from langchain_zepstore.core.version import package_version
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.http.direct import CONNECTIONS, AsyncDirectClient, DirectClient
from langchain_zepstore.http.transport import HTTPX_ERRORS, Client, Requests, Server


def _read_certificates() -> ssl.SSLContext:
    with no_forks:
        return httpx.create_ssl_context()


class Connector:
    """Opens and closes the clients of one ``ZepClient``.

    Args:
        settings: How to reach the server.
    """

    def __init__(self, settings: Settings) -> None:
        _check_passed(settings)
        url = str(settings.url)
        self._settings = settings
        self._is_https = url.startswith("https:")
        self._server = Server(
            base(url), _headers(settings.api_key), without_credentials(url), settings.timeout
        )
        self._certificates: ssl.SSLContext | None = None

    def open(self, loop: Loop | None) -> Operation[Requests]:
        """Open a client for an event loop, or for synchronous calls."""
        if self._is_https and self._certificates is None:
            # In a thread: reading them takes long enough to be felt on an event loop.
            self._certificates = yield (
                _read_certificates() if loop is None else asyncio.to_thread(_read_certificates)
            )
        passed = self._settings.client if loop is None else self._settings.async_client
        return Requests(
            passed or self._made(loop),
            self._server,
            time.sleep if loop is None else asyncio.sleep,
        )

    def _made(self, loop: Loop | None) -> Client:
        certificates = self._certificates
        try:
            with no_forks:  # httpx imports more when it makes a client
                if self._needs_client:
                    model = httpx.Client if loop is None else httpx.AsyncClient
                    return model(
                        limits=CONNECTIONS,
                        timeout=self._settings.timeout,
                        verify=certificates or False,
                    )
                return (DirectClient if loop is None else AsyncDirectClient)(certificates)
        except (*HTTPX_ERRORS, ValueError) as error:  # a proxy in the environment, for one
            raise BadRequestError(f"no client of httpx can be made: {error}") from error

    @property
    def _needs_client(self) -> bool:
        """Whether requests go through a proxy, or with the name and password of the URL."""
        proxies = getproxies().keys() & {"http", "https", "all"}
        return bool(proxies or httpx.URL(self._server.base).userinfo)

    def close(self, client: Client, loop: Loop | None) -> Operation[None]:
        """Close a client, unless it is the caller's, or one that only its own loop can close."""
        if client in (self._settings.client, self._settings.async_client):
            return
        if isinstance(client, httpx.Client | DirectClient):
            client.close()
        elif loop is not None:
            with suppress(*HTTPX_ERRORS):
                yield client.aclose()


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
    headers = {"User-Agent": f"langchain-zepstore/{package_version()}"}
    if api_key is not None:
        if not isinstance(api_key, str) or not api_key.isascii() or not api_key.isprintable():
            raise BadRequestError("api_key must be a str of printable ASCII characters")
        headers["Authorization"] = f"Bearer {api_key}"
    return headers


def _check_passed(settings: Settings) -> None:
    for name, model in (("client", httpx.Client), ("async_client", httpx.AsyncClient)):
        passed = getattr(settings, name)
        if passed is not None and not isinstance(passed, model):
            raise BadRequestError(
                f"with an http URL, {name} must be an httpx.{model.__name__}, "
                f"not {type(passed).__name__}"
            )
