"""``ChatHistoryMiddleware``: windows, redaction, titles, and what is refused."""

from typing import Any

import pytest
from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage

from langchain_zepstore import BadRequestError, NotFoundError, Session, ZepClient
from langchain_zepstore.middleware import ChatHistoryMiddleware
from tests.support.agents import (
    Call,
    Scripted,
    agent,
    both_ways,
    by_ainvoke,
    by_invoke,
    calling,
    of,
    said,
    stored,
)

pytestmark = pytest.mark.turns("call")


@both_ways
async def test_a_window_is_counted_in_messages(
    client: ZepClient, session_id: str, call: Call
) -> None:
    model = Scripted()
    speaker = agent(client, model, lastn=3)
    for question in ("1", "2", "3"):
        result = await call(speaker, said(question), of(session_id))
    assert model.contents_asked() == ["2", "re:2", "3"]  # the third began with an answer
    assert [each.content for each in result["messages"]] == ["2", "re:2", "3", "re:3"]
    assert await client.message.acount(session_id) == 6


async def test_a_window_of_zero_loads_nothing(client: ZepClient, session_id: str) -> None:
    model = Scripted()
    speaker = agent(client, model, lastn=0)
    speaker.invoke(said("1"), **of(session_id))
    speaker.invoke(said("2"), **of(session_id))
    assert model.contents_asked() == ["2"]
    assert await client.message.acount(session_id) == 4


@pytest.mark.promise("windows by messages and tokens, never on an orphan; redaction, tools, title")
@both_ways
async def test_a_window_is_counted_in_tokens(
    client: ZepClient, session_id: str, call: Call
) -> None:
    def words(messages: list[BaseMessage]) -> int:
        return sum(len(str(each.content).split()) for each in messages)

    model = Scripted("one two three", "four", "five")
    speaker = agent(client, model, max_tokens=4, token_counter=words)
    for question in ("1", "2", "3"):
        await call(speaker, said(question), of(session_id))
    assert model.contents_asked(1) == ["1", "one two three", "2"]
    assert model.contents_asked(2) == ["2", "four", "3"]


@pytest.mark.promise("windows by messages and tokens, never on an orphan; redaction, tools, title")
async def test_a_window_never_starts_with_an_orphan_which_stays_stored(
    client: ZepClient, session_id: str
) -> None:
    told = [
        HumanMessage("Weather?"),
        calling(("a", "Rome"), ("b", "Oslo"), text="Well"),
        ToolMessage("sun", tool_call_id="a"),
        HumanMessage("Hello?"),
    ]
    client.chat_history(session_id).add_messages(told)
    model = Scripted("Hi")
    agent(client, model, lastn=2).invoke(said("1"), **of(session_id))
    assert model.contents_asked() == ["Hello?", "1"]
    model = Scripted("Hi")
    agent(client, model).invoke(said("2"), **of(session_id))
    types = [message.type for message in model.asked[-1]]
    assert types[:5] == ["human", "ai", "tool", "tool", "human"]
    kept = await client.chat_history(session_id).aget_messages()
    assert [each.type for each in kept if each.type == "tool"] == ["tool"]


def without_digits(message: BaseMessage) -> BaseMessage | None:
    if message.content == "secret":
        return None
    message.content = "".join("#" if each.isdigit() else each for each in str(message.content))
    message.id = "other"
    return message


@pytest.mark.promise("windows by messages and tokens, never on an orphan; redaction, tools, title")
@both_ways
async def test_redaction_applies_to_stored_messages_only(
    client: ZepClient, session_id: str, call: Call
) -> None:
    model = Scripted("call 911", "yes")
    speaker = agent(client, model, redact=without_digits, title=True)
    result = await call(
        speaker, {"messages": [("user", "secret"), ("user", "card 4111")]}, of(session_id)
    )
    assert model.contents_asked() == ["secret", "card 4111"]
    assert [each.content for each in result["messages"]] == ["secret", "card 4111", "call 911"]
    assert await stored(client, session_id) == [("human", "card ####"), ("ai", "call ###")]
    await call(speaker, said("ok"), of(session_id))
    assert model.contents_asked() == ["card ####", "call ###", "ok"]
    assert client.memory.get_session(session_id).title == "card ####"


@both_ways
async def test_tool_messages_can_be_excluded(
    client: ZepClient, session_id: str, call: Call
) -> None:
    model = Scripted(
        calling(("a", "Rome"), text="Let me see"), calling(("b", "Oslo")), "Sun!", "Bye"
    )
    speaker = agent(client, model, record_tools=False)
    await call(speaker, said("Weather?"), of(session_id))
    await call(speaker, said("Thanks"), of(session_id))
    assert await stored(client, session_id) == [
        ("human", "Weather?"),
        ("ai", "Let me see"),
        ("ai", "Sun!"),
        ("human", "Thanks"),
        ("ai", "Bye"),
    ]
    assert [len(asked) for asked in model.asked] == [1, 3, 5, 4]
    assert not any(getattr(each, "tool_calls", []) for each in model.asked[-1])


async def by_coroutine(messages: list[BaseMessage]) -> str:
    return f"{len(messages)} messages"


def by_function(messages: list[BaseMessage]) -> str:
    return f"{len(messages)} messages"


@pytest.mark.promise("windows by messages and tokens, never on an orphan; redaction, tools, title")
@pytest.mark.parametrize(
    ("call", "title", "expected"),
    [
        (by_invoke, True, "Where " * 9 + "is Ro…"),
        (by_ainvoke, True, "Where " * 9 + "is Ro…"),
        (by_invoke, by_function, "2 messages"),
        (by_ainvoke, by_function, "2 messages"),
        (by_ainvoke, by_coroutine, "2 messages"),
    ],
)
async def test_a_session_gets_a_title_from_its_first_turn(
    client: ZepClient, session_id: str, call: Call, title: Any, expected: str
) -> None:
    speaker = agent(client, Scripted(), title=title)
    await call(speaker, said("Where " * 9 + "\n is Rome, I wonder?"), of(session_id))
    first = client.memory.get_session(session_id)
    assert (first.title, first.metadata) == (expected, None)
    await call(speaker, said("And Oslo?"), of(session_id))
    assert client.memory.get_session(session_id).title == expected


@both_ways
async def test_an_existing_title_is_kept(client: ZepClient, session_id: str, call: Call) -> None:
    of_metadata = f"{session_id} of old"
    client.memory.add_session(Session(session_id=session_id, title="Mine"))
    client.memory.add_session(Session(session_id=of_metadata, metadata={"title": "Mine", "a": 1}))
    for each in (session_id, of_metadata):
        await call(agent(client, Scripted(), title=True), said("1"), of(each))
        assert client.memory.get_session(each).title == "Mine"
    assert client.memory.get_session(of_metadata).metadata == {"title": "Mine", "a": 1}


@both_ways
async def test_a_title_of_any_length_does_not_stop_a_run(
    client: ZepClient, session_id: str, call: Call
) -> None:
    await call(
        agent(client, Scripted(), title=lambda _: "\ud800" + "x" * 2000), said("1"), of(session_id)
    )
    assert client.memory.get_session(session_id).title == "\ufffd" + "x" * 999


@both_ways
async def test_a_late_title_does_not_revive_a_session(
    client: ZepClient, session_id: str, call: Call
) -> None:
    def title(_: Any) -> str:
        client.memory.delete_memory(session_id)
        return "late"

    await call(agent(client, Scripted(), title=title), said("1"), of(session_id))
    with pytest.raises(NotFoundError):
        client.memory.get_session(session_id)


async def test_no_title_is_set_by_default(client: ZepClient, session_id: str) -> None:
    agent(client, Scripted()).invoke(said("1"), **of(session_id))
    assert client.memory.get_session(session_id).title is None


async def test_a_title_may_be_none(client: ZepClient, session_id: str) -> None:
    agent(client, Scripted(), title=lambda _: None).invoke(said("1"), **of(session_id))
    assert client.memory.get_session(session_id).title is None


async def test_a_coroutine_function_cannot_give_a_title_under_invoke(
    client: ZepClient, session_id: str
) -> None:
    with pytest.raises(BadRequestError, match="use ainvoke"):
        agent(client, Scripted(), title=by_coroutine).invoke(said("1"), **of(session_id))
    assert await stored(client, session_id) == [("human", "1"), ("ai", "re:1")]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"mode": "both"}, "mode"),
        ({"on_error": "ignore"}, "on_error"),
        ({"lastn": -1}, "lastn"),
        ({"lastn": None}, "lastn"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"session_id": ""}, "session_id"),
        ({"user_id": 9.5}, "user_id"),
        ({"url": "mongodb://nowhere"}, "not both"),
        ({"client": "mongodb://nowhere"}, "ZepClient"),
    ],
)
def test_invalid_options_are_refused_on_construction(
    client: ZepClient, options: dict[str, Any], named: str
) -> None:
    with pytest.raises(BadRequestError, match=named):
        ChatHistoryMiddleware(**{"client": client, **options})


async def test_a_redaction_that_returns_no_message_is_refused(
    client: ZepClient, session_id: str
) -> None:
    speaker = agent(client, Scripted(), redact=lambda message: message.content)
    with pytest.raises(BadRequestError, match="redact must return"):
        speaker.invoke(said("1"), **of(session_id))
