"""Search finds what was said, in the one place that it looks in, and never what is deleted."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langchain_zepstore import (
    BadRequestError,
    CreateUserRequest,
    Memory,
    MemorySearchPayload,
    Message,
    Session,
)
from tests.support.facade import Facade
from tests.support.messages import said, texts_found

BOAT = "We painted the old boat green last summer"
LAKE = "The lake was frozen in January"
SOUP = "My grandmother's soup had beans in it"


@pytest.mark.promise("a search over a session, or over a user's sessions, finds live messages only")
async def test_a_session_is_searched_for_inflected_words(zep: Facade, session_id: str) -> None:
    await zep.memory.add_memory(session_id, said(BOAT, LAKE, SOUP))
    await zep.memory.add_memory(f"{session_id} other", said("a boat of another"))
    [found] = await zep.memory.search("painting boats", session_id=session_id)
    assert found.message == (await zep.memory.get_memory(session_id)).messages[0]
    assert found.session_id == session_id
    assert found.score
    assert found.dist == found.score
    assert texts_found(await zep.memory.search("bean lakes", session_id=session_id, limit=1)) != []
    assert await zep.memory.search("whale", session_id=session_id) == []


@pytest.mark.promise("results carry message, session, score and distance, in a stable order")
async def test_the_best_match_is_first_and_the_order_is_stable(
    zep: Facade, session_id: str
) -> None:
    texts = ["a boat", "a boat and another boat, boat by boat", *["the boat"] * 20]
    await zep.memory.add_memory(session_id, said(*texts))
    results = await zep.memory.search("boat", session_id=session_id, limit=100)
    scores = [result.score for result in results]
    assert len(results) == len(texts)
    assert scores == sorted(scores, reverse=True)
    again = await zep.memory.search("boat", session_id=session_id, limit=100)
    assert again == results
    assert await zep.memory.search("boat", session_id=session_id, limit=7) == results[:7]


async def test_ten_results_are_returned_by_default(zep: Facade, session_id: str) -> None:
    await zep.memory.add_memory(session_id, said(*["boat"] * 12))
    assert len(await zep.memory.search("boat", session_id=session_id)) == 10
    payload = MemorySearchPayload(text="boat")
    assert len(await zep.memory.search_memory(session_id, payload)) == 10
    assert len(await zep.memory.search_memory(session_id, payload, 11)) == 11


@pytest.mark.promise("a search over a session, or over a user's sessions, finds live messages only")
async def test_a_search_covers_all_and_only_the_users_sessions(
    zep: Facade, session_id: str, user_id: str
) -> None:
    other = f"{user_id} other"
    for user in (user_id, other):
        await zep.user.add(CreateUserRequest(user_id=user))
    owners = {"first": user_id, "second": user_id, "another's": other, "nobody's": None}
    for name, owner in owners.items():
        of = f"{session_id} {name}"
        await zep.memory.add_session(Session(session_id=of, user_id=owner))
        await zep.memory.add_memory(of, said(f"the boat, {name}"))
    found = await zep.memory.search("boat", user_id=user_id)
    assert sorted(texts_found(found)) == ["the boat, first", "the boat, second"]
    assert {result.session_id for result in found} == {
        f"{session_id} first",
        f"{session_id} second",
    }
    both = await zep.memory.search("boat", user_id=user_id, session_id=f"{session_id} first")
    assert texts_found(both) == ["the boat, first"]
    assert (
        await zep.memory.search("boat", user_id=user_id, session_id=f"{session_id} another's") == []
    )


async def test_messages_added_before_a_session_had_its_user_are_found(
    zep: Facade, session_id: str, user_id: str
) -> None:
    await zep.user.add(CreateUserRequest(user_id=user_id))
    await zep.memory.add_memory(session_id, said(BOAT))
    await zep.memory.update_session(Session(session_id=session_id, user_id=user_id))
    await zep.memory.add_memory(session_id, said("boat again"))
    for place in ({"user_id": user_id}, {"session_id": session_id}):
        assert sorted(texts_found(await zep.memory.search("boat", **place))) == [BOAT, "boat again"]


@pytest.mark.promise("a search over a session, or over a user's sessions, finds live messages only")
async def test_deleted_messages_are_not_found_and_undeleted_ones_are(
    zep: Facade, session_id: str
) -> None:
    memory = Memory(
        messages=[Message(role="user", content=f"boat {name}", uuid=name) for name in "ab"]
    )
    await zep.memory.add_memory(session_id, memory)

    async def searched() -> list[str]:
        return sorted(texts_found(await zep.memory.search("boat", session_id=session_id)))

    await zep.message.delete_message(session_id, "a")
    assert await searched() == ["boat b"]
    await zep.memory.delete_memory(session_id)
    assert await searched() == []
    await zep.memory.add_memory(session_id, said("boat c"))
    assert await searched() == ["boat c"]
    await zep.memory.undelete_session(session_id)
    assert await searched() == ["boat b", "boat c"]
    await zep.message.undelete_message(session_id, "a")
    assert await searched() == ["boat a", "boat b", "boat c"]


async def test_a_replacing_message_is_found_by_its_own_text(zep: Facade, session_id: str) -> None:
    await zep.memory.add_memory(session_id, said(BOAT, uuid="one"))
    await zep.memory.add_memory(session_id, said(SOUP, uuid="one"))
    assert await zep.memory.search("boat", session_id=session_id) == []
    assert texts_found(await zep.memory.search("soup", session_id=session_id)) == [SOUP]


async def test_text_blocks_are_found(zep: Facade, session_id: str) -> None:
    history = zep.chat_history(session_id)
    image = {"type": "image_url", "image_url": {"url": "data:,boat"}}
    await history.add(HumanMessage([{"type": "text", "text": BOAT}, image]), AIMessage(LAKE))
    assert texts_found(await zep.memory.search("boat", session_id=session_id)) == [BOAT]


@pytest.mark.promise(
    "to a question, what answers a question that was found is found too, within what was asked for"
)
async def test_a_question_finds_the_answer_to_a_matching_question(
    zep: Facade, session_id: str
) -> None:
    asked, answer, later = "Which boat is yours?", "The green one.", "I see."
    await zep.memory.add_memory(session_id, said(asked, answer, later))
    found = texts_found(await zep.memory.search("Whose boat?", session_id=session_id))
    assert sorted(found) == sorted([asked, answer])
    first = await zep.memory.search("Whose boat?", session_id=session_id, limit=1)
    assert texts_found(first) == found[:1]
    assert texts_found(await zep.memory.search("boat", session_id=session_id)) == [asked]


@pytest.mark.promise(
    "to a question, what answers a question that was found is found too, within what was asked for"
)
async def test_an_answer_outside_the_filter_is_not_found(zep: Facade, session_id: str) -> None:
    asked = Message(role="user", content="Which boat is yours?", metadata={"kind": "question"})
    answer = Message(role="user", content="The green one.", uuid="answer")
    await zep.memory.add_memory(session_id, Memory(messages=[asked, answer]))
    where = {"session_id": session_id}
    narrowed = await zep.memory.search("Whose boat?", metadata={"kind": "question"}, **where)
    assert texts_found(narrowed) == [asked.content]
    await zep.message.delete_message(session_id, "answer")
    assert texts_found(await zep.memory.search("Whose boat?", **where)) == [asked.content]


@pytest.mark.promise("user text is no query syntax, unless asked for")
async def test_the_query_is_plain_text_by_default(zep: Facade, session_id: str) -> None:
    await zep.memory.add_memory(session_id, said(BOAT, LAKE))
    assert texts_found(await zep.memory.search("boat -green", session_id=session_id)) == [BOAT]
    assert texts_found(await zep.memory.search('"green boat"', session_id=session_id)) == [BOAT]
    for text in ('"', "-", '" - "', "$where", '{"$gt": ""}', "a" * 5000, "\0", "🚣", "the"):
        assert isinstance(await zep.memory.search(text, session_id=session_id), list)


@pytest.mark.promise("metadata, Zep's `where`, dates, and these alone")
async def test_dates_and_metadata_filter_a_search(zep: Facade, session_id: str) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    messages = [
        Message(
            role="user",
            content=f"boat {day}",
            created_at=start + timedelta(days=day),
            metadata={"trip": {"day": day, "lake": True}},
        )
        for day in range(5)
    ]
    await zep.memory.add_memory(session_id, Memory(messages=messages))

    async def searched(**narrowed) -> list[str]:
        return sorted(
            texts_found(await zep.memory.search("boat", session_id=session_id, **narrowed))
        )

    day = timedelta(days=1)
    assert await searched(start_date=start + day, end_date=start + 2 * day) == [
        "boat 1",
        "boat 2",
    ]
    assert await searched(start_date=start + 4 * day) == ["boat 4"]
    assert await searched(end_date=start.replace(tzinfo=None)) == ["boat 0"]
    assert await searched(metadata={"trip": {"day": 3}}) == ["boat 3"]
    assert await searched(metadata={"trip": {"$gt": 0}}) == []
    payload = MemorySearchPayload(text="boat", metadata={"start_date": "2026-01-05T00:00:00Z"})
    assert texts_found(await zep.memory.search_memory(session_id, payload)) == ["boat 4"]


@pytest.mark.promise("metadata, Zep's `where`, dates, and these alone")
async def test_a_search_without_a_query_returns_the_newest_first(
    zep: Facade, session_id: str, user_id: str
) -> None:
    await zep.user.add(CreateUserRequest(user_id=user_id))
    await zep.memory.add_session(Session(session_id=session_id, user_id=user_id))
    start = datetime(2026, 1, 1, tzinfo=UTC)
    messages = [
        Message(
            role="user",
            content=f"turn {number}",
            created_at=start + timedelta(hours=number),
            metadata={"even": number % 2 == 0},
        )
        for number in range(6)
    ]
    await zep.memory.add_memory(session_id, Memory(messages=messages))
    for place in ({"session_id": session_id}, {"user_id": user_id}):
        even = await zep.memory.search(metadata={"even": True}, **place)
        assert texts_found(even) == ["turn 4", "turn 2", "turn 0"]
        assert [result.score for result in even] == [0, 0, 0]
        late = await zep.memory.search("", start_date=start + timedelta(hours=3), limit=2, **place)
        assert texts_found(late) == ["turn 5", "turn 4"]
        where = {"jsonpath": "$ ? (@.even == false)"}
        odd = await zep.memory.search(where=where, search_type="text", **place)
        assert texts_found(odd) == ["turn 5", "turn 3", "turn 1"]
    payload = MemorySearchPayload(metadata={"where": {"jsonpath": "$ ? (@.even == true)"}})
    found = await zep.memory.search_memory(session_id, payload)
    assert texts_found(found) == ["turn 4", "turn 2", "turn 0"]


@pytest.mark.promise("metadata, Zep's `where`, dates, and these alone")
async def test_the_where_examples_of_zeps_documentation_work(zep: Facade, session_id: str) -> None:
    told = {
        "a": {"foo": "bar"},
        "b": {"foo": "qux", "number": 3, "deep": {"key": [1, 2]}},
        "c": {"system": {"entities": [{"Label": "DATE"}, {"Label": "ORG"}]}},
        "d": None,
        "e": {"foo": {"$ne": "bar"}},
    }
    messages = [
        Message(role="user", content=f"boat {name}", metadata=metadata)
        for name, metadata in told.items()
    ]
    await zep.memory.add_memory(session_id, Memory(messages=messages))
    asked = {
        '$[*] ? (@.foo == "bar")': "a",
        '$[*] ? (@.foo != "bar")': "b",
        "$[*] ? (@.number >= 3 && @.number < 4)": "b",
        "$.deep ? (@.key == 2)": "b",
        '$.system.entities[*] ? (@.Label == "DATE")': "c",
        '$.foo ? (@."$ne" == "bar")': "e",
        '$[*] ? (@.foo == "{$ne: 1}")': "",
    }
    for jsonpath, names in asked.items():
        where = {"jsonpath": jsonpath}
        found = await zep.memory.search("boat", session_id=session_id, where=where)
        assert sorted(texts_found(found)) == [f"boat {name}" for name in names], jsonpath
    either = {"or": [{"jsonpath": path} for path in list(asked)[:1]] + [{"jsonpath": "$.deep"}]}
    both = {"and": [either, {"jsonpath": '$ ? (@.foo == "qux")'}]}
    found = await zep.memory.search("boat", session_id=session_id, where=either)
    assert sorted(texts_found(found)) == ["boat a", "boat b"]
    payload = MemorySearchPayload(text="boat", metadata={"where": both})
    assert texts_found(await zep.memory.search_memory(session_id, payload)) == ["boat b"]
    for wrong in (
        {"jsonpath": "$[*] ? (@.foo like_regex 'b')"},
        {"jsonpath": 5},
        {"$where": "1"},
        {"and": []},
        {"jsonpath": "$", "or": []},
        "$",
        {},
    ):
        with pytest.raises(BadRequestError):
            await zep.memory.search("boat", session_id=session_id, where=wrong)
        payload = MemorySearchPayload(text="boat", metadata={"where": wrong})
        with pytest.raises(BadRequestError):
            await zep.memory.search_memory(session_id, payload)


@pytest.mark.promise("user text is no query syntax, unless asked for")
async def test_quotes_and_minus_are_syntax_when_enabled(zep: Facade, session_id: str) -> None:
    await zep.memory.add_memory(session_id, said(BOAT, "a green boat", "a green house"))

    async def searched(text: str) -> list[str]:
        return sorted(
            texts_found(await zep.memory.search(text, session_id=session_id, syntax=True))
        )

    assert await searched('"green boat"') == ["a green boat"]
    assert await searched("green -house") == [BOAT, "a green boat"]
    assert await searched('green -"green house"') == [BOAT, "a green boat"]
    assert await searched("-green") == []
    assert await searched('"') == []


async def test_unknown_and_deleted_sessions_and_users_have_no_results(
    zep: Facade, session_id: str, user_id: str
) -> None:
    assert await zep.memory.search("boat", session_id=session_id) == []
    assert await zep.memory.search("boat", user_id=user_id) == []
    assert await zep.memory.search_memory(session_id, MemorySearchPayload(text="boat")) == []


async def test_invalid_searches_are_refused(zep: Facade, session_id: str) -> None:
    refused = [
        zep.memory.search("boat"),
        zep.memory.search("", session_id=session_id),
        zep.memory.search(" ", session_id=session_id),
        zep.memory.search(None, session_id=session_id),
        zep.memory.search({"$ne": ""}, session_id=session_id),
        zep.memory.search("\ud800", session_id=session_id),
        zep.memory.search("boat", session_id={"$ne": ""}),
        zep.memory.search("boat", user_id=5),
        zep.memory.search("boat", session_id=session_id, limit=0),
        zep.memory.search("boat", session_id=session_id, limit="5"),
        zep.memory.search("boat", session_id=session_id, search_type="guess"),
        zep.memory.search("boat", session_id=session_id, search_type="similarity"),
        zep.memory.search("boat", session_id=session_id, metadata=["a"]),
        zep.memory.search("boat", session_id=session_id, metadata={"a": object()}),
        zep.memory.search("boat", session_id=session_id, start_date="2026-01-01"),
        zep.memory.search_memory(session_id, {"text": "boat"}),
        zep.memory.search_memory(session_id, MemorySearchPayload()),
        zep.memory.search_memory(session_id, MemorySearchPayload(text="x", search_scope="all")),
        zep.memory.search_memory(session_id, MemorySearchPayload(text="x", metadata={"a": 1})),
    ]
    for call in refused:
        with pytest.raises(BadRequestError):
            await call


async def test_concurrent_searches_return_their_own_results(zep: Facade, session_id: str) -> None:
    await zep.memory.add_memory(session_id, said(BOAT, LAKE, SOUP))
    words = ["boat", "lake", "soup"] * 5
    found = await asyncio.gather(
        *(zep.memory.search(word, session_id=session_id) for word in words)
    )
    assert [texts_found(each) for each in found] == [[BOAT], [LAKE], [SOUP]] * 5
