"""Routing by the percent-encoded path: an id may hold a slash."""

from urllib.parse import quote

from starlette.types import ASGIApp, Receive, Scope, Send

_FORM_ENCODED = "/api/v2/"  # its client writes a space as a plus, and a plus as %2B


class RawPaths:
    """Gives the application the percent-encoded path."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI call."""
        if scope["type"] == "http":
            raw = scope.get("raw_path")
            path = quote(scope["path"]) if raw is None else quote(raw, safe="/%:@!$&'()*+,;=~")
            if path.removeprefix(scope.get("root_path", "")).startswith(_FORM_ENCODED):
                path = path.replace("+", "%20")
            scope["path"] = path
        await self._app(scope, receive, send)
