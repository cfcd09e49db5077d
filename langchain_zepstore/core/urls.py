"""URLs of stores: their schemes, the embedded server's directory, and hiding credentials."""

import os
import re
from pathlib import Path
from urllib.parse import unquote

from langchain_zepstore.errors import BadRequestError

URL_VARIABLE = "ZEPSTORE_URL"

_MONGODB_SCHEMES, _HTTP_SCHEMES = ("mongodb://", "mongodb+srv://"), ("http://", "https://")
_FORMS = "mongodb://…, mongodb+srv://…, http://…, https://…, embedded: or embedded:///some/dir"
_HOSTS = re.compile(r"([\w.%-]+|\[[\da-fA-F:.]+\])(:\d+)?(,([\w.%-]+|\[[\da-fA-F:.]+\])(:\d+)?)*")
_PATH = re.compile(r"(/[\w.%-]*)?")


def one_url(*urls: str | None) -> str | None:
    """Return the URL that was given under one or more of its names; ``None`` without one.

    Raises:
        BadRequestError: Two of them differ, or one is no string.
    """
    given = [url for url in urls if url is not None]
    for url in given:
        if not isinstance(url, str):
            raise BadRequestError(f"url must be a str, not {type(url).__name__}")
    if len(set(given)) > 1:
        raise BadRequestError("url, base_url and api_url are three names of one thing; pass one")
    return given[0] if given else None


def default_url() -> str:
    """Return the URL that holds where none is given: ``$ZEPSTORE_URL``, else ``embedded:``."""
    return os.environ.get(URL_VARIABLE) or "embedded:"


def check_scheme(url: str) -> None:
    """Check that a URL is of MongoDB, of a server, or of an embedded one.

    Raises:
        BadRequestError: It is not.
    """
    if not url.startswith((*_MONGODB_SCHEMES, *_HTTP_SCHEMES)):
        embedded_directory(url)


def is_http(url: str | None) -> bool:
    """Return whether a zepstore server stands behind a URL."""
    return url is not None and url.startswith(_HTTP_SCHEMES)


def is_embedded(url: str | None) -> bool:
    """Return whether an embedded mongod stands behind a URL."""
    return url is not None and url.startswith("embedded:")


def embedded_directory(url: str) -> Path | None:
    """Return the directory of an embedded server; ``None`` for the user's data directory.

    Raises:
        BadRequestError: The URL names no directory, or is no URL of an embedded server.
    """
    scheme, colon, rest = url.partition(":")
    if scheme != "embedded" or not colon:
        raise BadRequestError(f"a URL of the scheme {scheme!r} is not known; use {_FORMS}")
    path = unquote(rest.removeprefix("//"))
    if (path and not path.startswith("/")) or {"?", "#"} & set(rest) or "\0" in path:
        raise BadRequestError(
            f"{url!r} names no directory; use embedded:///some/dir, percent-encoded"
        )
    if os.name == "nt":
        path = path.removeprefix("/")
    return Path(path) if path.strip("/") else None


def without_credentials(url: str) -> str:
    """Return what of a URL may be shown: its scheme, hosts and path.

    Credentials with characters that should have been percent-encoded stay hidden, too; what cannot
    be distinguished from them is left out.
    """
    scheme, separator, rest = url.partition("://")
    before_options = rest.partition("?")[0]
    if "@" in rest and not ("/" in before_options and _shown(before_options)):
        rest = before_options if "@" in before_options else rest
        before_options = rest.rpartition("@")[2].partition("?")[0]
    return f"{scheme}{separator}{_shown(before_options) or '…'}"


def _shown(address: str) -> str:
    hosts = _HOSTS.match(address)
    if not hosts:
        return ""
    path = _PATH.fullmatch(address, hosts.end())
    return address if path else ""
