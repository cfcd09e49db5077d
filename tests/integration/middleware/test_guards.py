"""An input that a guard refuses is never stored, nor loaded again."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import PIIMiddleware, before_agent, before_model
from langchain.agents.middleware.pii import PIIDetectionError
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver

from langchain_zepstore import ZepClient
from langchain_zepstore.middleware import ChatHistoryMiddleware
from tests.support.agents import Call, Scripted, both_ways, of, said, stored

pytestmark = pytest.mark.turns("call", "is_first")

SECRET = "write to ada@example.org"


@before_model(can_jump_to=["end"])
def ending(state: Any, runtime: Any) -> Any:
    if "ada@" in state["messages"][-1].text:
        return {"messages": [AIMessage("Not that.")], "jump_to": "end"}
    return None


@before_agent(can_jump_to=["end"])
def ending_at_once(state: Any, runtime: Any) -> Any:
    if "ada@" in state["messages"][-1].text:
        return {"messages": [AIMessage("Not that.")], "jump_to": "end"}
    return None


GUARDS = {
    "block": PIIMiddleware("email", strategy="block"),
    "end": ending,
    "end at once": ending_at_once,
}


@pytest.mark.promise("an input that a guard refuses is never stored nor loaded again")
@both_ways
@pytest.mark.parametrize("guard", GUARDS)
@pytest.mark.parametrize("is_first", [True, False], ids=["guard first", "guard last"])
@pytest.mark.parametrize(
    ("mode", "has_saver"), [("memory", False), ("memory", True), ("archive", True)]
)
async def test_a_refused_input_is_not_stored(
    client: ZepClient,
    session_id: str,
    call: Call,
    guard: str,
    is_first: bool,
    mode: Any,
    has_saver: bool,
) -> None:
    ours = ChatHistoryMiddleware(client=client, mode=mode, title=True)
    model = Scripted()
    middleware: list[Any] = [GUARDS[guard], ours] if is_first else [ours, GUARDS[guard]]
    saver = InMemorySaver() if has_saver else None
    agent = create_agent(model, middleware=middleware, checkpointer=saver)
    await call(agent, said("hello"), of(session_id))
    try:
        await call(agent, said(SECRET), of(session_id))
    except PIIDetectionError:
        assert guard == "block"
    assert await stored(client, session_id) == [("human", "hello"), ("ai", "re:hello")]
    await call(agent, said("bye"), of(session_id))
    assert await stored(client, session_id) == [
        ("human", "hello"),
        ("ai", "re:hello"),
        ("human", "bye"),
        ("ai", "re:bye"),
    ]
    if mode == "memory":
        assert model.contents_asked() == ["hello", "re:hello", "bye"]


@before_agent
def raising_at_once(state: Any, runtime: Any) -> None:
    if "ada@" in state["messages"][-1].text:
        raise PIIDetectionError("email", [])


@both_ways
async def test_a_later_guard_may_raise_before_the_agent_in_archive_mode(
    client: ZepClient, session_id: str, call: Call
) -> None:
    middleware: list[Any] = [ChatHistoryMiddleware(client=client, mode="archive"), raising_at_once]
    agent = create_agent(Scripted(), middleware=middleware, checkpointer=InMemorySaver())
    await call(agent, said("hello"), of(session_id))
    with pytest.raises(PIIDetectionError):
        await call(agent, said(SECRET), of(session_id))
    await call(agent, said("bye"), of(session_id))
    assert await stored(client, session_id) == [
        ("human", "hello"),
        ("ai", "re:hello"),
        ("human", "bye"),
        ("ai", "re:bye"),
    ]


@both_ways
async def test_a_message_masked_by_a_guard_is_stored_masked_once(
    client: ZepClient, session_id: str, call: Call
) -> None:
    for order in (1, -1):
        middleware: list[Any] = [
            ChatHistoryMiddleware(client=client),
            PIIMiddleware("email", strategy="redact"),
        ][::order]
        agent = create_agent(Scripted("ok"), middleware=middleware)
        await call(agent, said(SECRET), of(f"{session_id}{order}"))
        assert await stored(client, f"{session_id}{order}") == [
            ("human", "write to [REDACTED_EMAIL]"),
            ("ai", "ok"),
        ]
