"""What tools and integrations put beside a message must not end a run, nor an unreachable store."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, BaseMessage, RemoveMessage, ToolCall
from langchain_core.tools import tool

from langchain_zepstore import BadRequestError, StoreUnavailableError, ZepClient
from langchain_zepstore.middleware import ChatHistoryMiddleware
from tests.support.agents import Scripted, both_ways, of, said, stored

pytestmark = pytest.mark.turns("call")


@tool(response_format="content_and_artifact")
def look(place: str) -> tuple[str, list[Document]]:
    """Look something up."""
    return "found", [Document(page_content=place, metadata={"page": 1})]


def calls(name: str, **args: Any) -> AIMessage:
    return AIMessage("", tool_calls=[ToolCall(name=name, args=args, id="c", type="tool_call")])


@pytest.mark.promise("cached answers, artifacts, odd ids; redacted text is not redacted again")
@both_ways
async def test_documents_can_be_an_artifact(client: ZepClient, session_id: str, call: Any) -> None:
    agent = create_agent(
        Scripted(calls("look", place="Rome"), "done"),
        [look],
        middleware=[ChatHistoryMiddleware(client=client)],
    )
    result = await call(agent, said("hi"), of(session_id))
    assert isinstance(result["messages"][2].artifact[0], Document)  # the run's own is untouched
    assert [text for _, text in await stored(client, session_id)] == ["hi", "", "found", "done"]
    messages = await client.chat_history(session_id).aget_messages()
    assert messages[2].artifact[0]["page_content"] == "Rome"


async def test_a_cached_answer_round_trips(client: ZepClient, session_id: str) -> None:
    model = FakeListChatModel(responses=["a"], cache=InMemoryCache())
    model.invoke("x")
    cached = model.invoke("x")  # usage_metadata={"total_cost": 0}
    await client.chat_history(session_id).aadd_messages([cached])
    assert await client.chat_history(session_id).aget_messages() == [cached]


@both_ways
async def test_recall_answers_when_the_store_is_unavailable(session_id: str, call: Any) -> None:
    async with ZepClient("mongodb://127.0.0.1:1", timeout=0.2) as away:
        agent = create_agent(
            Scripted(calls("search_past_conversations", query="x"), "done"),
            middleware=[
                ChatHistoryMiddleware(client=away, user_id="ada", recall=True, on_error="log")
            ],
        )
        result = await call(agent, said("hi"), of(session_id))
        assert "cannot be searched" in result["messages"][2].content
        assert result["messages"][-1].content == "done"
        agent = create_agent(
            Scripted(), middleware=[ChatHistoryMiddleware(client=away, user_id="ada", recall=True)]
        )
        with pytest.raises(StoreUnavailableError):
            await call(agent, said("hi"), of(session_id))


async def test_redact_may_not_return_a_removal(client: ZepClient, session_id: str) -> None:
    def gone(message: BaseMessage) -> BaseMessage:
        return RemoveMessage(id=str(message.id))

    agent = create_agent(Scripted(), middleware=[ChatHistoryMiddleware(client=client, redact=gone)])
    with pytest.raises(BadRequestError, match="RemoveMessage"):
        agent.invoke(said("hi"), **of(session_id))


class Mute:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


@tool(response_format="content_and_artifact")
def fetch(place: str) -> tuple[str, Any]:
    """Fetch anything."""
    loop: dict[str, Any] = {"place": place}
    loop["self"] = loop
    rows = (row for row in range(3))
    return "half \ud83d", {"rows": rows, "loop": loop, "mute": Mute(), "id": 10**20, 5: b"\0"}


@pytest.mark.promise("odd values: a run goes on, and its turn is stored")
@pytest.mark.parametrize("redact", [None, lambda message: message], ids=["as it is", "redacted"])
@both_ways
async def test_any_object_may_be_an_artifact(
    client: ZepClient, session_id: str, call: Any, redact: Any
) -> None:
    agent = create_agent(
        Scripted(calls("fetch", place="Rome"), AIMessage("done", id="")),
        [fetch],
        middleware=[ChatHistoryMiddleware(client=client, redact=redact)],
    )
    await call(agent, said("hi"), of(session_id))
    read = await client.chat_history(session_id).aget_messages()
    assert [each.content for each in read] == ["hi", "", "half \ufffd", "done"]
    assert all(each.id for each in read)
    artifact = read[2].artifact
    assert (artifact["id"], artifact["5"], artifact["mute"]) == (10**20, b"\0", "<Mute>")
    assert artifact["loop"]["place"] == "Rome"


@pytest.mark.parametrize("redact", [None, lambda message: message], ids=["as it is", "redacted"])
async def test_self_referencing_content_is_cut(
    client: ZepClient, session_id: str, redact: Any
) -> None:
    loop: dict[str, Any] = {"type": "text", "text": "hi"}
    loop["extra"] = loop
    agent = create_agent(
        Scripted(AIMessage([loop])),
        middleware=[ChatHistoryMiddleware(client=client, redact=redact)],
    )
    agent.invoke(said("hi"), **of(session_id))
    [_, answer] = await client.chat_history(session_id).aget_messages()
    assert answer.content[0]["text"] == "hi"
    assert "{...}" in str(answer.content)  # a text
