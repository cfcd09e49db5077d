"""The tables in tests/README.md name tests that are there, at least one in each row."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TEXT = (TESTS / "README.md").read_text(encoding="utf-8")
HEAD = "| what | shown by |\n|---|---|\n"
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")
# Each row as what is promised and by what it is shown.
ROWS = [
    row.strip("| ").rsplit(" | ", 1)
    for table in TEXT.split(HEAD)[1:]
    for row in table.split("\n\n")[0].splitlines()
]
ALL_NAMED = sorted(set(NAMED.findall(TEXT)))


def functions(path: Path) -> set[str]:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, kinds)}


@pytest.mark.parametrize("path", sorted({path for path, _ in ALL_NAMED}))
def test_the_tests_that_are_named_are_there(path: str) -> None:
    named = {name for other, name in ALL_NAMED if other == path}
    assert named - functions(TESTS / path) == set()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_names_tests_and_nothing_else(row: list[str]) -> None:
    promised, shown = row
    assert promised
    assert all(NAMED.fullmatch(each) for each in shown.split("<br>"))


def test_nothing_is_named_outside_of_the_rows() -> None:
    assert TEXT.count("::") == sum(len(NAMED.findall(shown)) for _, shown in ROWS)
    assert TEXT.count("\n### ") == TEXT.count(HEAD)
