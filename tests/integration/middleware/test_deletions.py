"""``ChatHistoryMiddleware``: what was deleted stays deleted, whatever an agent's state holds."""

from collections.abc import Callable
from typing import Any

import pytest
from langchain.agents.middleware import before_model
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from langchain_zepstore import ZepClient
from tests.support.agents import (
    Call,
    Scripted,
    agent,
    both_ways,
    calling,
    of,
    said,
    stored,
)

pytestmark = pytest.mark.turns("call")


@pytest.mark.promise("deleted messages stay deleted, though the agent's state holds them")
@both_ways
async def test_a_deleted_message_is_not_restored_by_an_agents_state(
    client: ZepClient, session_id: str, call: Call
) -> None:
    saver = InMemorySaver()
    await call(agent(client, Scripted("one"), "archive", saver), said("1?"), of(session_id))
    first, _ = await client.chat_history(session_id).aget_messages()
    client.message.delete_message(session_id, str(first.id))
    model = Scripted("two")
    await call(agent(client, model, "archive", saver), said("2?"), of(session_id))
    assert model.contents_asked() == ["1?", "one", "2?"]  # the checkpointer's to forget
    assert await stored(client, session_id) == [("ai", "one"), ("human", "2?"), ("ai", "two")]


@pytest.mark.promise("deleted messages stay deleted, though the agent's state holds them")
@both_ways
async def test_only_new_messages_are_stored_in_a_cleared_session(
    client: ZepClient, session_id: str, call: Call
) -> None:
    saver = InMemorySaver()
    await call(agent(client, Scripted("one"), "archive", saver), said("1?"), of(session_id))
    client.chat_history(session_id).clear()
    assert await stored(client, session_id) == []
    await call(agent(client, Scripted("two"), "archive", saver), said("2?"), of(session_id))
    assert await stored(client, session_id) == [("human", "2?"), ("ai", "two")]


@both_ways
@pytest.mark.parametrize("saver", [None, InMemorySaver()], ids=["no checkpointer", "checkpointer"])
async def test_an_agent_in_memory_mode_forgets_deleted_messages(
    client: ZepClient, session_id: str, call: Call, saver: Any
) -> None:
    model = Scripted("one", "two", "three")
    speaker = agent(client, model, "memory", saver)
    await call(speaker, said("1?"), of(session_id))
    first, _ = await client.chat_history(session_id).aget_messages()
    client.message.delete_message(session_id, str(first.id))
    await call(speaker, said("2?"), of(session_id))
    assert await stored(client, session_id) == [("ai", "one"), ("human", "2?"), ("ai", "two")]
    assert model.contents_asked() == ["one", "2?"]
    client.chat_history(session_id).clear()
    await call(speaker, said("3?"), of(session_id))
    assert model.contents_asked() == ["3?"]
    assert await stored(client, session_id) == [("human", "3?"), ("ai", "three")]


@both_ways
@pytest.mark.parametrize("mode", ["memory", "archive"])
async def test_a_message_deleted_during_a_run_is_not_restored_by_the_next_hook(
    client: ZepClient, session_id: str, call: Call, mode: str
) -> None:
    def deleting(messages: list[Any]) -> Any:
        client.message.delete_message(session_id, str(messages[0].id))
        return calling(("a", "Rome"), text="Well")

    speaker = agent(client, Scripted(deleting, "Sun!"), mode, InMemorySaver())
    await call(speaker, said("Weather?"), of(session_id))
    assert await stored(client, session_id) == [
        ("ai", "Well"),
        ("tool", "sun in Rome"),
        ("ai", "Sun!"),
    ]


@both_ways
@pytest.mark.parametrize("mode", ["memory", "archive"])
async def test_a_deleted_message_stays_deleted_when_other_middleware_rewrites_it(
    client: ZepClient, session_id: str, call: Call, mode: str
) -> None:
    @before_model
    def rewrite(state: Any, runtime: Any) -> Any:
        if len(state["messages"]) == 1:
            return None  # not stored yet
        client.message.delete_message(session_id, state["messages"][0].id)
        return {"messages": [HumanMessage("one?", id=state["messages"][0].id)]}

    model = Scripted(calling(("a", "Rome"), text="Well"), "one")
    await call(agent(client, model, mode, InMemorySaver(), rewrite), said("1?"), of(session_id))
    assert model.contents_asked() == ["one?", "Well", "sun in Rome"]
    assert await stored(client, session_id) == [
        ("ai", "Well"),
        ("tool", "sun in Rome"),
        ("ai", "one"),
    ]


def rewriting(change: Callable[[str], str]) -> Any:
    @before_model
    def rewrite(state: Any, runtime: Any) -> Any:
        last = state["messages"][-1]
        if not isinstance(last, HumanMessage):
            return None
        return {"messages": [HumanMessage(change(str(last.content)), id=last.id)]}

    return rewrite


@both_ways
@pytest.mark.parametrize("mode", ["memory", "archive"])
async def test_a_message_rewritten_by_other_middleware_is_replaced_in_position(
    client: ZepClient, session_id: str, call: Call, mode: str
) -> None:
    hide = rewriting(lambda text: text.replace("4111", "****"))
    speaker = agent(client, Scripted("one", "two"), mode, InMemorySaver(), hide)
    await call(speaker, said("My card is 4111"), of(session_id))
    await call(speaker, said("2?"), of(session_id))
    assert await stored(client, session_id) == [
        ("human", "My card is ****"),
        ("ai", "one"),
        ("human", "2?"),
        ("ai", "two"),
    ]
    assert await client.message.acount(session_id) == 4
