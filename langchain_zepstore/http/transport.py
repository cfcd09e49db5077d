"""Sends requests to a server, repeated where that is harmless."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import httpx

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.validation import checked_text
from langchain_zepstore.errors import (
    APIError,
    BadRequestError,
    StoreUnavailableError,
    ZepStoreError,
)
from langchain_zepstore.http.direct import AsyncDirectClient, DirectClient
from langchain_zepstore.http.responses import Answer, failure, is_temporary
from langchain_zepstore.messages.marks import JSON
from langchain_zepstore.messages.storable import check_metadata
from langchain_zepstore.messages.wire import EXACT, PLAIN, USER_HEADER, to_json

# A RuntimeError is what httpx raises when a client is closed, or belongs to another event loop.
HTTPX_ERRORS = (httpx.HTTPError, httpx.InvalidURL, RuntimeError)

Client = httpx.Client | httpx.AsyncClient | DirectClient | AsyncDirectClient
"""Sends requests."""

_ATTEMPTS = 4
_PAUSE = 0.1  # seconds before the first repeat, twice as long before each further one
_NEVER_SENT = httpx.ConnectError
_LOST = (httpx.NetworkError, httpx.RemoteProtocolError)
_NOTHING = {"limit": 1, "cursor": 2**62}  # of a listing: no session is behind that
_HEADERS = {"Accept": f"{EXACT}, {PLAIN};q=0.9, */*;q=0.1"}


def path(*parts: str) -> str:
    """Return a URL path with its parts percent-encoded."""
    return "/".join(["", *(_quoted(part) for part in parts)])


def _quoted(part: str) -> str:
    # A dot segment would be resolved by the URL.
    return part.replace(".", "%2E") if part in {".", ".."} else quote(part, safe="")


def marked_metadata(metadata: Any, where: str) -> dict[str, Any]:
    """Return metadata as it goes to a server.

    Raises:
        BadRequestError: It is no dict, or holds what no store can.
    """
    check_metadata(metadata, where)
    marked: dict[str, Any] = JSON.mark(metadata)
    return marked


@dataclass(frozen=True)
class Server:
    """The address, key and limits of a server's client.

    Attributes:
        base: The URL of its API, without a slash at the end.
        headers: Sent with every request.
        display_name: Its name in error texts, without credentials.
        timeout: Seconds that a request may take, with its repeats.
        knows_users: Not empty once it has shown that it narrows requests to a user.
    """

    base: str
    headers: Mapping[str, str]
    display_name: str
    timeout: float
    knows_users: list[bool] = field(default_factory=list)


class Requests:
    """Sends requests over one client, synchronous or asynchronous.

    Args:
        server: Where to send them.
        sleep: Waits so many seconds.
        viewer: The user that they are about, as the header names it; ``None`` for everybody.

    Attributes:
        client: The client.
    """

    def __init__(
        self,
        client: Client,
        server: Server,
        sleep: Callable[[float], Any],
        viewer: str | None = None,
    ) -> None:
        self.client = client
        self._server = server
        self._sleep = sleep
        self._viewer = viewer

    @property
    def span_attributes(self) -> dict[str, str | int]:
        """OpenTelemetry's attributes of the server."""
        url = httpx.URL(self._server.base)
        port = url.port or (443 if url.scheme == "https" else 80)
        return {"db.system.name": "zepstore", "server.address": url.host, "server.port": port}

    def for_user(self, user_id: str) -> "Requests":
        """Return the same, for requests about one user's data."""
        return Requests(self.client, self._server, self._sleep, quote(user_id, safe=""))

    def get(self, path: str, **query: Any) -> Operation[Answer]:
        """Send a GET; it may be retried."""
        return self.send("GET", path, query=query, repeatable=True)

    def send(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | bytes | None = None,
        query: Mapping[str, Any] | None = None,
        repeatable: bool = False,
    ) -> Operation[Answer]:
        """Send a request, and again when the server could not be reached.

        The first one about one user's alone follows a harmless one, which shows that the server
        knows such requests: others would do with everybody's what they are asked for.

        Args:
            method: The method.
            path: The path below the API's.
            body: A JSON object, with its values marked (see ``wire``).
            query: Parameters; those that are ``None`` are left out.
            repeatable: Whether the request may be sent again when it is not known if it was
                carried out.

        Raises:
            ZepStoreError: The server refused, or could not be reached.
        """
        if self._viewer and not self._server.knows_users:
            yield from self._own("GET", "/sessions", None, _NOTHING, repeatable=True)
            self._server.knows_users.append(True)
        return (yield from self._own(method, path, body, query, repeatable=repeatable))

    def _own(self, *request: Any, repeatable: bool) -> Operation[Answer]:
        answer = yield from self._send(*request, repeatable=repeatable)
        if self._viewer in (None, answer.headers.get(USER_HEADER)):
            return answer
        raise APIError(
            f"{self._server.display_name} does not know {USER_HEADER}: for_user needs a zepstore "
            "server that does"
        )

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        query: Mapping[str, Any] | None,
        *,
        repeatable: bool,
    ) -> Operation[Answer]:
        server, name = self._server, self._server.display_name
        request: dict[str, Any] = {"headers": {**_HEADERS, **server.headers}}
        if self._viewer:
            request["headers"][USER_HEADER] = self._viewer
        url = server.base + path
        if given := {key: value for key, value in (query or {}).items() if value is not None}:
            url += "?" + urlencode(given, doseq=True)
        if body is not None:
            request["content"] = body if isinstance(body, bytes) else to_json(body)
            request["headers"]["Content-Type"] = EXACT
        deadline = time.monotonic() + server.timeout
        for attempt in range(1, _ATTEMPTS + 1):
            pause = _PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)  # noqa: S311 - a pause
            is_last = attempt == _ATTEMPTS or time.monotonic() + pause > deadline
            left = max(deadline - time.monotonic(), 0.01)
            try:
                response = yield self.client.request(method, url, **request, timeout=left)
            except HTTPX_ERRORS as error:
                again = isinstance(error, _NEVER_SENT) or (repeatable and isinstance(error, _LOST))
                if is_last or not again or isinstance(error, httpx.TimeoutException):
                    raise _translated(error, name) from error
            else:
                refusal = failure(response, name)
                if refusal is None:
                    return Answer(response, name)
                if is_last or not (repeatable and is_temporary(response)):
                    raise refusal
            yield self._sleep(pause)
        raise AssertionError("unreachable")


def _translated(error: Exception, server: str) -> ZepStoreError:
    reason = str(error) or type(error).__name__
    match error:
        case httpx.PoolTimeout():
            return StoreUnavailableError(
                f"no connection to {server} became free in time ({reason})"
            )
        case httpx.TimeoutException():
            return StoreUnavailableError(
                f"{server} did not answer in time ({reason}); try again, or give the client a "
                "longer timeout"
            )
        case httpx.ConnectError():
            return StoreUnavailableError(
                f"cannot reach {server} ({reason}); check that a server runs there "
                "(zepstore serve), and that host and port are right"
            )
        case httpx.NetworkError() | httpx.ProtocolError():
            return StoreUnavailableError(f"lost the connection to {server} ({reason}); try again")
        case RuntimeError():
            return BadRequestError(f"the client for {server} cannot be used any more: {reason}")
    return APIError(f"the request to {server} failed: {reason}")


def given_fields(model: Any, *names: str, where: str, with_none: bool = False) -> dict[str, Any]:
    """Return fields of a model for a request's body.

    Args:
        model: The model.
        names: The fields.
        where: The model's place, for the error.
        with_none: Whether those that are ``None`` are sent too.

    Raises:
        BadRequestError: One of them cannot be sent.
    """
    given = {name: getattr(model, name) for name in names}
    for name, value in given.items():
        place = f"{where}.{name}"
        if name == "metadata" and value is not None:
            given[name] = marked_metadata(value, place)
        elif value is not None:
            given[name] = checked_text(value, place)
    return {name: value for name, value in given.items() if with_none or value is not None}
