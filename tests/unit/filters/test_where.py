"""Zep's metadata filters are parsed, or refused with the path and the reason."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.filters.jsonpath import And, Comparison, Each, Filter, Key, Not, Or, Path
from langchain_zepstore.filters.where import parsed

A_IS_1 = Comparison((Key("a"),), "==", 1)
B_IS_2 = Comparison((Key("b"),), "==", 2)
C_IS_3 = Comparison((Key("c"),), "==", 3)


def path(text: str) -> Any:
    return parsed({"jsonpath": text}, "where")


def test_of(text: str) -> Any:
    [step] = path(f"$ ? ({text})").steps
    return step.test


test_of.__test__ = False


def refused(where: Any) -> str:
    with pytest.raises(BadRequestError) as caught:
        parsed(where, "metadata.where")
    return str(caught.value)


def refused_path(text: str) -> str:
    return refused({"jsonpath": text}).removeprefix("metadata.where.jsonpath, ")


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("$", ()),
        ("$.a.b", (Key("a"), Key("b"))),
        (" $ . a [ * ]\n", (Key("a"), Each())),
        (
            '$.true.é._1."$ref"',
            tuple(map(Key, ["true", "é", "_1", "$ref"])),
        ),
        (r'$."".a."\"\\\/\b\u00e9\ud83d\ude00"', (Key(""), Key("a"), Key('"\\/\bé😀'))),
        ("$[*] ? (@.a == 1)", (Each(), Filter(A_IS_1))),
        (
            "$.x[*] ? (@.a == 1) .c ? (@.b == 2)",
            (
                Key("x"),
                Each(),
                Filter(A_IS_1),
                Key("c"),
                Filter(B_IS_2),
            ),
        ),
    ],
)
def test_a_path_is_parsed_into_steps(text, steps) -> None:
    assert path(text) == Path(steps)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"bar"', "bar"),
        ('"$a\n"', "$a\n"),
        ("true", True),
        ("false", False),
        ("null", None),
        ("-0", 0),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("1.50", 1.5),
        ("-1E+02", -100.0),
    ],
)
def test_literals_keep_their_type(text, value) -> None:
    for comparison in (test_of(f"@=={text}"), test_of(f"{text} == @")):
        assert comparison == Comparison((), "==", value)
        assert type(comparison.value) is type(value)


@pytest.mark.parametrize(
    ("written", "operator", "mirrored"),
    [
        ("==", "==", "=="),
        ("!=", "!=", "!="),
        ("<>", "!=", "!="),
        ("<", "<", ">"),
        (">=", ">=", "<="),
    ],
)
def test_a_literal_may_stand_on_either_side(written, operator, mirrored) -> None:
    assert test_of(f"@.a {written} 1") == Comparison((Key("a"),), operator, 1)
    assert test_of(f"1 {written} @.a") == Comparison((Key("a"),), mirrored, 1)


@pytest.mark.parametrize(
    ("text", "test"),
    [
        ("@.a == 1 && @.b == 2 && @.c == 3", And((A_IS_1, B_IS_2, C_IS_3))),
        ("@.a == 1 || @.b == 2 && @.c == 3", Or((A_IS_1, And((B_IS_2, C_IS_3))))),
        ("(@.a == 1 || @.b == 2) && @.c == 3", And((Or((A_IS_1, B_IS_2)), C_IS_3))),
        ("!(@.a == 1) && ((@.b == 2))", And((Not(A_IS_1), B_IS_2))),
        ("!(!(@.a == 1 || @.b == 2))", Not(Not(Or((A_IS_1, B_IS_2))))),
    ],
)
def test_and_binds_tighter_than_or(text, test) -> None:
    assert test_of(text) == test


def test_and_and_or_take_lists_of_conditions() -> None:
    where = {"and": [{"jsonpath": "$.a"}, {"or": [{"jsonpath": "$.b"}, {"jsonpath": "$"}]}]}
    assert parsed(where, "where") == And((Path((Key("a"),)), Or((Path((Key("b"),)), Path(())))))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "character 1: expected $, not the end"),
        ("strict $.a", "character 1: expected $, not 'strict $.a'"),
        ("$.a == 1", "character 5: expected a step or the end, not '== 1'"),
        ("$[0]", "character 2: expected a sign, a name, a number or a closed string, not '[0]'"),
        ("$.**", "character 3: expected a sign"),
        ("$.*", "character 3: expected a sign"),
        ("$.a.size()", "character 9: methods are not understood"),
        ("$.1a", "character 3: expected a key"),
        ("$ ? @.a", "character 5: expected ("),
        (
            '$ ? (@.a like_regex "x")',
            "character 10: expected one of == != <> < <= > >=, not 'like_r",
        ),
        ('$ ? (@.a starts with "x")', "character 10: expected one of"),
        ("$ ? (exists(@.a))", "character 6: expected @ or a literal, not 'exists(@.a))'"),
        ("$ ? ((@.a == 1) is unknown)", "character 17: expected ) or an operator, not 'is"),
        ("$ ? (@.a + 1 == 2)", "character 10: expected a sign"),
        ("$ ? (@.a == $b)", "character 13: expected a literal, not '$b)'"),
        ("$ ? (@.a == @.b)", "character 13: expected a literal, not '@.b)'"),
        ("$ ? (1 == 1)", "character 11: expected @, not '1)'"),
        ("$ ? (@.a == 1", "character 14: expected ) or an operator, not the end"),
        ("$ ? (@.a == 01)", "character 14: expected ) or an operator, not '1)'"),
        ("$ ? (@.a == TRUE)", "character 13: expected a literal"),
        ("$ ? (!@.a == 1)", "character 7: expected ("),
        ("$ ? (@.a ? (@.b == 1) == 1)", "character 10: expected one of"),
        ('$ ? (@.a == "x)', "character 13: expected a sign, a name, a number or a closed string"),
        (r'$ ? (@.a == "\x41")', "character 13: a string with an escape that JSON does not know"),
        (r'$ ? (@.a == "\ud83d")', "character 13: text cannot hold a NUL character or a lone"),
        (r'$."\u0000"', "character 3: text cannot hold a NUL"),
        ("$.a\0", "character 4: text cannot hold a NUL character"),
        ('$."\ud83d"', "character 4: text cannot hold a lone surrogate"),
        ("$ ? (@ == 9223372036854775808)", "character 11: an int beyond 64 bits"),
        ("$ ? (@ == 1" + "0" * 5000 + ")", "character 11: an int beyond 64 bits"),
        ("$ ? (@ == -1e400)", "character 11: a number beyond 64 bits"),
        ("$" + ".a" * 25, "character 50: more than 24 steps"),
        ("$.a ? (@" + ".a" * 23 + " == 1)", "character 53: more than 24 steps"),
        ("$ ? (" + "(" * 5000, "character 22: nested deeper than 16 levels"),
        ("$ ? (" + "!(" * 4000, "character 38: nested deeper than 16 levels"),
        ("$ ? (" + " || ".join(["@ == 1"] * 101) + ")", "character 1006: more than 100 conditions"),
    ],
)
def test_syntax_errors_are_refused_with_their_position(text, reason) -> None:
    assert refused_path(text).startswith(reason)


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        (None, "metadata.where must be a dict, not NoneType"),
        ([], "metadata.where must be a dict, not list"),
        ({}, "metadata.where must hold one of jsonpath, and, or; not 0 keys"),
        (
            {"jsonpath": "$", "and": []},
            "metadata.where must hold one of jsonpath, and, or; not 2 keys",
        ),
        ({"not": []}, "metadata.where must hold one of jsonpath, and, or; not 'not'"),
        ({1: []}, "metadata.where must hold one of jsonpath, and, or; not int"),
        ({"and": []}, "metadata.where.and must be a non-empty list"),
        ({"or": {"jsonpath": "$"}}, "metadata.where.or must be a non-empty list"),
        ({"or": [{"jsonpath": 1}]}, "metadata.where.or[0].jsonpath must be a str, not int"),
        ({"jsonpath": "$" * 10001}, "metadata.where.jsonpath is longer than 10000 characters"),
        (
            {"and": [{"jsonpath": "$"}, {"jsonpath": "$..a"}]},
            "metadata.where.and[1].jsonpath, character 3: expected a key, not '.a'",
        ),
        (
            {"or": [{"jsonpath": "$"}] * 101},
            "metadata.where.or[100].jsonpath, character 2: more than 100 conditions",
        ),
    ],
)
def test_invalid_filters_are_refused_with_their_path(where, reason) -> None:
    assert refused(where) == reason


def test_nesting_of_filters_is_limited() -> None:
    where: Any = {"jsonpath": "$"}
    for _ in range(5000):
        where = {"and": [where]}
    assert refused(where).endswith("nested deeper than 16 levels")
    endless: dict[str, Any] = {"or": []}
    endless["or"].append(endless)
    assert refused(endless).endswith("nested deeper than 16 levels")


def test_adjacent_groups_do_not_count_as_nesting() -> None:
    assert len(test_of(" && ".join(["(@ == 1)"] * 50)).parts) == 50


def test_long_strings_are_parsed_quickly() -> None:
    long = r"\"" * 4900
    assert test_of(f'@ == "{long}"').value == '"' * 4900
    assert refused_path(f'$ ? (@ == "{long}').startswith("character 11")


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
words = st.sampled_from(
    ["$", "@", ".", ".a", "[*]", "?", "(", ")", "!", "&&", "||", "==", "<", "1", '"a"', "null", " "]
)


@given(st.text() | st.lists(words, max_size=20).map("".join))
def test_any_text_is_parsed_or_refused(text) -> None:
    for candidate in (text, f"${text}", f"$?({text})", f'$."{text}"'):
        with contextlib.suppress(BadRequestError):
            assert isinstance(path(candidate), Path)


@given(
    st.recursive(
        st.none() | st.integers() | texts,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["jsonpath", "and", "or", "x"]), inner, max_size=2)
        ),
        max_leaves=8,
    )
)
def test_any_value_is_parsed_or_refused(where) -> None:
    with contextlib.suppress(BadRequestError):
        assert isinstance(parsed(where, "where"), And | Or | Path)
