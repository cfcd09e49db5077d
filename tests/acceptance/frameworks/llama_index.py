"""LlamaIndex, with a scripted model, on stores of ours. Runs in an environment of its own."""

import asyncio
import base64
import copy
import os
import pickle
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.core.memory import ChatMemoryBuffer, ChatSummaryMemoryBuffer, Memory
from llama_index.core.storage.chat_store import SimpleChatStore
from llama_index.core.storage.chat_store.base_db import MessageStatus
from llama_index.core.storage.chat_store.sql import SQLAlchemyChatStore
from llama_index.core.workflow import Context

from langchain_zepstore import BadRequestError, NotFoundError, ZepClient
from langchain_zepstore import Memory as ZepMemory
from langchain_zepstore import Message as ZepMessage
from langchain_zepstore.adapters.llama_index import ZepAsyncChatStore, ZepChatStore

USER = "Ada"
ACTIVE, ARCHIVED = MessageStatus.ACTIVE, MessageStatus.ARCHIVED
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


@pytest.fixture
def client():
    url, database = os.environ["ZEPSTORE_TEST_URL"], os.environ["ZEPSTORE_TEST_DATABASE"]
    with ZepClient(url, database=database) as client:
        yield client


@pytest.fixture
def store(client):
    return ZepChatStore(client=client, user_id=USER)


@pytest.fixture
def db(client):
    return ZepAsyncChatStore(client=client, user_id=USER)


@pytest.fixture
def key():
    return f"session {uuid4()}"


def said(*texts: str) -> list[ChatMessage]:
    return [
        ChatMessage(text, role="assistant" if number % 2 else "user")
        for number, text in enumerate(texts)
    ]


def scripted(*steps: Any) -> MockFunctionCallingLLM:
    """A model that says one step after the other, in the end only the last."""
    left = list(steps)
    return MockFunctionCallingLLM(response_generator=lambda *_, **__: left.pop(0))


def call(call_id: str, name: str, **arguments: Any) -> ToolCallBlock:
    return ToolCallBlock(tool_call_id=call_id, tool_name=name, tool_kwargs=arguments)


def step(*blocks: Any) -> ChatMessage:
    return ChatMessage(
        role="assistant", blocks=[TextBlock(text=b) if isinstance(b, str) else b for b in blocks]
    )


def weather(city: str) -> str:
    """Tell the weather."""
    return f"It rains in {city}."


def broken() -> str:
    """Break."""
    raise RuntimeError("broken")


MESSAGES = {
    "text": ChatMessage("Grüße! 🚆"),
    "empty": ChatMessage("", role="assistant"),
    "no blocks": ChatMessage(role="assistant", blocks=[]),
    "blocks of text": ChatMessage(blocks=[TextBlock(text="a\nb"), TextBlock(text="")]),
    "image": ChatMessage(blocks=[TextBlock(text="see"), ImageBlock(image=PIXEL)]),
    "links": ChatMessage(blocks=[ImageBlock(url="https://example.com/a.png", detail="low")]),
    "files": ChatMessage(
        blocks=[DocumentBlock(data=b"%PDF-1.4", title="t"), AudioBlock(audio=b"RIFF", format="wav")]
    ),
    "thinking": ChatMessage(
        role="assistant",
        blocks=[
            ThinkingBlock(content="hm", additional_information={"signature": None}),
            TextBlock(text="so"),
        ],
    ),
    "calls": step("look", call("1", "weather", city="Rome"), call("2", "weather", city="Oslo")),
    "half a call": ChatMessage(
        role="assistant",
        blocks=[ToolCallBlock(tool_call_id="1", tool_name="f", tool_kwargs='{"a": ')],
    ),
    "no id": ChatMessage(role="assistant", blocks=[ToolCallBlock(tool_name="f", tool_kwargs={})]),
    "result": ChatMessage("42", role="tool", additional_kwargs={"tool_call_id": "1", "name": "f"}),
    "quotes": ChatMessage(
        blocks=[
            CitableBlock(title="t", source="s", content=[TextBlock(text="x")]),
            CitationBlock(
                cited_content=TextBlock(text="x"),
                source="s",
                title="t",
                additional_location_info={"page": 1},
            ),
            CachePoint(cache_control=CacheControl(type="ephemeral")),
        ]
    ),
    "options": ChatMessage(
        "old",
        role="assistant",
        additional_kwargs={
            "tool_calls": [
                {"id": "7", "type": "function", "function": {"name": "g", "arguments": '{"b": 2}'}}
            ],
            "a.b": {"$set": [1, None, 2**70, {"$ref": "x"}]},
        },
    ),
    "half an emoji": ChatMessage("\ud83d"),
    **{role.value: ChatMessage("said", role=role) for role in MessageRole},
}


@pytest.mark.parametrize("name", MESSAGES)
async def test_every_message_round_trips(store, db, key, name):
    message = MESSAGES[name]
    before = message.model_dump()
    store.add_message(key, message)
    await db.add_message(key, message)
    assert message.model_dump() == before
    assert [repr(each) for each in store.get_messages(key)] == [repr(message)] * 2
    assert await store.aget_messages(key) == await db.get_messages(key) == [message] * 2


def test_langchain_reads_the_messages_as_a_conversation(client, store, key):
    store.set_messages(key, list(MESSAGES.values()))
    read = dict(zip(MESSAGES, client.chat_history(key).messages, strict=True))
    assert read["calls"].tool_calls == [
        {"name": "weather", "args": {"city": city}, "id": number, "type": "tool_call"}
        for number, city in (("1", "Rome"), ("2", "Oslo"))
    ]
    assert read["options"].tool_calls[0]["args"] == {"b": 2}
    assert read["half a call"].invalid_tool_calls[0]["args"] == '{"a": '
    assert (read["result"].tool_call_id, read["result"].name) == ("1", "f")
    assert type(read["developer"]) is SystemMessage
    assert type(read["model"]) is AIMessage
    assert read["image"].content == "see"


def test_values_without_a_json_form_are_stored_in_their_nearest_form(store, key, caplog):
    loop: dict = {"name": "ring", 1: {2}}
    loop["self"] = loop
    odd = ChatMessage("d", additional_kwargs={"x": ValueError("no"), "loop": loop})
    store.set_messages(key, [*said("c"), odd])
    [first, read] = store.get_messages(key)
    assert (first, read.blocks) == (said("c")[0], odd.blocks)
    assert read.additional_kwargs["x"] == "ValueError('no')"
    assert read.additional_kwargs["loop"]["name"] == "ring"
    assert len(caplog.records) == 1


def test_invalid_messages_are_refused_before_anything_is_deleted(store, key):
    store.set_messages(key, said("a", "b"))
    with pytest.raises(BadRequestError, match="not LlamaIndex's ChatMessage"):
        store.add_message(key, "hello")
    assert store.get_messages(key) == said("a", "b")


def test_images_in_the_options_are_not_doubled(store, key):
    message = ChatMessage("see", additional_kwargs={"other": 1})
    message.blocks.append(ImageBlock(image=PIXEL))
    message.additional_kwargs["images"] = [{"image": "x"}]
    store.add_message(key, message)
    assert store.get_messages(key) == [message]


def test_a_block_whose_file_is_missing_keeps_the_text(store, key, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(PIXEL)
    store.add_message(key, ChatMessage(blocks=[TextBlock(text="see"), ImageBlock(path=path)]))
    assert store.get_messages(key)[0].blocks[1].path == path
    path.unlink()
    assert store.get_messages(key) == [ChatMessage("see")]


# As LlamaIndex's own stores behave: the same steps on theirs and on ours.


def steps_of_a_chat_store(store: Any, key: str) -> list[Any]:
    results = [store.get_messages(key), store.delete_messages(key), store.delete_message(key, 0)]
    results.append(store.delete_last_message(key))
    for message in said("a", "b"):
        store.add_message(key, message)
    results.append(store.get_messages(key)[:])
    store.set_messages(key, said("c", "d", "e", "f", "g"))
    results += [
        store.get_messages(key)[:],
        store.delete_message(key, 1),
        store.delete_message(key, 9),
    ]
    results += [store.delete_last_message(key), store.delete_message(key, -1)]
    results += [store.get_messages(key)[:], key in store.get_keys(), store.delete_messages(key)]
    results += [store.get_messages(key), key in store.get_keys()]
    store.set_messages(key, [])
    return [*results, store.get_messages(key)]


def test_the_chat_store_behaves_like_llama_indexs(store, key):
    assert steps_of_a_chat_store(store, key) == steps_of_a_chat_store(SimpleChatStore(), key)


def test_a_key_without_messages_is_not_listed(store, key):
    store.set_messages(key, said("a"))
    store.set_messages(key, [])
    assert key not in store.get_keys()
    assert store.delete_messages(key) is None


async def asteps_of_a_chat_store(store: Any, key: str) -> list[Any]:
    results = [await store.adelete_messages(key), await store.adelete_last_message(key)]
    await store.async_add_message(key, said("a")[0])
    await store.aset_messages(key, [*said("a"), *said("b", "c", "d")])
    results += [(await store.aget_messages(key))[:], await store.adelete_message(key, 1)]
    results += [await store.adelete_last_message(key), key in await store.aget_keys()]
    return [*results, await store.adelete_messages(key), await store.aget_messages(key)]


async def test_the_chat_store_behaves_like_llama_indexs_asynchronously(store, key):
    ours = await asteps_of_a_chat_store(store, key)
    assert ours == await asteps_of_a_chat_store(SimpleChatStore(), key)


async def steps_of_a_database_store(store: Any, key: str) -> list[Any]:
    results = [await store.get_messages(key), await store.count_messages(key)]
    results += [
        await store.archive_oldest_messages(key, 2),
        await store.delete_oldest_messages(key, 2),
    ]
    await store.add_message(key, said("a")[0])
    await store.add_messages(key, said("b", "c", "d", "e"))
    await store.add_messages(key, said("f"), status=ARCHIVED)
    results += [await store.archive_oldest_messages(key, 2), await store.get_messages(key)]
    for status in (ACTIVE, ARCHIVED, None):
        results += [await store.get_messages(key, status), await store.count_messages(key, status)]
        results.append(await store.get_messages(key, status, limit=2, offset=1))
        results.append(await store.get_messages(key, status, limit=1))
    results += [await store.delete_oldest_messages(key, 1), await store.get_messages(key, None)]
    await store.delete_messages(key, ARCHIVED)
    results += [await store.get_messages(key, None), key in await store.get_keys()]
    results += [await store.archive_oldest_messages(key, 99), await store.get_messages(key)]
    await store.set_messages(key, said("x", "y"))
    results += [await store.get_messages(key), await store.get_messages(key, ARCHIVED)]
    await store.set_messages(key, said("x", "z"), status=ARCHIVED)
    results += [await store.get_messages(key), await store.get_messages(key, ARCHIVED)]
    await store.delete_messages(key)
    return [*results, await store.get_messages(key, None), key in await store.get_keys()]


async def test_the_database_store_behaves_like_llama_indexs(db, key):
    theirs = SQLAlchemyChatStore(table_name="messages")
    assert await steps_of_a_database_store(db, key) == await steps_of_a_database_store(theirs, key)


async def test_the_database_store_deletes_a_message_by_index(db, key):
    await db.add_messages(key, said("a", "b", "c"))
    assert await db.delete_message(key, 1) == said("a", "b")[1]
    assert await db.delete_message(key, 7) is None
    assert [each.content for each in await db.get_messages(key)] == ["a", "c"]


def test_unchanged_messages_keep_their_id_and_time(client, store, key):
    store.set_messages(key, said("a", "b", "c"))
    before = client.memory.get_memory(key).messages
    store.set_messages(key, said("a", "b", "x", "y"))
    after = client.memory.get_memory(key).messages
    assert [each.content for each in after] == ["a", "b", "x", "y"]
    assert after[:2] == before[:2]


def test_deleted_messages_can_be_undeleted(client, store, key):
    store.set_messages(key, said("a", "b", "c"))
    store.delete_messages(key)
    with pytest.raises(NotFoundError):
        client.memory.get_session(key)
    client.memory.undelete_session(key)
    last = client.memory.get_memory(key, 1).messages[0]
    store.delete_last_message(key)
    client.message.undelete_message(key, last.uuid)
    assert store.get_messages(key) == said("a", "b", "c")


def test_a_session_keeps_its_user_and_metadata_when_its_messages_are_replaced(client, key):
    store = ZepChatStore(client=client, user_id=USER, session_metadata={"title": "Trip"})
    store.set_messages(key, said("a"))
    store.set_messages(key, said("b"))
    session = client.memory.get_session(key)
    assert (session.user_id, session.metadata) == (USER, {"title": "Trip"})


def test_keys_are_the_users_sessions(client, key):
    users = [f"user {uuid4()}" for _ in range(2)]
    for user in users:
        ZepChatStore(client=client, user_id=user).add_message(f"{user}'s", ChatMessage("Hello"))
    for user in users:
        assert ZepChatStore(client=client, user_id=user).get_keys() == [f"{user}'s"]
        assert client.user.get(user).user_id == user
    assert {f"{user}'s" for user in users} <= set(ZepChatStore(client=client).get_keys())


def test_messages_from_other_clients_are_converted(client, store, key):
    history = client.chat_history(key)
    calls = [{"name": "f", "args": {"a": 1}, "id": "1", "type": "tool_call"}]
    history.add_messages([SystemMessage("s"), HumanMessage("h"), AIMessage("", tool_calls=calls)])
    history.add_messages([ToolMessage("r", tool_call_id="1", name="f")])
    others = [ZepMessage(role=role, content=role) for role in ("user", "assistant", "Bob")]
    client.memory.add_memory(key, ZepMemory(messages=others))
    assert store.get_messages(key) == [
        ChatMessage("s", role="system"),
        ChatMessage("h"),
        ChatMessage(role="assistant", blocks=[call("1", "f", a=1)]),
        ChatMessage("r", role="tool", additional_kwargs={"tool_call_id": "1", "name": "f"}),
        ChatMessage("user"),
        ChatMessage("assistant", role="assistant"),
        ChatMessage("Bob"),
    ]


async def test_messages_from_other_clients_are_archived(client, db, key):
    await client.chat_history(key).aadd_messages([HumanMessage("h"), AIMessage("a")])
    assert await db.archive_oldest_messages(key, 1) == [ChatMessage("h")]
    assert await db.get_messages(key) == [ChatMessage("a", role="assistant")]
    assert len(await client.chat_history(key).aget_messages()) == 2


def test_messages_are_found_by_text_search(client, store, db, key):
    store.set_messages(key, [ChatMessage("We walked to the harbour"), *said("a")])
    asyncio.run(db.archive_oldest_messages(key, 1))
    [found] = client.memory.search("walking", session_id=key)
    assert found.message.content == "We walked to the harbour"
    assert [each.session_id for each in client.memory.search("harbour", user_id=USER)].count(
        key
    ) == 1


async def test_concurrent_adds_lose_nothing_and_keep_turns_together(store, db, key):
    turns = [said(f"question {n}", f"answer {n}") for n in range(32)]
    adds = [db.add_messages(key, turn) if n % 2 else None for n, turn in enumerate(turns)]
    threads = [
        asyncio.to_thread(store.add_message, key, ChatMessage(f"one {n}")) for n in range(32)
    ]
    await asyncio.gather(*filter(None, adds), *threads)
    contents = [each.content for each in await db.get_messages(key)]
    assert len(contents) == len(set(contents)) == 64
    for n in range(1, 32, 2):
        place = contents.index(f"question {n}")
        assert contents[place + 1] == f"answer {n}"


async def test_concurrent_deletes_of_the_last_message_return_different_messages(store, key):
    store.set_messages(key, said(*map(str, range(8))))
    taken = await asyncio.gather(*(store.adelete_last_message(key) for _ in range(10)))
    assert sorted(each.content for each in taken if each) == sorted(map(str, range(8)))
    assert await store.aget_messages(key) == []


# Real chat engines, memories and agents.


def test_chat_engines_remember(client, store, key):
    def engine(*steps: str) -> SimpleChatEngine:
        memory = ChatMemoryBuffer.from_defaults(chat_store=store, chat_store_key=key)
        return SimpleChatEngine.from_defaults(llm=scripted(*map(step, steps)), memory=memory)

    first = engine("Hello, Ada.", "In Rome.")
    assert first.chat("Hi, I am Ada.").response == "Hello, Ada."
    assert "".join(first.stream_chat("Where am I?").response_gen) == "In Rome."
    again = engine("Ada.")
    assert asyncio.run(again.achat("Who am I?")).response == "Ada."
    texts = ["Hi, I am Ada.", "Hello, Ada.", "Where am I?", "In Rome.", "Who am I?", "Ada."]
    assert store.get_messages(key) == said(*texts)
    read = client.chat_history(key).messages
    assert [type(each) for each in read] == [HumanMessage, AIMessage] * 3
    again.reset()
    assert store.get_messages(key) == []
    client.memory.undelete_session(key)
    assert again.chat_history == said(*texts)


def test_a_summary_replaces_messages_which_can_be_undeleted(client, store, key):
    memory = ChatSummaryMemoryBuffer.from_defaults(
        llm=scripted(step("They greeted.")),
        chat_store=store,
        chat_store_key=key,
        token_limit=4,
        tokenizer_fn=str.split,
    )
    long = said("one two three", "four five six", "seven", "eight")
    for message in long:
        memory.put(message)
    read = memory.get()
    assert read[0] == ChatMessage("They greeted.", role="system")
    assert memory.get_all() == read
    client.memory.undelete_session(key)
    assert store.get_messages(key) == [*long, *read]


@pytest.mark.parametrize("streaming", [False, True], ids=["at once", "streaming"])
@pytest.mark.parametrize("kind", ["Memory", "ChatMemoryBuffer"])
async def test_agents_remember_turns_with_tools(client, store, db, key, kind, streaming):
    def memory() -> Any:
        if kind == "Memory":
            return Memory.from_defaults(session_id=key, chat_store=db)
        return ChatMemoryBuffer.from_defaults(chat_store=store, chat_store_key=key)

    async def turn(text: str, *steps: Any) -> str:
        agent = FunctionAgent(tools=[weather, broken], llm=scripted(*steps), streaming=streaming)
        return str(await agent.run(text, memory=memory()))

    two = step("", call("1", "weather", city="Rome"), call("2", "weather", city="Oslo"))
    assert await turn("The weather?", two, step("Rain.")) == "Rain."
    assert await turn("Break.", step("", call("3", "broken")), step("It broke.")) == "It broke."
    assert await turn("Thanks.", step("Welcome.")) == "Welcome."

    human, asks, rome, oslo, rain, *rest = await client.chat_history(key).aget_messages()
    assert (human.content, rain.content) == ("The weather?", "Rain.")
    assert [each["id"] for each in asks.tool_calls] == ["1", "2"]
    assert {(each.tool_call_id, each.content) for each in (rome, oslo)} == {
        ("1", "It rains in Rome."),
        ("2", "It rains in Oslo."),
    }
    _, ask, answer, *_ = rest
    assert (ask.tool_calls[0]["name"], answer.tool_call_id) == ("broken", "3")
    assert "broken" in answer.content
    assert [each.content for each in rest[3:]] == ["It broke.", "Thanks.", "Welcome."]
    assert await memory().aget_all() == await store.aget_messages(key)


async def test_a_memory_archives_and_other_clients_read_the_whole_session(client, db, key):
    memory = Memory.from_defaults(
        session_id=key, chat_store=db, token_limit=40, token_flush_size=10, tokenizer_fn=str.split
    )
    texts = [f"{n} two three four five" for n in range(12)]
    for message in said(*texts):
        await memory.aput(message)
    active, archived = await memory.aget(), await memory.aget_all(ARCHIVED)
    assert 0 < len(active) < 12
    assert [*archived, *active] == await memory.aget_all() == said(*texts)
    assert [each.content for each in await client.chat_history(key).aget_messages()] == texts
    again = Memory.from_defaults(
        session_id=key, chat_store=db, token_limit=40, token_flush_size=10, tokenizer_fn=str.split
    )
    assert await again.aget() == active
    await memory.areset()
    assert await again.aget_all() == []


async def test_a_workflow_continues_from_its_serialised_context(key):
    url = urlsplit(os.environ["ZEPSTORE_TEST_URL"])
    url = url._replace(path=f"/{os.environ['ZEPSTORE_TEST_DATABASE']}").geturl()
    memory = ChatMemoryBuffer.from_defaults(chat_store=ZepChatStore(url), chat_store_key=key)
    agent = FunctionAgent(tools=[], llm=scripted(step("one"), step("two")))
    context = Context(agent)
    await agent.run("first", ctx=context, memory=memory)
    again = Context.from_dict(agent, context.to_dict())
    await agent.run("second", ctx=again)
    assert await memory.aget_all() == said("first", "one", "second", "two")


async def test_a_copied_store_reads_the_same_sessions(store, db, key):
    for each in (copy.deepcopy(store), pickle.loads(pickle.dumps(ZepChatStore()))):
        assert each.to_dict() in (store.to_dict(), ZepChatStore().to_dict())
    await copy.deepcopy(db).add_message(key, ChatMessage("a"))
    assert copy.deepcopy(store).get_messages(key) == said("a")


def test_a_memory_works_on_successive_event_loops(db, key):
    memory = Memory.from_defaults(session_id=key, chat_store=db, chat_history=said("a"))
    memory.put(ChatMessage("b", role="assistant"))
    assert asyncio.run(memory.aget()) == memory.get() == said("a", "b")


def test_two_users_see_only_their_own_sessions(client, key):
    stores = {user: ZepChatStore(client=client, user_id=f"{user} {key}") for user in ("Ada", "Bob")}
    for user, store in stores.items():
        store.add_message(f"{user}'s {key}", ChatMessage(f"{user} likes the harbour"))
    for user in stores:
        [session] = client.user.get_sessions(f"{user} {key}")
        [found] = client.memory.search("harbour", user_id=f"{user} {key}")
        assert found.session_id == session.session_id == f"{user}'s {key}"


def test_a_store_is_serialised_by_its_url_without_secrets(key):
    url = os.environ["ZEPSTORE_TEST_URL"]
    store = ZepChatStore(url, user_id=USER)
    assert ZepChatStore.from_dict(store.to_dict()).to_dict() == store.to_dict()
    assert store.to_dict()["class_name"] == "ZepChatStore"
    secret = ZepChatStore("mongodb://ada:secret@example.com", api_key="secret")
    assert "secret" not in f"{secret.to_json()} {secret!r} {secret.to_dict()}"
    assert ZepAsyncChatStore.class_name() == "ZepAsyncChatStore"
    memory = ChatMemoryBuffer.from_defaults(chat_store=secret)
    assert "secret" not in memory.to_string()


def test_invalid_arguments_are_refused(client):
    with pytest.raises(BadRequestError, match="not both"):
        ZepChatStore("mongodb://localhost", client=client)
    with pytest.raises(BadRequestError, match="user_id"):
        ZepAsyncChatStore(client=client, user_id="")
    with pytest.raises(BadRequestError, match="session_id"):
        ZepChatStore(client=client).get_messages("")
    with pytest.raises(BadRequestError, match="idx"):
        ZepChatStore(client=client).delete_message("any", "0")
