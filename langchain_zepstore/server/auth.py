"""Authorization: what an API key may read and write."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from langchain_zepstore.errors import AlreadyExistsError, NotFoundError
from langchain_zepstore.models import CreateUserRequest, Session
from langchain_zepstore.server.api_keys import ApiKey, Keys
from langchain_zepstore.server.responses import text_response
from langchain_zepstore.store_client import StoreClient

_OPEN = frozenset({"/", "/healthz", "/readyz", "/docs", "/openapi.json"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# Each is a POST only because the query is in its body.
_READING = ("/search", "/list-sessions", "/recent-sessions")


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

    def whole(self) -> None:
        """Check that all users are allowed.

        Raises:
            ForbiddenError: The key is for one user.
        """
        if self.user_id is not None:
            raise ForbiddenError("this API key is for one user")

    def user(self, user_id: str | None) -> str | None:
        """Return the user that a request is limited to: with a key for one user, that user.

        Raises:
            ForbiddenError: The request asks for another user.
        """
        if self.user_id is None or user_id == self.user_id:
            return user_id
        if user_id is not None:
            raise ForbiddenError("this API key is for another user")
        return self.user_id

    def same_user(self, user_id: str) -> str:
        """Check that a user is allowed and return the id.

        Raises:
            NotFoundError: The key is for another user.
        """
        if self.user_id not in (None, user_id):
            raise NotFoundError(f"there is no user {user_id!r}")
        return user_id

    async def session(self, client: StoreClient, session_id: str) -> str:
        """Check that a session, live or deleted, is allowed and return its id.

        Raises:
            NotFoundError: The session is not the key's user's.
        """
        if self.user_id is not None:
            found = await client.arun(lambda store: store.sessions.find(session_id))
            if found is None or found.user_id != self.user_id:
                raise NotFoundError(f"there is no session {session_id!r}")
        return session_id

    async def may_see(self, client: StoreClient, session_id: str) -> bool:
        """Whether a session is allowed, for routes on which an unknown one looks empty."""
        try:
            await self.session(client, session_id)
        except NotFoundError:
            return False
        return True

    async def session_to_add_to(
        self, client: StoreClient, session_id: str, metadata: dict[str, Any] | None
    ) -> str:
        """Check that messages may be added to a session and return its id.

        A session that does not exist is created for the key's user, with this metadata, before
        anything is added: one that another user creates meanwhile must not get the messages.

        Raises:
            NotFoundError: The session is not the key's user's.
        """
        if self.user_id is not None:
            found = await client.arun(lambda store: store.sessions.find(session_id))
            if found is None:
                await self.ensure_user(client)
                with suppress(AlreadyExistsError):
                    await client.memory.aadd_session(
                        Session(session_id=session_id, user_id=self.user_id, metadata=metadata)
                    )
            await self.session(client, session_id)
        return session_id

    async def ensure_user(self, client: StoreClient) -> None:
        """Create the key's user if it does not exist."""
        if self.user_id is not None:
            try:
                await client.user.aget(self.user_id)
            except NotFoundError:
                with suppress(AlreadyExistsError):
                    await client.user.aadd(CreateUserRequest(user_id=self.user_id))


def access_of(request: Request) -> Access:
    """Return the authorization of a request."""
    access: Access = request.scope["zepstore.access"]
    return access


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
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if self._keys and path not in _OPEN:
            access = self._access(scope)
        if access is None:
            response = text_response(401, "unauthorized", {"WWW-Authenticate": "Bearer"})
            await response(scope, receive, send)
            return
        scope["zepstore.access"] = access
        await self._app(scope, receive, send)

    def _access(self, scope: Scope) -> Access | None:
        scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
        found: ApiKey | None = self._keys.find(key.strip())
        if found is None or scheme.lower() not in {"bearer", "api-key"}:
            return None
        return Access(found.user_id, found.read_only, found.name)


async def check_method(request: Request) -> None:
    """Check that a read-only key is not used for writing.

    Raises:
        ForbiddenError: It is.
    """
    reads = request.method in _SAFE or request.scope["route"].path.endswith(_READING)
    if access_of(request).read_only and not reads:
        raise ForbiddenError("this API key is for reading only")
