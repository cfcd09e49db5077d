"""What was redacted is not redacted once more when a checkpointer keeps the state."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import BaseMessage
from langgraph.checkpoint.memory import InMemorySaver

from langchain_zepstore import ZepClient
from langchain_zepstore.middleware import ChatHistoryMiddleware
from tests.support.agents import Scripted, both_ways, of, said, stored


@pytest.mark.promise("cached answers, artifacts, odd ids; redacted text is not redacted again")
@both_ways
async def test_each_message_is_redacted_once_with_a_checkpointer(
    client: ZepClient, session_id: str, call: Any
) -> None:
    def sealed(message: BaseMessage) -> BaseMessage:
        return message.model_copy(update={"content": f"<{message.content}>"})

    middleware = ChatHistoryMiddleware(client=client, redact=sealed)
    agent = create_agent(Scripted(), middleware=[middleware], checkpointer=InMemorySaver())
    for text in ("a", "b", "c"):
        await call(agent, said(text), of(session_id))
    assert [text for _, text in await stored(client, session_id)] == [
        "<a>", "<re:a>", "<b>", "<re:b>", "<c>", "<re:c>",
    ]  # fmt: skip
