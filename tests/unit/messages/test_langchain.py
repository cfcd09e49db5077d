"""Every LangChain message comes back from a Zep message as what it was."""

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.load import dumps
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
from langchain_core.messages.utils import count_tokens_approximately

from langchain_zepstore import APIError, BadRequestError, Message
from langchain_zepstore.messages.langchain import approximate_tokens, build, to_langchain
from langchain_zepstore.messages.parts import from_langchain
from langchain_zepstore.messages.wire import from_json, parts_fields, to_json

CALL = {"name": "weather", "args": {"city": "Paris"}, "id": "c1", "type": "tool_call"}
INVALID = {
    "name": "weather",
    "args": "{city",
    "id": "c2",
    "error": "no JSON",
    "type": "invalid_tool_call",
}
CALL_CHUNK = {"name": "weather", "args": '{"ci', "id": "c1", "index": 0, "type": "tool_call_chunk"}
RAW_CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
USAGE = {
    "input_tokens": 9,
    "output_tokens": 2,
    "total_tokens": 11,
    "input_token_details": {"cache_read": 3},
}
BLOCKS = [
    "a bare string",
    {"type": "text", "text": "What is this?"},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    {"type": "audio", "base64": "AAAA", "mime_type": "audio/wav"},
    {"type": "reasoning", "reasoning": "hm", "extras": {"signature": "s"}},
    {},
]
PLANTED = {
    "lc": 1,
    "type": "constructor",
    "id": ["langchain", "schema", "messages", "HumanMessage"],
    "kwargs": {"content": "planted"},
}
EVERYTHING = {
    "id": "m1",
    "name": "Ada",
    "additional_kwargs": {"a.b": {"$set": [1, None, PLANTED]}},
    "response_metadata": {"model_name": "m", "logprobs": [0.5]},
    "an_extra": {"of": ["the", "user"]},
}


def assigned(message, **fields):
    """Change a message as chat models do; LangChain does not look at it again."""
    for name, value in fields.items():
        setattr(message, name, value)
    return message


MESSAGES = {
    "human": HumanMessage("hello"),
    "human-everything": HumanMessage("hello", **EVERYTHING),
    "human-blocks": HumanMessage(BLOCKS),
    "human-empty": HumanMessage(""),
    "human-no-blocks": HumanMessage([]),
    "human-with-a-role": HumanMessage("hello", role="user", uuid="u", metadata={"a": 1}),
    "human-planted-content": HumanMessage([PLANTED]),
    "human-chunk": HumanMessageChunk("hel", **EVERYTHING),
    "ai": AIMessage("hi"),
    "ai-everything": AIMessage(
        BLOCKS, tool_calls=[CALL], invalid_tool_calls=[INVALID], usage_metadata=USAGE, **EVERYTHING
    ),
    "ai-raw-calls": AIMessage("", additional_kwargs={"tool_calls": [RAW_CALL]}),
    "ai-raw-calls-emptied": assigned(
        AIMessage("", additional_kwargs={"tool_calls": [RAW_CALL]}), tool_calls=[]
    ),
    "ai-raw-calls-unusable": AIMessage("", additional_kwargs={"tool_calls": ["?"]}),
    "ai-calls-assigned": assigned(
        AIMessage(""), tool_calls=[{"name": "weather", "args": {}, "id": "c1"}]
    ),
    "ai-calls-with-extras": assigned(AIMessage(""), tool_calls=[{**CALL, "extras": {"a": 1}}]),
    "ai-calls-with-index": assigned(AIMessage(""), tool_calls=[{**CALL, "index": 0}]),
    "ai-invalid-calls-assigned": assigned(
        AIMessage(""), invalid_tool_calls=[{"name": "f", "args": "{", "id": None, "error": None}]
    ),
    "ai-usage-assigned": assigned(AIMessage(""), usage_metadata={**USAGE, "flex_cache_read": 1}),
    "ai-chunk": AIMessageChunk("h"),
    "ai-chunk-everything": AIMessageChunk(
        "h", tool_call_chunks=[CALL_CHUNK], usage_metadata=USAGE, **EVERYTHING
    ),
    "ai-chunk-calls": AIMessageChunk("", tool_calls=[CALL], invalid_tool_calls=[INVALID]),
    "ai-chunk-calls-emptied": assigned(
        AIMessageChunk("", tool_call_chunks=[CALL_CHUNK]), tool_calls=[]
    ),
    "ai-chunk-chunks-emptied": assigned(AIMessageChunk("", tool_calls=[CALL]), tool_call_chunks=[]),
    "ai-chunk-last": AIMessageChunk(
        [{"type": "tool_call_chunk", "id": "c1", "name": "f", "args": "{}", "extras": {"a": 1}}],
        tool_call_chunks=[{**CALL_CHUNK, "args": "{}"}],
        response_metadata={"output_version": "v1"},
        chunk_position="last",
    ),
    "system": SystemMessage("be brief"),
    "system-everything": SystemMessage(BLOCKS, **EVERYTHING),
    "system-chunk": SystemMessageChunk("be"),
    "tool": ToolMessage("18°", tool_call_id="c1"),
    "tool-everything": ToolMessage(
        BLOCKS, tool_call_id="c1", artifact={"rows": [[1, b"\0"]]}, status="error", **EVERYTHING
    ),
    "tool-falsy-artifacts": ToolMessage("", tool_call_id="", artifact=[]),
    "tool-false-artifact": ToolMessage("", tool_call_id="c1", artifact=False),
    "tool-planted-artifact": ToolMessage("", tool_call_id="c1", artifact=PLANTED),
    "tool-chunk": ToolMessageChunk("18", tool_call_id="c1", artifact=[1], status="error"),
    "function": FunctionMessage("18°", name="weather"),
    "function-chunk": FunctionMessageChunk("18", name="weather"),
    "chat": ChatMessage("hear, hear", role="the gallery"),
    "chat-everything": ChatMessage(BLOCKS, role="", **EVERYTHING),
    **{
        f"chat-as-{role}": ChatMessage("hello", role=role)
        for role in ("human", "user", "ai", "assistant", "system", "tool", "remove", "chat")
    },
    "chat-chunk": ChatMessageChunk("hear", role="human"),
    "remove": RemoveMessage("m1"),
    "remove-with-name": RemoveMessage("m1", name="Ada"),
}


def built(parts):
    """Build the message that parts were made of."""
    return build(parts.role, parts.content, parts.uuid, parts.type, parts.data)


def with_id(message, parts):
    return message if message.id else message.model_copy(update={"id": parts.uuid})


every_message = pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)


def test_the_examples_cover_all_thirteen_classes() -> None:
    assert len({type(message) for message in MESSAGES.values()}) == 13


@every_message
def test_a_message_round_trips(message) -> None:
    parts = from_langchain(message)
    back, expected = built(parts), with_id(message, parts)
    assert type(back) is type(message)
    assert back == expected
    assert back.model_dump() == expected.model_dump()


@every_message
def test_a_message_round_trips_through_json_and_zeps_message(message) -> None:
    parts = from_langchain(message)
    sent = from_json(to_json(parts_fields(parts)), is_exact=True)
    assert to_langchain(Message.model_validate(sent)) == with_id(message, parts)


@every_message
def test_the_given_message_is_not_changed(message) -> None:
    before = deepcopy(message)
    built(from_langchain(message))
    assert message == before


@every_message
def test_the_id_is_the_uuid_and_tokens_are_counted(message) -> None:
    parts = from_langchain(message)
    assert parts.uuid == message.id if message.id else parts.uuid
    assert (parts.token_count > 0) == (message.type != "remove")


@given(st.sampled_from(["user", "human", "ai", "assistant", "system", "pirate", ""]), st.text())
def test_tokens_of_zep_messages_are_counted_like_in_langchain_core(role, content) -> None:
    message = Message(role=role, content=content)
    assert approximate_tokens(message) == count_tokens_approximately([to_langchain(message)])


@pytest.mark.parametrize("cls", [AIMessage, HumanMessage, SystemMessage])
@pytest.mark.parametrize("content", ["", "a", "abcd", "abcde", "\u00e9\U0001f600" * 9, "x" * 1001])
def test_tokens_are_counted_like_in_langchain_core(cls, content) -> None:
    message = cls(content)
    assert from_langchain(message).token_count == count_tokens_approximately([message])


@pytest.mark.parametrize(
    ("message", "role"),
    [
        (HumanMessage(""), "human"),
        (HumanMessageChunk(""), "human"),
        (AIMessage(""), "ai"),
        (AIMessageChunk(""), "ai"),
        (SystemMessageChunk(""), "system"),
        (ToolMessageChunk("", tool_call_id="c"), "tool"),
        (FunctionMessageChunk("", name="f"), "function"),
        (RemoveMessage("m1"), "remove"),
        (ChatMessage("", role="the gallery"), "the gallery"),
        (ChatMessageChunk("", role="the gallery"), "the gallery"),
    ],
)
def test_the_role_matches_zeps_roles(message, role) -> None:
    assert from_langchain(message).role == role


def test_a_plain_message_has_no_fields_beyond_zeps() -> None:
    for message in (HumanMessage("hello", id="m1"), ChatMessage("hello", role="the gallery")):
        assert from_langchain(message).type is None


@pytest.mark.parametrize("cls", [AIMessage, HumanMessage, SystemMessage])
def test_a_plain_message_is_as_its_constructor_makes_it(cls) -> None:
    made, expected = build(cls("").type, "a", "m1"), cls(content="a", id="m1")
    assert made == expected
    assert made.__getstate__() == expected.__getstate__()
    assert dumps(made) == dumps(expected)
    for value in vars(made).values():
        if isinstance(value, dict):
            value["x"] = 1
        if isinstance(value, list):
            value.append(1)
    assert build(made.type, "a", "m1") == expected


def test_the_content_of_a_multimodal_message_is_its_text() -> None:
    sent = parts_fields(from_langchain(HumanMessage(BLOCKS)))
    assert sent["content"] == "a bare stringWhat is this?"


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("user", HumanMessage("hello", id="m1")),
        ("human", HumanMessage("hello", id="m1")),
        ("assistant", AIMessage("hello", id="m1")),
        ("ai", AIMessage("hello", id="m1")),
        ("system", SystemMessage("hello", id="m1")),
        ("tool", ChatMessage("hello", role="tool", id="m1")),
        ("Human", ChatMessage("hello", role="Human", id="m1")),
        ("", ChatMessage("hello", role="", id="m1")),
    ],
)
def test_a_zep_message_becomes_the_message_class_of_its_role(role, expected) -> None:
    assert to_langchain(Message(role=role, content="hello", uuid="m1")) == expected


def test_values_that_are_not_langchain_messages_are_refused_by_path() -> None:
    for thing in ("hello", None, {"type": "human"}, Message(role="human", content="")):
        with pytest.raises(BadRequestError, match=r"^messages\[3\] is a (str|NoneType|dict|Mess)"):
            from_langchain(thing, "messages[3]")


class Whisper(BaseMessage):
    type: str = "whisper"
    volume: int = 1


class Shout(AIMessage):
    type: str = "shout"  # type: ignore[assignment]


@pytest.mark.promise("odd values: the nearest readable form, with one warning")
def test_a_class_langchain_cannot_load_becomes_the_nearest_one() -> None:
    whisper = built(from_langchain(Whisper("psst", id="1", volume=2)))
    kwargs = {"type": "whisper"}
    assert whisper == ChatMessage(
        "psst", role="whisper", id="1", volume=2, additional_kwargs=kwargs
    )
    call = {"name": "f", "args": {}, "id": "c", "type": "tool_call"}
    shout = built(from_langchain(Shout("HEY", id="2", tool_calls=[call])))
    expected = AIMessage("HEY", id="2", tool_calls=[call], additional_kwargs={"type": "shout"})
    assert shout == expected


@pytest.mark.parametrize("block", [{"type": "text", "text": None}, {"type": ["odd"]}], ids=str)
def test_a_block_whose_tokens_cannot_be_counted_is_still_stored(block) -> None:
    message = HumanMessage([block])
    parts = from_langchain(message)
    assert built(parts) == with_id(message, parts)


@pytest.mark.parametrize(
    "payload",
    [
        {"type": "nope", "data": {}},
        {"type": ["human"], "data": {}},
        {"type": 5, "data": {}},
        {"type": "human", "data": None},
        {"type": "human", "data": "text"},
        {"type": "human", "data": [1]},
        {"type": "human", "data": {"content": 5}},
        {"type": "human", "data": {"type": "ai"}},
        {"type": "human", "data": {"additional_kwargs": 5}},
        {"type": "tool", "data": {}},
        {"type": "ai", "data": {"tool_calls": 5}},
        {"type": "ai", "data": {"tool_calls": [{"name": "f"}]}},
        {"type": "AIMessageChunk", "data": {"tool_call_chunks": [5]}},
    ],
    ids=str,
)
def test_a_broken_payload_is_an_api_error(payload) -> None:
    with pytest.raises(APIError, match="'m1'"):
        to_langchain(Message(role="human", content="", uuid="m1", langchain=payload))


@pytest.mark.promise("a planted constructor stays data")
def test_a_planted_payload_cannot_construct_other_classes() -> None:
    with pytest.raises(APIError):
        to_langchain(Message(role="human", content="", langchain=PLANTED))
