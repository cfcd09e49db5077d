"""Checks of what a caller passes, before it goes anywhere: ids and counts."""

import re
from collections.abc import Iterable
from typing import Any

from langchain_zepstore.errors import BadRequestError

MAX_ID_BYTES = 1024


def checked_id(value: Any, name: str) -> str:
    """Return an id if it is one: a non-empty string of up to 1 kB of UTF-8 without NUL.

    Raises:
        BadRequestError: It is anything else, such as a map that would be a query operator.
    """
    if not isinstance(value, str):
        raise BadRequestError(f"{name} must be a str, not {type(value).__name__}")
    text: str = str.__str__(value)
    if not text:
        raise BadRequestError(f"{name} must not be empty")
    if "\0" in text:
        raise BadRequestError(f"{name} must not hold a NUL character")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise BadRequestError(f"{name} holds a lone surrogate, which has no UTF-8 form") from None
    if size > MAX_ID_BYTES:
        raise BadRequestError(f"{name} has {size} bytes; at most {MAX_ID_BYTES} can be stored")
    return text


def checked_count(value: Any, name: str, *, least: int = 0) -> int:
    """Return an int if it is one of at least ``least`` and at most 63 bits.

    Raises:
        BadRequestError: It is anything else; a bool is no int here.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadRequestError(f"{name} must be an int, not {type(value).__name__}")
    if not least <= value < 2**63:
        shown = f", not {value}" if abs(value) < 2**64 else ""  # Python refuses to print huge ones
        raise BadRequestError(f"{name} must be at least {least} and below 2**63{shown}")
    return int(value)


def checked_paths(value: Any, name: str) -> list[list[str]]:
    """Return paths of keys, each a non-empty sequence of strings.

    Raises:
        BadRequestError: They are not; a bare string is no path.
    """
    paths = []
    for path in value if isinstance(value, Iterable) and not isinstance(value, str) else [value]:
        if isinstance(path, str) or not isinstance(path, Iterable):
            raise BadRequestError(f"{name} must hold tuples of keys, not {path!r}")
        keys = [checked_key(key, name) for key in path]
        if not keys:
            raise BadRequestError(f"{name} must not hold an empty path")
        paths.append(keys)
    return paths


def checked_key(value: Any, name: str) -> str:
    """Return a key of a map if it can be one: a string without NUL or lone surrogates.

    Raises:
        BadRequestError: It cannot.
    """
    if not isinstance(value, str) or "\0" in value:
        raise BadRequestError(f"{name}: a key must be a str without NUL, not {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadRequestError(f"{name}: a key holds a lone surrogate") from None
    return value


_HOSTS = re.compile(r"([\w.%-]+|\[[\da-fA-F:.]+\])(:\d+)?(,([\w.%-]+|\[[\da-fA-F:.]+\])(:\d+)?)*")
_PATH = re.compile(r"(/[\w.%-]*)?")


def without_credentials(url: str) -> str:
    """Return what of a URL may be shown: its scheme, hosts and path.

    Credentials with characters that should have been percent-encoded stay hidden, too; what cannot
    be told from them is left out.
    """
    scheme, separator, rest = url.partition("://")
    before_options = rest.partition("?")[0]
    if "@" in rest and not ("/" in before_options and _shown(before_options)):
        rest = before_options if "@" in before_options else rest
        before_options = rest.rpartition("@")[2].partition("?")[0]
    return f"{scheme}{separator}{_shown(before_options) or '…'}"


def _shown(place: str) -> str:
    hosts = _HOSTS.match(place)
    if not hosts:
        return ""
    path = _PATH.fullmatch(place, hosts.end())
    return place if path else ""
