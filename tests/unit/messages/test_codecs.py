"""Whatever LangChain message goes into BSON comes out of it equal; so does metadata."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_args

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    ChatMessageChunk,
    FunctionMessage,
    FunctionMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    RemoveMessage,
    SystemMessage,
    SystemMessageChunk,
    ToolMessage,
    ToolMessageChunk,
)

from langchain_zepstore import Message
from langchain_zepstore.core.message_parts import MessageParts
from langchain_zepstore.messages import langchain as lc_messages
from langchain_zepstore.messages.parts import from_langchain, from_zep
from langchain_zepstore.messages.wire import from_json, parts_fields, to_json
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.driver.collection import CODEC
from langchain_zepstore.mongo.encoding import decoded_metadata, encoded_metadata

NOW = datetime(2026, 7, 1, 12, 30, 15, 250_000, tzinfo=UTC)
SESSION = {"_id": "s", "uuid": "incarnation", "seq": 7, "user_id": None, "active_at": NOW}

text = st.text(st.characters(exclude_categories=["Cs"]))
ids = text.filter(lambda value: value and "\0" not in value).map(lambda value: value[:200])
awkward = st.sampled_from(
    [
        *("$ref", "$id", "$db", "$$ref", "$$$ref", "ref", "a.b", ".", "$", "$set", "", "lc", "_id"),
        *("$int", "$entries", "$$int", "$bytes", "$datetime", "$float"),
    ]
)
keys = st.one_of(awkward, text.filter(lambda key: "\0" not in key))
ints = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.sampled_from([-(2**63), 2**63 - 1, 2**31, -(2**31) - 1])
)
# Fixed offsets: a time that a zone has twice, or never, equals no time of another zone (PEP 495).
zones = st.integers(-14, 14).map(lambda hours: timezone(timedelta(hours=hours)))
moments = st.datetimes(
    datetime(1900, 1, 1),  # noqa: DTZ001 - Hypothesis adds the zones
    datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=zones,
).map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000))
scalars = st.one_of(
    st.none(), st.booleans(), ints, st.floats(allow_nan=False), text, st.binary(), moments
)
references = st.fixed_dictionaries({"$ref": text, "$id": ints}, optional={"$db": text})


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(leaves, max_size=3), st.dictionaries(keys, leaves, max_size=3), references
    )


values = st.recursive(scalars, nested, max_leaves=8)
maps = st.one_of(st.dictionaries(keys, values, max_size=3), references)
# What only messages can hold, under marks.
long_ints = st.integers() | st.sampled_from([2**63, -(2**63) - 1, 10**20, 10**2000])
any_keys = keys | text
any_values = st.recursive(
    scalars | long_ints,
    lambda leaves: st.lists(leaves, max_size=3) | st.dictionaries(any_keys, leaves, max_size=3),
    max_leaves=8,
)
any_maps = st.dictionaries(any_keys, any_values, max_size=3) | references
contents = st.one_of(
    text,
    st.lists(
        st.one_of(
            text,
            st.fixed_dictionaries({"type": st.just("text"), "text": text}),
            st.fixed_dictionaries({"type": st.just("image_url"), "image_url": any_maps}),
            any_maps.filter(lambda block: "type" not in block),
        ),
        max_size=3,
    ),
)
call_ids = st.none() | text
calls = st.fixed_dictionaries(
    {"name": text, "args": any_maps, "id": call_ids, "type": st.just("tool_call")}
)
invalid_calls = st.fixed_dictionaries(
    {
        "name": call_ids,
        "args": call_ids,
        "id": call_ids,
        "error": call_ids,
        "type": st.just("invalid_tool_call"),
    }
)
call_chunks = st.fixed_dictionaries(
    {
        "name": call_ids,
        "args": call_ids,
        "id": call_ids,
        "index": st.none() | st.integers(0, 9),
        "type": st.just("tool_call_chunk"),
    }
)
counts = st.integers(0, 2**40)
usages = st.fixed_dictionaries(
    {"input_tokens": counts, "output_tokens": counts, "total_tokens": counts},
    optional={"input_token_details": st.fixed_dictionaries({}, optional={"cache_read": counts})},
)
common = {
    "id": st.none() | ids,
    "name": st.none() | text,
    "additional_kwargs": any_maps,
    "response_metadata": any_maps,
    "an_extra": any_values,
}


def of(cls: type[BaseMessage], **fields: Any) -> st.SearchStrategy[BaseMessage]:
    required = {"content": contents, **{k: v for k, v in fields.items() if k in REQUIRED}}
    optional = {**common, **fields}
    for name in required:
        optional.pop(name, None)
    return st.fixed_dictionaries(required, optional=optional).map(lambda data: cls(**data))


REQUIRED = {"role", "tool_call_id", "name"}
ai = {
    "tool_calls": st.lists(calls, max_size=2),
    "invalid_tool_calls": st.lists(invalid_calls, max_size=2),
    "usage_metadata": st.none() | usages,
}
tool = {
    "tool_call_id": text,
    "artifact": any_values,
    "status": st.sampled_from(["success", "error"]),
}
STRATEGIES = {
    HumanMessage: of(HumanMessage),
    HumanMessageChunk: of(HumanMessageChunk),
    SystemMessage: of(SystemMessage),
    SystemMessageChunk: of(SystemMessageChunk),
    AIMessage: of(AIMessage, **ai),
    AIMessageChunk: of(
        AIMessageChunk,
        usage_metadata=st.none() | usages,
        tool_call_chunks=st.lists(call_chunks, max_size=2),
        chunk_position=st.sampled_from([None, "last"]),
    ),
    ToolMessage: of(ToolMessage, **tool),
    ToolMessageChunk: of(ToolMessageChunk, **tool),
    FunctionMessage: of(FunctionMessage, name=text),
    FunctionMessageChunk: of(FunctionMessageChunk, name=text),
    ChatMessage: of(ChatMessage, role=text),
    ChatMessageChunk: of(ChatMessageChunk, role=text),
    RemoveMessage: st.tuples(ids, any_maps).map(
        lambda parts: RemoveMessage(parts[0], additional_kwargs=parts[1])
    ),
}


def through_bson(document: dict[str, Any]) -> dict[str, Any]:
    return bson.decode(bson.encode(document), codec_options=CODEC)


def stored(parts: MessageParts) -> dict[str, Any]:
    [(body, size)] = codecs.with_sizes([parts])
    assert size >= len(bson.encode(body))
    [document] = codecs.with_sequence_numbers(SESSION, [body])
    return through_bson(document)


def with_id(message: BaseMessage, document: dict[str, Any]) -> BaseMessage:
    return message if message.id else message.model_copy(update={"id": document["uuid"]})


@pytest.mark.promise("generated messages and metadata go through the codecs and come back")
def test_the_strategies_cover_every_class_langchain_core_can_load() -> None:
    known = set(lc_messages._CLASSES.values())
    assert set(STRATEGIES) == known
    assert {str(get_args(cls.model_fields["type"].annotation)[0]) for cls in known} == set(
        lc_messages._CLASSES
    )


@pytest.mark.promise("every message class round-trips, ids included")
@pytest.mark.promise("generated messages and metadata go through the codecs and come back")
@given(st.one_of(STRATEGIES.values()))
def test_a_message_round_trips_through_bson(message: BaseMessage) -> None:
    document = stored(from_langchain(message))
    back = codecs.to_langchain(document)
    assert type(back) is type(message)
    assert back == with_id(message, document)


@given(st.one_of(STRATEGIES.values()))
def test_a_message_round_trips_through_zeps_message(message: BaseMessage) -> None:
    document = stored(from_langchain(message))
    back = lc_messages.to_langchain(codecs.to_message(document))
    assert type(back) is type(message)
    assert back == with_id(message, document)


@given(st.one_of(STRATEGIES.values()))
def test_a_message_round_trips_through_a_server(message: BaseMessage) -> None:
    sent = to_json(parts_fields(from_langchain(message)))
    document = stored(from_zep(Message.model_validate(from_json(sent, is_exact=True))))
    back = codecs.to_langchain(document)
    assert type(back) is type(message)
    assert back == with_id(message, document)


@given(st.one_of(STRATEGIES.values()))
def test_storing_a_read_message_again_gives_the_same_document(message) -> None:
    document = stored(from_langchain(message))
    assert stored(from_zep(codecs.to_message(document))) == document


@given(
    st.builds(
        Message,
        role=text,
        content=text,
        uuid=ids,
        token_count=st.integers(0, 2**63 - 1),
        metadata=st.none() | maps,
        created_at=moments,
    )
)
def test_a_zep_message_round_trips(message: Message) -> None:
    assert codecs.to_message(stored(from_zep(message))) == message


@pytest.mark.promise("generated messages and metadata go through the codecs and come back")
@given(maps)
def test_metadata_round_trips(metadata: dict[str, Any]) -> None:
    encoded = encoded_metadata(metadata, "metadata")
    assert decoded_metadata(through_bson({"metadata": encoded})["metadata"]) == metadata


@given(maps)
def test_stored_values_contain_no_map_a_driver_reads_as_a_dbref(metadata) -> None:
    def maps_in(value):
        if isinstance(value, dict):
            yield value
        for item in value.values() if isinstance(value, dict) else value:
            if isinstance(item, dict | list):
                yield from maps_in(item)

    assert not any("$ref" in found for found in maps_in(encoded_metadata(metadata, "metadata")))
