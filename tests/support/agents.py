"""Agents with scripted models, called in every way, and what was said in their sessions."""

import pickle
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    ToolCall,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from langchain_zepstore import ZepClient
from langchain_zepstore.middleware import ChatHistoryMiddleware


class Scripted(BaseChatModel):
    """A model that says what a script says and notes what it is asked.

    When it streams, it does so word by word. A line of the script is a text, a message, an
    exception, or a function of the messages. Behind its end the model repeats the last human
    message.
    """

    script: list[Any]
    asked: list[list[BaseMessage]]

    def __init__(self, *script: Any) -> None:
        super().__init__(script=list(script), asked=[])

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **options: Any) -> Any:
        return self

    def _line(self, messages: list[BaseMessage]) -> AIMessage:
        self.asked.append(list(messages))
        line = self.script.pop(0) if self.script else _echo
        if callable(line):
            line = line(messages)
        if isinstance(line, Exception):
            raise line
        return AIMessage(line) if isinstance(line, str) else line

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._line(messages))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        line = self._line(messages)
        for word in re.findall(r"\S+\s*", str(line.content)):
            yield ChatGenerationChunk(message=AIMessageChunk(word, id=line.id))
        calls = [
            {"name": call["name"], "args": repr(call["args"]).replace("'", '"'), "id": call["id"]}
            for call in line.tool_calls
        ]
        chunks: Any = [{**call, "index": at} for at, call in enumerate(calls)]
        yield ChatGenerationChunk(message=AIMessageChunk("", tool_call_chunks=chunks))

    def contents_asked(self, at: int = -1) -> list[str]:
        return [str(message.content) for message in self.asked[at]]


def _echo(messages: list[BaseMessage]) -> str:
    last = next(each for each in reversed(messages) if isinstance(each, HumanMessage))
    return f"re:{last.content}"


def calling(*calls: tuple[str, str], text: str = "") -> AIMessage:
    """An answer that calls the tool ``weather``, for each id and place."""
    return AIMessage(
        text,
        tool_calls=[
            ToolCall(name="weather", args={"place": place}, id=uuid, type="tool_call")
            for uuid, place in calls
        ],
    )


@tool
def weather(place: str) -> str:
    """Say what the weather is at a place."""
    if place == "nowhere":
        raise LookupError(place)
    return f"sun in {place}"


def agent(
    client: ZepClient,
    model: Scripted,
    mode: Any = "memory",
    checkpointer: Any = None,
    *others: Any,
    context_schema: Any = None,
    **options: Any,
) -> Any:
    """An agent with a tool, whose conversations are in the store; ``others`` stand in front."""
    return create_agent(
        model,
        [weather],
        middleware=[*others, ChatHistoryMiddleware(client=client, mode=mode, **options)],
        checkpointer=checkpointer or (InMemorySaver() if mode == "archive" else None),
        context_schema=context_schema,
    )


class FileSaver(InMemorySaver):
    """A checkpointer that keeps what it has in a file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._lock = Lock()
        if path.exists():
            storage, self.writes, self.blobs = pickle.loads(path.read_bytes())
            self.storage.update(storage)

    def _keep(self) -> None:
        new = self._path.with_suffix(".new")
        with self._lock:
            storage = {thread: dict(each) for thread, each in self.storage.items()}
            new.write_bytes(pickle.dumps((storage, self.writes, self.blobs)))
            new.replace(self._path)  # a process that is killed leaves a whole file

    def put(self, *args: Any, **options: Any) -> Any:
        done = super().put(*args, **options)
        self._keep()
        return done

    def put_writes(self, *args: Any, **options: Any) -> None:
        super().put_writes(*args, **options)
        self._keep()


Call = Callable[[Any, Any, dict[str, Any]], Any]


async def by_invoke(agent: Any, value: Any, options: dict[str, Any]) -> Any:
    return agent.invoke(value, **options)


async def by_ainvoke(agent: Any, value: Any, options: dict[str, Any]) -> Any:
    return await agent.ainvoke(value, **options)


async def by_stream(agent: Any, value: Any, options: dict[str, Any]) -> Any:
    return list(agent.stream(value, stream_mode=["messages", "values"], **options))[-1][1]


async def by_astream(agent: Any, value: Any, options: dict[str, Any]) -> Any:
    modes = ["messages", "values"]
    return [each async for each in agent.astream(value, stream_mode=modes, **options)][-1][1]


every_way = pytest.mark.parametrize("call", [by_invoke, by_ainvoke, by_stream, by_astream])
both_ways = pytest.mark.parametrize("call", [by_invoke, by_ainvoke])


def said(text: str, **fields: Any) -> dict[str, Any]:
    """The input of an agent."""
    return {"messages": [HumanMessage(text, **fields)]}


def of(session_id: str, **more: str) -> dict[str, Any]:
    """The options of a call, with the session as LangGraph's thread."""
    return {"config": {"configurable": {"thread_id": session_id, **more}}}


def types_and_texts(messages: Sequence[BaseMessage]) -> list[tuple[str, str]]:
    """Who said what."""
    return [(message.type, str(message.content)) for message in messages]


async def stored(client: ZepClient, session_id: str) -> list[tuple[str, str]]:
    """Who said what, in a session."""
    return types_and_texts(await client.chat_history(session_id).aget_messages())
