"""Pydantic AI, with models that make no requests, on histories of ours. In its own environment."""

import asyncio
import json
import os
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import BaseModel
from pydantic_ai import (
    Agent,
    BinaryContent,
    ImageUrl,
    ModelRetry,
    capture_run_messages,
    models,
)
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    RetryPromptPart,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.models.test import TestModel

from langchain_zepstore import BadRequestError, Memory, Message, ZepClient
from langchain_zepstore.adapters.pydantic_ai import ZepMessageHistory

models.ALLOW_MODEL_REQUESTS = False
USER = "Ada"


@pytest.fixture
def client():
    url, database = os.environ["ZEPSTORE_TEST_URL"], os.environ["ZEPSTORE_TEST_DATABASE"]
    with ZepClient(url, database=database) as client:
        yield client


@pytest.fixture
def history(client):
    return ZepMessageHistory(f"session {uuid4()}", client=client, user_id=USER)


def as_the_framework_stores(messages: list[ModelMessage]) -> list[ModelMessage]:
    """What its own adapter makes of messages: it narrows some classes, of images for one."""
    return ModelMessagesTypeAdapter.validate_json(ModelMessagesTypeAdapter.dump_json(messages))


def agent_of(*answers: str) -> Agent:
    left = iter(answers)
    return Agent(
        FunctionModel(lambda _messages, _info: ModelResponse(parts=[TextPart(next(left))])),
        instructions="Be brief.",
    )


def tooled() -> Agent:
    """An agent whose model calls all tools at once, and then answers."""
    agent = Agent(TestModel(), system_prompt="You know the weather.")

    @agent.tool_plain
    def weather(city: str) -> dict[str, Any]:
        return {"city": city, "sky": "cloudless", "degrees": [21, 22.5]}

    @agent.tool_plain
    def time(city: str) -> str:
        return f"It is noon in {city}."

    return agent


def test_each_run_continues_the_previous_one(client, history) -> None:
    agent = agent_of("Nice to meet you.", "You are Ada.")
    first = agent.run_sync("My name is Ada.", message_history=history.messages)
    history.add_messages(first.new_messages())
    again = ZepMessageHistory(history.session_id, client=client)
    second = agent.run_sync("Who am I?", message_history=again.messages)
    again.add_messages(second.new_messages())
    assert history.messages == second.all_messages()
    assert [message.kind for message in history.messages] == ["request", "response"] * 2


async def test_each_asynchronous_run_continues_the_previous_one(history) -> None:
    agent = agent_of("One.", "Two.")
    for _ in range(2):
        result = await agent.run("Count.", message_history=await history.aget_messages())
        await history.aadd_messages(result.new_messages())
    assert await history.aget_messages() == result.all_messages()
    await history.aclear()
    assert await history.aget_messages() == []


async def test_a_streamed_run_is_stored(history) -> None:
    async with tooled().run_stream("Weather?") as result:
        assert await result.get_output()
    await history.aadd_messages(result.new_messages())
    assert await history.aget_messages() == result.all_messages()


def test_parallel_tool_calls_are_stored_with_their_results(client, history) -> None:
    result = tooled().run_sync("Weather and time?")
    history.add_messages(result.new_messages())
    assert history.messages == result.all_messages()

    stored = client.memory.get_memory(history.session_id).messages
    roles = ["system", "user", "assistant", "tool", "tool", "assistant"]
    assert [message.role for message in stored] == roles
    system, human, ai, weather, time, last = client.chat_history(history.session_id).messages
    assert (type(system), system.content) == (SystemMessage, "You know the weather.")
    assert (type(human), human.content) == (HumanMessage, "Weather and time?")
    assert [call["name"] for call in ai.tool_calls] == ["weather", "time"]
    assert [call["id"] for call in ai.tool_calls] == [weather.tool_call_id, time.tool_call_id]
    assert (type(weather), json.loads(weather.content)["sky"]) == (ToolMessage, "cloudless")
    assert time.content == "It is noon in a."
    assert isinstance(last, AIMessage)


def test_a_retried_tool_call_is_stored_with_its_error(client, history) -> None:
    agent = Agent(TestModel())
    tries = []

    @agent.tool_plain(retries=2)
    def fickle() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise ModelRetry("Not yet.")
        return "Now."

    result = agent.run_sync("Try.")
    history.add_messages(result.new_messages())
    assert history.messages == result.all_messages()
    tools = [
        message
        for message in client.chat_history(history.session_id).messages
        if isinstance(message, ToolMessage)
    ]
    assert [(tool.content, tool.status) for tool in tools] == [
        ("Not yet.", "error"),
        ("Now.", "success"),
    ]


def test_a_turn_with_a_failing_tool_can_be_stored_and_continued(history) -> None:
    history.add_messages(agent_of("Yes.").run_sync("Listen.").new_messages())
    agent = Agent(TestModel())

    @agent.tool_plain
    def broken() -> str:
        raise RuntimeError("broken")

    with capture_run_messages() as messages, pytest.raises(RuntimeError):
        agent.run_sync("Break.")
    history.add_messages(messages)
    assert history.messages[2:] == messages
    assert history.messages[3].parts[0].tool_name == "broken"
    result = agent_of("Never mind.").run_sync("Sorry.", message_history=history.messages)
    history.add_messages(result.new_messages())
    assert history.messages[-1].parts[0].content == "Never mind."


def test_structured_output_is_stored(history) -> None:
    class Answer(BaseModel):
        city: str
        people: int

    result = Agent(TestModel(), output_type=Answer).run_sync("Where?")
    history.add_messages(result.new_messages())
    assert history.messages == result.all_messages()


def test_files_and_links_are_stored_and_their_bytes_are_not_text(client, history) -> None:
    prompt = [
        "What is this?",
        BinaryContent(b"\x00\xff needle", media_type="image/png"),
        ImageUrl("https://example.com/a.png"),
        "And that?",
    ]
    result = agent_of("A cat.").run_sync(prompt)
    history.add_messages(result.new_messages())
    assert history.messages == as_the_framework_stores(result.all_messages())
    assert history.messages[0].parts[0].content[1].data == b"\x00\xff needle"
    [user, _] = client.memory.get_memory(history.session_id).messages
    assert user.content == "What is this?\nAnd that?"

    history.add_messages([ModelRequest(parts=[UserPromptPart([prompt[1]])])])
    answer = ToolReturnPart("photo", {"of": prompt[1]}, "1")
    history.add_messages([ModelRequest(parts=[answer])])
    *_, user, tool = client.memory.get_memory(history.session_id).messages
    assert (user.content, tool.content) == ("", '{"of": "image/png"}')


MESSAGES: list[ModelMessage] = [
    ModelRequest(parts=[], instructions="Go on."),
    ModelRequest(
        parts=[SystemPromptPart("Be."), UserPromptPart("a\nb\n"), UserPromptPart("")],
        metadata={"a.b": {"$ref": 1}},
    ),
    ModelResponse(
        parts=[
            ThinkingPart("Hm.", signature="x"),
            TextPart("One."),
            ToolCallPart("f", {"deep": {"in": [{"to": [{"the": {"bone": 10**30}}]}]}}, "1"),
            TextPart("Two."),
            ToolCallPart("g", '{"half', "2"),
            ToolCallPart("h", None, "3"),
        ],
        provider_details={"any": [1, None]},
        timestamp=datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
    ),
    ModelResponse(parts=[]),
    ModelRequest(parts=[ToolReturnPart("f", [1, "x", {"y": None}], "1")]),
    ModelRequest(parts=[ToolReturnPart("g", None, "2"), UserPromptPart("Grüße 🚆")]),
]


def test_every_message_round_trips_like_the_frameworks_json(client, history) -> None:
    history.add_messages(MESSAGES)
    assert history.messages == as_the_framework_stores(MESSAGES)
    assert ModelMessagesTypeAdapter.dump_json(history.messages) == (
        ModelMessagesTypeAdapter.dump_json(MESSAGES)
    )
    assert len(client.chat_history(history.session_id).messages) == 9


def test_repeated_adds_change_nothing(history) -> None:
    agent = agent_of("One.", "Two.")
    first = agent.run_sync("Count.")
    history.add_messages(first.new_messages())
    history.add_messages(first.new_messages())
    assert history.messages == first.all_messages()
    second = agent.run_sync("Count.", message_history=history.messages)
    history.add_messages(second.all_messages())
    history.add_messages(second.new_messages())
    assert history.messages == second.all_messages()


def test_equal_messages_of_one_call_are_all_stored(history) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    same = ModelRequest(parts=[UserPromptPart("Again.", timestamp=at)])
    history.add_messages([same, same])
    assert history.messages == [same, same]


def test_a_window_starts_with_a_prompt(client, history) -> None:
    for _ in range(2):
        history.add_messages(tooled().run_sync("Weather?").new_messages())
    everything = history.messages
    for lastn, kept in ((100, 8), (12, 8), (7, 4), (6, 4), (5, 4), (4, 2), (1, 2), (0, 0)):
        window = ZepMessageHistory(history.session_id, client=client, lastn=lastn).messages
        assert len(window) == kept, lastn
        if lastn > 5:  # else the system prompt of the first request is out of sight
            assert window == everything[8 - kept :]
        if kept == 2:
            assert [each.part_kind for each in window[0].parts] == ["user-prompt"]
            assert window[1] == everything[-1]
        tooled().run_sync("And now?", message_history=window)


def test_a_window_within_a_long_turn_starts_with_its_prompt(client, history) -> None:
    asked = ModelRequest(parts=[UserPromptPart("Look around.")])
    calls = [ToolCallPart("look", {}, f"c{n}") for n in range(30)]
    answers = [ToolReturnPart("look", f"seen {n}", f"c{n}") for n in range(30)]
    history.add_messages([asked, ModelResponse(calls), ModelRequest(answers)])
    window = ZepMessageHistory(history.session_id, client=client, lastn=20).messages
    assert window[0].parts[0].content == "Look around."
    called = [part.tool_call_id for part in window[1].parts]
    answered = [part for request in window[2:] for part in request.parts]
    assert sorted(part.tool_call_id for part in answered) == sorted(called)
    assert answers[-1].content in [part.content for part in answered]
    agent_of("All seen.").run_sync(message_history=window)


async def test_32_concurrent_adds_lose_nothing_and_keep_turns_together(client, history) -> None:
    async def add(number: int) -> None:
        own = ZepMessageHistory(history.session_id, client=client)
        await own.aadd_messages(
            [
                ModelRequest(parts=[UserPromptPart(f"{number} {part}") for part in "ab"]),
                ModelResponse(parts=[TextPart(f"{number} c")]),
            ]
        )

    await asyncio.gather(*map(add, range(32)))
    several = await history.aget_messages()
    together = [
        [part.content for message in several[index : index + 2] for part in message.parts]
        for index in range(0, 64, 2)
    ]
    assert sorted(together) == sorted([f"{n} a", f"{n} b", f"{n} c"] for n in range(32))


def test_a_session_is_listed_searched_deleted_and_undeleted_like_any_other(client) -> None:
    user_id = f"user {uuid4()}"
    history = ZepMessageHistory(
        f"session {uuid4()}", client=client, user_id=user_id, session_metadata={"topic": "sky"}
    )
    result = tooled().run_sync("Shall I take an umbrella?")
    history.add_messages(result.new_messages())
    [listed] = client.user.get_sessions(user_id)
    assert (listed.session_id, listed.metadata) == (history.session_id, {"topic": "sky"})
    [found] = client.memory.search("umbrellas", user_id=user_id)
    assert (found.message.role, found.message.content) == ("user", "Shall I take an umbrella?")
    roles = {found.message.role for found in client.memory.search("cloudless", user_id=user_id)}
    assert roles == {"tool", "assistant"}

    history.clear()
    history.clear()
    assert history.messages == []
    assert client.user.get_sessions(user_id) == []
    client.memory.undelete_session(history.session_id)
    assert history.messages == result.all_messages()


def test_a_text_is_stored_once(client, history) -> None:
    history.add_messages(
        [
            ModelRequest(parts=[SystemPromptPart("needle"), UserPromptPart(["needle"])]),
            ModelResponse(parts=[TextPart("needle")]),
            ModelRequest(parts=[ToolReturnPart("f", "needle", "1")]),
        ]
    )
    for message in client.memory.get_memory(history.session_id).messages:
        assert message.model_dump_json().count("needle") == 1


def test_messages_from_other_clients_are_read(client, history) -> None:
    call = {"name": "weather", "args": {"city": "Paris"}, "id": "1", "type": "tool_call"}
    client.chat_history(history.session_id).add_messages(
        [
            SystemMessage("Be brief."),
            HumanMessage([{"type": "text", "text": "Weather?"}]),
            AIMessage("I look.", tool_calls=[call]),
            ToolMessage("Rain.", tool_call_id="1"),
        ]
    )
    client.memory.add_memory(
        history.session_id, Memory(messages=[Message(role="assistant", content="It rains.")])
    )
    assert history.messages == history.messages
    system, prompt, response, answer, last = history.messages
    assert [type(message.parts[0]) for message in (system, prompt, answer, last)] == [
        SystemPromptPart,
        UserPromptPart,
        ToolReturnPart,
        TextPart,
    ]
    assert [response.parts[0].content, response.parts[1].args] == ["I look.", {"city": "Paris"}]
    assert (answer.parts[0].tool_name, answer.parts[0].content) == ("weather", "Rain.")
    result = agent_of("Yes.").run_sync("Really?", message_history=history.messages)
    history.add_messages(result.new_messages())
    assert len(history.messages) == 7


def test_only_the_deleted_message_is_missing(client, history) -> None:
    result = tooled().run_sync("Weather?")
    history.add_messages(result.new_messages())
    system, *_ = client.memory.get_memory(history.session_id).messages
    client.message.delete_message(history.session_id, system.uuid)
    [request, *others] = history.messages
    assert [part.part_kind for part in request.parts] == ["user-prompt"]
    assert others == result.all_messages()[1:]


def test_an_error_that_cannot_be_deserialized_is_stored_as_text(history, caplog):
    error = {"type": "odd", "loc": ("a",), "msg": "not so", "input": {1}, "ctx": ValueError("no")}
    retry = RetryPromptPart([error], tool_name="f", tool_call_id="1")
    history.add_messages([ModelRequest([UserPromptPart("Why?")]), ModelRequest([retry])])
    history.add_messages([ModelResponse([TextPart("So.")])])
    [asked, kept, answered] = history.messages
    assert (asked.parts[0].content, answered.parts[0].content) == ("Why?", "So.")
    assert kept.parts[0].tool_call_id == "1"
    assert "not so" in str(kept.parts[0].content)
    assert len(caplog.records) == 1


def test_any_object_in_a_message_is_stored_in_its_nearest_form(history, caplog):
    loop = {"name": "ring", 1: {2}, "error": ValueError("no"), "long": 10**5000}
    loop["self"] = loop
    history.add_messages(
        [
            ModelResponse([ToolCallPart("f", {"loop": loop}, tool_call_id="1")]),
            ModelRequest([ToolReturnPart("f", loop, tool_call_id="1")]),
        ]
    )
    [called, returned] = history.messages
    for kept in (called.parts[0].args["loop"], returned.parts[0].content):
        assert (kept["name"], kept["1"], kept["error"]) == ("ring", [2], "ValueError('no')")
    assert len(caplog.records) == 1


def test_contradictory_arguments_are_refused(client) -> None:
    with pytest.raises(BadRequestError):
        ZepMessageHistory("a", client=client, url="embedded:")
    with pytest.raises(BadRequestError):
        ZepMessageHistory("a", client=client, lastn=-1)
