"""The page's routes together, its files, and its answers to errors."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.responses import FileResponse, RedirectResponse

from langchain_zepstore.errors import NotFoundError, ZepStoreError
from langchain_zepstore.server.api_keys import Keys
from langchain_zepstore.server.auth import ForbiddenError
from langchain_zepstore.server.responses import HEADERS, shown_text, status_of
from langchain_zepstore.server.schemas import reasons
from langchain_zepstore.server.store_metrics import StoreMetrics
from langchain_zepstore.server.ui.numbers import Numbers
from langchain_zepstore.server.ui.rendering import HERE, query_of
from langchain_zepstore.server.ui.routes import (
    conversation,
    login,
    messages,
    overview,
    search,
    sessions,
    trash,
    users,
)
from langchain_zepstore.server.ui.security import Guard, SignInRequiredError
from langchain_zepstore.server.ui.visits import Visit, Visiting, base_of, rendered

_FILES = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "htmx.min.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
_HOUR = {"Cache-Control": "max-age=3600"}
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class PageRoute(APIRoute):
    """A route of the page: errors are pages too, and every answer has the page's headers."""

    def get_route_handler(self) -> Handler:
        """Return the function that answers."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                response = await handle(request)
            except SignInRequiredError:
                response = _sign_in(request)
            except ForbiddenError as error:
                response = _failed(request, 403, str(error))
            except RequestValidationError as error:
                response = _failed(request, 400, reasons(error.errors()))
            except ZepStoreError as error:
                response = _failed(request, status_of(error), shown_text(error))
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            return response

        return answer


def _sign_in(request: Request) -> Response:
    if "hx-request" in request.headers:
        return Response(status_code=401, headers={"HX-Refresh": "true"})
    wanted = request.url.path if request.method == "GET" else base_of(request)
    if request.method == "GET" and request.url.query:
        wanted += f"?{request.url.query}"
    return RedirectResponse(f"{base_of(request)}/login{query_of(next=wanted)}", 303)


def _failed(request: Request, status: int, text: str) -> Response:
    access = request.scope.get("zepstore.access")
    visit = access and Visit(request, access)
    text = text[:1].upper() + text[1:]
    return rendered(request, "error.html", status, code=status, text=text, visit=visit)


def add_page(app: FastAPI, keys: Keys, metrics: StoreMetrics) -> None:
    """Add the page to an application."""
    app.state.guard = Guard(keys)
    app.state.numbers = Numbers(metrics)
    router = APIRouter(prefix="/ui", route_class=PageRoute, include_in_schema=False)

    @router.get("/static/{name}")
    async def file(name: str) -> Response:
        if name not in _FILES:
            raise NotFoundError(f"there is no file {name!r}")
        return FileResponse(HERE / "static" / name, headers=_HOUR, media_type=_FILES[name])

    for noun in (login, sessions, conversation, messages, users, trash, search, overview):
        noun.add_routes(router)

    @router.api_route("/{rest:path}", methods=["GET", "POST"])
    async def nothing(visit: Visiting, rest: str) -> Response:
        if not rest:
            return visit.redirect()
        raise NotFoundError(f"the page has nothing at {rest!r}")

    app.include_router(router)

    @app.get("/", include_in_schema=False)
    async def root(request: Request) -> Response:
        return RedirectResponse(base_of(request))
