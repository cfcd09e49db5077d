"""An answer from LangChain's cache of models is said once more, and stored once more."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from langchain_zepstore import ZepClient
from langchain_zepstore.middleware import ChatHistoryMiddleware
from tests.support.agents import Scripted, both_ways, of, said, stored


class Counting(BaseChatModel):
    @property
    def _llm_type(self) -> str:
        return "counting"

    def bind_tools(self, tools: Any, **options: Any) -> Any:
        return self

    def _generate(self, messages: Any, *_: Any, **__: Any) -> ChatResult:
        usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        answer = AIMessage(f"re:{messages[-1].text}", usage_metadata=usage)
        return ChatResult(generations=[ChatGeneration(message=answer)])


@pytest.mark.promise("cached answers, artifacts, odd ids; redacted text is not redacted again")
@both_ways
async def test_cached_answers_are_stored_in_a_cleared_session(
    client: ZepClient, session_id: str, call: Any
) -> None:
    agent = create_agent(
        Counting(cache=InMemoryCache()), middleware=[ChatHistoryMiddleware(client=client)]
    )
    await call(agent, said("hi"), of(session_id))
    await client.chat_history(session_id).aclear()
    await call(agent, said("hi"), of(session_id))
    assert await stored(client, session_id) == [("human", "hi"), ("ai", "re:hi")]


@both_ways
async def test_cached_answers_are_stored_in_the_same_session(
    client: ZepClient, session_id: str, call: Any
) -> None:
    middleware = [ChatHistoryMiddleware(client=client, lastn=0)]
    agent = create_agent(Counting(cache=InMemoryCache()), middleware=middleware)
    for text in ("hi", "other", "hi"):
        await call(agent, said(text), of(session_id))
    texts = [text for _, text in await stored(client, session_id)]
    assert texts == ["hi", "re:hi", "other", "re:other", "hi", "re:hi"]


@both_ways
async def test_answers_with_empty_ids_are_stored(
    client: ZepClient, session_id: str, call: Any
) -> None:
    model = Scripted(AIMessage("one", id=""), AIMessage("two", id=""))
    agent = create_agent(model, middleware=[ChatHistoryMiddleware(client=client)])
    await call(agent, said("1"), of(session_id))
    await call(agent, said("2"), of(session_id))
    assert [text for _, text in await stored(client, session_id)] == ["1", "one", "2", "two"]
