"""Requests over transports of httpx, without its clients.

A client's cookies, redirects and hooks, of which a store needs none, take as long as the rest of a
request does.
"""

import ssl
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import httpx

CONNECTIONS = httpx.Limits(max_connections=100, max_keepalive_connections=20)
"""How many connections a client has."""

_HEADERS = {"Accept-Encoding": "gzip, deflate", "Connection": "keep-alive"}
_url = lru_cache(1024)(httpx.URL)  # parsing takes longer than sending


class DirectClient:
    """Sends requests, like an ``httpx.Client``.

    Args:
        certificates: The certificates to trust; ``None`` where the server has none.
    """

    def __init__(self, certificates: ssl.SSLContext | None) -> None:
        self._transport = httpx.HTTPTransport(verify=certificates or False, limits=CONNECTIONS)

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Send a request and return the answer, read to its end."""
        response = self._transport.handle_request(_request(method, url, **options))
        try:
            response.read()
        finally:
            response.close()
        return response

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()


class AsyncDirectClient:
    """The same for an event loop, like an ``httpx.AsyncClient``."""

    def __init__(self, certificates: ssl.SSLContext | None) -> None:
        self._transport = httpx.AsyncHTTPTransport(verify=certificates or False, limits=CONNECTIONS)

    async def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Send a request and return the answer, read to its end."""
        response = await self._transport.handle_async_request(_request(method, url, **options))
        try:
            await response.aread()
        finally:
            await response.aclose()
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()


def _request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    timeout: float,
    content: bytes | None = None,
) -> httpx.Request:
    timeouts = dict.fromkeys(("connect", "read", "write", "pool"), timeout)
    return httpx.Request(
        method,
        _url(url),
        headers={**_HEADERS, **headers},
        content=content,
        extensions={"timeout": timeouts},
    )
