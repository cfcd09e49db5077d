"""A visit: one request to the page, who makes it, and the answers to it."""

from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import Depends, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.server.auth import Access, ForbiddenError
from langchain_zepstore.server.ui.numbers import Numbers
from langchain_zepstore.server.ui.rendering import TEMPLATES, path_of, query_of
from langchain_zepstore.server.ui.security import Guard
from langchain_zepstore.store_client import StoreClient

NOTICE = "zepstore_notice"
_MAX_FIELDS = 200


@dataclass
class Visit:
    """One request to the page.

    Attributes:
        request: The request.
        access: What it is allowed.
        client: The store as it may be seen: one user's, if the key is.
        form: The fields of the form that was sent.
    """

    request: Request
    access: Access
    form: dict[str, list[str]] = field(default_factory=dict)

    @property
    def client(self) -> StoreClient:
        """The store, narrowed to the key's user."""
        client: StoreClient = self.request.app.state.client
        user_id = self.access.user_id
        return client if user_id is None else client.for_user(user_id)

    @property
    def numbers(self) -> Numbers:
        """The numbers of the store."""
        numbers: Numbers = self.request.app.state.numbers
        return numbers

    @property
    def may_write(self) -> bool:
        """Whether it may change something."""
        return not self.access.read_only

    @property
    def is_partial(self) -> bool:
        """Whether htmx asks for a part of a page."""
        return "hx-request" in self.request.headers

    def url(self, *segments: str) -> str:
        """Return the URL of something on the page."""
        return base_of(self.request) + path_of(*segments)

    def field(self, name: str) -> str:
        """Return a field of the form.

        Raises:
            BadRequestError: It is missing.
        """
        if name not in self.form:
            raise BadRequestError(f"the form lacks {name!r}")
        return self.form[name][0]

    def render(self, template: str, status: int = 200, **context: Any) -> Response:
        """Return a page."""
        return rendered(self.request, template, status, visit=self, **context)

    def redirect(
        self,
        *segments: str,
        text: str | None = None,
        undo: str | None = None,
        query: dict[str, Any] | None = None,
        anchor: str = "",
    ) -> Response:
        """Return the answer to a form: another page.

        Args:
            segments: The path of that page.
            text: The notice on that page.
            undo: The URL whose form takes it back.
            query: The parameters of that page.
            anchor: The fragment of its URL.
        """
        response = RedirectResponse(self.url(*segments) + query_of(**(query or {})) + anchor, 303)
        if text is not None:
            guard = guard_of(self.request)
            sealed = guard.sealed({"text": text, "undo": undo, "of": guard.token(self.request)})
            set_cookie(self.request, response, NOTICE, sealed, 60)
        return response


def base_of(request: Request) -> str:
    """Return the path of the page."""
    root: str = request.scope.get("root_path", "")
    return f"{root}/ui"


def guard_of(request: Request) -> Guard:
    """Return the guard of the page's requests."""
    guard: Guard = request.app.state.guard
    return guard


def set_cookie(request: Request, response: Response, name: str, value: str, max_age: int) -> None:
    """Set a cookie of the page that no script reads."""
    response.set_cookie(
        name,
        value,
        max_age=max_age,
        path=base_of(request),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )


def rendered(request: Request, template: str, status: int, **context: Any) -> Response:
    """Return a page, with the notice of the last action."""
    guard = guard_of(request)
    is_partial = "hx-request" in request.headers
    sealed = None if is_partial else request.cookies.get(NOTICE)
    token = guard.token(request)
    notice = guard.unsealed(sealed) if sealed else None
    if not (isinstance(notice, dict) and notice.get("of") == token):
        notice = None  # another sign-in's
    text = TEMPLATES.get_template(template).render(
        {
            "base": base_of(request),
            "token": token,
            "has_keys": guard.has_keys,
            "notice": notice,
            "visit": None,
            **context,
        }
    )
    response = HTMLResponse(text, status)
    if sealed:
        response.delete_cookie(NOTICE, path=base_of(request))
    return response


async def checked_form(request: Request) -> dict[str, list[str]]:
    """Return the fields of a form that the page has sent.

    Raises:
        BadRequestError: It is no form.
        ForbiddenError: It is another site's, or of another sign-in.
    """
    guard = guard_of(request)
    guard.check_origin(request)
    form = await _fields(request)
    guard.check_token(request, form.get("token", [""])[0])
    return form


async def _fields(request: Request) -> dict[str, list[str]]:
    try:
        text = (await request.body()).decode()
        return parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise BadRequestError("this is no form that the page has sent") from None


async def visit_of(request: Request) -> Visit:
    """Return the visit that a request is, once it is allowed.

    Raises:
        ForbiddenError: It is another site's, or would change something with a read-only key.
        SignInRequiredError: Nobody is signed in.
    """
    guard = guard_of(request)
    guard.check_origin(request)
    access = request.scope["zepstore.access"] = guard.access(request)
    if request.method != "POST":
        return Visit(request, access)
    if access.read_only:
        raise ForbiddenError("this API key is for reading only")
    return Visit(request, access, await checked_form(request))


Visiting = Annotated[Visit, Depends(visit_of)]
"""The visit that a request is."""
