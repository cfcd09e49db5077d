"""What is larger than a store can hold is cut, and says how much is missing."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from langchain_zepstore.core.message_parts import MessageParts
from langchain_zepstore.messages.langchain import build
from langchain_zepstore.messages.marks import JSON
from langchain_zepstore.messages.shortening import fitted, fitted_parts
from langchain_zepstore.messages.wire import parts_fields

LIMIT = 4000
SMALL = 1000

TEXTS = st.text(max_size=5) | st.builds(
    lambda text, times: text * times,
    st.text(min_size=1, max_size=5),
    st.integers(1, 400),
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(1, 800).map(lambda digits: 10**digits)
    | st.floats(allow_nan=False)
    | TEXTS
    | st.binary(max_size=5).map(lambda value: value * 200)
    | st.just(datetime(2026, 7, 1, tzinfo=UTC))
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.builds(lambda item, times: [item] * times, inner, st.integers(0, 12))
        | st.dictionaries(TEXTS, inner, max_size=4)
    ),
    max_leaves=6,
)


def size_in_json(value: Any) -> int:
    return len(to_json(JSON.mark(value)))


def size_of(parts: MessageParts) -> int:
    return len(to_json({**parts_fields(parts), "langchain": JSON.mark(parts.data)}))


@pytest.mark.promise("odd values: what is too large is cut, with a marker")
@given(VALUES)
def test_any_value_can_be_shortened_to_fit(value: Any) -> None:
    kept = fitted(value, size_in_json, SMALL)
    assert size_in_json(kept) <= SMALL
    if kept != value:
        assert "left out]" in str(kept)


@given(TEXTS, st.lists(TEXTS | st.dictionaries(TEXTS, VALUES)) | TEXTS, VALUES, VALUES, VALUES)
def test_any_message_can_be_shortened_to_fit_and_read(
    role: str, content: Any, artifact: Any, calls: Any, metadata: Any
) -> None:
    data = {"tool_call_id": "c", "artifact": artifact, "additional_kwargs": {"calls": calls}}
    parts = MessageParts(role, content, "1", 1, "tool", data, metadata={"m": metadata}, needs=15)
    kept = fitted_parts(parts, size_of, SMALL)
    assert size_of(kept) <= SMALL
    build(kept.role, kept.content, kept.uuid, kept.type, kept.data)
    if kept != parts:
        assert "left out]" in str(kept)


def test_the_largest_values_are_cut_and_the_rest_kept() -> None:
    value = {"a": "x" * 5000, "b": "short", "c": ["y" * 3000, 1]}
    kept = fitted(value, size_in_json, LIMIT)
    assert (kept["b"], kept["c"][1]) == ("short", 1)
    cut = kept["a"].lstrip("x")
    assert cut == f"… [{5000 - len(kept['a']) + len(cut):,} of 5,000 characters left out]"
    assert 1500 < len(kept["c"][0]) < 2500


def test_wide_characters_are_not_split() -> None:
    kept = fitted("猫" * 5000, size_in_json, LIMIT)
    count = len(kept) - len(kept.lstrip("猫"))
    assert count > 1200
    assert kept[count:] == f"… [{5000 - count:,} of 5,000 characters left out]"


def test_a_text_escaped_in_json_is_cut_to_fit() -> None:
    kept = fitted("\1" * 5000, size_in_json, LIMIT)
    assert size_in_json(kept) > LIMIT * 0.75


def test_bytes_are_omitted_as_a_whole() -> None:
    kept = fitted({"picture": b"x" * 5000, "name": "cat"}, size_in_json, LIMIT)
    assert kept == {"picture": "[5,000 bytes left out]", "name": "cat"}


def test_a_long_list_keeps_its_first_items() -> None:
    kept = fitted(list(range(10_000)), size_in_json, LIMIT)
    count = len(kept) - 1
    assert count > 200
    assert kept == [*range(count), f"[{10_000 - count:,} of 10,000 items left out]"]


def test_a_large_map_keeps_its_first_entries() -> None:
    kept = fitted({str(key): key for key in range(10_000)}, size_in_json, LIMIT)
    marker = kept.pop("…")
    assert list(kept.values()) == [*range(len(kept))]
    assert marker == f"[{10_000 - len(kept):,} of 10,000 items left out]"


def test_nested_values_are_cut_inside() -> None:
    value: Any = ["x" * 10_000, "end"]
    for _ in range(30):
        value = {"inner": value}
    kept = fitted(value, size_in_json, LIMIT)
    for _ in range(30):
        kept = kept["inner"]
    assert kept[0].endswith("characters left out]")
    assert kept[1] == "end"


def test_a_long_key_is_omitted() -> None:
    kept = fitted({"a": 1, "x" * 10_000: 2, "b": 3}, size_in_json, LIMIT)
    assert kept == {"a": 1, "b": 3, "…": "[1 of 3 items left out]"}


def test_content_is_kept_if_shortened_tool_calls_cannot_be_loaded() -> None:
    call = {"name": "f", "args": {}, "id": "c", "type": "tool_call"}
    data = {"tool_calls": [call] * 200}
    parts = MessageParts("ai", "said", "1", 1, "ai", data, needs=0)
    kept = fitted_parts(parts, size_of, LIMIT)
    assert (kept.role, kept.content, kept.type) == ("ai", "said", None)
    silent = MessageParts("ai", "", "1", 1, "ai", data, needs=0)
    assert fitted_parts(silent, size_of, LIMIT).content.endswith("bytes left out]")
