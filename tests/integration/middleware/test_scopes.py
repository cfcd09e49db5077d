"""``ChatHistoryMiddleware``: whose conversation it is."""

from dataclasses import dataclass
from typing import Any, TypedDict
from uuid import uuid4

import pytest
from langchain.agents import create_agent
from langgraph.checkpoint.memory import InMemorySaver

from langchain_zepstore import BadRequestError, Session, ZepClient
from langchain_zepstore.middleware import ChatHistoryMiddleware
from tests.support.agents import (
    Call,
    Scripted,
    agent,
    both_ways,
    of,
    said,
    stored,
)

pytestmark = pytest.mark.turns("call")


@dataclass
class Context:
    session_id: str | None = None
    user_id: str | None = None


class ContextDict(TypedDict, total=False):
    session_id: str
    user_id: str


def speaker_of(client: ZepClient, schema: Any = None, **options: Any) -> Any:
    return agent(client, Scripted(), context_schema=schema, **options)


TURN = [("human", "1"), ("ai", "re:1")]


@pytest.mark.promise("session and user from context, config or fixed values; no other user's")
@both_ways
@pytest.mark.parametrize("way", ["dataclass", "dict", "config", "thread", "fixed", "function"])
async def test_session_and_user_come_from_context_config_or_arguments(
    client: ZepClient, session_id: str, user_id: str, call: Call, way: str
) -> None:
    names = {"session_id": session_id, "user_id": user_id}
    speaker, options = {
        "dataclass": lambda: (speaker_of(client, Context), {"context": Context(**names)}),
        "dict": lambda: (speaker_of(client, ContextDict), {"context": names}),
        "config": lambda: (speaker_of(client), {"config": {"configurable": names}}),
        "thread": lambda: (speaker_of(client), of(session_id, user_id=user_id)),
        "fixed": lambda: (speaker_of(client, **names), {}),
        "function": lambda: (
            speaker_of(
                client,
                ContextDict,
                session_id=lambda runtime: runtime.context["session_id"].upper(),
                user_id=lambda _: user_id,
            ),
            {"context": {"session_id": session_id}},
        ),
    }[way]()
    await call(speaker, said("1"), options)
    expected = session_id.upper() if way == "function" else session_id
    assert await stored(client, expected) == TURN
    assert client.memory.get_session(expected).user_id == user_id
    assert client.user.get(user_id).user_id == user_id


@both_ways
async def test_arguments_override_the_context_which_overrides_the_config(
    client: ZepClient, call: Call
) -> None:
    fixed, context, session, thread = (uuid4().hex for _ in range(4))
    config = {"configurable": {"session_id": session, "thread_id": thread}}
    everything = {"context": Context(session_id=context), "config": config}
    await call(speaker_of(client, Context, session_id=fixed), said("1"), everything)
    await call(speaker_of(client, Context), said("1"), everything)
    await call(speaker_of(client, Context), said("1"), {"config": config})
    await call(speaker_of(client, Context, session_id=lambda _: None), said("1"), of(thread))
    for each in (fixed, context, session, thread):
        assert await stored(client, each) == TURN


async def test_a_thread_id_may_be_a_uuid_or_a_number(client: ZepClient) -> None:
    thread = uuid4()
    speaker_of(client).invoke(said("1"), config={"configurable": {"thread_id": thread}})
    assert await stored(client, str(thread)) == TURN
    number = thread.int % 10**9
    speaker_of(client).invoke(said("1"), config={"configurable": {"thread_id": number}})
    assert await stored(client, str(number)) == TURN


@both_ways
async def test_a_run_without_a_session_is_refused(client: ZepClient, call: Call) -> None:
    with pytest.raises(BadRequestError, match="names no session"):
        await call(speaker_of(client), said("1"), {})


@both_ways
@pytest.mark.parametrize("wrong", ["", 7.5, True, {"$ne": None}])
async def test_invalid_ids_are_refused(client: ZepClient, call: Call, wrong: Any) -> None:
    with pytest.raises(BadRequestError, match="session_id"):
        await call(
            speaker_of(client), said("1"), {"config": {"configurable": {"session_id": wrong}}}
        )
    with pytest.raises(BadRequestError, match="user_id"):
        await call(speaker_of(client), said("1"), of("s", user_id=wrong))


@pytest.mark.promise("session and user from context, config or fixed values; no other user's")
@both_ways
@pytest.mark.parametrize("mode", ["memory", "archive"])
@pytest.mark.parametrize("deleted", [False, True], ids=["live", "deleted"])
async def test_a_session_of_another_user_is_neither_read_nor_written(
    client: ZepClient, session_id: str, user_id: str, call: Call, mode: str, deleted: bool
) -> None:
    speaker = speaker_of(client, mode=mode, on_error="log")
    await call(speaker, said("1"), of(session_id, user_id=user_id))
    if deleted:
        client.memory.delete_memory(session_id)
    with pytest.raises(BadRequestError, match="another user"):
        await call(speaker, said("2"), of(session_id, user_id=f"not {user_id}"))
    assert await stored(client, session_id) == ([] if deleted else TURN)
    await call(speaker, said("1"), of(session_id, user_id=user_id))


@both_ways
async def test_a_session_without_a_user_may_be_used(
    client: ZepClient, session_id: str, user_id: str, call: Call
) -> None:
    client.memory.add_session(Session(session_id=session_id))
    await call(speaker_of(client), said("1"), of(session_id, user_id=user_id))
    assert await stored(client, session_id) == TURN
    assert client.memory.get_session(session_id).user_id is None


@both_ways
async def test_two_users_do_not_mix(client: ZepClient, user_id: str, call: Call) -> None:
    model = Scripted()
    speaker = create_agent(
        model, middleware=[ChatHistoryMiddleware(client=client)], checkpointer=InMemorySaver()
    )
    users = [f"{user_id} {number}" for number in range(2)]
    for text in ("1", "2"):
        for user in users:
            await call(speaker, said(f"{text} {user}"), of(f"thread of {user}", user_id=user))
            expected = {"1": [f"1 {user}"], "2": [f"1 {user}", f"re:1 {user}", f"2 {user}"]}
            assert model.contents_asked() == expected[text]
    for user in users:
        assert [each.session_id for each in client.user.get_sessions(user)] == [f"thread of {user}"]
