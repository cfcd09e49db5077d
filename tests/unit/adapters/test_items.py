"""Items of other frameworks in messages: any JSON comes back equal, and no text is held twice."""

import copy
import json
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, ToolMessage

from langchain_zepstore import Message
from langchain_zepstore.adapters import _items
from langchain_zepstore.adapters._items import answering, calling, unpacked
from langchain_zepstore.messages.langchain import to_langchain
from langchain_zepstore.messages.nearest import Nearest

packed = partial(_items.packed, nearest=Nearest())
TEXTS = st.text() | st.text(st.characters())  # with lone surrogates
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def paths_of(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if not isinstance(value, dict | list):
        return [path]
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    return [each for key, item in inner for each in paths_of(item, (*path, key))]


@pytest.mark.promise("any JSON item round-trips, its texts stored once")
@given(JSON, st.data())
def test_any_json_round_trips_with_any_text_paths(item, data) -> None:
    before = copy.deepcopy(item)
    known = paths_of(item)
    texts = data.draw(st.lists(st.sampled_from(known), unique=True)) if known else []
    message = packed("f", item, "user", [*texts, ("not", 0, "there")])
    assert item == before
    assert unpacked(message, "f") == before
    assert json.dumps(unpacked(message, "f")) == json.dumps(before)
    assert unpacked(message, "g") is None


@pytest.mark.promise("any JSON item round-trips, its texts stored once")
def test_texts_become_lines_of_the_content_and_are_stored_once() -> None:
    item = {"parts": [{"text": "one"}, {"url": "x"}, {"text": "two"}], "title": "three"}
    paths = [("title",), *(("parts", index, "text") for index in range(3))]
    message = packed("f", item, "user", paths)
    assert (message.role, message.content) == ("user", "three\none\ntwo")
    held = json.dumps(message.metadata)
    assert not [word for word in ("one", "two", "three") if word in held]
    assert packed("f", item, "user", otherwise="else").content == "else"


def test_a_lone_surrogate_is_kept_in_the_item_and_replaced_in_the_content() -> None:
    message = packed("f", {"text": "cut \ud83d"}, "user", [("text",)])
    assert message.content == "cut \ufffd"
    assert unpacked(message, "f") == {"text": "cut \ud83d"}


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        {"f": None},
        {"f": "text"},
        {"f": {}},
        {"f": {"item": {"a": ""}}},
        {"f": {"item": {"a": ""}, "texts": "x"}},
        {"f": {"item": {"a": ""}, "texts": [[["b"], 4]]}},
        {"f": {"item": {"a": ""}, "texts": [[["a"], 3]]}},
        {"f": {"item": {"a": ""}, "texts": [[["a"], 5]]}},
        {"f": {"json": "no json"}},
        {"f": {"json": "[]"}},
    ],
)
def test_metadata_that_does_not_match_the_message_is_not_an_item(metadata) -> None:
    assert unpacked(Message(role="user", content="said", metadata=metadata), "f") is None


def test_values_without_a_json_form_are_kept_in_their_nearest_form() -> None:
    loop: dict = {"b": b"\0"}
    loop["self"] = loop
    for item, kept in (({"a": {2, 1}}, {"a": [1, 2]}), ({(1, 2): 1}, {"[1, 2]": 1})):
        assert unpacked(packed("f", item, "user"), "f") == kept
    assert unpacked(packed("f", loop, "user"), "f")["b"] == b"\0"


def test_an_item_larger_than_a_document_is_truncated() -> None:
    item = {"role": "tool", "text": "x" * 17_000_000, "n": 1}
    message = packed("f", item, "tool", [("text",)])
    back = unpacked(message, "f")
    assert (back["role"], back["n"], back["text"]) == ("tool", 1, message.content)
    assert back["text"].endswith("of 17,000,000 characters left out]")
    assert 15_000_000 < len(back["text"]) < 16_000_000


def test_calls_and_results_become_langchain_messages() -> None:
    calls = [
        ("1", "f", '{"a": 1}'),
        ("2", "g", {}),
        ("3", "h", ""),
        ("4", "i", "{"),
        ("5", "j", []),
    ]
    said = to_langchain(packed("f", {}, "assistant", langchain=calling(calls)))
    assert isinstance(said, AIMessage)
    assert [(call["id"], call["args"]) for call in said.tool_calls] == [
        ("1", {"a": 1}),
        ("2", {}),
        ("3", {}),
    ]
    assert [(call["id"], call["args"]) for call in said.invalid_tool_calls] == [
        ("4", "{"),
        ("5", "[]"),
    ]
    told = to_langchain(packed("f", "x", "tool", [()], langchain=answering("1", "f", failed=True)))
    assert isinstance(told, ToolMessage)
    assert (told.tool_call_id, told.name, told.status, told.content) == ("1", "f", "error", "x")
