"""The ASGI application: routes and middleware."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import cache, partial
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute

from langchain_zepstore.core.version import package_version
from langchain_zepstore.errors import BadRequestError, ZepStoreError
from langchain_zepstore.messages.wire import USER_HEADER
from langchain_zepstore.server import swagger
from langchain_zepstore.server.api_keys import ApiKey, Keys, from_environment
from langchain_zepstore.server.asgi.limits import Limits
from langchain_zepstore.server.asgi.observability import Metrics, Observability
from langchain_zepstore.server.asgi.raw_paths import RawPaths
from langchain_zepstore.server.asgi.sites import LocalOnly
from langchain_zepstore.server.auth import Authentication, ForbiddenError, check_method
from langchain_zepstore.server.openapi import document
from langchain_zepstore.server.responses import error_response, text_response
from langchain_zepstore.server.routes import (
    branches,
    memory,
    messages,
    search,
    service,
    sessions,
    summaries,
    transfer,
    users,
)
from langchain_zepstore.server.routing import Route
from langchain_zepstore.server.schemas import reasons
from langchain_zepstore.server.store_metrics import StoreMetrics
from langchain_zepstore.server.ui.app import add_page
from langchain_zepstore.store_client import StoreClient

_ZEP = "0.27.2"  # the version of the interface; Zep's clients refuse older ones


def create_app(
    client: StoreClient,
    *,
    api_keys: Iterable[str | ApiKey] | None = None,
    cors_origins: Sequence[str] = (),
    max_body_bytes: int | None = None,
    timeout: float = 30.0,
    ui: bool = False,
    local_only: bool = False,
) -> FastAPI:
    """Return Zep's server on a store: an ASGI application.

    Zep's interface stands under ``/api/v1`` and ``/api/v2``, our additions under ``/api/v1``;
    beside them ``/healthz``, ``/readyz``, ``/metrics``, ``/openapi.json`` and ``/docs``.

    Args:
        client: The store. Whoever opened it closes it.
        api_keys: The accepted keys: texts, or ``ApiKey`` objects with a user or for reading only.
            Without them, those in ``$ZEPSTORE_API_KEYS``, separated by commas; without any, no key
            is asked for.
        cors_origins: The origins whose web pages may send requests; by default none.
        max_body_bytes: The size of a request's body above which it is a 413. By default 5 MB, and
            17 MB in our own media type, so that whatever a document holds passes.
        timeout: Seconds after which a body that is still coming is a 408, an answer that has not
            begun a 503, and an answer that is not being read ends.
        ui: Whether the page is shown at ``/ui``, and ``/`` leads there.
        local_only: Whether requests are refused that are not to localhost or an address, or that
            another site's page sends to change something; for a server without keys.

    Raises:
        BadRequestError: An argument cannot be used.
    """
    if not isinstance(client, StoreClient):
        raise BadRequestError(f"client must be a ZepClient, not {type(client).__name__}")
    keys = Keys(from_environment() if api_keys is None else api_keys)
    metrics = Metrics(client.connections)
    own = package_version()
    app = FastAPI(
        title="zepstore",
        description="Zep's chat sessions on MongoDB.",
        version=own,
        redirect_slashes=False,
        redoc_url=None,
        docs_url=None,
    )
    app.state.client = client
    store_metrics = StoreMetrics(client)
    app.router.routes += [*_routes(1), *_routes(2)]
    if ui:
        add_page(app, keys, store_metrics)
    service_routes = APIRouter(tags=["service"])
    service.add_routes(service_routes, client, metrics, store_metrics)
    swagger.add_routes(service_routes, app.title)
    app.include_router(service_routes)
    _handle_errors(app)
    document(app, with_keys=bool(keys))

    # The last one added is the outermost.
    app.add_middleware(Authentication, keys=keys)
    if local_only:
        app.add_middleware(LocalOnly, origins=cors_origins)
    app.add_middleware(Limits, max_body=max_body_bytes, seconds=timeout)
    app.add_middleware(
        Observability,
        metrics=metrics,
        headers=[(b"x-zep-version", f"{_ZEP}-zepstore.{own}".encode())],
    )
    app.add_middleware(RawPaths)
    if cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(cors_origins),
            allow_methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", USER_HEADER],
        )
    return app


@cache  # they take longer to make than all the rest, and know no client
def _routes(version: int) -> list[BaseRoute]:
    """Return the routes below a prefix: flat, since FastAPI goes through nested ones slowly."""
    additions: list[tuple[str, Callable[[APIRouter], None]]] = [
        ("messages", partial(memory.add_routes, version=version)),
        ("messages", partial(messages.add_routes, version=version)),
        ("sessions", sessions.add_routes),
        ("search", partial(search.add_routes, version=version)),
        ("users", partial(users.add_routes, noun="/user" if version == 1 else "/users")),
    ]
    if version == 1:
        additions += [
            ("sessions", sessions.add_own_routes),
            ("messages", messages.add_own_routes),
            ("branches", branches.add_own_routes),
            ("search", search.add_own_routes),
            ("summaries", summaries.add_own_routes),
            ("administration", service.add_own_routes),
            ("administration", service.add_erasing_routes),
            ("administration", service.add_diagnosis_routes),
            ("administration", transfer.add_own_routes),
        ]
    additions.append(("not implemented", service.add_missing_routes))
    routes: list[BaseRoute] = []
    for tag, add_routes in additions:
        router = APIRouter(
            prefix=f"/api/v{version}",
            tags=[tag],
            dependencies=[Depends(check_method)],
            include_in_schema=version == 1,
            route_class=Route,
        )
        add_routes(router)
        routes += router.routes
    return routes


def _handle_errors(app: FastAPI) -> None:
    handlers: list[tuple[type[Exception], Callable[[Any], Response]]] = [
        (ZepStoreError, error_response),
        (ForbiddenError, lambda error: text_response(403, str(error))),
        (
            RequestValidationError,
            lambda error: error_response(BadRequestError(reasons(error.errors()))),
        ),
        (
            HTTPException,
            lambda error: text_response(error.status_code, str(error.detail), error.headers),
        ),
        (Exception, lambda _: text_response(500, "internal server error")),
    ]
    for error_class, respond in handlers:
        app.add_exception_handler(error_class, _handler(respond))


def _handler(
    respond: Callable[[Any], Response],
) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handle(_: Request, error: Exception) -> Response:
        return respond(error)

    return handle
