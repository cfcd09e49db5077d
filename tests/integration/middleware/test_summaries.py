"""``ChatHistoryMiddleware`` beside ``SummarizationMiddleware``: users keep what agents forget."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware
from langgraph.checkpoint.memory import InMemorySaver

from langchain_zepstore import ZepClient
from langchain_zepstore.middleware import ChatHistoryMiddleware
from tests.support.agents import (
    Call,
    Scripted,
    both_ways,
    calling,
    of,
    said,
    stored,
    weather,
)

pytestmark = pytest.mark.turns("call", "last")

TURNS = 4


def summarized(
    client: ZepClient, model: Scripted, mode: Any, *, last: bool, keep: int, saver: Any = None
) -> Any:
    ours = ChatHistoryMiddleware(client=client, mode=mode)
    summary = SummarizationMiddleware(
        model=Scripted(*["they spoke of weather"] * 50),
        trigger=("messages", 4),
        keep=("messages", keep),
    )
    middleware = [summary, ours] if last else [ours, summary]
    return create_agent(model, [weather], middleware=middleware, checkpointer=saver)


@pytest.mark.promise("summarisation in either order: everything said is stored, no summary")
@both_ways
@pytest.mark.parametrize("last", [True, False], ids=["last", "first"])
@pytest.mark.parametrize("mode", ["memory", "archive", "memory with a checkpointer"])
@pytest.mark.parametrize("keep", [1, 3])
async def test_messages_are_stored_and_summaries_are_not(
    client: ZepClient, session_id: str, call: Call, mode: str, last: bool, keep: int
) -> None:
    script = [
        line
        for turn in range(TURNS)
        for line in (calling((f"a{turn}", "Rome"), (f"b{turn}", "Oslo")), f"answer {turn}")
    ]
    model = Scripted(*script)
    saver = None if mode == "memory" else InMemorySaver()
    speaker = summarized(client, model, mode.split()[0], last=last, keep=keep, saver=saver)
    for turn in range(TURNS):
        await call(speaker, said(f"question {turn}"), of(session_id))
    assert any("summary" in content for content in model.contents_asked())
    assert await stored(client, session_id) == [
        message
        for turn in range(TURNS)
        for message in (
            ("human", f"question {turn}"),
            ("ai", ""),
            ("tool", "sun in Rome"),
            ("tool", "sun in Oslo"),
            ("ai", f"answer {turn}"),
        )
    ]


async def test_memory_mode_loads_the_messages_before_a_summary(
    client: ZepClient, session_id: str
) -> None:
    speaker = summarized(client, Scripted(), "memory", last=True, keep=1, saver=InMemorySaver())
    for turn in range(3):
        result = speaker.invoke(said(str(turn)), **of(session_id))
    assert "summary" in str(result["messages"][0].content)
    assert [str(each.content) for each in result["messages"][1:]] == ["2", "re:2"]
    model = Scripted()
    middleware = [ChatHistoryMiddleware(client=client)]
    plain = create_agent(model, middleware=middleware)
    plain.invoke(said("3"), **of(session_id))
    assert model.contents_asked() == ["0", "re:0", "1", "re:1", "2", "re:2", "3"]
