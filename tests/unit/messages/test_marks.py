"""What a format lacks comes back as it was, and stored data never chooses a type."""

import math
from datetime import UTC, datetime, timedelta, timezone
from enum import IntEnum, StrEnum

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_zepstore.messages.marks import JSON
from langchain_zepstore.messages.storable import NEEDS_MARKS, check_storable
from langchain_zepstore.messages.wire import from_json, to_json
from langchain_zepstore.mongo.driver.collection import CODEC
from langchain_zepstore.mongo.encoding import decoded, encoded, encoding_fields

MARKS = [
    *("$bytes", "$datetime", "$float", "$int", "$entries", "$$bytes", "$$$float", "$$entries"),
    *("$ref", "$$ref", "$id", "$other", "a.b", "", "a\0b"),
]
text = st.text(st.characters(exclude_categories=("Cs",)))
keys = st.sampled_from(MARKS) | text
moments = st.datetimes(timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63, -(2**63), -(2**63) - 1, 10**2000, -(10**2000)])
    | st.floats()
    | text
    | st.binary()
    | moments
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=20
)


def same(one, other) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    if isinstance(one, int) and not isinstance(one, bool):
        return one == other and isinstance(other, int)  # BSON gives long ints a class of their own
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.promise("every value round-trips")
@given(values)
def test_every_value_round_trips_through_json(value) -> None:
    assert same(from_json(to_json([JSON.mark(value)]), is_exact=True), [value])


@pytest.mark.promise("every value round-trips")
@given(values)
def test_every_value_round_trips_through_bson(value) -> None:
    needs = check_storable(value, "value", with_marks=True)
    document = {"value": encoded(value, needs), **encoding_fields(needs)}
    read = bson.decode(bson.encode(document), codec_options=CODEC)
    assert same(decoded(read["value"], read), value)


@given(values)
def test_plain_values_are_stored_without_marks(value) -> None:
    if check_storable(value, "value", with_marks=True) == 0:
        assert JSON.mark(value) == value
        assert encoded(value, 0) is value
        assert bson.decode(bson.encode({"": value}), codec_options=CODEC)[""] == value


class Colour(StrEnum):
    RED = "red"


class Number(IntEnum):
    SEVEN = 7


def test_subclasses_become_plain_values() -> None:
    marked = JSON.mark({Colour.RED: [Number.SEVEN, bson.Int64(5), bson.Code("x")]})
    assert marked == {"red": [7, 5, "x"]}
    [(key, items)] = marked.items()
    assert [type(each) for each in (key, *items)] == [str, int, int, str]


def test_documents_older_than_marks_are_read_unchanged() -> None:
    assert decoded({"$int": "5"}, {}) == {"$int": "5"}
    assert decoded([{"$int": "5"}, {"$$ref": 1}], {"escaped": True}) == [{"$int": "5"}, {"$ref": 1}]


@pytest.mark.parametrize(
    "value",
    [
        {"$bytes": 5},
        {"$bytes": "no base64!"},
        {"$datetime": "yesterday"},
        {"$float": "much"},
        {"$float": None},
        {"$int": "many"},
        {"$int": 5},
        {"$entries": {}},
        {"$entries": [["a"]]},
        {"$entries": [[1, 2]]},
        {"$entries": ["ab"]},
    ],
    ids=repr,
)
def test_a_mark_over_something_else_is_refused(value) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        JSON.unmark([value])


def test_a_mark_beside_other_keys_is_a_key() -> None:
    assert JSON.unmark({"$bytes": "AA==", "a": 1}) == {"$bytes": "AA==", "a": 1}


def test_long_ints_have_marks() -> None:
    assert JSON.unmark(from_json(to_json(JSON.mark(10**5000)))) == 10**5000
    assert JSON.mark(10**20) == {"$int": "100000000000000000000"}
    assert check_storable([10**20], "value", with_marks=True) == NEEDS_MARKS


@pytest.mark.parametrize(
    ("moment", "kept"),
    [
        (
            datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=5))),
            "2026-01-31T07:00:00+00:00",
        ),
        (datetime(2026, 1, 31, 12), "2026-01-31T12:00:00+00:00"),  # noqa: DTZ001
        (
            datetime(2026, 1, 31, 12, 0, 0, 1999, tzinfo=UTC),
            "2026-01-31T12:00:00.001000+00:00",
        ),
    ],
)
def test_datetimes_are_kept_in_utc_to_the_millisecond(moment, kept) -> None:
    assert JSON.mark(moment) == {"$datetime": kept}
    assert JSON.unmark({"$datetime": moment.isoformat()}).isoformat() == kept
