"""An agent of Pydantic AI with a stored history: searched, cleared and restored.

    pip install ".[embedded,pydantic-ai]"
    python examples/pydantic_ai_history.py

No API key needed: the model calls every tool and says what they gave. Run it again: the history is
there. To use another database than the embedded one, set ZEPSTORE_URL. The database is the
example's own.
"""

import sys

from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

from langchain_zepstore import ZepClient, ZepStoreError
from langchain_zepstore.adapters.pydantic_ai import ZepMessageHistory

DATABASE = "zepstore_pydantic_ai"
SESSION, USER = "pydantic-ai-history", "ada"

agent = Agent(TestModel(), instructions="Be brief.")  # put yours here


@agent.tool_plain
def weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"It is raining in {city}."


def main() -> None:
    """Talk to an agent, then find, delete and restore what was said."""
    with ZepClient(database=DATABASE) as client:
        history = ZepMessageHistory(SESSION, client=client, user_id=USER)
        print(f"{len(history.messages)} messages are there from before")
        for question in ("What shall I wear in Bergen?", "Do I need an umbrella?"):
            print(f"     user: {question}")
            result = agent.run_sync(question, message_history=history.messages)
            history.add_messages(result.new_messages())
            print(f"assistant: {result.output}")

        print("\nAs LangChain reads it:")
        for message in client.chat_history(SESSION).messages[-6:]:
            print(f"  {message.type}: {message.content or message.tool_calls}")

        [found] = client.memory.search("umbrellas", user_id=USER, limit=1)
        print(f"\nFound in {found.session_id!r}: {found.message.content}")

        history.clear()
        print(f"After clearing: {len(history.messages)} messages")
        client.memory.undelete_session(SESSION)
        print(f"After undeleting: {len(history.messages)} messages")


if __name__ == "__main__":
    try:
        main()
    except ZepStoreError as error:
        sys.exit(str(error))
