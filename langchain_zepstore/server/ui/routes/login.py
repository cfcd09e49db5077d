"""Signing in with an API key, and out."""

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from langchain_zepstore.server.ui.security import COOKIE, MAX_AGE
from langchain_zepstore.server.ui.visits import (
    base_of,
    checked_form,
    guard_of,
    rendered,
    set_cookie,
)


def add_routes(router: APIRouter) -> None:
    """Add the routes."""

    @router.get("/login")
    async def form(request: Request, next: str = "") -> Response:  # noqa: A002 - as in the URL
        guard = guard_of(request)
        guard.check_origin(request)
        if not guard.has_keys:
            return RedirectResponse(base_of(request), 303)
        return rendered(request, "login.html", 200, next=next, is_wrong=False)

    @router.post("/login")
    async def sign_in(request: Request) -> Response:
        guard = guard_of(request)
        form = await checked_form(request)
        wanted = form.get("next", [""])[0]
        cookie = guard.cookie_of(form.get("api_key", [""])[0].strip())
        if cookie is None:
            return rendered(request, "login.html", 401, next=wanted, is_wrong=True)
        response = RedirectResponse(_own(base_of(request), wanted), 303)
        set_cookie(request, response, COOKIE, cookie, MAX_AGE)
        return response

    @router.post("/logout")
    async def sign_out(request: Request) -> Response:
        await checked_form(request)
        base = base_of(request)
        response = RedirectResponse(f"{base}/login", 303)
        response.delete_cookie(COOKIE, path=base)
        return response


def _own(base: str, wanted: str) -> str:
    """Return a path if it is one of the page's; else the page."""
    is_own = wanted == base or wanted.startswith((f"{base}/", f"{base}?"))
    return wanted if is_own and wanted.isascii() and "\\" not in wanted else base
