"""An agent that remembers: every message is stored as it is said. No API key needed.

    pip install ".[agents,embedded]"
    python examples/agent_with_memory.py

Run it again: the agent remembers the conversation. To use another database than the embedded one,
set ZEPSTORE_URL. The database is the example's own.
"""

import sys
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from langchain.agents import create_agent
from langchain.tools import tool
from langchain_core.language_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolCall
from langchain_core.runnables import RunnableConfig

from langchain_zepstore import ZepClient, ZepStoreError
from langchain_zepstore.middleware import ChatHistoryMiddleware

DATABASE = "zepstore_agent"
SESSION, USER = "agent-with-memory", "ada"


class Scripted(FakeMessagesListChatModel):
    """A model that gives the answers of a script; put yours here."""

    def bind_tools(self, tools: Sequence[Any], **options: Any) -> Any:  # noqa: ARG002 - LangChain's
        """Ignore the tools: the script calls them."""
        return self


@tool
def trains(place: str) -> str:
    """Say which trains go to a place."""
    return f"The Hikari to {place}, at 9."


def calling(tool_name: str, **arguments: str) -> AIMessage:
    """Return an answer that calls a tool."""
    call = ToolCall(name=tool_name, args=arguments, id=f"call of {tool_name}", type="tool_call")
    return AIMessage("", tool_calls=[call])


def ask(client: ZepClient, session_id: str, question: str, *answers: AIMessage) -> None:
    """Ask an agent a question and print the conversation."""
    agent = create_agent(
        Scripted(responses=list(answers)),
        [trains],
        middleware=[ChatHistoryMiddleware(client=client, title=True, recall=True)],
    )
    # In a service, thread_id and user_id come from your login, never from the model.
    config: RunnableConfig = {"configurable": {"thread_id": session_id, "user_id": USER}}
    before = client.message.count(session_id)
    result = agent.invoke({"messages": [("user", question)]}, config)
    print(f"\n{session_id}: the agent remembers {before} messages")
    for message in result["messages"][before:]:
        called = ", ".join(call["name"] for call in getattr(message, "tool_calls", []))
        text = " ".join(str(message.content).split())
        print(f"  {message.type:>5}: {text or f'(calls {called})'}")


def edit(client: ZepClient, session_id: str) -> None:
    """Ask a question, then change it: it is sent again under its id, with other words."""
    model = Scripted(responses=[AIMessage("The Hikari, at 9."), AIMessage("The Nozomi, at 10.")])
    agent = create_agent(model, middleware=[ChatHistoryMiddleware(client=client)])
    config: RunnableConfig = {"configurable": {"thread_id": session_id, "user_id": USER}}
    question_id = str(uuid4())  # of the page on which it is asked
    for question in ("Which trains go to Kyoto?", "Which trains go to Osaka?"):
        result = agent.invoke({"messages": [HumanMessage(question, id=question_id)]}, config)
    print(f"\n{session_id}: the question was edited")
    for message in result["messages"][-2:]:
        print(f"  {message.type:>5}: {message.content}")
    alternatives = client.message.alternatives(session_id, question_id)
    print(f"  in its place stood: {[message.content for message in alternatives]}")


def main() -> None:
    """Talk to an agent, in one session and in another one."""
    with ZepClient(database=DATABASE) as client:
        ask(
            client,
            SESSION,
            "Which trains go to Kyoto?",
            calling("trains", place="Kyoto"),
            AIMessage("The Hikari, at 9."),
        )
        ask(client, SESSION, "And when, again?", AIMessage("At 9, as I said."))

        # In another session the agent does not know that; but it can look.
        ask(
            client,
            f"{SESSION}-2",
            "Where did I want to go?",
            calling("search_past_conversations", query="trains"),
            AIMessage("To Kyoto, you said."),
        )

        edit(client, f"{SESSION}-3")

        print("\nHer sessions:")
        for session in client.memory.recent_sessions(user_id=USER).sessions:
            print(f"  {session.title!r}: {client.message.count(session.session_id)} messages")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except ZepStoreError as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
