"""Microsoft's Agent Framework, with a scripted model. Runs in an environment of its own."""

import asyncio
import os
from typing import Any
from uuid import uuid4

import pytest
from agent_framework import (
    Agent,
    AgentSession,
    BaseChatClient,
    ChatMiddlewareLayer,
    ChatResponse,
    ChatResponseUpdate,
    CompactionProvider,
    Content,
    FileHistoryProvider,
    FunctionInvocationLayer,
    InMemoryHistoryProvider,
    Message,
    ResponseStream,
    SlidingWindowStrategy,
)
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_zepstore import BadRequestError, Memory, NotFoundError, ZepClient
from langchain_zepstore import Message as ZepMessage
from langchain_zepstore.adapters.agent_framework import ZepHistoryProvider

USER = "Ada"


@pytest.fixture
def client():
    url, database = os.environ["ZEPSTORE_TEST_URL"], os.environ["ZEPSTORE_TEST_DATABASE"]
    with ZepClient(url, database=database) as client:
        yield client


@pytest.fixture
def provider(client):
    return ZepHistoryProvider(client=client, user_id=USER)


@pytest.fixture
def key():
    return f"session {uuid4()}"


class Scripted(FunctionInvocationLayer, ChatMiddlewareLayer, BaseChatClient):
    """A model that says one step after the other: contents, or an error to raise."""

    def __init__(self, *steps: Any) -> None:
        super().__init__()
        self.steps = list(steps)
        self.seen: list[list[str]] = []

    def _inner_get_response(self, *, messages, stream, options, **_: Any) -> Any:
        self.seen.append([message.text for message in messages])
        step = self.steps.pop(0)
        contents = step if isinstance(step, list) else [step]
        message_id = str(uuid4())

        async def updates():
            for content in contents:
                if isinstance(content, Exception):
                    raise content
                yield ChatResponseUpdate(
                    role="assistant", contents=[content], message_id=message_id
                )

        async def response():
            for content in contents:
                if isinstance(content, Exception):
                    raise content
            message = Message("assistant", contents, message_id=message_id)
            return ChatResponse(messages=[message], response_id=message_id)

        if stream:
            return ResponseStream(updates(), finalizer=ChatResponse.from_updates)
        return response()


def weather(city: str) -> str:
    """Tell the weather."""
    return f"It rains in {city}."


def broken() -> str:
    """Break."""
    raise RuntimeError("broken")


def agent_of(provider: Any, *steps: Any, **options: Any) -> Agent:
    several = provider if isinstance(provider, list) else [provider]
    return Agent(
        client=Scripted(*steps),
        instructions="Be kind.",
        tools=[weather, broken],
        context_providers=several,
        **options,
    )


def text(said: str) -> Content:
    return Content.from_text(said)


def call(call_id: str, name: str, arguments: Any = None) -> Content:
    return Content.from_function_call(call_id, name, arguments=arguments)


def result(call_id: str, value: Any, **options: Any) -> Content:
    return Content.from_function_result(call_id, result=value, **options)


def dicts(messages: Any) -> list[dict[str, Any]]:
    return [message.to_dict() for message in messages]


def texts(messages: Any) -> list[str]:
    return [message.text for message in messages]


MESSAGES = {
    "text": Message("user", ["Grüße! 🚆"]),
    "texts": Message("user", ["a\nb", "", "c"], author_name="Ada", message_id="1"),
    "empty": Message("assistant", [text("")]),
    "nothing": Message("assistant", []),
    "system": Message("system", ["s"]),
    "developer": Message("developer", ["d"]),
    "other": Message("Bob", ["b"]),
    "image": Message("user", ["see", Content.from_data(b"\x89PNG\r\n\x1a\n", "image/png"), "that"]),
    "link": Message(
        "user", [Content.from_uri("https://example.com/a.png", media_type="image/png")]
    ),
    "reasoning": Message(
        "assistant", [Content.from_text_reasoning(text="hm", protected_data="x"), text("so")]
    ),
    "calls": Message(
        "assistant",
        [text("look"), call("1", "weather", {"city": "Rome"}), call("2", "weather", '{"city": ')],
    ),
    "result": Message("tool", [result("1", "It rains.")]),
    "results": Message(
        "tool",
        [
            result("1", "a"),
            result("2", "", exception="E"),
            result("3", {"x": 1}),
            result("4", None),
        ],
        message_id="many",
    ),
    "rich result": Message(
        "tool", [result("1", [text("a"), Content.from_data(b"x", "image/png"), text("b")])]
    ),
    "properties": Message(
        "user", ["a"], additional_properties={"a.b": {"$set": [1, None, 2**70, {"$ref": "x"}]}}
    ),
    "usage": Message("assistant", ["a", Content.from_usage({"input_token_count": 3})]),
    "error": Message("assistant", [Content.from_error(message="no", error_code="1")]),
    "approval": Message(
        "assistant", [Content.from_function_approval_request("1", call("2", "weather", "{}"))]
    ),
    "half an emoji": Message("user", ["\ud83d"]),
}


@pytest.mark.parametrize("name", MESSAGES)
async def test_every_message_round_trips(provider, key, name):
    before = MESSAGES[name].to_dict()
    await provider.save_messages(key, [Message("user", ["first"]), MESSAGES[name]])
    assert MESSAGES[name].to_dict() == before
    _, read = await provider.get_messages(key)
    assert read.to_dict() == before
    # An exception is a marker then, by the framework's own rule.
    redacted = Message.from_dict(before)
    assert read.contents == redacted.contents


async def test_langchain_reads_the_messages_as_a_conversation(client, provider, key):
    await provider.save_messages(key, list(MESSAGES.values()))
    assert dicts(await provider.get_messages(key)) == dicts(MESSAGES.values())
    read = await client.chat_history(key).aget_messages()
    [asks] = [each for each in read if isinstance(each, AIMessage) and each.tool_calls]
    assert asks.tool_calls[0]["args"] == {"city": "Rome"}
    assert asks.invalid_tool_calls[0]["args"] == '{"city": '
    answers = [each for each in read if isinstance(each, ToolMessage)]
    assert [each.tool_call_id for each in answers] == ["1", "1", "2", "3", "4", "1"]
    assert [each.status for each in answers].count("error") == 1
    assert answers[0].name == "weather"
    assert answers[3].content == '{"x": 1}'
    assert type(read[5]) is SystemMessage


async def test_invalid_messages_and_sessions_are_refused(client, provider, key):
    odd = Message("user", ["a"], additional_properties={"x": 1})
    with pytest.raises(BadRequestError, match=r"messages\[1\]"):
        await provider.save_messages(key, [odd, "hello"])
    with pytest.raises(BadRequestError, match="no id"):
        await provider.save_messages(None, [odd])
    with pytest.raises(BadRequestError, match="no id"):
        await provider.get_messages(None)
    with pytest.raises(BadRequestError, match="not both"):
        ZepHistoryProvider("mongodb://localhost", client=client)
    assert await provider.get_messages(key) == []


async def test_any_object_in_a_message_is_stored_in_its_nearest_form(provider, key, caplog):
    loop: dict[Any, Any] = {"name": "ring", 1: {2}, "error": ValueError("no"), "long": 10**4200}
    loop["self"] = loop
    odd = Message("user", [text("hi")], additional_properties={"loop": loop})
    asks = Message("assistant", [call("1", "f", {"loop": loop})])
    await provider.save_messages(key, [odd, asks])
    read = await provider.get_messages(key)
    assert [each.text for each in read] == ["hi", ""]
    for kept in (read[0].additional_properties["loop"], read[1].contents[0].arguments["loop"]):
        assert (kept["name"], kept["1"], kept["error"]) == ("ring", [2], "ValueError('no')")
    assert len(caplog.records) == 1


def said(*several: str, ids: bool = False) -> list[Message]:
    return [
        Message("assistant" if n % 2 else "user", [each], message_id=each if ids else None)
        for n, each in enumerate(several)
    ]


REPLAYS = {
    "the next turn": [said("a", "b"), said("c", "d")],
    "the whole transcript": [said("a", "b"), said("a", "b", "c", "d")],
    "the whole transcript after others": [said("a", "b"), said("0", "1", "a", "b", "c")],
    "the last turn and the next": [said("a", "b", "c", "d"), said("c", "d", "e")],
    "the same ids": [said("a", "b", "c", ids=True), said("c", ids=True)],
    "a user who says it again": [said("a"), said("a")],
    "a user who says it again later": [said("a", "b", "a"), said("a", "b")],
    "a user who says it again with its id": [said("a", ids=True), said("a", ids=True)],
    "nothing": [said("a"), []],
    "an older turn": [said("a", "b", "c", "d"), said("a", "b")],
}


@pytest.mark.parametrize("name", REPLAYS)
async def test_replays_are_detected_like_in_the_frameworks_own_provider(
    provider, key, tmp_path, name
):
    state: dict[str, Any] = {}
    theirs = InMemoryHistoryProvider()
    for messages in REPLAYS[name]:
        await provider.save_messages(key, messages)
        await theirs.save_messages(key, messages, state=state)
    assert dicts(await provider.get_messages(key)) == dicts(
        await theirs.get_messages(key, state=state)
    )


@pytest.mark.parametrize("ids", [False, True], ids=["without ids", "with ids"])
async def test_a_repeated_turn_is_stored_unless_its_messages_have_ids(provider, key, ids):
    for _ in range(4):
        await provider.save_messages(key, said("lights on", "Done.", ids=ids))
    assert texts(await provider.get_messages(key)) == ["lights on", "Done."] * (1 if ids else 4)


async def test_an_agent_given_the_same_input_four_times_stores_it_four_times(provider, key):
    session = AgentSession(session_id=key)
    for _ in range(4):
        await agent_of(provider, text("Done.")).run("lights on", session=session)
    assert texts(await provider.get_messages(key)) == ["lights on", "Done."] * 4


async def test_another_users_session_is_refused(client, provider, key):
    await provider.save_messages(key, said("a", "b"))
    theirs = ZepHistoryProvider(client=client, user_id="Bob")
    with pytest.raises(BadRequestError, match="another user"):
        await theirs.get_messages(key)
    with pytest.raises(BadRequestError, match="another user"):
        await theirs.save_messages(key, said("c"))
    assert texts(await provider.get_messages(key)) == ["a", "b"]


async def test_a_replay_of_parallel_results_adds_nothing(provider, key):
    turn = [MESSAGES["calls"], MESSAGES["results"], Message("assistant", ["done"])]
    await provider.save_messages(key, [Message("user", ["go"]), *turn])
    await provider.save_messages(key, [Message("user", ["go"]), *turn])
    await provider.save_messages(key, [*turn[1:], Message("user", ["more"])])
    assert dicts(await provider.get_messages(key)) == dicts(
        [Message("user", ["go"]), *turn, Message("user", ["more"])]
    )


@pytest.mark.parametrize("stream", [False, True], ids=["at once", "streaming"])
async def test_agents_remember_turns_with_tools(client, provider, key, stream):
    whole = InMemoryHistoryProvider(load_messages=False)  # what the framework itself would keep
    session = AgentSession(session_id=key)

    async def turn(said: str, *steps: Any) -> tuple[str, list[str]]:
        agent = agent_of([provider, whole], *steps)
        if stream:
            running = agent.run(said, session=session, stream=True)
            parts = [update.text async for update in running]
            return "".join(parts), agent.client.seen[0]
        return (await agent.run(said, session=session)).text, agent.client.seen[0]

    two = [call("1", "weather", {"city": "Rome"}), call("2", "weather", '{"city": "Oslo"}')]
    answer, seen = await turn("The weather?", two, text("Rain."))
    assert (answer, seen[-1:]) == ("Rain.", ["The weather?"])
    answer, seen = await turn("Break.", call("3", "broken"), text("It broke."))
    assert answer == "It broke."
    assert [each for each in seen if each] == ["The weather?", "Rain.", "Break."]
    assert (await turn("Thanks.", [text("Wel"), text("come.")]))[0].replace(" ", "") == "Welcome."

    stored = await provider.get_messages(key)
    assert dicts(stored) == dicts(session.state["in_memory"]["messages"])
    human, asks, rome, oslo, rain, _, ask, answer, *_ = await client.chat_history(
        key
    ).aget_messages()
    assert (type(human), human.content, rain.content) == (HumanMessage, "The weather?", "Rain.")
    assert [each["args"]["city"] for each in asks.tool_calls] == ["Rome", "Oslo"]
    assert [(each.tool_call_id, each.content) for each in (rome, oslo)] == [
        ("1", "It rains in Rome."),
        ("2", "It rains in Oslo."),
    ]
    assert (ask.tool_calls[0]["name"], answer.status) == ("broken", "error")
    found = await client.memory.asearch("raining", session_id=key)
    assert {each.message.content for each in found} >= {"It rains in Rome.", "Rain."}


async def test_a_failed_run_saves_nothing_unless_persistence_per_call_is_required(
    client, provider, key
):
    session = AgentSession(session_id=key)
    steps = [call("1", "weather", {"city": "Rome"}), RuntimeError("gone")]
    with pytest.raises(Exception, match="gone"):
        await agent_of(provider, *steps).run("The weather?", session=session)
    assert await provider.get_messages(key) == []
    kept = agent_of(provider, *steps, require_per_service_call_history_persistence=True)
    with pytest.raises(Exception, match="gone"):
        await kept.run("The weather?", session=session)
    first, asks, *_ = await provider.get_messages(key)
    assert (first.text, asks.contents[0].name) == ("The weather?", "weather")


async def test_an_agent_forgets_a_deleted_session_which_can_be_undeleted(client, provider, key):
    session = AgentSession(session_id=key)
    await agent_of(provider, text("Hello, Ada.")).run("I am Ada.", session=session)
    await client.memory.adelete_memory(key)
    agent = agent_of(provider, text("No."))
    await agent.run("Who am I?", session=session)
    assert "I am Ada." not in agent.client.seen[0]
    assert texts(await provider.get_messages(key)) == ["Who am I?", "No."]
    await client.memory.aundelete_session(key)
    assert texts(await provider.get_messages(key)) == [
        *("I am Ada.", "Hello, Ada."),
        *("Who am I?", "No."),
    ]
    await client.memory.adelete_memory(key)
    with pytest.raises(NotFoundError):
        await client.memory.aget_session(key)


async def test_concurrent_saves_lose_nothing_and_keep_turns_together(provider, key):
    turns = [said(f"question {n}", f"answer {n}") for n in range(32)]
    await asyncio.gather(*(provider.save_messages(key, turn) for turn in turns))
    read = texts(await provider.get_messages(key))
    assert len(read) == len(set(read)) == 64
    for n in range(32):
        place = read.index(f"question {n}")
        assert read[place + 1] == f"answer {n}"


async def test_a_session_restored_from_its_dict_continues(provider, key):
    first = AgentSession(session_id=key)
    await agent_of(provider, text("Hello.")).run("Hi.", session=first)
    again = AgentSession.from_dict(first.to_dict())
    agent = agent_of(provider, text("Yes."))
    await agent.run("Still there?", session=again)
    assert agent.client.seen[0][-3:] == ["Hi.", "Hello.", "Still there?"]


async def test_messages_from_other_clients_are_loaded(client, provider, key):
    calls = [{"name": "f", "args": {"a": 1}, "id": "1", "type": "tool_call"}]
    await client.chat_history(key).aadd_messages(
        [SystemMessage("s"), HumanMessage("h"), AIMessage("", tool_calls=calls)]
    )
    await client.chat_history(key).aadd_messages([ToolMessage("r", tool_call_id="1", name="f")])
    others = [ZepMessage(role=role, content=role) for role in ("user", "assistant", "Bob")]
    await client.memory.aadd_memory(key, Memory(messages=others))
    read = await provider.get_messages(key)
    assert [each.role for each in read] == [
        *("system", "user", "assistant", "tool"),
        *("user", "assistant", "user"),
    ]
    assert read[2].contents == [call("1", "f", {"a": 1})]
    assert read[3].contents == [result("1", "r")]
    agent = agent_of(provider, text("ok"))
    await agent.run("go", session=AgentSession(session_id=key))
    assert len(await provider.get_messages(key)) == 9


async def test_options_match_the_frameworks_provider(client, key):
    options: list[dict[str, Any]] = [
        {"store_inputs": False},
        {"store_outputs": False},
        {"load_messages": False},
        {"store_context_messages": True},
    ]
    for number, option in enumerate(options):
        ours = ZepHistoryProvider(client=client, **option)
        theirs = InMemoryHistoryProvider(**option)
        session = AgentSession(session_id=f"{key} {number}")
        for _ in range(2):
            await agent_of([ours, theirs], text("a")).run("q", session=session)
        stored = await ours.get_messages(session.session_id)
        assert len(stored) >= 1
        assert {each.role for each in stored} == {
            each.role for each in session.state["in_memory"]["messages"]
        }


async def test_excluded_messages_are_not_loaded_when_asked(client, key):
    ours = ZepHistoryProvider(client=client, skip_excluded=True)
    gone = Message("user", ["gone"], additional_properties={"_excluded": True})
    await ours.save_messages(key, [gone, Message("user", ["here"])])
    assert texts(await ours.get_messages(key)) == ["here"]
    assert len(await ZepHistoryProvider(client=client).get_messages(key)) == 2


async def test_compaction_shortens_the_models_input_only(provider, key):
    session = AgentSession(session_id=key)
    compaction = CompactionProvider(before_strategy=SlidingWindowStrategy(keep_last_groups=2))
    for number in range(4):
        agent = agent_of([provider, compaction], text(f"a{number}"))
        await agent.run(f"q{number}", session=session)
    assert "q0" not in agent.client.seen[0]
    assert texts(await provider.get_messages(key)) == [
        each for number in range(4) for each in (f"q{number}", f"a{number}")
    ]


async def test_two_users_see_only_their_own_sessions(client, key):
    for user in ("Ada", "Bob"):
        ours = ZepHistoryProvider(client=client, user_id=f"{user} {key}")
        session = AgentSession(session_id=f"{user}'s {key}")
        await agent_of(ours, text("Noted.")).run(f"{user} likes the harbour", session=session)
    for user in ("Ada", "Bob"):
        [session] = await client.user.aget_sessions(f"{user} {key}")
        [found] = await client.memory.asearch("harbour", user_id=f"{user} {key}")
        assert found.session_id == session.session_id == f"{user}'s {key}"


async def test_turns_match_the_frameworks_file_provider(provider, key, tmp_path):
    theirs = FileHistoryProvider(tmp_path)
    session = AgentSession(session_id=key)
    for number in range(3):
        await agent_of([provider, theirs], text(f"a{number}")).run(f"q{number}", session=session)
    assert texts(await provider.get_messages(key))[:2] == texts(await theirs.get_messages(key))[:2]


async def test_providers_with_the_same_url_share_a_client():
    first, again = (ZepHistoryProvider(os.environ["ZEPSTORE_TEST_URL"]) for _ in range(2))
    assert first.source_id == ZepHistoryProvider.DEFAULT_SOURCE_ID == "zepstore"
    assert first._client is again._client
