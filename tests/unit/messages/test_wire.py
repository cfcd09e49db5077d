"""What JSON cannot hold comes back as it was to those who ask for it; others get JSON."""

import json
import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_zepstore import Message, Session, User
from langchain_zepstore.messages.wire import (
    exact,
    from_exact,
    from_json,
    message_fields,
    session_fields,
    summary_fields,
    to_json,
    user_fields,
)

MARKS = ["$bytes", "$datetime", "$float", "$$bytes", "$$$float", "$ref", "$other", "a.b", ""]
keys = st.sampled_from(MARKS) | st.text(st.characters(exclude_categories=("Cs",)))
moments = st.datetimes(timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(st.characters(exclude_categories=("Cs",)))
    | st.binary()
    | moments
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=20
)


def same(one, other) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.promise("every value comes back as it was")
@given(values)
def test_every_value_that_the_store_holds_comes_back_as_it_was(value) -> None:
    assert same(from_exact(from_json(to_json(exact(value)))), value)


@given(values)
def test_everybody_elses_json_is_strict_and_holds_no_marks(value) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(to_json(value), parse_constant=refuse)


def test_others_get_base64_dates_and_null() -> None:
    value = [b"\xff", datetime(2026, 1, 31, 12, tzinfo=UTC), math.nan, math.inf]
    assert json.loads(to_json(value)) == ["_w==", "2026-01-31T12:00:00Z", None, None]


@pytest.mark.parametrize(
    "value",
    [
        {"$bytes": 5},
        {"$bytes": "no base64!"},
        {"$datetime": "yesterday"},
        {"$float": "much"},
        {"$float": None},
    ],
    ids=repr,
)
def test_a_mark_over_something_else_is_refused(value) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        from_exact([value])


def test_a_mark_beside_other_keys_is_a_key() -> None:
    assert from_exact({"$bytes": "AA==", "a": 1}) == {"$bytes": "AA==", "a": 1}


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "", "{", "[1,]", '"\\ud800"', b'"\xff"'])
def test_what_is_no_json_is_refused(text) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        from_json(text)


def test_a_date_in_another_zone_comes_back_as_the_same_moment() -> None:
    moment = datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=5)))
    assert from_exact(exact(moment)) == moment


def test_the_shapes_are_zeps() -> None:
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
