"""An agent of the OpenAI Agents SDK with stored sessions: searched, cleared and restored.

    pip install ".[embedded,openai-agents]"
    python examples/openai_agents_session.py

No API key needed: the model is scripted. Run it again: the agent remembers the conversation. To use
another database than the embedded one, set ZEPSTORE_URL. The database is the example's own.
"""

import asyncio
import sys

from agents import Agent, Runner, function_tool, set_tracing_disabled
from agents.testing import ScriptedModel, assistant_message, function_call

from langchain_zepstore import ZepClient, ZepStoreError
from langchain_zepstore.adapters.openai_agents import ZepSession

set_tracing_disabled(disabled=True)
DATABASE = "zepstore_openai_agents"
SESSION, USER = "openai-agents-session", "ada"


@function_tool
def weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"It is raining in {city}."


async def main() -> None:
    """Talk to an agent, then find, delete and restore what was said."""
    model = ScriptedModel(  # put yours here
        [
            [function_call("weather", {"city": "Bergen"}, call_id="call-1")],
            [assistant_message("Take an umbrella.")],
            [assistant_message("You asked about Bergen.")],
        ]
    )
    agent = Agent(name="Assistant", model=model, tools=[weather])

    async with ZepClient(database=DATABASE) as client:
        session = ZepSession(SESSION, client=client, user_id=USER)
        print(f"{len(await session.get_items())} items are there from before")
        for question in ("What shall I wear in Bergen?", "Which city was it?"):
            print(f"     user: {question}")
            result = await Runner.run(agent, question, session=session)
            print(f"assistant: {result.final_output}")

        print("\nAs LangChain reads it:")
        for message in await client.chat_history(SESSION, lastn=6).aget_messages():
            print(f"  {message.type}: {message.content or message.tool_calls}")

        [found] = await client.memory.asearch("umbrellas", user_id=USER, limit=1)
        print(f"\nFound in {found.session_id!r}: {found.message.content}")

        await session.clear_session()
        print(f"After clearing: {len(await session.get_items())} items")
        await client.memory.aundelete_session(SESSION)
        print(f"After undeleting: {len(await session.get_items())} items")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except ZepStoreError as error:
        sys.exit(str(error))
