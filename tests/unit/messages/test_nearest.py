"""Whatever a message holds is stored: exactly, or in its nearest readable form."""

import dataclasses
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from pathlib import PurePosixPath
from typing import Any
from unittest.mock import MagicMock, Mock
from uuid import UUID

import numpy as np
import pytest
from bson import CodecOptions, decode, encode
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, ToolMessage
from pydantic import BaseModel

from langchain_zepstore.core.message_parts import MessageParts
from langchain_zepstore.messages.langchain import build
from langchain_zepstore.messages.nearest import Nearest
from langchain_zepstore.messages.parts import all_from_langchain, storable_message
from langchain_zepstore.messages.wire import from_json, parts_fields, to_json
from langchain_zepstore.mongo.encoding import decoded, encoded, encoding_fields

AWARE: CodecOptions[Any] = CodecOptions(tz_aware=True, tzinfo=UTC)


def no(*_: Any, **__: Any) -> Any:
    raise RuntimeError("no")


ODD = {
    "text": type("Text", (str,), dict.fromkeys(("encode", "isascii", "__len__", "__eq__"), no))(
        "t"
    ),
    "bytes": type("Bytes", (bytes,), {"__bytes__": no, "__len__": no})(b"b"),
    "int": type("Int", (int,), dict.fromkeys(("__int__", "__le__", "bit_length"), no))(7),
    "float": type("Float", (float,), {"__float__": no})(1.5),
    "map": type("Map", (dict,), {"items": no, "__iter__": no, "__len__": no})(a=1),
    "list": type("List", (list,), {"__iter__": no, "__len__": no})([1]),
    "moment": type("Moment", (datetime,), {"astimezone": no, "replace": no})(
        2026, 7, 1, tzinfo=UTC
    ),
}
PLAIN = {"text": "t", "bytes": b"b", "int": 7, "float": 1.5, "map": {"a": 1}, "list": [1]}


class Level(IntEnum):
    HIGH = 3


class Model(BaseModel):
    inner: Any = None


@dataclasses.dataclass
class Data:
    inner: Any = None


class Endless(Sequence[Any]):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: Any) -> Any:
        return Endless()


class Mute:
    def __repr__(self) -> str:
        return no()

    def __getattr__(self, name: str) -> Any:
        return no()


class Unequal:
    __eq__ = no
    __hash__ = no  # type: ignore[assignment]


class Liar:
    @property
    def __class__(self) -> Any:
        return dict


def rows() -> Iterator[int]:
    yield 1


def circle() -> list[Any]:
    value: list[Any] = [{}]
    value[0]["self"] = value
    return value


def nested(levels: int) -> Any:
    value: Any = "end"
    for _ in range(levels):
        value = [value]
    return value


ANYTHING: list[Callable[[], Any]] = [
    *(lambda value=value: value for value in ODD.values()),
    *(circle, rows, Mute, Unequal, Liar),
    lambda: Mock(spec=str),
    lambda: Level.HIGH,
    lambda: range(10**15),
    lambda: np.broadcast_to(np.int8(0), (10**6, 10**6)),
    lambda: np.array([[1.5, math.inf]]),
    lambda: np.array([Unequal(), None], dtype=object),
    lambda: np.datetime64("2026-07-01T12:00:00"),
    lambda: np.float64(2.5),
    lambda: nested(99),
    lambda: nested(5000),
    lambda: datetime.max.replace(tzinfo=timezone(-timedelta(hours=5))),
    lambda: datetime(2026, 7, 1, 12),  # noqa: DTZ001
    lambda: memoryview(b"abc")[::2],
    lambda: {1: "a", "1": "b", None: {}, (1, 2): [], b"k": 0},
    lambda: ValueError("no", circle()),
    lambda: Data,
]
LARGE = [Endless, Mock, MagicMock]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(1, 4000).map(lambda digits: -(10**digits))
    | st.floats()
    | st.text()
    | st.text(st.characters())  # with lone surrogates
    | st.binary()
    | st.datetimes(timezones=st.just(UTC) | st.none())
    | st.sampled_from([Decimal("1.10"), UUID(int=7), PurePosixPath("/a"), date(2026, 7, 1)])
    | st.sampled_from(ANYTHING).map(lambda make: make())
)
KEYS = (
    st.text() | st.text(st.characters()) | st.sampled_from(["$ref", "$int", "a\0", 1, None, (1,)])
)
GRAPHS = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(KEYS, inner, max_size=3)
        | st.tuples(inner)
        | inner.map(Data)
        | inner.map(lambda value: Model(inner=value))
    ),
    max_leaves=6,
)
EXACT = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.datetimes(timezones=st.just(UTC)).map(lambda at: at.replace(microsecond=0)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def through_bson(parts: MessageParts) -> BaseMessage:
    needs = parts.needs
    body = {"content": encoded(parts.content, needs), "data": encoded(parts.data, needs)}
    document = decode(encode({**body, **encoding_fields(needs)}), AWARE)
    content, data = (decoded(document[name], document) for name in ("content", "data"))
    return build(parts.role, content, parts.uuid, parts.type, data)


def through_json(parts: MessageParts) -> BaseMessage:
    fields = from_json(to_json(parts_fields(parts)), is_exact=True)
    data = fields.get("langchain", {}).get("data", {})
    return build(parts.role, data.pop("content", fields["content"]), parts.uuid, parts.type, data)


def texts(message: BaseMessage) -> str:
    return repr(dict(message))


@pytest.mark.promise("odd values: the nearest readable form, with one warning")
@settings(max_examples=25)
@given(st.lists(GRAPHS, min_size=1, max_size=3), GRAPHS, GRAPHS, KEYS)
def test_any_message_is_stored_and_read_back(
    graphs: list[Any], content: Any, args: Any, name: Any
) -> None:
    tool = ToolMessage("ok", tool_call_id="c", artifact=graphs)
    chat = ChatMessage("hi", role="user")
    answer = AIMessage("x", additional_kwargs={"given": graphs})
    vars(answer).update(tool_calls=[{"name": name, "args": args, "id": name}], id=name)
    vars(tool).update(tool_call_id=name, name=name, id=args)
    vars(chat).update(content=content, role=name, example=args)
    odd = HumanMessage([{"type": "text", "text": name}, {"any": args}])
    for parts in all_from_langchain([tool, chat, answer, odd]):
        assert texts(through_bson(parts)) == texts(through_json(parts))
    for message in (tool, chat, answer, odd):
        kept = storable_message(message)
        assert texts(storable_message(kept)) == texts(kept)


@pytest.mark.promise("odd values: exact where a store can say it")
@given(EXACT, st.dictionaries(st.text(), EXACT, max_size=3))
def test_exactly_storable_values_round_trip_without_a_warning(
    value: Any, args: dict[str, Any]
) -> None:
    call = {"name": "f", "args": args, "id": "c", "type": "tool_call"}
    tool = ToolMessage("ok", tool_call_id="c", artifact=value, id="1")
    answer = AIMessage([{"any": value}], id="2", tool_calls=[call])
    nearest = Nearest()
    for message in (tool, answer):
        [parts] = all_from_langchain([message])
        assert through_bson(parts) == through_json(parts) == message
    assert nearest.of(value) == value
    assert not nearest.is_noted


@settings(max_examples=25)
@given(st.lists(GRAPHS, min_size=1, max_size=4))
def test_a_call_logs_at_most_one_warning(graphs: list[Any]) -> None:
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logger = logging.getLogger("langchain_zepstore.messages.parts")
    logger.addHandler(handler)
    try:
        all_from_langchain([ToolMessage("x", tool_call_id="c", artifact=each) for each in graphs])
    finally:
        logger.removeHandler(handler)
    assert len(records) <= 1
    assert all(record.getMessage().encode() for record in records)


@pytest.mark.parametrize("name", PLAIN)
def test_subclasses_with_broken_methods_are_stored_as_their_values(name: str) -> None:
    [parts] = all_from_langchain([ToolMessage("x", tool_call_id="c", artifact=ODD[name])])
    assert through_bson(parts).artifact == PLAIN[name]  # type: ignore[attr-defined]
    assert type(parts.data["artifact"]) is type(PLAIN[name])


@pytest.mark.parametrize("index", range(len(ANYTHING) + len(LARGE)))
def test_every_value_has_a_nearest_form(index: int) -> None:
    form = Nearest().of({"given": [*ANYTHING, *LARGE][index]()})
    assert form.keys() == {"given"}
    encode(form)


def test_an_int_with_thousands_of_digits_round_trips() -> None:
    [parts] = all_from_langchain([ToolMessage("x", tool_call_id="c", artifact=10**9000)])
    for read in (through_bson(parts), through_json(parts)):
        assert read.artifact == 10**9000  # type: ignore[attr-defined]
