"""docs/mongodb.md shows all that is stored."""

import re
from pathlib import Path
from typing import Any, is_typeddict

import pytest

from langchain_zepstore.mongo import documents, indexes

PAGE = (Path(__file__).parents[3] / "docs" / "mongodb.md").read_text()
ROW = re.compile(r"^\| `(?P<field>\w+)` \| .+ \| (?P<meaning>.+) \|$", re.MULTILINE)
TYPES = [each for each in vars(documents).values() if is_typeddict(each)]
SECTIONS = {
    "SessionDocument": "## sessions\n",
    "Erasing": "An entry of `erasing` has",
    "Deletion": "A `deletion` has",
    "Undeletion": "An `undeletion` has",
    "Counted": "A `counted` has",
    "Uncounted": "An `uncounted` has",
    "SummaryDocument": "A `summary` has",
    "Fork": "A `fork` has",
    "MessageDocument": "## messages\n",
    "MessageId": "`_id` has two",
    "LangChainPayload": "`langchain` has two",
    "Embedding": "An `embedding`,",
    "UserDocument": "## users\n",
    "CounterDocument": "## counters\n",
}
INDEXES = {
    "sessions": indexes.SESSION_INDEXES,
    "messages": [
        *indexes.MESSAGE_INDEXES,
        indexes.SCOPE_INDEX,
        *indexes.word_indexes("english"),
    ],
    "users": indexes.USER_INDEXES,
}


def first_table_after(heading: str) -> str:
    assert PAGE.count(heading) == 1, heading
    table = PAGE[PAGE.index(heading) :].partition("|---|")[2]
    return table.partition("\n\n")[0]


@pytest.mark.promise("docs/mongodb.md shows every stored field and every index")
@pytest.mark.parametrize("document", TYPES, ids=lambda each: each.__name__)
def test_the_docs_list_the_fields_of_a_document(document: Any) -> None:
    shown = {row["field"] for row in ROW.finditer(first_table_after(SECTIONS[document.__name__]))}
    assert shown == set(document.__annotations__)


def test_every_field_has_a_comment_in_the_code() -> None:
    source = Path(documents.__file__).read_text()
    fields = re.findall(r"(#: .*\n)?    (\w+): [^=\n]+\n", source)
    assert [name for prose, name in fields if not prose] == []
    assert len(fields) == sum(len(each.__annotations__) for each in TYPES)


@pytest.mark.parametrize("collection", INDEXES)
def test_the_docs_list_the_indexes_of_a_collection(collection: str) -> None:
    shown = set(re.findall(rf"^\| {collection} \| `(\w+)` ", PAGE, re.MULTILINE))
    assert shown == {index.document["name"] for index in INDEXES[collection]} | {"expiry"}


@pytest.mark.parametrize("collection", INDEXES)
def test_the_docs_list_the_keys_of_an_index(collection: str) -> None:
    for index in INDEXES[collection]:
        name = index.document["name"]
        (row,) = re.findall(rf"^\| {collection} \| `{name}` \| (.+?) \|", PAGE, re.MULTILINE)
        for key in index.document["key"]:
            assert f"`{key}`" in row, name
