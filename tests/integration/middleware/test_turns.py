"""``ChatHistoryMiddleware``: what is said in turns is stored once, in order, and remembered."""

import asyncio
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from langchain_zepstore import ZepClient
from langchain_zepstore.middleware import ChatHistoryMiddleware
from langchain_zepstore.mongo.messages import Messages
from tests.support.agents import (
    Call,
    Scripted,
    agent,
    by_ainvoke,
    by_invoke,
    calling,
    every_way,
    of,
    said,
    stored,
    types_and_texts,
)

pytestmark = pytest.mark.turns("call", "driver")

both_modes = pytest.mark.parametrize("mode", ["memory", "archive"])


THREE_TURNS = [
    ("human", "1?"),
    ("ai", "one"),
    ("human", "2?"),
    ("ai", "two"),
    ("human", "3?"),
    ("ai", "three"),
]


@pytest.mark.promise("memory: the window is loaded, the turn saved, once, in order")
@every_way
@both_modes
async def test_an_agent_remembers_its_turns_and_stores_each_message_once(
    client: ZepClient, session_id: str, call: Call, mode: str
) -> None:
    model = Scripted("one", "two", "three")
    speaker = agent(client, model, mode)
    for question in ("1?", "2?", "3?"):
        result = await call(speaker, said(question), of(session_id))
    assert model.contents_asked(0) == ["1?"]
    assert model.contents_asked(1) == ["1?", "one", "2?"]
    assert model.contents_asked(2) == ["1?", "one", "2?", "two", "3?"]
    assert await stored(client, session_id) == THREE_TURNS
    assert (
        types_and_texts(result["messages"]) == THREE_TURNS
    )  # what was loaded is a part of the state
    assert await client.message.acount(session_id) == 6


@pytest.mark.promise("parallel tool calls, a raising tool, a human in the loop")
@every_way
@both_modes
async def test_parallel_tool_calls_and_results_are_stored_in_call_order(
    client: ZepClient, session_id: str, call: Call, mode: str
) -> None:
    model = Scripted(calling(("a", "Rome"), ("b", "Oslo"), text="Well"), "Sun!", "Bye")
    speaker = agent(client, model, mode)
    await call(speaker, said("Weather?"), of(session_id))
    await call(speaker, said("Thanks"), of(session_id))
    assert await stored(client, session_id) == [
        ("human", "Weather?"),
        ("ai", "Well"),
        ("tool", "sun in Rome"),
        ("tool", "sun in Oslo"),
        ("ai", "Sun!"),
        ("human", "Thanks"),
        ("ai", "Bye"),
    ]
    _, first, *answers = (await client.chat_history(session_id).aget_messages())[:4]
    assert isinstance(first, AIMessage)
    assert [each["id"] for each in first.tool_calls] == ["a", "b"]
    assert [each.tool_call_id for each in answers] == ["a", "b"]
    assert [each.id for each in model.asked[-1][:4]] == [
        each.id for each in (await client.chat_history(session_id).aget_messages())[:4]
    ]


@pytest.mark.promise("memory: the window is loaded, the turn saved, once, in order")
@both_modes
async def test_each_message_is_written_once(
    client: ZepClient, session_id: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    add = Messages.add

    def counted(
        self: Messages, session_id: str, messages: Any, defaults: Any = None, **options: Any
    ) -> Any:
        written.append(len(messages))
        return add(self, session_id, messages, defaults, **options)

    monkeypatch.setattr(Messages, "add", counted)
    speaker = agent(client, Scripted(calling(("a", "Rome"), ("b", "Oslo")), "Sun!"), mode)
    speaker.invoke(said("Weather?"), **of(session_id))
    assert written == [1, 1, 2, 1]  # the question, the calls, the tools' answers, the answer
    speaker.invoke(said("Thanks"), **of(session_id))
    assert written[4:] == [1, 1]


async def test_a_rebuilt_agent_continues_the_session(
    client: ZepClient, mongo_url: str, session_id: str
) -> None:
    agent(client, Scripted("one")).invoke(said("1?"), **of(session_id))
    async with ZepClient(mongo_url) as restarted:
        model = Scripted("two")
        await agent(restarted, model).ainvoke(said("2?"), **of(session_id))
    assert model.contents_asked() == ["1?", "one", "2?"]


async def test_a_url_is_enough(mongo_url: str, client: ZepClient, session_id: str) -> None:
    middleware = ChatHistoryMiddleware(mongo_url, session_id=session_id)
    create_agent(Scripted("one"), middleware=[middleware]).invoke(said("1?"))
    assert await stored(client, session_id) == [("human", "1?"), ("ai", "one")]


@pytest.mark.parametrize("driver", ["motor", "pymongo"])
async def test_both_asynchronous_drivers_work(mongo_url: str, session_id: str, driver: Any) -> None:
    async with ZepClient(mongo_url, async_driver=driver) as client:
        speaker = agent(client, Scripted("one", "two"))
        await speaker.ainvoke(said("1?"), **of(session_id))
        await speaker.ainvoke(said("2?"), **of(session_id))
        assert await stored(client, session_id) == THREE_TURNS[:4]


async def test_an_agent_works_over_http(
    server_url: str, database_name: str, session_id: str
) -> None:
    async with ZepClient(f"{server_url}/{database_name}") as client:
        model = Scripted(calling(("a", "Rome")), "Sun!", "Bye")
        speaker = agent(client, model, user_id="Ann", title=True)
        await speaker.ainvoke(said("Weather?"), **of(session_id))
        speaker.invoke(said("Thanks"), **of(session_id))
        assert len(await stored(client, session_id)) == 6
        assert client.memory.get_session(session_id).title == "Weather?"
        assert len(model.asked[-1]) == 5


async def test_multiple_messages_of_one_input_are_stored_in_order(
    client: ZepClient, session_id: str
) -> None:
    turn = {"messages": [("user", "1?"), AIMessage("one"), {"role": "user", "content": "2?"}]}
    await agent(client, Scripted("two")).ainvoke(turn, **of(session_id))
    assert await stored(client, session_id) == THREE_TURNS[:4]


async def test_system_messages_are_not_stored(client: ZepClient, session_id: str) -> None:
    model = Scripted("one", "two")
    speaker = agent(client, model)
    for question in ("1?", "2?"):
        turn = {"messages": [SystemMessage("Be brief."), HumanMessage(question)]}
        speaker.invoke(turn, **of(session_id))
    assert await stored(client, session_id) == THREE_TURNS[:4]
    assert model.contents_asked() == ["1?", "one", "Be brief.", "2?"]


async def test_loaded_messages_are_not_streamed(client: ZepClient, session_id: str) -> None:
    speaker = agent(client, Scripted("one", "two"))
    speaker.invoke(said("1?"), **of(session_id))
    chunks = [
        str(message.content)
        for message, _ in speaker.stream(said("2?"), stream_mode="messages", **of(session_id))
    ]
    assert "".join(chunks) == "two"


@pytest.mark.promise("32 runs on one session at once")
@pytest.mark.parametrize("call", [by_ainvoke, by_invoke])
async def test_32_concurrent_runs_on_one_session_store_every_message_once(
    client: ZepClient, session_id: str, call: Call
) -> None:
    def answer(messages: list[Any]) -> Any:
        last = messages[-1]
        if last.type == "human":
            return calling((f"call {last.content}", last.content))
        return f"re: {last.content}"

    def run(place: str) -> Any:
        speaker = agent(client, Scripted(answer, answer), lastn=10)
        return asyncio.to_thread(lambda: speaker.invoke(said(place), **of(session_id)))

    places = [f"place {number}" for number in range(32)]
    if call is by_invoke:
        await asyncio.gather(*map(run, places))
    else:
        speakers = [agent(client, Scripted(answer, answer), lastn=10) for _ in places]
        await asyncio.gather(
            *(
                each.ainvoke(said(place), **of(session_id))
                for each, place in zip(speakers, places, strict=True)
            )
        )
    messages = await client.chat_history(session_id).aget_messages()
    assert len(messages) == 4 * 32
    for place in places:
        own = [each for each in messages if _is_about(each, place)]
        assert types_and_texts(own) == [
            ("human", place),
            ("ai", ""),
            ("tool", f"sun in {place}"),
            ("ai", f"re: sun in {place}"),
        ]


def _is_about(message: Any, place: str) -> bool:
    called = [call["args"]["place"] for call in getattr(message, "tool_calls", [])]
    return place in called or f"{message.content} ".endswith(f"{place} ")
