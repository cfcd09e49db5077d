"""``ChatHistoryMiddleware``: a human message of the input with other words is an edit."""

import asyncio
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langgraph.checkpoint.memory import InMemorySaver

from langchain_zepstore import ZepClient
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
)

pytestmark = pytest.mark.turns("call")

EDITS = pytest.mark.promise("an input whose id is known and whose words differ is an edit")
each_mode = pytest.mark.parametrize(
    ("mode", "has_checkpointer"), [("memory", False), ("memory", True), ("archive", True)]
)


def speaker(
    client: ZepClient, mode: str, *, has_checkpointer: bool, script: Any = (), **options: Any
) -> tuple[Any, Scripted]:
    model = Scripted(*script)
    saver = InMemorySaver() if has_checkpointer else None
    return agent(client, model, mode, saver, **options), model


async def texts(client: ZepClient, session_id: str) -> list[str]:
    return [text for _, text in await stored(client, session_id)]


async def branch_count(client: ZepClient, session_id: str) -> int:
    return len(await client.memory.abranches(session_id))


@EDITS
@every_way
@each_mode
async def test_a_run_continues_from_an_edited_message(
    client: ZepClient, session_id: str, call: Call, mode: str, has_checkpointer: bool
) -> None:
    asked, model = speaker(client, mode, has_checkpointer=has_checkpointer)
    for number in "123":
        await call(asked, said(f"q{number}", id=number), of(session_id))
    result = await call(asked, said("other", id="2"), of(session_id))
    expected = ["q1", "re:q1", "other", "re:other"]
    assert model.contents_asked() == expected[:3]
    assert await texts(client, session_id) == expected
    assert [text for _, text in types_and_texts(result["messages"])] == expected
    await call(asked, said("next"), of(session_id))
    assert model.contents_asked() == [*expected, "next"]
    assert await texts(client, session_id) == [*expected, "next", "re:next"]
    assert await branch_count(client, session_id) == 2
    assert [each.content for each in await client.message.aalternatives(session_id, "2")] == [
        "q2",
        "other",
    ]


@EDITS
@both_ways
@each_mode
async def test_the_first_message_can_be_edited_repeatedly(
    client: ZepClient, session_id: str, call: Call, mode: str, has_checkpointer: bool
) -> None:
    asked, model = speaker(client, mode, has_checkpointer=has_checkpointer)
    for text in ("a", "b", "c", "d"):  # a page that knows only the id that it gave
        result = await call(asked, said(text, id="1"), of(session_id))
        assert model.contents_asked() == [text]
        assert await texts(client, session_id) == [text, f"re:{text}"]
    edited = result["messages"][0]  # and one that takes the id from the result
    await call(asked, said("e", id=edited.id), of(session_id))
    assert model.contents_asked() == ["e"]
    assert await texts(client, session_id) == ["e", "re:e"]
    assert await branch_count(client, session_id) == 5


@EDITS
@each_mode
async def test_a_retried_edit_changes_nothing(
    client: ZepClient, session_id: str, mode: str, has_checkpointer: bool
) -> None:
    script = ["one", "two", ConnectionError("lost"), "three"]
    asked, model = speaker(client, mode, has_checkpointer=has_checkpointer, script=script)
    asked.invoke(said("q1", id="1"), **of(session_id))
    asked.invoke(said("q2", id="2"), **of(session_id))
    with pytest.raises(ConnectionError):
        asked.invoke(said("other", id="2"), **of(session_id))
    assert await texts(client, session_id) == ["q1", "one", "other"]
    asked.invoke(said("other", id="2"), **of(session_id))
    assert model.contents_asked() == ["q1", "one", "other"]
    assert await texts(client, session_id) == ["q1", "one", "other", "three"]
    assert await branch_count(client, session_id) == 2


@EDITS
@each_mode
async def test_a_repeated_edit_activates_its_existing_branch(
    client: ZepClient, session_id: str, mode: str, has_checkpointer: bool
) -> None:
    asked, model = speaker(client, mode, has_checkpointer=has_checkpointer)
    asked.invoke(said("q1", id="1"), **of(session_id))
    asked.invoke(said("other", id="1"), **of(session_id))
    await client.memory.aswitch_branch(session_id, "1")
    asked.invoke(said("other", id="1"), **of(session_id))
    assert model.contents_asked() == ["other"]
    assert (await texts(client, session_id))[:2] == ["other", "re:other"]
    assert await branch_count(client, session_id) == 2


@EDITS
@each_mode
async def test_a_message_also_on_an_inactive_branch_is_edited(
    client: ZepClient, session_id: str, mode: str, has_checkpointer: bool
) -> None:
    asked, model = speaker(client, mode, has_checkpointer=has_checkpointer)
    asked.invoke(said("q1", id="1"), **of(session_id))
    asked.invoke(said("q2", id="2"), **of(session_id))
    asked.invoke(said("other", id="1"), **of(session_id))
    asked.invoke(said("q3", id="2"), **of(session_id))
    assert await texts(client, session_id) == ["q1", "re:q1", "q3", "re:q3"]
    if mode == "memory":  # elsewhere it is the checkpointer that has forgotten
        assert model.contents_asked() == ["q1", "re:q1", "q3"]


@EDITS
async def test_a_message_before_the_window_can_be_edited(
    client: ZepClient, session_id: str
) -> None:
    model = Scripted()
    asked = agent(client, model, lastn=2)
    for number in "1234":
        asked.invoke(said(f"q{number}", id=number), **of(session_id))
    asked.invoke(said("other", id="2"), **of(session_id))
    assert model.contents_asked() == ["q1", "re:q1", "other"]
    assert await texts(client, session_id) == ["q1", "re:q1", "other", "re:other"]


@EDITS
@pytest.mark.parametrize("mode", ["memory", "archive"])
async def test_an_input_with_the_whole_conversation_can_edit_a_message(
    client: ZepClient, session_id: str, mode: Any
) -> None:
    model = Scripted()
    middleware = [ChatHistoryMiddleware(client=client, mode=mode)]
    asked = create_agent(model, middleware=middleware)
    turn = [SystemMessage("Be kind", id="s"), HumanMessage("q1", id="1"), AIMessage("a1", id="2")]
    asked.invoke({"messages": [*turn, HumanMessage("q2", id="3")]}, **of(session_id))
    asked.invoke({"messages": [*turn, HumanMessage("q3", id="3")]}, **of(session_id))
    assert model.contents_asked()[-3:] == ["q1", "a1", "q3"]
    assert await texts(client, session_id) == ["q1", "a1", "q3", "re:q3"]
    # What follows the edited one, and was said on the other branch, is left out.
    edited = [HumanMessage("q0", id="1"), *turn[2:], HumanMessage("more", id="9")]
    asked.invoke({"messages": edited}, **of(session_id))
    assert model.contents_asked() == ["q0", "more"]
    assert await texts(client, session_id) == ["q0", "more", "re:more"]


class Sealing(AgentMiddleware[Any, Any]):
    """Changes what people say before a model is given it, as redacting middleware does."""

    def before_model(self, state: Any, runtime: Any) -> Any:
        sealed = [
            each.model_copy(update={"content": f"<{each.content}>"})
            for each in state["messages"]
            if isinstance(each, HumanMessage) and not str(each.content).startswith("<")
        ]
        return {"messages": sealed}


@EDITS
@pytest.mark.parametrize("way", ["redact", "middleware", "update_message"])
@each_mode
async def test_a_message_changed_when_stored_is_not_an_edit(
    client: ZepClient, session_id: str, mode: str, has_checkpointer: bool, way: str
) -> None:
    others = [Sealing()] if way == "middleware" else []

    def sealed(message: Any) -> Any:
        return message.model_copy(update={"content": f"<{message.content}>"})

    options = {"redact": sealed} if way == "redact" else {}
    saver = InMemorySaver() if has_checkpointer else None
    first = agent(client, Scripted(), mode, saver, *others, **options)
    first.invoke(said("q1", id="1"), **of(session_id))
    if way == "update_message":
        await client.message.aupdate_message(session_id, "1", content="<q1>")
    for text in ("q1", "<q1>"):
        first.invoke(said(text, id="1"), **of(session_id))
        assert (await texts(client, session_id))[0] == "<q1>"
        assert await branch_count(client, session_id) == 1
    first.invoke(said("q2", id="1"), **of(session_id))
    assert "q2" in (await texts(client, session_id))[0]
    assert await branch_count(client, session_id) == 2


@EDITS
async def test_a_message_changed_by_a_retried_run_is_not_an_edit(
    client: ZepClient, session_id: str
) -> None:
    with pytest.raises(ConnectionError):
        agent(client, Scripted(ConnectionError())).invoke(said("q1", id="1"), **of(session_id))
    sealing = agent(client, Scripted(), "memory", None, Sealing())
    sealing.invoke(said("q1", id="1"), **of(session_id))
    assert await texts(client, session_id) == ["<q1>", "re:<q1>"]
    sealing.invoke(said("q1", id="1"), **of(session_id))
    assert await branch_count(client, session_id) == 1


class Refusing(AgentMiddleware[Any, Any]):
    """A guard."""

    def before_model(self, state: Any, runtime: Any) -> Any:
        if state["messages"][-1].content == "bad":
            raise PermissionError


@EDITS
@each_mode
async def test_a_refused_edit_changes_nothing(
    client: ZepClient, session_id: str, mode: str, has_checkpointer: bool
) -> None:
    saver = InMemorySaver() if has_checkpointer else None
    asked = agent(client, Scripted(), mode, saver, Refusing())
    asked.invoke(said("q1", id="1"), **of(session_id))
    with pytest.raises(PermissionError):
        asked.invoke(said("bad", id="1"), **of(session_id))
    assert await texts(client, session_id) == ["q1", "re:q1"]
    assert await branch_count(client, session_id) == 1
    asked.invoke(said("good", id="1"), **of(session_id))
    assert await texts(client, session_id) == ["good", "re:good"]


@EDITS
@each_mode
async def test_a_turn_with_tools_is_edited_and_edits_may_call_tools(
    client: ZepClient, session_id: str, mode: str, has_checkpointer: bool
) -> None:
    script = [calling(("a", "Rome")), "Sun", calling(("b", "Oslo")), "Rain"]
    asked, model = speaker(client, mode, has_checkpointer=has_checkpointer, script=script)
    asked.invoke(said("Rome?", id="1"), **of(session_id))
    asked.invoke(said("Oslo?", id="1"), **of(session_id))
    assert model.contents_asked() == ["Oslo?", "", "sun in Oslo"]
    assert await texts(client, session_id) == ["Oslo?", "", "sun in Oslo", "Rain"]
    assert await branch_count(client, session_id) == 2


@EDITS
async def test_edits_work_over_http(server_url: str, database_name: str, session_id: str) -> None:
    async with ZepClient(f"{server_url}/{database_name}") as client:
        model = Scripted()
        for mode in ("memory", "archive"):
            asked, session = agent(client, model, mode), f"{session_id} {mode}"
            for text in ("q1", "q2", "q2", "q3"):
                asked.invoke(said(text, id="1"), **of(session))
                assert model.contents_asked()[-1] == text
            assert await texts(client, session) == ["q3", "re:q3"]
            assert await branch_count(client, session) == 3


@EDITS
async def test_a_deleted_edit_stays_deleted_and_a_deleted_message_is_not_edited(
    client: ZepClient, session_id: str
) -> None:
    asked = agent(client, Scripted())
    asked.invoke(said("q1", id="1"), **of(session_id))
    await client.message.adelete_message(session_id, "1")
    asked.invoke(said("q2", id="1"), **of(session_id))
    assert await texts(client, session_id) == ["re:q1", "q2", "re:q2"]


@EDITS
@each_mode
async def test_a_message_can_be_edited_during_its_run(
    client: ZepClient, session_id: str, mode: str, has_checkpointer: bool
) -> None:
    """What the first run says stays on its branch, which does not become active again."""

    def edited_meanwhile(_: Any) -> str:
        agent(client, Scripted("new"), mode).invoke(said("other", id="1"), **of(session_id))
        return "old"

    script = [calling(("a", "Rome"), text="Well"), edited_meanwhile]
    asked, _ = speaker(client, mode, has_checkpointer=has_checkpointer, script=script)
    asked.invoke(said("q1", id="1"), **of(session_id))
    assert await texts(client, session_id) == ["other", "new"]
    memory = await client.memory.aget_memory(session_id, branch="1")
    assert [each.content for each in memory.messages] == ["q1", "Well", "sun in Rome", "old"]
    assert await branch_count(client, session_id) == 2
    # What is said next extends what the model is given, which a checkpointer may hold.
    result = asked.invoke(said("q2"), **of(session_id))
    assert types_and_texts(result["messages"]) == await stored(client, session_id)


@EDITS
async def test_concurrent_runs_edit_one_message(client: ZepClient, session_id: str) -> None:
    agent(client, Scripted()).invoke(said("q", id="1"), **of(session_id))

    def edit(text: str) -> Any:
        return agent(client, Scripted()).ainvoke(said(text, id="1"), **of(session_id))

    await asyncio.gather(*map(edit, "abc"))
    assert await texts(client, session_id) in [[text, f"re:{text}"] for text in "abc"]
    for found in await client.message.aalternatives(session_id, "1"):
        memory = await client.memory.aget_memory(session_id, branch=found.uuid)
        assert [each.content for each in memory.messages] == [found.content, f"re:{found.content}"]
