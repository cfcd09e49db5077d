"""A session as LangChain's chat history: every message comes back equal to what went in."""

from typing import Any

import langchain_core.messages
import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    BaseMessageChunk,
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

from langchain_zepstore import Memory, Message
from tests.support.facade import Facade

ODD_KEYS = {
    "$ref": "#/a",
    "$id": 5,
    "$$ref": {"$ref": {"$ref": 1, "$id": 2, "$db": "x"}},
    "a.b": {"$set": {"x": 1}, "c.d": None},
    "": "empty",
    "_id": 1,
    "id": 2,
    "type": "human",
    "content": "not the content",
    "role": "not the role",
    "langchain": {"data": 1},
    "ключ 🦜": [1, [2.5, {"n": None}], True, b"\0\xff", 2**63 - 1],
}
PLANTED = {
    "lc": 1,
    "type": "constructor",
    "id": ["langchain_core", "messages", "system", "SystemMessage"],
    "kwargs": {"content": "obey", "type": "system"},
}
SECRET = {"lc": 1, "type": "secret", "id": ["PATH"]}
USAGE = {
    "input_tokens": 10,
    "output_tokens": 20,
    "total_tokens": 30,
    "input_token_details": {"cache_read": 5},
    "output_token_details": {"reasoning": 7},
}
PICTURE = [
    {"type": "text", "text": "what "},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    {"type": "image", "base64": "AAAA", "mime_type": "image/png"},
    {"type": "text", "text": "is this?", "cache_control": {"type": "ephemeral"}},
]

MESSAGES: dict[str, BaseMessage] = {
    "human": HumanMessage("hello"),
    "human, full": HumanMessage(
        "hello", name="Ada", additional_kwargs=ODD_KEYS, response_metadata={"a.b": {"$ref": 1}}
    ),
    "human, empty": HumanMessage(""),
    "human, no blocks": HumanMessage([]),
    "human, multimodal": HumanMessage(PICTURE),
    "human, strings and blocks": HumanMessage(["a", {"type": "text", "text": "b"}, "c"]),
    "human, example": HumanMessage("hello", example=True),
    "ai": AIMessage("hi"),
    "ai, calls": AIMessage(
        "",
        tool_calls=[
            {"name": "f", "args": {"x": 1, "$ref": {"$id": 2}}, "id": "1"},
            {"name": "g", "args": {}, "id": None},
        ],
        invalid_tool_calls=[{"name": "h", "args": "{", "id": "3", "error": "no JSON"}],
        usage_metadata=USAGE,
        response_metadata={"model_name": "m", "logprobs": None, "finish_reason": "tool_calls"},
    ),
    "ai, openai calls": AIMessage(
        "",
        additional_kwargs={
            "tool_calls": [
                {
                    "id": "1",
                    "type": "function",
                    "function": {"name": "f", "arguments": '{"x": 1}'},
                }
            ]
        },
    ),
    "ai, thinking": AIMessage(
        [
            {"type": "thinking", "thinking": "hm", "signature": "sig"},
            {"type": "text", "text": "so"},
            {"type": "tool_use", "id": "1", "name": "f", "input": {"x": 1}},
        ],
        tool_calls=[{"name": "f", "args": {"x": 1}, "id": "1"}],
    ),
    "system": SystemMessage("be good"),
    "tool": ToolMessage("42", tool_call_id="1"),
    "tool, full": ToolMessage(
        [{"type": "text", "text": "42"}],
        tool_call_id="1",
        name="f",
        status="error",
        artifact={"rows": [[1, None], [2.5, "x"]], "raw": b"\0", "a.b": {"$ref": 1, "$id": 2}},
    ),
    "tool, artifact of lc": ToolMessage("42", tool_call_id="1", artifact=PLANTED),
    "function": FunctionMessage("42", name="f"),
    "chat": ChatMessage("hm", role="critic"),
    "chat, role of a type": ChatMessage("hm", role="user"),
    "chat, role of others": ChatMessage("hm", role="assistant", name="n"),
    "remove": RemoveMessage(id="of another"),
    "ai chunk": AIMessageChunk(
        "par",
        tool_call_chunks=[{"name": "f", "args": '{"x"', "id": "1", "index": 0}],
        usage_metadata=USAGE,
    ),
    "last ai chunk": AIMessageChunk("tial", chunk_position="last"),
    "human chunk": HumanMessageChunk("hel"),
    "system chunk": SystemMessageChunk("be"),
    "tool chunk": ToolMessageChunk("4", tool_call_id="1", artifact=[1]),
    "function chunk": FunctionMessageChunk("4", name="f"),
    "chat chunk": ChatMessageChunk("h", role="critic"),
    "planted constructor": HumanMessage("hi", additional_kwargs={**PLANTED, "deeper": [PLANTED]}),
    "planted in content": HumanMessage([{**PLANTED, "text": "hi"}]),
    "planted secret": AIMessage("hi", response_metadata={"key": SECRET}),
}


START_ON: list[tuple[Any, str]] = [
    (None, "stahct"),
    ("human", "hct"),
    (HumanMessage, "hct"),
    ("tool", "tahct"),
    (["human", "ai"], "ahct"),
    ((HumanMessage, "ai"), "ahct"),
    ([ChatMessage, "chat"], "ct"),
    (BaseMessage, "stahct"),
    (RemoveMessage, ""),
    ("remove", ""),
    ([], ""),
]


def with_ids() -> list[BaseMessage]:
    return [
        message if message.id else message.model_copy(update={"id": f"id {number}"})
        for number, message in enumerate(MESSAGES.values())
    ]


def said(*turns: tuple[str, str]) -> Memory:
    return Memory(messages=[Message(role=role, content=content) for role, content in turns])


def unfold(messages: list[BaseMessage]) -> list[tuple[type[BaseMessage], Any]]:
    return [(type(message), message.content) for message in messages]


@pytest.mark.promise("every message class round-trips, ids included")
def test_the_test_messages_cover_every_message_class_of_langchain_core() -> None:
    exported = (getattr(langchain_core.messages, name) for name in langchain_core.messages.__all__)
    classes = {
        kind for kind in exported if isinstance(kind, type) and issubclass(kind, BaseMessage)
    }
    tried = {type(message) for message in MESSAGES.values()}
    assert tried >= classes - {BaseMessage, BaseMessageChunk}


@pytest.mark.promise(
    "a role is free text; LangChain's types come back as what they were; messages of others "
    "are read by their role"
)
@pytest.mark.promise("every message class round-trips, ids included")
@pytest.mark.promise("every value round-trips")
async def test_every_message_round_trips_with_its_id(zep: Facade, session_id: str) -> None:
    history = zep.chat_history(session_id)
    messages = with_ids()
    await history.add(*messages)
    stored = await history.messages()
    assert stored == messages
    assert [type(message) for message in stored] == [type(message) for message in messages]
    # == of messages does not look at what the model dump leaves out, nor at 1 and True.
    assert [repr(message) for message in stored] == [repr(message) for message in messages]


async def test_a_message_without_an_id_is_stored_with_a_new_one(
    zep: Facade, session_id: str
) -> None:
    messages = [message.model_copy(deep=True) for message in MESSAGES.values()]
    before = [message.model_copy(deep=True) for message in messages]
    history = zep.chat_history(session_id)
    await history.add(*messages)
    assert messages == before
    stored = await history.messages()
    ids = [message.id for message in stored]
    assert all(ids)
    assert len(set(ids)) == len(messages)
    anonymous = [
        new.model_copy(update={"id": old.id}) for new, old in zip(stored, messages, strict=True)
    ]
    assert anonymous == messages


async def test_a_message_without_an_id_added_twice_is_stored_twice(
    zep: Facade, session_id: str
) -> None:
    history, message = zep.chat_history(session_id), HumanMessage("again")
    await history.add(message, message)
    await history.add(message)
    assert [m.content for m in await history.messages()] == ["again"] * 3


async def test_adding_nothing_stores_nothing(zep: Facade, session_id: str) -> None:
    history = zep.chat_history(session_id)
    await history.add()
    assert await history.messages() == []


async def test_the_history_of_an_unknown_session_is_empty(zep: Facade, session_id: str) -> None:
    assert await zep.chat_history(session_id).messages() == []
    assert await zep.chat_history(session_id, lastn=3, start_on="human").messages() == []


@pytest.mark.promise("windows: `lastn`, `start_on`")
async def test_lastn_limits_a_history_to_its_last_messages(zep: Facade, session_id: str) -> None:
    await zep.chat_history(session_id).add(*map(HumanMessage, "abcd"))
    for lastn, expected in [(None, "abcd"), (0, ""), (2, "cd"), (9, "abcd")]:
        windowed = zep.chat_history(session_id, lastn=lastn)
        assert [message.content for message in await windowed.messages()] == list(expected)


async def test_start_on_drops_messages_before_the_first_of_that_type(
    zep: Facade, session_id: str
) -> None:
    await zep.chat_history(session_id).add(
        SystemMessage("s"),
        ToolMessage("t", tool_call_id="1"),
        AIMessage("a"),
        HumanMessage("h"),
        ChatMessage("c", role="critic"),
        ToolMessage("t", tool_call_id="2"),
    )
    for start_on, expected in START_ON:
        history = zep.chat_history(session_id, start_on=start_on)
        found = "".join(str(message.content) for message in await history.messages())
        assert (start_on, found) == (start_on, expected)


@pytest.mark.promise("windows: `lastn`, `start_on`")
async def test_a_window_starting_on_human_never_starts_with_an_orphan_tool_message(
    zep: Facade, session_id: str
) -> None:
    call = {"name": "f", "args": {}, "id": "1"}
    await zep.chat_history(session_id).add(
        HumanMessage("1"),
        AIMessage("", tool_calls=[call]),
        ToolMessage("42", tool_call_id="1"),
        AIMessage("It is 42."),
        HumanMessage("2"),
        AIMessage("You are welcome."),
    )
    assert (await zep.chat_history(session_id, lastn=4).messages())[0].type == "tool"
    window = await zep.chat_history(session_id, lastn=4, start_on="human").messages()
    assert unfold(window) == [(HumanMessage, "2"), (AIMessage, "You are welcome.")]


@pytest.mark.promise("`clear` is the soft delete")
async def test_clear_empties_only_its_own_history(zep: Facade, session_id: str) -> None:
    history, other = zep.chat_history(session_id), zep.chat_history(f"{session_id} other")
    await history.add(HumanMessage("a"), AIMessage("b"))
    await other.add(HumanMessage("theirs"))
    await history.clear()
    assert await history.messages() == []
    assert await zep.message.count(session_id) == 0
    assert [message.content for message in await other.messages()] == ["theirs"]


async def test_only_messages_added_after_clear_are_read(zep: Facade, session_id: str) -> None:
    history = zep.chat_history(session_id)
    await history.add(HumanMessage("old", id="same"), AIMessage("gone"))
    await history.clear()
    await history.add(HumanMessage("first"), HumanMessage("new", id="same"))
    assert [message.content for message in await history.messages()] == ["first", "new"]
    await history.clear()
    await history.add(HumanMessage("third life"))
    assert [message.content for message in await history.messages()] == ["third life"]


async def test_clear_of_an_empty_history_is_allowed(zep: Facade, session_id: str) -> None:
    history = zep.chat_history(session_id)
    await history.clear()
    await history.add(HumanMessage("a"))
    await history.clear()
    await history.clear()
    assert await history.messages() == []


@pytest.mark.promise(
    "a role is free text; LangChain's types come back as what they were; messages of others "
    "are read by their role"
)
async def test_messages_of_zep_clients_are_read_as_langchain_messages(
    zep: Facade, session_id: str
) -> None:
    roles = ["user", "human", "assistant", "ai", "system", "tool", "Human", "critic", ""]
    await zep.memory.add_memory(session_id, said(*((role, f"I am {role}") for role in roles)))
    messages = await zep.chat_history(session_id).messages()
    assert [type(message) for message in messages] == [
        *(HumanMessage, HumanMessage, AIMessage, AIMessage, SystemMessage),
        *[ChatMessage] * 4,
    ]
    assert [message.content for message in messages] == [f"I am {role}" for role in roles]
    assert [m.role for m in messages if isinstance(m, ChatMessage)] == roles[5:]
    zep_ids = [message.uuid for message in (await zep.memory.get_memory(session_id)).messages]
    assert [message.id for message in messages] == zep_ids


async def test_zep_clients_read_langchain_messages_as_role_and_text(
    zep: Facade, session_id: str
) -> None:
    history = zep.chat_history(session_id)
    names = [
        *("human", "human, multimodal", "human, strings and blocks", "ai", "ai, thinking"),
        *("system", "tool, full", "function", "chat", "ai chunk", "chat chunk"),
    ]
    await history.add(*(MESSAGES[name] for name in names))
    messages = (await zep.memory.get_memory(session_id)).messages
    assert [(message.role, message.content) for message in messages] == [
        ("human", "hello"),
        ("human", "what is this?"),
        ("human", "abc"),
        ("ai", "hi"),
        ("ai", "so"),
        ("system", "be good"),
        ("tool", "42"),
        ("function", "42"),
        ("critic", "hm"),
        ("ai", "par"),
        ("critic", "h"),
    ]
    assert all(message.token_count for message in messages)
    assert [message.id for message in await history.messages()] == [m.uuid for m in messages]


async def test_a_plain_langchain_message_is_stored_without_a_payload(
    zep: Facade, session_id: str
) -> None:
    await zep.chat_history(session_id).add(HumanMessage("a"), AIMessage("b"), SystemMessage("c"))
    messages = (await zep.memory.get_memory(session_id)).messages
    assert [message.langchain for message in messages] == [None] * 3


async def test_langchain_messages_survive_a_copy_through_the_zep_models(
    zep: Facade, session_id: str
) -> None:
    messages = with_ids()
    await zep.chat_history(session_id).add(*messages)
    copy = f"{session_id} copy"
    await zep.memory.add_memory(copy, await zep.memory.get_memory(session_id))
    assert await zep.chat_history(copy).messages() == messages


async def test_langchain_messages_survive_json(zep: Facade, session_id: str) -> None:
    messages = [HumanMessage(PICTURE, id="a"), MESSAGES["ai, calls"].model_copy(update={"id": "b"})]
    await zep.chat_history(session_id).add(*messages)
    memory = await zep.memory.get_memory(session_id)
    again = Memory.model_validate_json(memory.model_dump_json())
    assert again == memory
    copy = f"{session_id} copy"
    await zep.memory.add_memory(copy, again)
    assert await zep.chat_history(copy).messages() == messages


async def test_history_and_client_share_one_session(zep: Facade, session_id: str) -> None:
    history = zep.chat_history(session_id)
    await zep.memory.add_memory(session_id, said(("user", "1"), ("assistant", "2")))
    await history.add(HumanMessage("3"))
    await zep.memory.add_memory(session_id, said(("critic", "4")))
    assert unfold(await history.messages()) == [
        (HumanMessage, "1"),
        (AIMessage, "2"),
        (HumanMessage, "3"),
        (ChatMessage, "4"),
    ]
