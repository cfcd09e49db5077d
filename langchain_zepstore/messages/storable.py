"""What BSON can hold, checked before anything is written.

A value that the database would refuse, or give back changed, is a ``BadRequestError`` that says
where it stands. Keys are data: ``.`` and ``$`` are ordinary characters in them. One key is stored
under another name, since drivers turn a map with the keys ``$ref`` and ``$id`` into a reference
when they read it: ``$ref`` gets one more ``$``, and loses it on the way back.
"""

from datetime import UTC, datetime
from typing import Any

from langchain_zepstore.errors import BadRequestError

MAX_METADATA_MAPS = 16
_MAX_METADATA_LEVELS = 80  # with its lists; merging needs some of MongoDB's 200 for itself
_MAX_LEVELS = 100


class _UnstorableError(Exception):
    def __init__(self, reason: str) -> None:
        self.reason = reason
        self.path: list[str] = []


class Encoder:
    """Turns plain Python values into what BSON holds without loss.

    Attributes:
        escaped: Whether any key had to be stored under another name; ``unescape`` undoes it.
    """

    __slots__ = ("escaped",)

    def __init__(self) -> None:
        self.escaped = False

    def encode(self, value: Any, where: str, levels: int = _MAX_LEVELS) -> Any:
        """Return the value for BSON.

        Args:
            value: ``None``, bools, ints of 64 bits, floats, strings, bytes, aware datetimes in
                whole milliseconds, and lists and dicts of these; of subclasses, the plain value.
            where: The value's place, for the error.
            levels: How deeply maps and lists may nest.

        Raises:
            BadRequestError: BSON cannot hold the value, or not without changing it.
        """
        try:
            return self._encode(value, levels)
        except _UnstorableError as error:
            place = where + "".join(reversed(error.path))
            raise BadRequestError(
                f"{place}: {error.reason.replace('{levels}', str(levels))}"
            ) from None

    def _encode(self, value: Any, levels: int) -> Any:
        kind = type(value)
        if kind is str:
            return _checked_text(value)
        if value is None or kind is bool or kind is float or kind is bytes:
            return value
        if isinstance(value, dict):
            return self._encode_dict(value, levels)
        if isinstance(value, list):
            return self._encode_list(value, levels)
        return _encode_scalar(value)

    def _encode_dict(self, value: dict[Any, Any], levels: int) -> dict[str, Any]:
        if not levels:
            raise _UnstorableError("nested deeper than {levels} levels")
        encoded = {}
        for key, item in value.items():
            try:
                name = self._encode_key(key)
                encoded[name] = self._encode(item, levels - 1)
            except _UnstorableError as error:
                error.path.append(f"[{key!r}]")
                raise
        return encoded

    def _encode_list(self, value: list[Any], levels: int) -> list[Any]:
        if not levels:
            raise _UnstorableError("nested deeper than {levels} levels")
        encoded = []
        for index, item in enumerate(value):
            try:
                encoded.append(self._encode(item, levels - 1))
            except _UnstorableError as error:
                error.path.append(f"[{index}]")
                raise
        return encoded

    def _encode_key(self, key: Any) -> str:
        if not isinstance(key, str):
            raise _UnstorableError(f"a key must be a str, not {type(key).__name__}")
        name = _checked_text(str.__str__(key))
        if "\0" in name:
            raise _UnstorableError("a key cannot hold a NUL character")
        stored = escape_key(name)
        self.escaped |= stored != name
        return stored


def _encode_scalar(value: Any) -> Any:
    match value:
        case int():
            if not -(2**63) <= value < 2**63:
                raise _UnstorableError("an int beyond 64 bits cannot be stored; use a str")
            return int(value)
        case float():
            return float(value)
        case str():
            return _checked_text(str.__str__(value))
        case bytes():
            return bytes(value)
        case datetime():
            if value.tzinfo is None or value.microsecond % 1000:
                raise _UnstorableError(
                    "only aware datetimes in whole milliseconds are stored unchanged; use a str"
                )
            return _in_utc(value)
    raise _UnstorableError(
        f"a {type(value).__name__} cannot be stored unchanged; use dict, list, str, int, float, "
        "bool, bytes or None"
    )


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise _UnstorableError("a datetime must be in the years 1 to 9999 of UTC") from None


def _checked_text(text: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _UnstorableError("a lone surrogate is no text (it has no UTF-8 form)") from None
    return text


def _is_escapable(key: str) -> bool:
    return key.lstrip("$") == "ref"


def escape_key(key: str) -> str:
    """Return the name under which a valid key is stored."""
    return "$" + key if key.endswith("$ref") and _is_escapable(key) else key


def unescape(value: Any) -> Any:
    """Undo the encoder's renaming of keys in a value read from the database."""
    if isinstance(value, dict):
        return {
            key[1:] if key.endswith("$$ref") and _is_escapable(key) else key: unescape(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [unescape(item) for item in value]
    return value


def encoded_metadata(value: Any, where: str) -> dict[str, Any]:
    """Return metadata for BSON.

    Raises:
        BadRequestError: It is no dict, nests more than 16 maps, or holds what BSON cannot.
    """
    if not isinstance(value, dict):
        raise BadRequestError(f"{where} must be a dict, not {type(value).__name__}")
    encoded: dict[str, Any] = Encoder().encode(value, where, _MAX_METADATA_LEVELS)
    if _maps(encoded) > MAX_METADATA_MAPS:
        raise BadRequestError(f"{where} nests more than {MAX_METADATA_MAPS} maps")
    return encoded


def mergeable(metadata: dict[str, Any], where: str) -> dict[str, Any]:
    """Encode metadata to be merged: what stands under ``system`` is Zep's own, and left out."""
    encoded = encoded_metadata(metadata, where)
    encoded.pop("system", None)
    return encoded


def _maps(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_maps, value.values()), default=0)
    if isinstance(value, list):
        return max(map(_maps, value), default=0)
    return 0
