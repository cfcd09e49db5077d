"""Ids and counts are what they should be, or refused by name."""

from enum import IntEnum, StrEnum

import pytest

from langchain_zepstore import BadRequestError
from langchain_zepstore.core.validation import checked_count, checked_id


class Name(StrEnum):
    ADA = "ada"


class Number(IntEnum):
    SEVEN = 7


@pytest.mark.parametrize("value", ["a", " ", "a b/c", "ü€𝄞", "$ne", "a.b", "x" * 1024, "€" * 341])
def test_any_text_up_to_a_kilobyte_is_a_valid_id(value) -> None:
    assert checked_id(value, "session_id") == value


def test_a_str_subclass_becomes_a_plain_str() -> None:
    assert type(checked_id(Name.ADA, "session_id")) is str
    assert checked_id(Name.ADA, "session_id") == "ada"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "must be a str, not NoneType"),
        (5, "must be a str, not int"),
        (b"a", "must be a str, not bytes"),
        ({"$ne": ""}, "must be a str, not dict"),
        (["a"], "must be a str, not list"),
        ("", "must not be empty"),
        ("a\0b", "must not hold a NUL"),
        ("a\ud800", "holds a lone surrogate"),
        ("x" * 1025, "has 1025 bytes; at most 1024"),
        ("€" * 342, "has 1026 bytes; at most 1024"),
    ],
)
def test_other_values_are_not_valid_ids(value, reason) -> None:
    with pytest.raises(BadRequestError, match=f"^session_id {reason}"):
        checked_id(value, "session_id")


@pytest.mark.parametrize("value", [0, 1, 2**63 - 1])
def test_an_int_of_63_bits_is_a_valid_count(value) -> None:
    assert checked_count(value, "lastn") == value


def test_an_int_subclass_becomes_a_plain_int() -> None:
    assert type(checked_count(Number.SEVEN, "lastn")) is int
    assert checked_count(Number.SEVEN, "lastn") == 7


@pytest.mark.parametrize("value", [None, True, False, 1.0, "1", [1], float("inf")])
def test_values_that_are_not_ints_are_not_valid_counts(value) -> None:
    with pytest.raises(BadRequestError, match=f"^lastn must be an int, not {type(value).__name__}"):
        checked_count(value, "lastn")


@pytest.mark.parametrize(("value", "least"), [(-1, 0), (0, 1), (2**63, 0)])
def test_a_count_out_of_range_is_refused(value, least) -> None:
    with pytest.raises(BadRequestError, match=f"^lastn must be at least {least} .* not {value}$"):
        checked_count(value, "lastn", least=least)
