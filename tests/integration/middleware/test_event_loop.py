"""``ChatHistoryMiddleware``: its asynchronous hooks never block the event loop."""

from collections.abc import Iterator
from typing import Any

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from langchain.agents import create_agent

from langchain_zepstore import ZepClient
from langchain_zepstore.middleware import ChatHistoryMiddleware
from tests.support.agents import (
    Scripted,
    calling,
    of,
    said,
    stored,
    weather,
)


@pytest.fixture
def watched(client: ZepClient) -> Iterator[BlockBuster]:
    """An error for whatever blocks the loop in the package, once the client is at work."""
    with blockbuster_ctx("langchain_zepstore") as buster:
        yield buster


@pytest.mark.promise("synchronous and asynchronous hooks do not block the loop")
@pytest.mark.parametrize("mode", ["memory", "archive"])
async def test_a_turn_with_all_options_does_not_block_the_event_loop(
    client: ZepClient, session_id: str, mode: Any, request: pytest.FixtureRequest
) -> None:
    async def title(_: Any) -> str:
        return "Weather"

    search = {"name": "search_past_conversations", "args": {"query": "sun"}, "id": "b"}
    asking = calling(("a", "Rome")).model_copy()
    asking.tool_calls.append({**search, "type": "tool_call"})  # type: ignore[typeddict-item]
    middleware = ChatHistoryMiddleware(
        client=client, mode=mode, user_id="Ann", title=title, recall=True, max_tokens=1000
    )
    speaker = create_agent(Scripted(asking, "Sun!"), [weather], middleware=[middleware])
    await client.memory.asearch("sun", user_id="Ann")  # makes the index
    request.getfixturevalue("watched")
    await speaker.ainvoke(said("Weather?"), **of(session_id))
    await speaker.ainvoke(said("Thanks"), **of(session_id))
    assert len(await stored(client, session_id)) == 7
