"""Opaque cursors: a position in an order by time, as base64 of a JSON list."""

import base64
import binascii
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from langchain_zepstore.errors import BadRequestError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)  # the precision of MongoDB's dates
_END = 2**63


def encode_cursor(moment: datetime, number: int, *others: str) -> str:
    """Return the cursor of a document.

    Args:
        moment: The time that the order begins with; a naive one is UTC's.
        number: What the order goes on with.
        others: Texts that complete the position.
    """
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    position = json.dumps([(aware - _EPOCH) // _MILLISECOND, number, *others])
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


def decode_cursor(cursor: str, source: str, others: int = 0) -> tuple[Any, ...]:
    """Return the position of a cursor.

    Args:
        cursor: The cursor.
        source: The call that returns such cursors, for the error.
        others: How many texts complete the position.

    Raises:
        BadRequestError: It is not such a cursor.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        position = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        milliseconds, number, *texts = position
        if [type(part) for part in position] == [int, int, *[str] * others] and 0 <= number < _END:
            return _EPOCH + milliseconds * _MILLISECOND, number, *texts
    except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error):
        pass
    raise BadRequestError(f"cursor is not one that {source} returned")
