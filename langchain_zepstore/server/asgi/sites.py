"""Requests that other sites' pages send to a server without keys, from this machine's browser."""

import ipaddress
from collections.abc import Collection
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from langchain_zepstore.server.responses import text_response

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_PAGE = "/ui"


def is_page(scope: Scope) -> bool:
    """Whether a request is to the page, which has tokens and sign-ins of its own."""
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    return path == _PAGE or path.startswith(f"{_PAGE}/")


@lru_cache(1024)
def is_address(host: str) -> bool:
    """Whether a ``Host`` is localhost or an address, not a name that may lead here since lately."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or bool(ipaddress.ip_address(name))
    except ValueError:
        return False


class LocalOnly:
    """Refuses requests from other sites' pages.

    A name of theirs may lead to this machine (DNS rebinding), so the host must be localhost or an
    address. And their forms may send anything, so what changes something must not come from one.

    Args:
        app: The next application.
        origins: The origins whose pages may send requests.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI call."""
        if scope["type"] == "http" and (reason := self._reason(scope)):
            await text_response(403, reason)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _reason(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not is_address(host):
            return (
                "without API keys only requests to localhost or an address are answered, not to "
                "a name; set keys, or say --insecure"
            )
        origin = headers.get("origin")  # programs send none
        if scope["method"] in _SAFE or origin is None or {origin, "*"} & {*self._origins}:
            return None
        if origin == "null":
            is_own = is_page(scope)  # the page forbids referrers, so its forms say null
        else:
            is_own = origin.partition("//")[2].lower() == host.lower()
        return None if is_own else "the request came from another site"
