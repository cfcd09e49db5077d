"""Cursors: what was encoded is decoded; those of earlier versions; everything else is refused."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_zepstore import BadRequestError
from langchain_zepstore.mongo.cursors import decode_cursor, encode_cursor

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)


@given(
    moment=st.datetimes(timezones=st.just(UTC)),
    number=st.integers(0, 2**63 - 1),
    others=st.lists(st.text(), max_size=2),
)
def test_a_position_is_decoded_to_the_millisecond(moment, number, others) -> None:
    decoded, *rest = decode_cursor(encode_cursor(moment, number, *others), "x", len(others))
    assert timedelta() <= moment - decoded < timedelta(milliseconds=1)
    assert rest == [number, *others]


def test_a_naive_datetime_is_utc() -> None:
    naive = MOMENT.replace(tzinfo=None)
    assert encode_cursor(naive, 1) == encode_cursor(MOMENT, 1)


def test_a_recent_sessions_cursor_of_an_earlier_version_is_decoded() -> None:
    assert decode_cursor("WzE3NjczMjMwNDU2NzgsIDQyXQ", "recent_sessions") == (MOMENT, 42)


@pytest.mark.parametrize(
    "cursor",
    [
        "1767323045678:42:incarnation",  # of embed, in earlier versions
        "42",
        "",
        "é",
        "=",
        encode_cursor(MOMENT, 42, "incarnation"),
        encode_cursor(MOMENT, 2**63),
        encode_cursor(MOMENT, -1),
        "WzFlOTksIDFd",  # [1e99, 1]
        "WzFlMywgMV0",  # [1e3, 1]
        "W3RydWUsIDFd",  # [true, 1]
        "WzEwMDAwMDAwMDAwMDAwMDAwMDAwMCwgMV0",  # a time beyond all calendars
        "e30",  # {}
        "bnVsbA",  # null
        "WzFd",  # [1]
        "W" * 100_000,
    ],
)
def test_any_other_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(BadRequestError, match="cursor is not one that recent_sessions returned"):
        decode_cursor(cursor, "recent_sessions")


def test_a_recent_sessions_cursor_is_not_an_embed_cursor() -> None:
    with pytest.raises(BadRequestError, match="embed"):
        decode_cursor(encode_cursor(MOMENT, 42), "embed", others=1)
