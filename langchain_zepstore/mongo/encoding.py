"""Values as BSON holds them. Pure functions.

Drivers turn a map with the keys ``$ref`` and ``$id`` into a reference when they read it, so
``$ref`` is stored with one more ``$``. In messages, ints beyond 64 bits and keys with NUL are
marked (see ``messages.marks``).
"""

from typing import Any

from langchain_zepstore.messages.marks import ENTRIES, INT, Marks
from langchain_zepstore.messages.storable import (
    NEEDS_ESCAPES,
    NEEDS_MARKS,
    NEEDS_TYPES,
    check_metadata,
)
from langchain_zepstore.mongo.documents import Metadata

_ESCAPES = Marks((), reserved=("$ref",))
_MARKS = Marks((INT, ENTRIES), reserved=("$ref",))

escape_key = _ESCAPES.escape
"""Return the name under which a key of metadata is stored."""


def encoded_metadata(metadata: Any, path: str) -> Metadata:
    """Check metadata, and return it for BSON.

    Raises:
        BadRequestError: It cannot be stored.
    """
    needs = check_metadata(metadata, path)
    return _ESCAPES.mark(metadata) if needs else metadata  # type: ignore[no-any-return]


def mergeable(metadata: Any, path: str) -> Metadata:
    """Encode metadata to be merged: what stands under ``system`` is Zep's own, and left out."""
    encoded = encoded_metadata(metadata, path)
    return {key: item for key, item in encoded.items() if key != "system"}


def decoded_metadata(metadata: Any) -> Any:
    """Return stored metadata, ``None`` if there is none."""
    return metadata if metadata is None else _ESCAPES.unmark(metadata)


def encoded(value: Any, needs: int) -> Any:
    """Return a value of a message for BSON.

    Args:
        value: The value, which is storable.
        needs: What ``check_storable`` found.
    """
    if needs & NEEDS_MARKS:
        return _MARKS.mark(value)
    return _ESCAPES.mark(value) if needs & (NEEDS_TYPES | NEEDS_ESCAPES) else value


def encoding_fields(needs: int) -> dict[str, bool]:
    """Return the fields of a message's document that say how its values are encoded."""
    if needs & NEEDS_MARKS:
        return {"marked": True}
    return {"escaped": True} if needs & NEEDS_ESCAPES else {}


def decoded(value: Any, document: Any) -> Any:
    """Return a value of a message's document."""
    if document.get("marked"):
        return _MARKS.unmark(value)
    return _ESCAPES.unmark(value) if document.get("escaped") else value
