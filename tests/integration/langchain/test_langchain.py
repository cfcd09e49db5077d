"""The chat history inside LangChain: chains with memory, and the classic memory classes."""

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import (
    FakeListChatModel,
    FakeMessagesListChatModel,
)
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.runnables.history import RunnableWithMessageHistory

from langchain_zepstore import ZepClient

pytestmark = [
    pytest.mark.filterwarnings("ignore:RunnableWithMessageHistory is deprecated"),
    pytest.mark.filterwarnings("ignore:The class `ConversationBufferMemory` was deprecated"),
]

Call = Callable[[Runnable[Any, Any], Any, dict[str, Any]], Any]


async def by_invoke(chain: Runnable[Any, Any], value: Any, config: dict[str, Any]) -> str:
    return str(chain.invoke(value, config).content)


async def by_ainvoke(chain: Runnable[Any, Any], value: Any, config: dict[str, Any]) -> str:
    return str((await chain.ainvoke(value, config)).content)


async def by_stream(chain: Runnable[Any, Any], value: Any, config: dict[str, Any]) -> str:
    return "".join(chunk.content for chunk in chain.stream(value, config))


async def by_astream(chain: Runnable[Any, Any], value: Any, config: dict[str, Any]) -> str:
    return "".join([chunk.content async for chunk in chain.astream(value, config)])


every_way = pytest.mark.parametrize("call", [by_invoke, by_ainvoke, by_stream, by_astream])


@pytest.fixture
async def client(mongo_url: str) -> AsyncIterator[ZepClient]:
    """A client for both kinds of calls."""
    async with ZepClient(mongo_url) as client:
        yield client


class Chain:
    """A chain with memory that notes what its model was asked."""

    def __init__(self, client: ZepClient, model: BaseChatModel, *, with_key: bool) -> None:
        self.asked: list[list[str]] = []
        seen = RunnableLambda(self._note) | model
        if with_key:
            prompt = ChatPromptTemplate.from_messages(
                [MessagesPlaceholder("history"), ("human", "{question}")]
            )
            self.runnable = RunnableWithMessageHistory(
                prompt | seen,
                client.chat_history,
                input_messages_key="question",
                history_messages_key="history",
            )
        else:
            self.runnable = RunnableWithMessageHistory(seen, client.chat_history)
        self._with_key = with_key

    def _note(self, value: Any) -> Any:
        messages: list[BaseMessage] = value if isinstance(value, list) else value.to_messages()
        self.asked.append([str(message.content) for message in messages])
        return value

    async def ask(self, call: Call, session_id: str, question: str) -> str:
        value = {"question": question} if self._with_key else [HumanMessage(question)]
        answer = await call(self.runnable, value, {"configurable": {"session_id": session_id}})
        return str(answer)


def turns(messages: list[BaseMessage]) -> list[tuple[str, Any]]:
    """What was said by whom; streaming stores chunks, whose type is "AIMessageChunk"."""
    return [(message.type[:2].lower(), message.content) for message in messages]


@pytest.mark.promise("in `RunnableWithMessageHistory`, with and without `history_messages_key`")
@every_way
@pytest.mark.parametrize("with_key", [True, False], ids=["with key", "without key"])
async def test_a_chain_remembers_its_turns(
    client: ZepClient, session_id: str, call: Call, with_key: bool
) -> None:
    model = FakeListChatModel(responses=["one", "two", "three"])
    chain = Chain(client, model, with_key=with_key)
    assert await chain.ask(call, session_id, "1?") == "one"
    assert await chain.ask(call, session_id, "2?") == "two"
    assert await chain.ask(call, session_id, "3?") == "three"
    assert chain.asked == [
        ["1?"],
        ["1?", "one", "2?"],
        ["1?", "one", "2?", "two", "3?"],
    ]
    assert turns(await client.chat_history(session_id).aget_messages()) == [
        ("hu", "1?"),
        ("ai", "one"),
        ("hu", "2?"),
        ("ai", "two"),
        ("hu", "3?"),
        ("ai", "three"),
    ]


@every_way
async def test_a_rebuilt_chain_continues_the_session(
    client: ZepClient, mongo_url: str, session_id: str, call: Call
) -> None:
    first = Chain(client, FakeListChatModel(responses=["one"]), with_key=True)
    await first.ask(call, session_id, "1?")
    async with ZepClient(mongo_url) as restarted:
        second = Chain(restarted, FakeListChatModel(responses=["two"]), with_key=True)
        await second.ask(call, session_id, "2?")
    assert second.asked == [["1?", "one", "2?"]]


@pytest.mark.promise("in `RunnableWithMessageHistory`, with and without `history_messages_key`")
async def test_concurrent_sessions_of_one_chain_do_not_mix(
    client: ZepClient, session_id: str
) -> None:
    model = RunnableLambda(lambda value: AIMessage(f"re: {value.to_messages()[-1].content}"))
    chain = Chain(client, model, with_key=True)  # type: ignore[arg-type]
    sessions = [f"{session_id} {number}" for number in range(10)]
    for turn in ("a", "b"):
        await asyncio.gather(*(chain.ask(by_ainvoke, s, f"{turn} {s}") for s in sessions))
    for session in sessions:
        messages = await client.chat_history(session).aget_messages()
        assert [message.content for message in messages] == [
            f"a {session}",
            f"re: a {session}",
            f"b {session}",
            f"re: b {session}",
        ]


async def test_a_history_factory_can_limit_the_chains_window(
    client: ZepClient, session_id: str
) -> None:
    model = FakeListChatModel(responses=["one", "two", "three"])
    chain = Chain(client, model, with_key=True)
    chain.runnable.get_session_history = lambda session_id: client.chat_history(
        session_id, lastn=3, start_on="human"
    )
    for question in ("1?", "2?", "3?"):
        await chain.ask(by_ainvoke, session_id, question)
    assert chain.asked[-1] == ["2?", "two", "3?"]
    assert await client.message.acount(session_id) == 6


@pytest.mark.promise("a model that repeats ids loses no answer")
async def test_a_model_with_repeated_message_ids_loses_no_answer(
    client: ZepClient, session_id: str
) -> None:
    # FakeMessagesListChatModel gives out the same object again, with the id of the first time.
    model = FakeMessagesListChatModel(responses=[AIMessage("one"), AIMessage("two")])
    chain = Chain(client, model, with_key=True)
    for question in ("1?", "2?", "3?"):
        await chain.ask(by_invoke, session_id, question)
    messages = await client.chat_history(session_id).aget_messages()
    assert [message.content for message in messages] == ["1?", "one", "2?", "two", "3?", "one"]


async def test_a_model_with_unique_message_ids_keeps_all_its_answers(
    client: ZepClient, session_id: str
) -> None:
    chain = Chain(client, FakeListChatModel(responses=["one", "two"]), with_key=True)
    for question in ("1?", "2?", "3?"):
        await chain.ask(by_invoke, session_id, question)
    messages = await client.chat_history(session_id).aget_messages()
    assert [message.content for message in messages] == ["1?", "one", "2?", "two", "3?", "one"]


@pytest.fixture
def buffer(client: ZepClient, session_id: str) -> Callable[..., Any]:
    """The older memory, whose import takes long."""
    with warnings.catch_warnings():  # it adds filters
        from langchain_classic.memory import ConversationBufferMemory

    return partial(ConversationBufferMemory, chat_memory=client.chat_history(session_id))


@pytest.mark.promise("as the memory of an older chain")
def test_the_classic_buffer_memory_saves_loads_and_clears(buffer: Callable[..., Any]) -> None:
    memory = buffer()
    assert memory.load_memory_variables({}) == {"history": ""}
    memory.save_context({"input": "hi"}, {"output": "hello"})
    memory.save_context({"input": "bye"}, {"output": "goodbye"})
    again = buffer()
    assert again.load_memory_variables({}) == {
        "history": "Human: hi\nAI: hello\nHuman: bye\nAI: goodbye"
    }
    again.clear()
    assert memory.load_memory_variables({}) == {"history": ""}


@pytest.mark.promise("as the memory of an older chain")
async def test_the_classic_buffer_memory_saves_loads_and_clears_asynchronously(
    buffer: Callable[..., Any],
) -> None:
    memory = buffer(return_messages=True, memory_key="chat")
    assert await memory.aload_memory_variables({}) == {"chat": []}
    await memory.asave_context({"input": "hi"}, {"output": "hello"})
    await memory.asave_context({"input": "bye"}, {"output": "goodbye"})
    again = buffer(return_messages=True, memory_key="chat")
    loaded = await again.aload_memory_variables({})
    assert turns(loaded["chat"]) == [
        ("hu", "hi"),
        ("ai", "hello"),
        ("hu", "bye"),
        ("ai", "goodbye"),
    ]
    await memory.aclear()
    assert await memory.aload_memory_variables({}) == {"chat": []}


def test_the_helpers_of_langchains_base_class_work(client: ZepClient, session_id: str) -> None:
    history = client.chat_history(session_id)
    history.add_user_message("hi")
    history.add_ai_message("hello")
    history.add_message(HumanMessage("bye", id="mine"))
    assert turns(history.messages) == [("hu", "hi"), ("ai", "hello"), ("hu", "bye")]
    assert history.messages[-1].id == "mine"
    assert str(history) == "Human: hi\nAI: hello\nHuman: bye"
