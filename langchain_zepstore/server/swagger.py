"""The page of the interface's documentation: Swagger UI, with nothing from other hosts."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, Response
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import FileResponse

from langchain_zepstore.server.responses import text_response

_FILES = ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png")
PATHS = frozenset({"/docs", *(f"/docs/{name}" for name in _FILES)})
"""The paths of the page and of its files."""

_POLICY = (
    "default-src 'self'; img-src 'self' data:; "
    "script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"
)
_DAY = {"Cache-Control": "max-age=86400"}


def add_routes(router: APIRouter, title: str) -> None:
    """Add the page, which names its files relative to itself: it works below any path."""
    files = next(_directories(), None)

    @router.get("/docs", include_in_schema=False)
    async def page() -> Response:
        if files is None:
            install = 'pip install "langchain-zepstore[server]"'
            return text_response(501, f"this page needs its files: {install}; see /openapi.json")
        script, style, icon = (f"docs/{name}" for name in _FILES)
        answer = get_swagger_ui_html(
            openapi_url="openapi.json",
            title=title,
            swagger_js_url=script,
            swagger_css_url=style,
            swagger_favicon_url=icon,
            swagger_ui_parameters={"validatorUrl": None},
        )
        answer.headers["Content-Security-Policy"] = _POLICY
        return answer

    @router.get("/docs/{name}", include_in_schema=False)
    async def file(name: str) -> Response:
        if files is None or name not in _FILES:
            return text_response(404, "not found")
        return FileResponse(files / name, headers=_DAY)


def _directories() -> Iterator[Path]:
    # Found without an import: the package makes a FastAPI of its own.
    spec = find_spec("fastapi_offline")
    for directory in (spec and spec.submodule_search_locations) or ():
        yield Path(directory) / "static"
