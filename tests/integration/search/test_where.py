"""Metadata filters find what PostgreSQL's lax ``jsonb_path_exists`` finds.

The tables hold the answers of PostgreSQL 15.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection

from langchain_zepstore.filters.jsonpath import MAX_NESTING, MAX_STEPS
from langchain_zepstore.filters.where import parsed
from langchain_zepstore.mongo.encoding import encoded_metadata
from langchain_zepstore.mongo.search.filters import matching

Find = Callable[[Any], set[Any]]

METADATA: dict[str, dict[str, Any]] = {
    "empty": {},
    "null": {"a": None},
    "one": {"a": 1, "b": "x"},
    "float": {"a": 1.0, "b": {"c": [{"d": 1}, {"d": 3}]}},
    "big": {"a": 2**53 + 1},
    "text": {"a": "1", "b": {"c": {"d": "1"}}},
    "true": {"a": True},
    "false": {"a": False, "b": ["x", "y"]},
    "map": {"a": {"b": 1}, "b": {"c": [[{"d": 1}]]}},
    "none": {"a": []},
    "mixed": {"a": [1, "1"]},
    "nulls": {"a": [1, None]},
    "nested": {"a": [[1]]},
    "maps": {"a": [{"b": 1}, {"b": 2}, {"c": 3}, [{"b": 4}]]},
    "words": {"a": "é", "b": "￮"},
    "emoji": {"a": "z", "b": "😀"},
    "names": {"$ref": 1, "$$ref": 2, "$id": 3, "a.b": 4, "": 5, "$a": {"$ref": 6}},
    "code": {"a": "$b", "b": "$$ROOT", "this": 1},
}


def names(text: str) -> set[str]:
    return set(text.split())


ALL = set(METADATA)

ANSWERS = [
    ("$", ALL),
    ("$.a", ALL - names("empty names")),
    ("$.a[*]", ALL - names("empty none names")),
    ("$.a.b", names("map maps")),
    ("$[*].a[*].b", names("map maps")),
    ("$.b.c.d", names("float text")),
    ("$.b.c[*].d", names("float text map")),
    ("$[*] ? (@.a == 1)", names("one float mixed nulls")),
    ("$[*] ? (@.a != 1)", names("null big nulls")),
    ("$[*] ? (!(@.a == 1))", names("empty null big none names")),
    ("$[*] ? (!(@.a != 1))", names("empty one float none names")),
    ("$[*] ? (@.a < 2)", names("one float mixed nulls")),
    ("$[*] ? (!(@.a < 2))", names("empty null big none names")),
    ("$[*] ? (@.a >= 9007199254740993)", names("big")),
    ("$[*] ? (@.a > 9007199254740992)", names("big")),
    ('$[*] ? (@.a == "1")', names("text mixed")),
    ('$[*] ? (@.a != "1")', names("null nulls words emoji code")),
    ('$[*] ? (@.a > "")', names("text mixed words emoji code")),
    ('$[*] ? (!(@.a > ""))', names("empty null none names")),
    ("$[*] ? (@.a == true)", names("true")),
    ("$[*] ? (@.a != true)", names("null false nulls")),
    ("$[*] ? (@.a < true)", names("false")),
    ("$[*] ? (!(@.a >= true))", names("empty null false none names")),
    ("$[*] ? (@.a == null)", names("null nulls")),
    ("$[*] ? (@.a != null)", ALL - names("empty null none names")),
    ("$[*] ? (@.a <= null)", names("null nulls")),
    ("$[*] ? (@.a < null)", names("")),
    ("$[*] ? (@.a > null)", names("")),
    ("$[*] ? (@.a >= null)", names("null nulls")),
    ("$[*] ? (!(@.a < null))", ALL),
    ("$[*] ? (!(@.a == null))", ALL - names("null nulls")),
    ("$[*] ? (@.a.b == 1)", names("map maps")),
    ("$[*] ? (@.a.b == 4)", names("")),
    ("$[*] ? (@.a[*].b == 4)", names("maps")),
    ("$[*] ? (@.a[*][*].b == 4)", names("maps")),
    ("$.a ? (@.b == 2)", names("maps")),
    ("$.a ? (@.b == 4)", names("maps")),
    ("$.a[*] ? (@.b == 4)", names("maps")),
    ("$.a ? (@.b == 2).c", names("")),
    ("$.a ? (@.b != 2).b ? (@ == 1)", names("map maps")),
    ("$.a ? (@ == 1)", names("one float mixed nulls nested")),
    ("$.a[*] ? (@ == 1)", names("one float mixed nulls nested")),
    ('$.b ? (@ == "y")', names("false")),
    ('$[*] ? (@.b == "y" && @.a == false)', names("false")),
    ("$[*] ? (@.b.c.d > 1)", names("float")),
    ("$[*] ? (@.b.c.d == 1)", names("float")),
    ("$[*] ? (@.b.c[*].d == 1)", names("float map")),
    ('$[*] ? (@.a == 1 || @.b == "y")', names("one float false mixed nulls")),
    ('$[*] ? (@.a == 1 && @.b == "x")', names("one")),
    ('$[*] ? (!(@.a == "1" && @.b == 2))', ALL - names("one float text false map")),
    ('$[*] ? (!(@.a == "1" || @.b == 2))', names("empty null none names")),
    ("$[*] ? (!(@.missing == 1))", ALL),
    ("$[*] ? (!(!(@.a == 1)))", names("one float mixed nulls")),
    ('$[*] ? (@.b < "😀")', names("one false words code")),
    ('$[*] ? (@.a > "z")', names("words")),
    ('$."$ref"', names("names")),
    ('$."$$ref"', names("names")),
    ('$."$$$ref"', names("")),
    ('$[*] ? (@."$ref" == 1 && @."$$ref" == 2 && @."$id" == 3)', names("names")),
    ('$[*] ? (@."a.b" == 4 && @."" == 5)', names("names")),
    ('$[*] ? (@."$a"."$ref" == 6)', names("names")),
    ('$[*] ? (@.a == "$b" && @.b == "$$ROOT")', names("code")),
    ("$.this", names("code")),
]


@pytest.fixture
def documents(mongo_url: str, database_name: str) -> Iterator[Collection[Any]]:
    with MongoClient(mongo_url) as client:
        yield client[database_name]["things"]


@pytest.fixture
def find(documents: Collection[Any]) -> Find:
    def find(where: Any) -> set[Any]:
        condition = parsed(where, "where")
        query = {"$expr": matching(condition, "metadata")}
        return {found["_id"] for found in documents.find(query, {"_id": 1})}

    return find


@pytest.mark.promise("metadata, Zep's `where`, dates, and these alone")
def test_filters_match_postgresqls_results(documents, find) -> None:
    documents.insert_many(
        {"_id": name, "metadata": encoded_metadata(metadata, "metadata")}
        for name, metadata in METADATA.items()
    )
    found = {text: find({"jsonpath": text}) for text, _ in ANSWERS}
    assert found == dict(ANSWERS)


def test_filters_can_be_combined_with_and_and_or(documents, find) -> None:
    documents.insert_many({"_id": n, "metadata": {"a": n, "b": n % 2}} for n in range(6))
    odd, large, zero = (
        {"jsonpath": f"$[*] ? (@.{text})"} for text in ("b == 1", "a > 2", "a == 0")
    )
    assert find({"and": [odd, large]}) == {3, 5}
    assert find({"or": [odd, large]}) == {1, 3, 4, 5}
    assert find({"or": [zero, {"and": [odd, large]}]}) == {0, 3, 5}


def test_values_without_a_json_form_compare_only_with_null(documents, find) -> None:
    values = [datetime(2024, 1, 1, tzinfo=UTC), b"1", float("nan")]
    documents.insert_many(
        {"_id": n, "metadata": {"a": value, "b": [value, 1]}} for n, value in enumerate(values)
    )
    every = set(range(len(values)))
    literals = ["1", '"1"', "true"]
    for operator in ("==", "!=", "<", "<=", ">", ">="):
        for value in literals:
            assert find({"jsonpath": f"$ ? (@.a {operator} {value})"}) == set()
            assert find({"jsonpath": f"$ ? (!(@.a {operator} {value}))"}) == set()
    assert find({"jsonpath": "$ ? (@.a != null)"}) == every
    assert find({"jsonpath": "$ ? (@.a == null)"}) == set()
    assert find({"jsonpath": "$ ? (@.b == 1)"}) == every
    assert find({"jsonpath": "$ ? (!(@.b == 2))"}) == set()


def test_infinity_is_greater_than_all_numbers(documents, find) -> None:
    documents.insert_one({"_id": 1, "metadata": {"a": float("inf")}})
    assert find({"jsonpath": "$ ? (@.a > 1.7e308)"}) == {1}
    assert find({"jsonpath": "$ ? (!(@.a <= 9223372036854775807))"}) == {1}


def test_metadata_that_is_not_a_map_matches_no_filter(documents, find) -> None:
    documents.insert_many([{}, {"metadata": None}, {"metadata": [{"a": 1}]}, {"metadata": 1}])
    for text in ("$", "$[*]", "$.a", "$ ? (!(@.a == 2))"):
        assert find({"jsonpath": text}) == set()


def nested(levels: int, value: Any) -> Any:
    for _ in range(levels):
        value = {"a": value}
    return value


def deep_test(levels: int, steps: int) -> str:
    test = "@" + ".a" * steps + " == 1"
    for _ in range(levels):
        test = f"@.x == 1 || @ != null && ({test})"
    return test


@pytest.mark.parametrize("before", [0, 11, MAX_STEPS - 2])
def test_the_deepest_filter_is_within_the_limits_of_the_database(documents, find, before) -> None:
    documents.insert_one({"_id": 1, "metadata": nested(MAX_STEPS - 1, 1)})
    test = deep_test(MAX_NESTING - 1, MAX_STEPS - 1 - before)
    assert find({"jsonpath": "$" + ".a" * before + f" ? ({test})"}) == {1}


def test_the_largest_filter_is_within_the_limits_of_the_database(documents, find) -> None:
    documents.insert_one({"_id": 1, "metadata": nested(MAX_STEPS, 1)})
    where: Any = {"jsonpath": "$" + ".a" * MAX_STEPS}
    for level in range(MAX_NESTING):
        where = {"and" if level % 2 else "or": [where]}
    assert find(where) == {1}
    assert find({"and": [{"jsonpath": "$" + ".a[*]" * (MAX_STEPS // 2)}] * 100}) == {1}
