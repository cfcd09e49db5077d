"""The Agents SDK, with a scripted model, on sessions of ours. Runs in an environment of its own."""

import asyncio
import json
import os
import types
import typing
from typing import Any
from uuid import uuid4

import pytest
import typing_extensions
from agents import (
    Agent,
    RunConfig,
    Runner,
    Session,
    SessionSettings,
    TResponseInputItem,
    function_tool,
    set_tracing_disabled,
)
from agents.extensions.memory import EncryptedSession
from agents.memory import OpenAIResponsesCompactionSession
from agents.testing import ScriptedModel, assistant_message, function_call
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_zepstore import BadRequestError, Memory, ZepClient
from langchain_zepstore.adapters.openai_agents import ZepSession

set_tracing_disabled(True)
USER = "Ada"
KINDS = typing.get_args(TResponseInputItem)


@pytest.fixture
def client():
    url, database = os.environ["ZEPSTORE_TEST_URL"], os.environ["ZEPSTORE_TEST_DATABASE"]
    with ZepClient(url, database=database) as client:
        yield client


@pytest.fixture
def session(client):
    return ZepSession(f"session {uuid4()}", client=client, user_id=USER)


@function_tool
def weather(city: str) -> str:
    """Tell the weather."""
    return f"It rains in {city}."


@function_tool(failure_error_function=None)
def broken() -> str:
    """Break."""
    raise RuntimeError("broken")


class Compacting:
    """OpenAI's client, for what compaction asks of it."""

    def __init__(self) -> None:
        self.responses = self

    async def compact(self, **_: Any) -> Any:
        item = {"type": "compaction", "encrypted_content": "short"}
        return types.SimpleNamespace(output=[item], id="1", usage=None)


def agent_of(*steps: Any) -> Agent:
    return Agent(name="Ada's", model=ScriptedModel(steps), tools=[weather, broken])


def said(text: str) -> list[Any]:
    return [assistant_message(text)]


def turns(number: int) -> list[TResponseInputItem]:
    return [{"role": "user", "content": f"turn {index}"} for index in range(number)]


async def test_a_session_satisfies_the_sdks_session_protocol(session) -> None:
    assert isinstance(session, Session)
    assert await session.get_items() == []
    assert await session.pop_item() is None
    await session.clear_session()
    await session.add_items([])


async def test_each_run_continues_the_previous_one(client, session) -> None:
    agent = agent_of(said("Nice to meet you."), said("You are Ada."))
    await Runner.run(agent, "My name is Ada.", session=session)
    again = ZepSession(session.session_id, client=client)
    result = await Runner.run(agent, "Who am I?", session=again)
    assert agent.model.last_call.input == result.to_input_list()[:3]
    assert await session.get_items() == result.to_input_list()


def test_synchronous_runs_can_be_repeated(session) -> None:
    agent = agent_of(said("One."), said("Two."))
    for _ in range(2):
        result = Runner.run_sync(agent, "Count.", session=session)
    assert len(result.to_input_list()) == 4


async def test_parallel_tool_calls_are_stored_with_their_results(client, session) -> None:
    calls = [
        function_call("weather", {"city": "Paris"}, call_id="1"),
        function_call("weather", {"city": "Oslo"}, call_id="2"),
    ]
    agent = agent_of(calls, said("Rain everywhere."))
    result = await Runner.run(agent, "Weather in Paris and Oslo?", session=session)
    assert await session.get_items() == result.to_input_list()

    stored = client.memory.get_memory(session.session_id).messages
    roles = ["user", "assistant", "assistant", "tool", "tool", "assistant"]
    assert [message.role for message in stored] == roles
    human, first, second, *answers, last = client.chat_history(session.session_id).messages
    assert human.content == "Weather in Paris and Oslo?"
    assert isinstance(human, HumanMessage)
    assert [first.tool_calls[0]["args"], second.tool_calls[0]["args"]] == [
        {"city": "Paris"},
        {"city": "Oslo"},
    ]
    assert all(isinstance(answer, ToolMessage) for answer in answers)
    assert [(answer.tool_call_id, answer.content) for answer in answers] == [
        ("1", "It rains in Paris."),
        ("2", "It rains in Oslo."),
    ]
    assert isinstance(last, AIMessage)


async def test_messages_before_a_failing_tool_are_stored(session) -> None:
    agent = agent_of([function_call("broken", {}, call_id="1")], said("Never mind."))
    with pytest.raises(Exception, match="broken"):
        await Runner.run(agent, "Break.", session=session)
    assert (await session.get_items())[0] == {"role": "user", "content": "Break."}


async def test_a_streamed_run_is_stored(session) -> None:
    agent = agent_of([function_call("weather", {"city": "Rome"}, call_id="1")], said("Rain."))
    result = Runner.run_streamed(agent, "Weather in Rome?", session=session)
    async for _ in result.stream_events():
        pass
    assert await session.get_items() == result.to_input_list()
    assert len(result.to_input_list()) == 4


async def test_a_limit_returns_the_last_items_oldest_first(client, session) -> None:
    await session.add_items(turns(5))
    assert await session.get_items(limit=2) == turns(5)[3:]
    assert await session.get_items(limit=9) == turns(5)
    assert await session.get_items(limit=0) == []
    assert await session.get_items(limit=-1) == []
    for settings in (SessionSettings(limit=1), {"limit": 1}):
        last = ZepSession(session.session_id, client=client, session_settings=settings)
        assert await last.get_items() == turns(5)[4:]
        assert await last.get_items(limit=2) == turns(5)[3:]


async def test_run_settings_limit_the_models_input(session) -> None:
    await session.add_items(turns(5))
    agent = agent_of(said("Yes."))
    settings = RunConfig(session_settings=SessionSettings(limit=2))
    await Runner.run(agent, "Go on.", session=session, run_config=settings)
    assert agent.model.last_call.input == [*turns(5)[3:], {"role": "user", "content": "Go on."}]
    assert len(await session.get_items()) == 7


async def test_two_concurrent_pops_never_return_the_same_item(session) -> None:
    await session.add_items(turns(60))

    async def pop_all() -> list[Any]:
        popped = []
        while (item := await session.pop_item()) is not None:
            popped.append(item["content"])
        return popped

    one, other = await asyncio.gather(pop_all(), pop_all())
    assert sorted(one + other) == sorted(item["content"] for item in turns(60))
    assert await session.get_items() == []


async def test_items_are_popped_last_first(client, session) -> None:
    await session.add_items(turns(3))
    assert await session.pop_item() == turns(3)[2]
    assert await session.get_items() == turns(3)[:2]
    [*_, last] = client.memory.get_memory(session.session_id).messages
    assert await session.pop_item() == turns(3)[1]
    client.message.undelete_message(session.session_id, last.uuid)
    assert await session.get_items() == turns(3)[:2]


async def test_32_concurrent_adds_lose_nothing_and_keep_turns_together(client, session) -> None:
    async def add(number: int) -> None:
        own = ZepSession(session.session_id, client=client)
        await own.add_items([{"role": "user", "content": f"{number} {part}"} for part in "abc"])

    await asyncio.gather(*map(add, range(32)))
    contents = [item["content"] for item in await session.get_items()]
    together = [contents[index : index + 3] for index in range(0, 96, 3)]
    assert sorted(together) == sorted([f"{n} a", f"{n} b", f"{n} c"] for n in range(32))


async def test_a_session_is_listed_searched_deleted_and_undeleted_like_any_other(client) -> None:
    user_id = f"user {uuid4()}"
    session = ZepSession(
        f"session {uuid4()}", client=client, user_id=user_id, session_metadata={"topic": "rain"}
    )
    agent = agent_of(
        [function_call("weather", {"city": "Bergen"}, call_id="1")], said("Take an umbrella.")
    )
    result = await Runner.run(agent, "What shall I wear in Bergen?", session=session)

    [listed] = client.user.get_sessions(user_id)
    assert (listed.session_id, listed.metadata) == (session.session_id, {"topic": "rain"})
    [found] = client.memory.search("umbrellas", user_id=user_id, limit=1)
    assert (found.message.role, found.message.content) == ("assistant", "Take an umbrella.")
    [tool, *_] = client.memory.search("rains", user_id=user_id, limit=1)
    assert (tool.message.role, tool.message.content) == ("tool", "It rains in Bergen.")

    await session.clear_session()
    assert await session.get_items() == []
    assert client.user.get_sessions(user_id) == []
    await session.add_items(turns(1))
    assert await session.get_items() == turns(1)
    client.memory.undelete_session(session.session_id)
    assert await session.get_items() == [*result.to_input_list(), *turns(1)]


async def test_a_text_is_stored_once(client, session) -> None:
    items = [
        {"role": "user", "content": "needle"},
        {"role": "user", "content": [{"type": "input_text", "text": "needle"}]},
        {"type": "function_call_output", "call_id": "1", "output": "needle"},
        assistant_message("needle").model_dump(),
    ]
    await session.add_items(items)
    assert await session.get_items() == items
    for message in client.memory.get_memory(session.session_id).messages:
        assert message.model_dump_json().count("needle") == 1


async def test_the_sdks_session_wrappers_work(session) -> None:
    agent = agent_of(said("Hush."), said("Still."))
    wrapped = EncryptedSession(session.session_id, session, encryption_key="a key")
    await Runner.run(agent, "A secret.", session=wrapped)
    assert "secret" not in json.dumps(await session.get_items())
    result = await Runner.run(agent, "Again.", session=wrapped)
    assert await wrapped.get_items() == result.to_input_list()
    assert (await wrapped.pop_item())["content"][0]["text"] == "Still."

    await session.clear_session()
    compacting = OpenAIResponsesCompactionSession(
        session.session_id,
        session,
        client=Compacting(),
        should_trigger_compaction=lambda _: True,
        compaction_mode="input",
    )
    await Runner.run(agent_of(said("Long."), said("Talk.")), "Tell.", session=compacting)
    assert await session.get_items() == [{"type": "compaction", "encrypted_content": "short"}]


async def test_langchain_messages_are_read_as_items(client, session) -> None:
    call = {"name": "weather", "args": {"city": "Paris"}, "id": "1", "type": "tool_call"}
    client.chat_history(session.session_id).add_messages(
        [
            SystemMessage("Be brief."),
            HumanMessage([{"type": "text", "text": "Weather?"}]),
            AIMessage("I look.", tool_calls=[call]),
            ToolMessage("Rain.", tool_call_id="1"),
            AIMessage("It rains."),
        ]
    )
    items = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "I look."},
        {
            "type": "function_call",
            "call_id": "1",
            "name": "weather",
            "arguments": '{"city": "Paris"}',
        },
        {"type": "function_call_output", "call_id": "1", "output": "Rain."},
        {"role": "assistant", "content": "It rains."},
    ]
    assert await session.get_items() == items
    assert await session.get_items(limit=4) == items[2:]
    agent = agent_of(said("Yes."))
    await Runner.run(agent, "Really?", session=session)
    assert agent.model.last_call.input == [*items, {"role": "user", "content": "Really?"}]
    await session.pop_item()
    assert (await session.get_items())[-1] == {"role": "user", "content": "Really?"}


async def test_an_item_with_updated_content_is_read_as_stored(client, session) -> None:
    await session.add_items(turns(1))
    [message] = client.memory.get_memory(session.session_id).messages
    client.message.update_message_metadata(session.session_id, message.uuid, {"rating": 5})
    assert await session.get_items() == turns(1)
    rewritten = message.model_copy(update={"content": "rewritten"})
    client.memory.add_memory(session.session_id, Memory(messages=[rewritten]))
    assert await session.get_items() == [{"role": "user", "content": "rewritten"}]


DEEP: Any = {"leaf": 1}
for _ in range(60):
    DEEP = {"in": DEEP}

ODD: list[Any] = [
    {"type": "of the future", "payload": {"a.b": [None, True, 1.5, {"$ref": "x", "$id": "y"}]}},
    {"role": "user", "content": []},
    {"role": "user", "content": ""},
    {"role": "assistant", "content": [{"type": "output_text", "text": ""}, {"type": "x"}]},
    {"role": "user", "content": "a\nb\n", "system": {"of": "ours"}},
    {"role": "a stranger", "content": {"text": "no list"}},
    {"type": "function_call", "call_id": "1", "name": "f", "arguments": "no JSON"},
    {"type": "function_call", "call_id": "1", "name": "f", "arguments": f'{{"n": {10**30}}}'},
    {"type": "deep", "content": DEEP},
    {"type": "big", "number": 2**70},
    {"role": "user", "content": "half an emoji \ud83d"},
    {"role": "user", "content": "Grüße 🚆 \0", "nul \0": 1},
    {"type": 5, "call_id": None},
    {},
]


@pytest.mark.parametrize("item", ODD, ids=range(len(ODD)))
async def test_any_json_round_trips(client, session, item) -> None:
    before = json.dumps(item)
    await session.add_items([item, *turns(1)])
    assert await session.get_items() == [item, *turns(1)]
    assert json.dumps((await session.get_items())[0]) == before, "in the same order"
    assert json.dumps(item) == before
    assert len(client.chat_history(session.session_id).messages) == 2
    await session.pop_item()
    assert await session.pop_item() == item


async def test_invalid_items_are_refused_and_nothing_is_stored(session) -> None:
    for wrong in ("text", None):
        with pytest.raises(BadRequestError):
            await session.add_items([*turns(1), wrong])
    assert await session.get_items() == []


async def test_a_value_of_any_class_is_stored_as_text(session) -> None:
    await session.add_items([{"role": "user", "content": [{"type": "x", "text": object()}]}])
    [item] = await session.get_items()
    assert "object" in item["content"][0]["text"]


async def test_any_object_in_an_item_is_stored_in_its_nearest_form(session, caplog) -> None:
    loop: dict = {"type": "function_call_output", "call_id": "c", "output": "ok", "b": b"\0"}
    loop |= {"self": loop, "long": 10**5000, "half": "\ud83d", "error": ValueError("no")}
    await session.add_items([*turns(1), loop, {"role": "user", "content": {1, 2}}])
    [*first, output, asked] = await session.get_items()
    assert first == turns(1)
    assert (output["output"], output["b"], output["long"]) == ("ok", b"\0", 10**5000)
    assert (output["half"], output["error"]) == ("\ufffd", "ValueError('no')")
    assert asked == {"role": "user", "content": [1, 2]}
    assert len(caplog.records) == 1


def test_contradictory_arguments_are_refused(client) -> None:
    with pytest.raises(BadRequestError):
        ZepSession("a", client=client, url="embedded:")
    with pytest.raises(BadRequestError):
        ZepSession("")


def sample(hint: Any, depth: int = 0) -> Any:
    """Make a value of a type, with every field there is."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Required, typing.NotRequired, typing.Annotated):
        return sample(arguments[0], depth)
    if origin is typing.Literal:
        return arguments[0]
    if origin in (typing.Union, types.UnionType):
        return sample(arguments[0], depth)
    if typing_extensions.is_typeddict(hint):
        return {
            name: sample(each, depth + 1)
            for name, each in typing_extensions.get_type_hints(hint, include_extras=True).items()
        }
    if origin is dict:
        return {"a key": sample(arguments[1], depth + 1)}
    if origin is not None and issubclass(origin, typing.Iterable):
        return [sample(arguments[0], depth + 1)]
    plain = {str: "a text", int: 5, float: 0.5, bool: True, object: {"any": ["thing"]}}
    return plain.get(hint)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_every_item_type_round_trips(client, session, kind) -> None:
    item = sample(kind)
    assert item
    await session.add_items([item])
    assert await session.get_items() == [item]
    [message] = client.memory.get_memory(session.session_id).messages
    assert message.role in {"user", "assistant", "system", "tool"}
    assert len(client.chat_history(session.session_id).messages) == 1
