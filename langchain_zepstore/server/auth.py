"""Who asks, and what of the store they may see and change."""

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

_OPEN = frozenset({"/healthz", "/readyz", "/docs", "/openapi.json"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_READING = (
    "/search",
    "/list-sessions",
    "/recent-sessions",
)  # routes that need a body to say what they look for


class ForbiddenError(Exception):
    """The key does not open this."""


@dataclass(frozen=True, slots=True)
class Access:
    """What the one who asks may see and change.

    Attributes:
        user_id: Whose sessions; ``None``: everybody's.
        read_only: Whether nothing may be changed.
        name: What the access log calls the key.
    """

    user_id: str | None = None
    read_only: bool = False
    name: str | None = None

    def whole(self) -> None:
        """Check that everything is open.

        Raises:
            ForbiddenError: Only one user's sessions are.
        """
        if self.user_id is not None:
            raise ForbiddenError("this API key is for one user")

    def user(self, user_id: str | None) -> str | None:
        """Return whose sessions a request is about; a key for one user is about that one.

        Raises:
            ForbiddenError: They are another user's.
        """
        if self.user_id is None or user_id == self.user_id:
            return user_id
        if user_id is not None:
            raise ForbiddenError("this API key is for another user")
        return self.user_id

    def same_user(self, user_id: str) -> str:
        """Check that a user may be seen and return the id.

        Raises:
            NotFoundError: It is another than the key's.
        """
        if self.user_id not in (None, user_id):
            raise NotFoundError(f"there is no user {user_id!r}")
        return user_id

    async def session(self, client: StoreClient, session_id: str) -> str:
        """Check that a session, live or deleted, may be seen and return its id.

        Raises:
            NotFoundError: It is not the key's user's.
        """
        if self.user_id is not None:
            found = await client.arun(lambda store: store.sessions.find(session_id))
            if found is None or found.user_id != self.user_id:
                raise NotFoundError(f"there is no session {session_id!r}")
        return session_id

    async def may_see(self, client: StoreClient, session_id: str) -> bool:
        """Whether a session may be seen, where an unknown one looks empty."""
        try:
            await self.session(client, session_id)
        except NotFoundError:
            return False
        return True

    async def session_to_add_to(
        self, client: StoreClient, session_id: str, metadata: dict[str, Any] | None
    ) -> str:
        """Make sure that messages may be added to a session, and return its id.

        One that does not exist becomes the key's user's, with this metadata, before anything is
        added: another's that comes into being at the same moment must not get the messages.

        Raises:
            NotFoundError: It is not the key's user's.
        """
        if self.user_id is not None:
            found = await client.arun(lambda store: store.sessions.find(session_id))
            if found is None:
                await self.make_user(client)
                with suppress(AlreadyExistsError):
                    await client.memory.aadd_session(
                        Session(session_id=session_id, user_id=self.user_id, metadata=metadata)
                    )
            await self.session(client, session_id)
        return session_id

    async def make_user(self, client: StoreClient) -> None:
        """Make sure that the key's user exists."""
        if self.user_id is not None:
            try:
                await client.user.aget(self.user_id)
            except NotFoundError:
                with suppress(AlreadyExistsError):
                    await client.user.aadd(CreateUserRequest(user_id=self.user_id))


def access_of(request: Request) -> Access:
    """Return what the one who asks may see and change."""
    access: Access = request.scope["zepstore.access"]
    return access


class Authentication:
    """Lets in who has a key.

    Args:
        app: What is behind it.
        keys: The keys; none lets everybody in.
    """

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, as ASGI has it."""
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
    """Check that a key for reading only reads; a search is a reading too.

    Raises:
        ForbiddenError: It would change something.
    """
    reads = request.method in _SAFE or request.scope["route"].path.endswith(_READING)
    if access_of(request).read_only and not reads:
        raise ForbiddenError("this API key is for reading only")
