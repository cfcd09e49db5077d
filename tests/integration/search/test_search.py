"""The index for searching: made by the first search, filled by each, read for one scope only."""

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pymongo import MongoClient, monitoring

from langchain_zepstore import CreateUserRequest, Session, ZepClient
from langchain_zepstore.mongo.indexes import OLD_WORD_INDEXES, token_index, unindexed_index
from langchain_zepstore.mongo.search import index, known_words
from tests.support.messages import said


class Commands(monitoring.CommandListener):
    """Keeps the commands of some names; by default those that read messages."""

    def __init__(self, names: tuple[str, ...] = ()) -> None:
        self._names = names
        self.seen: list[dict[str, Any]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        is_read = event.command_name in {"find", "aggregate"}
        if event.command_name in self._names or (
            not self._names and is_read and "messages" in event.command.values()
        ):
            self.seen.append(dict(event.command))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


def examined(plan: Any) -> tuple[int, int]:
    """Return the index keys and documents that the stages of a plan examined, at most."""
    keys, documents = 0, 0
    if isinstance(plan, dict):
        keys, documents = plan.get("totalKeysExamined", 0), plan.get("totalDocsExamined", 0)
        for value in plan.values():
            more = examined(value)
            keys, documents = max(keys, more[0]), max(documents, more[1])
    elif isinstance(plan, list):
        for value in plan:
            more = examined(value)
            keys, documents = max(keys, more[0]), max(documents, more[1])
    return keys, documents


def test_token_indexes_are_created_by_the_first_search(mongo_url, database_name) -> None:
    with ZepClient(mongo_url, database=database_name) as client, MongoClient(mongo_url) as raw:
        messages = raw[database_name].messages
        client.memory.add_memory("s", said("a boat"))
        before = set(messages.index_information())
        assert messages.count_documents({"tokens": {"$exists": True}}) == 0
        assert len(client.memory.search("boat", session_id="s")) == 1
        made = set(messages.index_information()) - before
        assert made == {token_index("english"), unindexed_index("english")}
        client.memory.add_memory("s", said("boats"))
        assert messages.count_documents({"tokens": None}) == 1
        assert len(client.memory.search("boat", session_id="s")) == 2
        assert messages.count_documents({"tokens": None}) == 0


def test_adding_sends_the_same_commands_before_and_after_a_search(mongo_url, database_name) -> None:
    commands = Commands(("insert", "update", "find", "findAndModify", "aggregate"))
    with MongoClient(mongo_url, event_listeners=[commands]) as raw:
        client = ZepClient(client=raw, database=database_name)
        client.memory.add_memory("s", said("a boat"))
        calls = []
        for _ in range(2):
            commands.seen.clear()
            client.memory.add_memory("s", said("a boat"))
            calls.append([next(iter(command)) for command in commands.seen])
            client.memory.search("boat", session_id="s")
        assert calls[0] == calls[1]
        assert len(calls[0]) == 2  # a number is reserved, the message inserted


def test_writes_and_deletions_of_an_older_process_are_searched_correctly(
    mongo_url, database_name
) -> None:
    def found() -> list[str]:
        results = client.memory.search("boat", session_id="s")
        return sorted(result.message.content for result in results)

    with ZepClient(mongo_url, database=database_name) as client, MongoClient(mongo_url) as raw:
        messages = raw[database_name].messages
        client.memory.add_memory("s", said("a boat"))
        assert found() == ["a boat"]
        document = messages.find_one({}, {"tokens": 0})
        client.memory.add_memory("s", said("a lake"))
        number = 2
        theirs = {"_id": {**document["_id"], "q": number}, "seq": number, "uuid": "theirs"}
        messages.replace_one({"seq": number}, {**document, **theirs, "content": "their boat"})
        assert found() == ["a boat", "their boat"]
        messages.update_one({"uuid": "theirs"}, {"$currentDate": {"deleted_at": True}})
        assert messages.count_documents({"tokens": {"$exists": True}}) == 2  # it keeps them
        assert found() == ["a boat"]
        messages.update_one({"uuid": "theirs"}, {"$unset": {"deleted_at": 1}})
        assert found() == ["a boat", "their boat"]


def test_a_deleted_message_has_no_tokens_and_is_found_again_once_undeleted(
    mongo_url, database_name
) -> None:
    with ZepClient(mongo_url, database=database_name) as client, MongoClient(mongo_url) as raw:
        messages = raw[database_name].messages
        client.memory.add_memory("s", said("a boat", uuid="one"))
        assert len(client.memory.search("boat", session_id="s")) == 1
        for delete, undelete in (
            (lambda: client.memory.delete_memory("s"), lambda: client.memory.undelete_session("s")),
            (
                lambda: client.message.delete_message("s", "one"),
                lambda: client.message.undelete_message("s", "one"),
            ),
        ):
            delete()
            assert messages.count_documents({"tokens": {"$exists": True}}) == 0
            undelete()
            assert len(client.memory.search("boat", session_id="s")) == 1


def test_concurrent_first_searches_all_return_results(mongo_url, database_name) -> None:
    with ZepClient(mongo_url, database=database_name) as client:
        client.memory.add_memory("s", said("a boat"))
        with ThreadPoolExecutor(8) as threads:
            found = list(
                threads.map(lambda _: client.memory.search("boat", session_id="s"), range(8))
            )
        assert [len(each) for each in found] == [1] * 8


async def test_concurrent_first_searches_on_an_event_loop_all_return_results(
    mongo_url, database_name
) -> None:
    async with ZepClient(mongo_url, database=database_name) as client:
        await client.memory.aadd_memory("s", said("a boat"))
        searches = [client.memory.asearch("boat", session_id="s") for _ in range(8)]
        assert [len(each) for each in await asyncio.gather(*searches)] == [1] * 8


@pytest.mark.promise("a search over a session, or over a user's sessions, finds live messages only")
@pytest.mark.parametrize("sought", [{"user_id": "ada"}, {"session_id": "ada's 7"}])
def test_a_search_examines_only_matching_messages_in_its_scope(
    mongo_url, database_name, sought, monkeypatch
) -> None:
    monkeypatch.setattr(known_words, "LOAD_SECONDS", 60)
    commands = Commands()
    with MongoClient(mongo_url, event_listeners=[commands]) as raw:
        client = ZepClient(client=raw, database=database_name)
        for user in ("ada", "bob"):
            client.user.add(CreateUserRequest(user_id=user))
            for number in range(20):
                session_id = f"{user}'s {number}"
                client.memory.add_session(Session(session_id=session_id, user_id=user))
                client.memory.add_memory(session_id, said(*["the lake"] * 19, "one boat"))
        client.memory.search("boat", user_id="ada")
        commands.seen.clear()
        found = ZepClient(client=raw, database=database_name).memory.search("boat", **sought)
        most = 20 + 1  # the boats of the user, or the messages of the session
        # What lacks tokens, the counts if it is not a short session, candidates, results.
        assert len(commands.seen) == (3 if "session_id" in sought else 4)
        for command in commands.seen:
            for name in ("lsid", "$db", "$clusterTime"):
                command.pop(name, None)
            plan = raw[database_name].command(
                "explain",
                {**command, "cursor": {}} if "pipeline" in command else command,
                verbosity="executionStats",
            )
            keys, documents = examined(plan)
            assert keys <= most, plan
            assert documents <= most, plan
        for _ in range(2):
            client.memory.search("boat", **sought)
        commands.seen.clear()
        assert client.memory.search("boat", **sought) == found
        assert len(commands.seen) == 1  # the results; the words of all messages are known


def test_a_search_returns_up_to_the_requested_limit(mongo_url, database_name) -> None:
    with ZepClient(mongo_url, database=database_name, timeout=60) as client:
        client.memory.add_memory("s", said(*["boat"] * 5_000))
        client.memory.index(session_id="s")
        found = client.memory.search("boat", session_id="s", limit=20_000)
        assert len({result.message.uuid for result in found}) == 5_000


def test_matches_of_common_words_fill_the_limit(mongo_url, database_name) -> None:
    with ZepClient(mongo_url, database=database_name, timeout=60) as client:
        client.memory.add_memory("s", said("a rare boat", *["boat"] * 2_500))
        client.memory.index(session_id="s")
        found = client.memory.search("rare boat", session_id="s", limit=10)
        assert len(found) == 10
        assert found[0].message.content == "a rare boat"


def test_indexes_of_earlier_versions_are_dropped_when_new_ones_are_created(
    mongo_url, database_name
) -> None:
    with ZepClient(mongo_url, database=database_name) as client, MongoClient(mongo_url) as raw:
        messages = raw[database_name].messages
        client.memory.add_memory("s", said("zwei Häuser"))
        messages.create_index(
            [("scope", 1), ("content", "text"), ("content.text", "text")],
            name="live_by_words",
            default_language="german",
            language_override="language of the index",
            partialFilterExpression={"deleted_at": None},
        )
        messages.create_index(
            [("scope", 1), ("tokens.german", 1)],
            name="live_by_tokens",
            partialFilterExpression={"deleted_at": None},
        )
        assert len(client.memory.search("Haus", session_id="s")) == 1
        names = set(messages.index_information())
        assert names.isdisjoint(OLD_WORD_INDEXES)
        assert {token_index("german"), unindexed_index("german")} <= names


def test_a_message_replaced_during_tokenization_has_its_own_tokens(
    mongo_url, database_name, monkeypatch
) -> None:
    tokens_of = index.indexed_tokens

    def replaced_meanwhile(text: str, language: str) -> list[str]:
        if text == "a boat":
            client.memory.add_memory("s", said("a lake", uuid="one"))
        return tokens_of(text, language)

    with ZepClient(mongo_url, database=database_name) as client:
        client.memory.add_memory("s", said("a boat", uuid="one"))
        monkeypatch.setattr(index, "indexed_tokens", replaced_meanwhile)
        assert client.memory.search("boat", session_id="s") == []
        assert len(client.memory.search("lake", session_id="s")) == 1


def test_a_search_with_a_large_backlog_returns_partial_results(
    mongo_url, database_name, monkeypatch, caplog
) -> None:
    monkeypatch.setattr(index, "BACKLOG_SECONDS", 0.0)
    monkeypatch.setattr(index, "PAGE_SIZE", 10)
    with ZepClient(mongo_url, database=database_name) as client:
        client.memory.add_memory("s", said(*["boat"] * 35))
        with caplog.at_level(logging.WARNING, index.__name__):
            assert len(client.memory.search("boat", session_id="s", limit=50)) == 10
        assert "client.memory.index" in caplog.text
        assert len(client.memory.search("boat", session_id="s", limit=50)) == 20
        assert client.memory.index(session_id="s") == 15
        assert client.memory.index() == 0
        assert len(client.memory.search("boat", session_id="s", limit=50)) == 35


def test_all_users_are_indexed_in_advance(mongo_url, database_name) -> None:
    with ZepClient(mongo_url, database=database_name) as client:
        for number in range(5):
            client.memory.add_memory(f"s{number}", said("a boat", "a lake"))
        assert client.memory.index(session_id="s0") == 2
        assert client.memory.index(session_id="none") == 0
        assert client.memory.index() == 8
        begun = time.monotonic()
        assert client.memory.index() == 0
        assert time.monotonic() - begun < 30


@pytest.mark.parametrize("sought", [{"user_id": "ada"}, {"session_id": "one"}], ids=str)
def test_a_client_that_knows_all_words_asks_for_the_sessions_and_the_hits(
    mongo_url, database_name, sought
) -> None:
    commands = Commands(("find", "aggregate"))
    with MongoClient(mongo_url, event_listeners=[commands]) as raw:
        client = ZepClient(client=raw, database=database_name)
        client.user.add(CreateUserRequest(user_id="ada"))
        for name in ("one", "two"):
            session = Session(session_id=name, user_id="ada", title=f"Session {name}")
            client.memory.add_session(session)
            client.memory.add_memory(name, said("the lake", "a boat"))
        for _ in range(4):
            client.memory.search("boat", **sought)
        commands.seen.clear()
        found = client.memory.search("boat", **sought)
    assert {each.session_title for each in found} <= {"Session one", "Session two"}
    assert found
    assert [each["find"] for each in commands.seen] == ["sessions", "messages"]


def test_words_that_a_users_other_sessions_hold_still_weigh_in_one(
    mongo_url, database_name
) -> None:
    with ZepClient(mongo_url, database=database_name) as client:
        client.user.add(CreateUserRequest(user_id="ada"))
        for name in ("here", "elsewhere"):
            client.memory.add_session(Session(session_id=name, user_id="ada"))
        client.memory.add_memory("here", said(*["a whale"] * 400, *["nothing"] * 150, "a boat"))
        client.memory.add_memory("elsewhere", said(*["a boat"] * 1500))
        client.memory.index()
        for _ in range(3):  # by the index first, then by what the client knows
            best = client.memory.search("boat whale", session_id="here", limit=1)
            assert [each.message.content for each in best] == ["a boat"]
