"""What BSON cannot hold unchanged is refused, with its message and its place in it."""

import re
from collections import OrderedDict, defaultdict
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum, StrEnum
from uuid import uuid4

import bson
import pytest
from langchain_core.messages import HumanMessage
from pydantic import BaseModel

from langchain_zepstore import BadRequestError, Message
from langchain_zepstore.messages.parts import all_from_zep
from langchain_zepstore.messages.storable import check_metadata, check_storable
from langchain_zepstore.mongo.codecs import with_sizes
from langchain_zepstore.mongo.driver.collection import CODEC
from langchain_zepstore.mongo.encoding import encoded, encoded_metadata


class Colour(StrEnum):
    RED = "red"


class Number(IntEnum):
    SEVEN = 7


class Thing:
    pass


class Model(BaseModel):
    x: int = 1


class Text(str):
    __slots__ = ()


class Real(float):
    pass


class Bytes(bytes):
    pass


def lists(levels):
    """Nest so many lists."""
    value = []
    for _ in range(levels - 1):
        value = [value]
    return value


def circle():
    value = {}
    value["self"] = value
    return value


def of_langchain(**data):
    return {"langchain": {"type": "human", "data": data}}


def message(type_="tool", **data):
    data = {"tool_call_id": "c", **data} if type_ == "tool" else data
    return Message.model_construct(role=type_, content="", langchain={"type": type_, "data": data})


UNSTORABLE = {
    "set": ({1}, "a set cannot be stored"),
    "frozenset": (frozenset(), "a frozenset cannot be stored"),
    "tuple": ((1, 2), "a tuple cannot be stored"),
    "object": (Thing(), "a Thing cannot be stored"),
    "class": (Thing, "a type cannot be stored"),
    "model": (Model(), "a Model cannot be stored"),
    "bytearray": (bytearray(b"a"), "a bytearray cannot be stored"),
    "complex": (1j, "a complex cannot be stored"),
    "decimal": (Decimal(1), "a Decimal cannot be stored"),
    "uuid": (uuid4(), "a UUID cannot be stored"),
    "lone surrogate": ("a\udc80", "a lone surrogate"),
    "before year 1 in UTC": (
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))),
        "datetime",
    ),
    "after year 9999 in UTC": (
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-5))),
        "datetime",
    ),
}


IN_METADATA = UNSTORABLE | {
    "huge int": (2**63, "an int beyond 64 bits"),
    "huge negative int": (-(2**63) - 1, "an int beyond 64 bits"),
    "NUL in a key": ({"a\0": 1}, "a key cannot hold a NUL"),
}


@pytest.mark.parametrize(("value", "reason"), UNSTORABLE.values(), ids=UNSTORABLE)
def test_unstorable_values_are_named_by_message_and_path(value, reason) -> None:
    wrong = message(artifact=[{"x": value}])
    path = r"^messages\[1\]\.langchain\['data'\]\['artifact'\]\[0\]\['x'\]: .*"
    with pytest.raises(BadRequestError, match=path + reason):
        all_from_zep([Message(role="user", content="fine"), wrong])


@pytest.mark.parametrize(("value", "reason"), IN_METADATA.values(), ids=IN_METADATA)
def test_unstorable_metadata_is_named_by_path(value, reason) -> None:
    wrong = Message.model_construct(role="user", content="", metadata={"a": [value]})
    path = r"^messages\[0\]\.metadata\['a'\]\[0\].*: .*"
    with pytest.raises(BadRequestError, match=path + reason):
        all_from_zep([wrong])


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (5, "a key must be a str, not int"),
        (None, "a key must be a str, not NoneType"),
        (b"a", "a key must be a str, not bytes"),
        (("a", 1), "a key must be a str, not tuple"),
        ("a\ud800", "a lone surrogate"),
    ],
    ids=repr,
)
def test_an_unstorable_key_is_named(key, reason) -> None:
    wrong = message("human", additional_kwargs={"outer": {key: 1}})
    path = f"messages[0].langchain['data']['additional_kwargs']['outer'][{key!r}]: "
    with pytest.raises(BadRequestError, match="^" + re.escape(path) + reason) as caught:
        all_from_zep([wrong])
    assert str(caught.value).encode()  # it can be printed


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"content": "a\ud800"}, ".content"),
        ({"role": "a\ud800"}, ".role"),
        (of_langchain(content=[{"a": "\ud800"}]), ".content[0]['a']"),
        (of_langchain(name="\ud800"), ".langchain['data']['name']"),
        (of_langchain(an_extra={1}), ".langchain['data']['an_extra']"),
        ({"uuid": "a\0"}, ".uuid"),
        ({"uuid": "x" * 1025}, ".uuid"),
        ({"uuid": ""}, ".uuid"),
    ],
)
def test_every_field_of_a_message_is_checked(wrong, path) -> None:
    broken = Message.model_construct(**{"role": "human", "content": "", **wrong})
    with pytest.raises(BadRequestError, match="^" + re.escape(f"messages[0]{path}")):
        all_from_zep([broken])


def test_a_value_that_contains_itself_is_refused() -> None:
    with pytest.raises(BadRequestError, match=r"^messages\[0\]\.langchain.*deeper than 100"):
        all_from_zep([message(artifact=circle())])


def test_values_may_nest_100_levels_but_not_101() -> None:
    assert check_storable(lists(100), "value") == 0
    with pytest.raises(BadRequestError, match=r"^value(\[0\]){100}: nested deeper than 100 levels"):
        check_storable(lists(101), "value")


def test_nesting_beyond_pythons_recursion_limit_is_refused() -> None:
    with pytest.raises(BadRequestError, match="deeper than 100"):
        all_from_zep([message(artifact=lists(50_000))])


def test_metadata_may_nest_at_most_16_maps() -> None:
    metadata = {}
    for _ in range(15):
        metadata = {"in": [metadata]}  # lists between them do not count
    assert encoded_metadata(metadata, "metadata") == metadata
    with pytest.raises(BadRequestError, match=r"^metadata nests more than 16 maps"):
        check_metadata({"in": metadata}, "metadata")


@pytest.mark.parametrize("value", [[], "a", 5, ()])
def test_metadata_must_be_a_dict(value) -> None:
    with pytest.raises(
        BadRequestError, match=rf"^metadata must be a dict, not {type(value).__name__}$"
    ):
        check_metadata(value, "metadata")


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Colour.RED, "red"),
        (Text("a"), "a"),
        (Number.SEVEN, 7),
        (Real(0.5), 0.5),
        (Bytes(b"a"), b"a"),
        (OrderedDict(a=1), {"a": 1}),
        (defaultdict(list, a=[1]), {"a": [1]}),
        ({Colour.RED: Number.SEVEN}, {"red": 7}),
    ],
)
def test_a_subclass_is_stored_as_the_plain_value(value, plain) -> None:
    [stored] = encoded([value], check_storable([value], "value"))
    assert (type(stored), stored) == (type(plain), plain)
    if isinstance(plain, dict):
        [(key, item)] = stored.items()
        assert type(key) is str
        assert type(item) in (int, list)
    assert bson.decode(bson.encode({"v": stored}), codec_options=CODEC)["v"] == plain


def test_given_values_are_not_changed() -> None:
    value = {"$ref": [{"$ref": Colour.RED}], "a": OrderedDict(b=1)}
    encoded(value, check_storable(value, "value"))
    assert value == {"$ref": [{"$ref": Colour.RED}], "a": OrderedDict(b=1)}
    assert type(value["a"]) is OrderedDict


def test_a_message_over_16_mb_is_named_with_its_size() -> None:
    messages = [
        Message(role="user", content="fine"),
        Message(role="user", content="x" * 17_000_000, uuid="big"),
    ]
    with pytest.raises(BadRequestError, match=r"^messages\[1\] \(uuid 'big'\) has 17,000,\d\d\d "):
        with_sizes(all_from_zep(messages))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("role", None),
        ("content", 5),
        ("content", ["a"]),
        ("uuid", 5),
        ("token_count", -1),
        ("token_count", "1"),
        ("created_at", "yesterday"),
        ("created_at", datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5)))),
        ("metadata", []),
        ("langchain", "x"),
        ("langchain", {}),
        ("langchain", {"type": "human", "data": None}),
        ("langchain", {"type": "nope", "data": {}}),
        ("langchain", {"type": "tool", "data": {}}),
        ("langchain", {"type": "ai", "data": {"tool_calls": 5}}),
    ],
)
def test_an_invalid_field_unchecked_by_pydantic_is_named(field, value) -> None:
    wrong = Message.model_construct(**{"role": "user", "content": "", field: value})
    with pytest.raises(BadRequestError, match=rf"^messages\[0\]\.{field}\b"):
        all_from_zep([wrong])


@pytest.mark.parametrize("thing", ["hello", None, {"role": "user"}, HumanMessage("")])
def test_values_that_are_not_messages_are_refused_by_path(thing) -> None:
    with pytest.raises(BadRequestError, match=r"^messages\[0\] is a \w+, not a Message$"):
        all_from_zep([thing])


def test_a_duplicate_id_keeps_the_first_position_and_the_last_content() -> None:
    messages = [
        Message(role="user", content=content, uuid=uuid)
        for uuid, content in (("a", "1"), ("b", "2"), ("a", "3"))
    ]
    parts = all_from_zep(messages)
    assert [(each.uuid, each.content) for each in parts] == [("a", "3"), ("b", "2")]


@pytest.mark.parametrize(
    ("moment", "kept"),
    [
        (datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)),  # noqa: DTZ001
        (
            datetime(2026, 1, 1, microsecond=1999, tzinfo=UTC),
            datetime(2026, 1, 1, microsecond=1000, tzinfo=UTC),
        ),
    ],
)
def test_datetimes_are_utc_and_truncated_to_milliseconds(moment, kept) -> None:
    said = Message.model_construct(
        role="user", content="", created_at=moment, metadata={"at": moment}
    )
    [(body, _)] = with_sizes(all_from_zep([said]))
    read = bson.decode(bson.encode(body), codec_options=CODEC)
    assert (read["created_at"], read["metadata"]["at"]) == (kept, kept)
