"""What JSON cannot hold comes back as it was to those who ask for it; others get JSON."""

import json
import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_zepstore import Message, Session, User
from langchain_zepstore.messages.wire import (
    from_json,
    message_fields,
    session_fields,
    summary_fields,
    to_json,
    user_fields,
)

text = st.text(st.characters(exclude_categories=("Cs",)))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text | st.binary() | st.datetimes(),
    lambda inner: st.lists(inner) | st.dictionaries(text, inner),
    max_leaves=20,
)


@given(values)
def test_plain_json_is_strict_and_has_no_marks(value) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(to_json(value), parse_constant=refuse)


def test_plain_json_has_base64_dates_and_nulls() -> None:
    value = [b"\xff", datetime(2026, 1, 31, 12, tzinfo=UTC), math.nan, math.inf]
    assert json.loads(to_json(value)) == ["_w==", "2026-01-31T12:00:00Z", None, None]


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "", "{", "[1,]", '"\\ud800"'])
def test_values_that_are_not_json_are_refused(text) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        from_json(text.encode())


@pytest.mark.parametrize("key", ['"$bytes"', '"\\u0024bytes"'])
def test_marks_with_an_escaped_dollar_are_read(key) -> None:
    sent = f'[{{{key}: "AA=="}}]'.encode()
    assert from_json(sent, is_exact=True) == [b"\0"]
    assert from_json(sent) == [{"$bytes": "AA=="}]


def test_json_fields_match_zeps() -> None:
    assert set(session_fields(Session(session_id="s"), is_exact=False)) == {
        "uuid", "id", "created_at", "updated_at", "deleted_at", "session_id", "metadata", "user_id",
    }  # fmt: skip
    assert set(user_fields(User(user_id="u"), is_exact=False)) == {
        "uuid", "id", "created_at", "updated_at", "deleted_at", "user_id", "email", "first_name",
        "last_name", "metadata",
    }  # fmt: skip
    plain = Message(role="user", content="x", uuid="1")
    named = {"uuid", "created_at", "updated_at", "role", "content", "token_count"}
    assert set(message_fields(plain, is_exact=False)) == named
    full = plain.model_copy(update={"metadata": {}, "langchain": {"type": "ai", "data": {}}})
    assert set(message_fields(full, is_exact=False)) == named | {"metadata", "langchain"}
    assert summary_fields(None) == {
        "uuid": "00000000-0000-0000-0000-000000000000",
        "created_at": "0001-01-01T00:00:00Z",
        "content": "",
        "recent_message_uuid": "00000000-0000-0000-0000-000000000000",
        "token_count": 0,
    }
