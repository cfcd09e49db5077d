"""The index for searching: made by the first search, read for one scope only."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from pymongo import MongoClient

from langchain_zepstore import Session, ZepClient
from langchain_zepstore.mongo.indexes import SEARCH_INDEX
from tests.support.messages import said

NAME = SEARCH_INDEX


def test_who_never_searches_pays_for_no_index(mongo_url, database_name) -> None:
    with ZepClient(mongo_url, database=database_name) as client, MongoClient(mongo_url) as raw:
        client.memory.add_memory("s", said("a boat"))
        assert NAME not in raw[database_name].messages.index_information()
        assert len(client.memory.search("boat", session_id="s")) == 1
        assert NAME in raw[database_name].messages.index_information()
        client.memory.add_memory("s", said("boats"))
        assert len(client.memory.search("boat", session_id="s")) == 2


def test_many_first_searches_at_once_all_find(mongo_url, database_name) -> None:
    with ZepClient(mongo_url, database=database_name) as client:
        client.memory.add_memory("s", said("a boat"))
        with ThreadPoolExecutor(8) as threads:
            found = list(
                threads.map(lambda _: client.memory.search("boat", session_id="s"), range(8))
            )
        assert [len(each) for each in found] == [1] * 8


async def test_many_first_searches_on_an_event_loop_all_find(mongo_url, database_name) -> None:
    async with ZepClient(mongo_url, database=database_name) as client:
        await client.memory.aadd_memory("s", said("a boat"))
        searches = [client.memory.asearch("boat", session_id="s") for _ in range(8)]
        assert [len(each) for each in await asyncio.gather(*searches)] == [1] * 8


@pytest.mark.promise("a search over a session, or over a user's sessions, finds live messages only")
def test_a_search_reads_the_words_of_its_scope_only(mongo_url, database_name) -> None:
    with ZepClient(mongo_url, database=database_name) as client, MongoClient(mongo_url) as raw:
        for number in range(50):
            client.memory.add_memory(f"s{number}", said(*["a boat on the lake"] * 20))
        client.memory.add_session(Session(session_id="mine"))
        client.memory.add_memory("mine", said("one boat"))
        assert len(client.memory.search("boat", session_id="mine")) == 1
        plan = raw[database_name].command(
            "explain",
            {
                "find": "messages",
                "filter": {"scope": "s:mine", "$text": {"$search": "boat"}, "deleted_at": None},
            },
            verbosity="executionStats",
        )
        stats = plan["executionStats"]
        assert stats["totalKeysExamined"] <= 2
        assert stats["totalDocsExamined"] <= 2


def test_as_many_as_are_asked_for_are_found(mongo_url, database_name) -> None:
    with ZepClient(mongo_url, database=database_name, timeout=60) as client:
        client.memory.add_memory("s", said(*["boat"] * 11_000))
        found = client.memory.search("boat", session_id="s", limit=20_000)
        assert len({result.message.uuid for result in found}) == 11_000
