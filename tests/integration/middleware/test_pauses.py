"""``ChatHistoryMiddleware``: nothing said is lost when a run breaks, pauses or is killed."""

from contextlib import aclosing, suppress
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from langchain_zepstore import StoreUnavailableError, ZepClient
from langchain_zepstore.middleware import ChatHistoryMiddleware
from tests.support.agents import (
    Call,
    Scripted,
    agent,
    both_ways,
    calling,
    every_way,
    of,
    said,
    stored,
    types_and_texts,
    weather,
)

pytestmark = pytest.mark.turns("call")

both_modes = pytest.mark.parametrize("mode", ["memory", "archive"])


BROKEN = [("human", "Weather?"), ("ai", "Well")]


@pytest.mark.promise("parallel tool calls, a raising tool, a human in the loop")
@every_way
async def test_a_failing_tool_loses_nothing_and_the_next_turn_is_valid(
    client: ZepClient, session_id: str, call: Call
) -> None:
    model = Scripted(calling(("a", "nowhere"), ("b", "Rome"), text="Well"), "Sorry")
    speaker = agent(client, model)
    with pytest.raises(LookupError):
        await call(speaker, said("Weather?"), of(session_id))
    assert await stored(client, session_id) == BROKEN
    result = await call(speaker, said("And now?"), of(session_id))
    assert await stored(client, session_id) == [*BROKEN, ("human", "And now?"), ("ai", "Sorry")]
    asked = model.asked[-1]
    assert [message.type for message in asked] == ["human", "ai", "tool", "tool", "human"]
    assert [(m.tool_call_id, m.status) for m in asked[2:4]] == [("a", "error"), ("b", "error")]
    assert len(result["messages"]) == 6


@both_ways
@both_modes
async def test_a_failing_model_keeps_the_question(
    client: ZepClient, session_id: str, call: Call, mode: str
) -> None:
    speaker = agent(client, Scripted(RuntimeError("overloaded"), "one"), mode, InMemorySaver())
    with pytest.raises(RuntimeError):
        await call(speaker, said("1?", id="q"), of(session_id))
    assert await stored(client, session_id) == [("human", "1?")]
    await call(speaker, said("1?", id="q"), of(session_id))  # the client tries again
    assert await stored(client, session_id) == [("human", "1?"), ("ai", "one")]


@pytest.mark.promise("`kill -9` between hooks; replay")
@both_ways
async def test_a_retried_input_is_stored_and_sent_once(
    client: ZepClient, session_id: str, call: Call
) -> None:
    model = Scripted("zero", RuntimeError("overloaded"), "one")
    speaker = agent(client, model)
    await call(speaker, said("0?"), of(session_id))
    with pytest.raises(RuntimeError):
        await call(speaker, said("1?", id="q"), of(session_id))
    await call(agent(client, model), said("1?", id="q"), of(session_id))
    assert model.contents_asked() == ["0?", "zero", "1?"]
    assert await stored(client, session_id) == [
        ("human", "0?"),
        ("ai", "zero"),
        ("human", "1?"),
        ("ai", "one"),
    ]


def paused(client: ZepClient, model: Scripted, checkpointer: Any, mode: str, *, last: bool) -> Any:
    ours = ChatHistoryMiddleware(client=client, mode=mode)
    human = HumanInTheLoopMiddleware(interrupt_on={"weather": True})
    middleware = [human, ours] if last else [ours, human]
    return create_agent(model, [weather], middleware=middleware, checkpointer=checkpointer)


# What the human says, and what the tool's answer ends with then.
DECISIONS: dict[str, tuple[Any, str]] = {
    "approve": ({"type": "approve"}, "sun in Rome"),
    "edit": (
        {"type": "edit", "edited_action": {"name": "weather", "args": {"place": "Oslo"}}},
        "sun in Oslo",
    ),
    "reject": ({"type": "reject", "message": "not today"}, "not today"),
}


@pytest.mark.turns("last")
@pytest.mark.promise("archive: with a checkpointer, everything said is recorded")
@both_ways
@both_modes
@pytest.mark.parametrize("last", [True, False], ids=["last", "first"])
@pytest.mark.parametrize("decision", DECISIONS)
async def test_a_run_interrupted_for_a_human_is_stored_and_resumed_by_a_new_agent(
    client: ZepClient, session_id: str, call: Call, mode: str, last: bool, decision: str
) -> None:
    checkpointer = InMemorySaver()
    model = Scripted("zero", calling(("a", "Rome"), text="Well"))
    first = paused(client, model, checkpointer, mode, last=last)
    await call(first, said("0?"), of(session_id))
    await call(first, said("Weather?"), of(session_id))
    before = [("human", "0?"), ("ai", "zero"), ("human", "Weather?")]
    asked = [("ai", "Well")]
    assert await stored(client, session_id) == [*before, *(asked if last else [])]

    second = paused(client, Scripted("Sun!", "Bye"), checkpointer, mode, last=last)
    answer, end = DECISIONS[decision]
    resumed = await call(second, Command(resume={"decisions": [answer]}), of(session_id))
    await call(second, said("Thanks"), of(session_id))
    messages = await client.chat_history(session_id).aget_messages()
    result = str(messages[4].content)
    assert result.endswith(end)
    assert types_and_texts(messages) == [
        *before,
        *asked,
        ("tool", result),
        ("ai", "Sun!"),
        ("human", "Thanks"),
        ("ai", "Bye"),
    ]
    call_stored = messages[3]
    assert isinstance(call_stored, AIMessage)
    assert call_stored.tool_calls == resumed["messages"][3].tool_calls


@pytest.mark.promise("parallel tool calls, a raising tool, a human in the loop")
@both_ways
@both_modes
async def test_an_unresumed_interrupt_is_completed_in_the_next_turn(
    client: ZepClient, session_id: str, call: Call, mode: str
) -> None:
    model = Scripted(calling(("a", "Rome"), text="Well"), "Fine")
    speaker = paused(client, model, InMemorySaver(), mode, last=False)
    await call(speaker, said("Weather?"), of(session_id))
    await call(speaker, said("Never mind"), of(session_id))
    assert await stored(client, session_id) == [
        *BROKEN,
        ("human", "Never mind"),
        ("ai", "Fine"),
    ]
    if mode == "memory":  # what a checkpointer holds is its own
        assert [message.type for message in model.asked[-1]] == ["human", "ai", "tool", "human"]


@both_ways
async def test_a_client_side_tool_is_answered_in_the_next_input(
    client: ZepClient, session_id: str, call: Call
) -> None:
    model = Scripted(calling(("a", "Rome"), text="Well"), "Sun!")
    middleware = [ChatHistoryMiddleware(client=client)]
    speaker = create_agent(model, middleware=middleware)  # the model knows a tool, the agent none
    await call(speaker, said("Weather?"), of(session_id))
    answer = ToolMessage("sun", tool_call_id="a")
    await call(speaker, {"messages": [answer]}, of(session_id))
    assert model.contents_asked() == ["Weather?", "Well", "sun"]
    assert await stored(client, session_id) == [*BROKEN, ("tool", "sun"), ("ai", "Sun!")]


@pytest.mark.promise("streams, also closed early")
@pytest.mark.parametrize("modes", ["values", "updates", "messages"])
@pytest.mark.parametrize("steps", [2, 3, 4, 5])
async def test_a_stream_closed_early_keeps_its_messages(
    client: ZepClient, session_id: str, modes: str, steps: int
) -> None:
    model = Scripted(calling(("a", "Rome"), text="Well"), "Sun!")
    stream = agent(client, model).stream(said("Weather?"), stream_mode=modes, **of(session_id))
    for _ in range(steps):
        next(stream)
    stream.close()
    whole = [*BROKEN, ("tool", "sun in Rome"), ("ai", "Sun!")]
    kept = await stored(client, session_id)
    assert kept or steps == 2
    assert kept == whole[: len(kept)]


@pytest.mark.promise("streams, also closed early")
@pytest.mark.parametrize("steps", [1, 2, 3, 4])
async def test_an_asynchronous_stream_closed_early_keeps_its_messages(
    client: ZepClient, session_id: str, steps: int
) -> None:
    model = Scripted(calling(("a", "Rome"), text="Well"), "Sun!", "Bye")
    speaker = agent(client, model)
    stream = speaker.astream(said("Weather?"), stream_mode="messages", **of(session_id))
    async with aclosing(stream):
        for _ in range(steps):
            with suppress(StopAsyncIteration):
                await anext(stream)
    kept = await stored(client, session_id)
    assert kept == [*BROKEN, ("tool", "sun in Rome"), ("ai", "Sun!")][: len(kept)]
    await speaker.ainvoke(said("Thanks"), **of(session_id))
    assert (await stored(client, session_id))[: len(kept) + 1] == [*kept, ("human", "Thanks")]


@pytest.mark.promise("archive: with a checkpointer, everything said is recorded")
@both_ways
async def test_a_state_rerun_by_another_process_is_stored_once(
    client: ZepClient, session_id: str, call: Call
) -> None:
    # A run whose checkpoint was written, but not what the middleware remembers.
    state = [HumanMessage("1?", id="q"), AIMessage("one", id="a"), HumanMessage("2?", id="r")]
    for _ in range(2):
        speaker = agent(client, Scripted(AIMessage("two", id="b")), "archive", InMemorySaver())
        await call(speaker, {"messages": state}, of(session_id))
    assert await stored(client, session_id) == [
        ("human", "1?"),
        ("ai", "one"),
        ("human", "2?"),
        ("ai", "two"),
    ]


@both_ways
async def test_a_fork_from_an_earlier_checkpoint_stores_new_messages(
    client: ZepClient, session_id: str, call: Call
) -> None:
    speaker = agent(client, Scripted("one", "two", "three"), "archive", InMemorySaver())
    await call(speaker, said("1?"), of(session_id))
    config = {"configurable": {"thread_id": session_id}}
    after_one = speaker.get_state(config).config
    await call(speaker, said("2?"), of(session_id))
    await call(speaker, said("3?"), {"config": after_one})
    assert [content for _, content in await stored(client, session_id)] == [
        "1?",
        "one",
        "2?",
        "two",
        "3?",
        "three",
    ]


@both_ways
async def test_an_unreachable_store_raises_or_is_logged(
    session_id: str, call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    url = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50"
    async with ZepClient(url) as lost:
        with pytest.raises(StoreUnavailableError):
            await call(agent(lost, Scripted("one")), said("1?"), of(session_id))
        assert caplog.records == []
        speaker = agent(lost, Scripted("one"), on_error="log", title=True)
        result = await call(speaker, said("1?"), of(session_id))
    assert result["messages"][-1].content == "one"
    assert len(caplog.records) == 4


@both_ways
async def test_the_next_hook_stores_messages_that_failed_to_store(
    client: ZepClient, session_id: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [StoreUnavailableError(), StoreUnavailableError()]
    for name in ("run", "arun"):
        original = getattr(ZepClient, name)

        def failing(self: ZepClient, work: Any, *, original: Any = original) -> Any:
            if failures:
                raise failures.pop()
            return original(self, work)

        monkeypatch.setattr(ZepClient, name, failing)
    speaker = agent(client, Scripted(calling(("a", "Rome"), text="Well"), "Sun!"), on_error="log")
    await call(speaker, said("Weather?"), of(session_id))
    assert not failures
    assert await stored(client, session_id) == [*BROKEN, ("tool", "sun in Rome"), ("ai", "Sun!")]
