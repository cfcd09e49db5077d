"""Authorization: who sends a request, and for which user."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import unquote

from fastapi import Depends, Header, Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from langchain_zepstore.core.validation import checked_id
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.messages.wire import USER_HEADER
from langchain_zepstore.server import swagger
from langchain_zepstore.server.api_keys import ApiKey, Keys
from langchain_zepstore.server.asgi.sites import is_page
from langchain_zepstore.server.responses import text_response
from langchain_zepstore.store_client import StoreClient

_OPEN = frozenset({"/", "/healthz", "/readyz", "/openapi.json", *swagger.PATHS})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# Each is a POST only because the query is in its body.
_READING = ("/search", "/list-sessions", "/recent-sessions", "/export")


_VIEWER = "zepstore.viewer"


class ForbiddenError(Exception):
    """The key does not allow this."""


@dataclass(frozen=True, slots=True)
class Access:
    """The authorization of a request.

    Attributes:
        user_id: The only user whose sessions are allowed; ``None`` allows all.
        read_only: Whether writing is forbidden.
        name: The key's name in the access log.
    """

    user_id: str | None = None
    read_only: bool = False
    name: str | None = None


def access_of(request: Request) -> Access:
    """Return the authorization of a request."""
    access: Access = request.scope["zepstore.access"]
    return access


def require_whole(request: Request) -> None:
    """Check that the key is for all users.

    Raises:
        ForbiddenError: It is for one.
    """
    if access_of(request).user_id is not None:
        raise ForbiddenError("this API key is for one user")


def client_of(
    request: Request,
    user: Annotated[
        str | None,
        Header(
            alias=USER_HEADER,
            description="A user, percent-encoded: the request is about what is this user's.",
        ),
    ] = None,
) -> StoreClient:
    """Return the client that answers a request: one user's, if the key or the request names one.

    Raises:
        BadRequestError: The header holds no id.
        ForbiddenError: The key is for another user.
    """
    client: StoreClient = request.app.state.client
    user_id = access_of(request).user_id
    if user is not None:
        asked = _user_in(request.headers.getlist(USER_HEADER))
        if user_id not in (None, asked):
            raise ForbiddenError("this API key is for another user")
        user_id = asked
        request.scope[_VIEWER] = user
    return client if user_id is None else client.for_user(user_id)


Client = Annotated[StoreClient, Depends(client_of)]
"""The client that answers a request."""


def _user_in(headers: list[str]) -> str:
    if len(headers) > 1 or not headers[0].isascii():
        raise BadRequestError(f"{USER_HEADER} must be one user's id, percent-encoded")
    return checked_id(unquote(headers[0]), USER_HEADER)


class Authentication:
    """Refuses requests without a valid key.

    Args:
        app: The next application.
        keys: The valid keys; without any, no key is asked for.
    """

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI call."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        access: Access | None = Access()
        if is_page(scope):
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if self._keys and path not in _OPEN:
            access = self._access(scope)
        if access is None:
            response = text_response(401, "unauthorized", {"WWW-Authenticate": "Bearer"})
            await response(scope, receive, send)
            return
        scope["zepstore.access"] = access

        async def send_with_user(message: Message) -> None:
            if message["type"] == "http.response.start" and _VIEWER in scope:
                MutableHeaders(scope=message)[USER_HEADER] = scope[_VIEWER]
            await send(message)

        await self._app(scope, receive, send_with_user)

    def _access(self, scope: Scope) -> Access | None:
        scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
        found: ApiKey | None = self._keys.find(key.strip())
        if found is None or scheme.lower() not in {"bearer", "api-key"}:
            return None
        return Access(found.user_id, found.read_only, found.name)


def check_method(request: Request) -> None:
    """Check that a read-only key is not used for writing.

    Raises:
        ForbiddenError: It is.
    """
    reads = request.method in _SAFE or request.scope["route"].path.endswith(_READING)
    if access_of(request).read_only and not reads:
        raise ForbiddenError("this API key is for reading only")
