"""Searches and summaries while others delete, give away and purge; and odd sizes and numbers."""

from datetime import timedelta

import pytest
from langchain_core.runnables import RunnableLambda
from pymongo import MongoClient

from langchain_zepstore import ZepClient
from langchain_zepstore.core.search_query import SearchQuery
from langchain_zepstore.errors import BadRequestError, NotFoundError
from langchain_zepstore.models import CreateUserRequest, Memory, Message, Session
from tests.support.embeddings import Subjects
from tests.support.stepping import Drive, store_of


def mem(*texts):
    return Memory(messages=[Message(role="human", content=text) for text in texts])


def model(most=3):
    asked = []

    def answer(question):
        asked.append(str(question))
        assert len(asked) <= most, "asked again and again"
        return " | ".join(asked[-1:])

    return RunnableLambda(answer)


@pytest.fixture
def own(mongo_url, database_name):
    with ZepClient(mongo_url, database=database_name, embeddings=Subjects()) as client:
        yield client


@pytest.fixture
def raw(mongo_url, database_name):
    with MongoClient(mongo_url) as client:
        yield client[database_name]


def test_an_undeleted_message_is_summarized(own):
    own.memory.add_memory("s", mem("one", "two"))
    last = own.memory.get_memory("s").messages[-1]
    own.memory.delete_memory("s")
    own.memory.update_session(Session(session_id="s", metadata={}))
    own.message.undelete_message("s", last.uuid)
    assert "two" in own.memory.summarize("s", model()).content


@pytest.mark.promise("after crashes, undeletes and purges nothing is left out or survives")
def test_summarize_completes_an_interrupted_deletion(own):
    own.memory.add_memory("s", mem("one"))
    Drive(store_of(own).deletion.delete_session("s")).step()
    with pytest.raises(NotFoundError):
        own.memory.summarize("s", model())


@pytest.mark.promise("after crashes, undeletes and purges nothing is left out or survives")
def test_a_summary_during_an_undeletion_covers_all_messages(own, raw):
    own.memory.add_memory("s", mem("first"))
    own.memory.delete_memory("s")
    own.memory.add_memory("s", mem("later"))
    undeletion = Drive(store_of(own).deletion.undelete_session("s"))
    while not raw.sessions.find_one({"_id": "s"}).get("undeletion"):
        undeletion.step()
    said = own.memory.summarize("s", model()).content
    assert "first" in said
    assert "later" in said


def test_undeleted_messages_are_in_the_next_summary(own):
    own.memory.add_memory("s", mem("first"))
    own.memory.delete_memory("s")
    own.memory.add_memory("s", mem("later"))
    own.memory.summarize("s", model())
    own.memory.undelete_session("s")
    assert "first" in own.memory.summarize("s", model()).content


@pytest.mark.promise("after crashes, undeletes and purges nothing is left out or survives")
def test_a_summary_of_purged_messages_is_not_restored(own, raw):
    own.memory.add_memory("s", mem("secret"))
    own.memory.summarize("s", model())
    own.memory.delete_memory("s")
    raw.messages.delete_many({"session_id": "s"})  # as the index does
    own.memory.undelete_session("s")
    assert own.memory.get_memory("s").summary is None


@pytest.mark.promise("after crashes, undeletes and purges nothing is left out or survives")
def test_a_purge_removes_the_summary_of_expired_messages(own, raw):
    own.memory.add_memory("s", mem("secret"))
    own.memory.summarize("s", model())
    own.memory.delete_memory("s")
    own.memory.add_memory("s", mem("new"))
    raw.messages.delete_many({"session_id": "s", "deleted_at": {"$ne": None}})
    own.purge(timedelta())
    assert "secret" not in str(raw.sessions.find_one({"_id": "s"}))


@pytest.mark.turns("steps")
@pytest.mark.promise("a session that changes hands during a search shows nothing of its new user")
@pytest.mark.parametrize("kind", ["text", "similarity", "mmr", "hybrid"])
@pytest.mark.parametrize("steps", range(1, 4))
def test_a_session_reassigned_during_a_search_is_not_shown(own, kind, steps):
    for user in ("A", "B"):
        own.user.add(CreateUserRequest(user_id=user))
    own.memory.add_session(Session(session_id="s", user_id="A"))
    own.memory.add_memory("s", mem("my boat"))
    query = SearchQuery(text="boat", session_id="s", user_id="A", limit=5, search_type=kind)
    drive = Drive(store_of(own).search.find(query)).step(steps)
    own.memory.delete_memory("s")
    own.memory.add_session(Session(session_id="s", user_id="B"))
    own.memory.add_memory("s", mem("the boat of B"))
    assert "the boat of B" not in [each.message.content for each in drive.finish()]


def test_a_message_without_room_for_a_vector_is_skipped(mongo_url, database_name):
    embeddings = Subjects(dimension=3072)
    with ZepClient(mongo_url, database=database_name, embeddings=embeddings) as client:
        client.memory.add_memory("s", mem("boat", "a " * ((16 * 1024 * 1024 - 9 * 1024) // 2)))
        found = client.memory.search("boat", session_id="s")
    assert [each.message.content for each in found] == ["boat"]


@pytest.mark.parametrize("weight", [10**400, 1e308, float("inf"), float("nan")])
def test_an_invalid_similarity_weight_is_refused(own, weight):
    with pytest.raises(BadRequestError):
        own.memory.search("x", session_id="s", search_type="hybrid", similarity_weight=weight)


def test_concurrent_language_changes_keep_the_search_working(mongo_url, database_name, raw):
    with (
        ZepClient(mongo_url, database=database_name) as english,
        ZepClient(mongo_url, database=database_name, language="german") as german,
    ):
        english.memory.add_memory("s", mem("boat"))
        english.memory.search("boat", session_id="s")
        query = SearchQuery(text="boat", session_id="s", limit=5, search_type="text")
        drive = Drive(store_of(german).search.find(query)).step(2)  # it has seen the English one
        raw.messages.drop_index("by_tokens_english")  # the other was faster
        assert len(drive.finish()) == 1


def test_embed_works_without_the_index(own, raw):
    own.memory.add_memory("s", mem("boat"))
    raw.messages.drop_index("live_by_number")
    assert own.memory.embed() == 1


def test_summaries_are_searched_in_the_language_of_the_index(mongo_url, database_name):
    with (
        ZepClient(mongo_url, database=database_name, language="german") as german,
        ZepClient(mongo_url, database=database_name) as plain,
    ):
        german.memory.add_memory("s", mem("Hallo"))
        german.memory.search("Hallo", session_id="s")
        german.memory.summarize("s", RunnableLambda(lambda _: "Die Katzen schliefen"))
        assert plain.memory.search("Katze", session_id="s", search_scope="summary")


@pytest.mark.promise("after crashes, undeletes and purges nothing is left out or survives")
def test_a_summary_of_deleted_messages_with_reused_ids_is_not_stored(own):
    def deleted_and_said_anew(question):
        asked.append(str(question[-1].content))
        if len(asked) == 1:
            own.memory.delete_memory("s")
            own.memory.add_memory("s", Memory(messages=[last]))
        return f"summary of {asked[-1]}"

    asked = []
    last = Message(role="human", content="hello", uuid="last")
    own.memory.add_memory("s", mem("a secret"))
    own.memory.add_memory("s", Memory(messages=[last]))
    summary = own.memory.summarize("s", RunnableLambda(deleted_and_said_anew))
    assert "secret" not in summary.content
    assert len(asked) == 2
