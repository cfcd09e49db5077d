"""Vectors: made when they are needed, of what is said now, by the model that is asked."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from pymongo import MongoClient

from langchain_zepstore import (
    APIError,
    BadRequestError,
    CreateUserRequest,
    Memory,
    Message,
    Session,
    ZepClient,
)
from langchain_zepstore.mongo.indexes import SCOPE_INDEX
from tests.support.embeddings import Subjects
from tests.support.messages import said, texts_found
from tests.support.preloaded import CLIENT, Popen

ROOT = Path(__file__).parents[3]


@pytest.fixture
def opened(mongo_url, database_name):
    """Makes clients on one database."""
    clients = []

    def open_one(embeddings=None, **options) -> ZepClient:
        client = ZepClient(mongo_url, database=database_name, embeddings=embeddings, **options)
        clients.append(client)
        return client

    yield open_one
    for client in clients:
        client.close()


@pytest.fixture
def messages(mongo_url, database_name):
    """The documents of the database's messages."""
    with MongoClient(mongo_url) as mongo:
        yield mongo[database_name].messages


@pytest.mark.promise("made when first needed or in advance, never on the path of a turn")
def test_only_the_first_search_computes_vectors(opened) -> None:
    embeddings = Subjects()
    client = opened(embeddings)
    for number in range(100):
        client.memory.add_memory("s", said(f"boat {number}", "lake"))
        client.memory.get_memory("s", 20)
    assert embeddings.documents == []
    first = client.memory.search("ship", session_id="s")
    assert len(embeddings.documents) == 200
    assert max(embeddings.batches) <= 64
    assert client.memory.search("ship", session_id="s") == first
    assert len(embeddings.documents) == 200
    assert opened(embeddings).memory.search("ship", session_id="s") == first
    assert len(embeddings.documents) == 200


@pytest.mark.promise(
    "vectors stand with the message, with model and dimension, and no read brings them"
)
def test_vectors_are_stored_with_the_message_and_never_read_with_it(opened, messages) -> None:
    client = opened(Subjects())
    client.memory.add_memory("s", said("boat", uuid="one"))
    before = client.memory.get_memory("s")
    client.memory.embed()
    stored = messages.find_one()["embedding"]
    assert stored["model"] == "Subjects:subjects"
    assert stored["dimension"] == 16
    assert stored["vector"].subtype == 9
    assert bytes(stored["vector"])[:2] == b"\x27\x00"
    assert len(stored["vector"]) == 2 + 4 * 16
    assert client.memory.get_memory("s") == before
    client.message.update_message_metadata("s", "one", {"a": 1})
    assert messages.find_one()["embedding"] == stored


@pytest.mark.promise("another model makes its own; mixed lengths never crash")
def test_each_model_computes_its_own_vectors_of_any_dimension(opened, messages) -> None:
    opened(Subjects()).memory.add_memory("s", said("boat", "soup"))
    first, second, wide = Subjects(), Subjects("other"), Subjects("other", 32)
    for embeddings in (first, second, wide, first):
        client = opened(embeddings)
        assert texts_found(client.memory.search("ship", session_id="s"))[0] == "boat"
        assert texts_found(client.memory.search("stew", session_id="s"))[0] == "soup"
    assert [len(each.documents) for each in (first, second, wide)] == [4, 2, 2]
    mixed = opened(wide)
    mixed.memory.search("ship", session_id="s")
    mixed.memory.add_memory("s", said("a lake"))
    opened(second).memory.embed(session_id="s")
    assert texts_found(mixed.memory.search("pond", session_id="s"))[0] == "a lake"


def test_a_replaced_message_keeps_its_vector_unless_its_text_changed(
    opened,
) -> None:
    embeddings = Subjects()
    client = opened(embeddings)
    for metadata in (None, None, {"a": 1}):
        client.memory.add_memory("s", said("boat", uuid="one", metadata=metadata))
        assert texts_found(client.memory.search("ship", session_id="s")) == ["boat"]
    assert client.message.get_session_message("s", "one").metadata == {"a": 1}
    assert embeddings.documents == ["boat"]
    other = Message(role="Ada", content="boat", uuid="one")
    client.memory.add_memory("s", Memory(messages=[other]))
    client.memory.search("ship", session_id="s")
    assert embeddings.documents == ["boat", "Ada: boat"]


@pytest.mark.promise("every change is seen by the next search; nothing deleted is found")
def test_a_message_replaced_during_embedding_keeps_no_old_vector(opened, messages) -> None:
    def meanwhile(_) -> None:
        if not embeddings.documents:
            other.memory.add_memory("s", said("soup", uuid="one"))

    other = opened()
    embeddings = Subjects(before=meanwhile)
    client = opened(embeddings)
    client.memory.add_memory("s", said("boat", uuid="one"))
    client.memory.search("ship", session_id="s")
    assert "embedding" not in messages.find_one({"uuid": "one"})
    [result] = client.memory.search("stew", session_id="s", search_type="similarity")
    assert result.message.content == "soup"
    assert result.score > 0.8


def test_embedded_text_includes_text_blocks_and_speaker_names(opened) -> None:
    embeddings = Subjects()
    client = opened(embeddings)
    from langchain_core.messages import HumanMessage

    blocks = [{"type": "text", "text": "a boat"}, {"type": "image_url", "image_url": "data:,x"}]
    client.chat_history("s").add_messages([HumanMessage(blocks)])
    client.memory.add_memory("s", Memory(messages=[Message(role="Ada", content="a lake")]))
    client.memory.embed()
    assert sorted(embeddings.documents) == ["Ada: a lake", "a boat"]


@pytest.mark.promise("another model makes its own; mixed lengths never crash")
@pytest.mark.parametrize(
    "wrong",
    [None, [], [[]], [["a"]], [[1.0], [1.0]], 5, [[1.0, [2.0]]], [[[1.0]]]],
    ids=repr,
)
def test_an_invalid_vector_raises_our_error(opened, wrong) -> None:
    class Wrong(Subjects):
        def embed_documents(self, texts):
            return wrong

    client = opened(Wrong())
    client.memory.add_memory("s", said("boat"))
    with pytest.raises(APIError, match="embeddings"):
        client.memory.search("ship", session_id="s")

    class WrongQuery(Subjects):
        def embed_query(self, text):
            return wrong

    if wrong != [[1.0], [1.0]]:
        with pytest.raises(APIError, match="embeddings"):
            opened(WrongQuery()).memory.search("ship", session_id="s")


def test_a_message_with_a_nan_vector_is_skipped_and_others_are_found(opened) -> None:
    class Half(Subjects):
        def embed_documents(self, texts):
            vectors = super().embed_documents(texts)
            return [
                [float("nan")] * len(vector) if "bad" in text else vector
                for text, vector in zip(texts, vectors, strict=True)
            ]

    client = opened(Half())
    client.memory.add_memory("s", said("boat", "a bad boat"))
    for _ in range(2):
        assert texts_found(client.memory.search("ship", session_id="s")) == ["boat"]


def test_a_failing_model_keeps_the_vectors_computed_before(opened) -> None:
    def fail(_) -> None:
        if len(failing.documents) >= 128:
            raise ConnectionResetError("quota")

    failing = Subjects(before=fail)
    client = opened(failing)
    client.memory.add_memory("s", said(*["boat"] * 300))
    with pytest.raises(ConnectionResetError, match="quota"):
        client.memory.embed()
    embeddings = Subjects()
    assert opened(embeddings).memory.embed() == 300 - 128
    assert len(embeddings.documents) == 300 - 128


@pytest.mark.promise("made when first needed or in advance, never on the path of a turn")
def test_a_killed_embed_resumes(mongo_url, database_name, opened) -> None:
    opened().memory.add_memory("s", said(*(f"boat {number}" for number in range(900))))
    program = """
        import sys, time
        from langchain_zepstore import ZepClient
        from tests.support.embeddings import Subjects

        embeddings = Subjects(before=lambda _: time.sleep(0.02))
        client = ZepClient(sys.argv[1], database=sys.argv[2], embeddings=embeddings)
        client.memory.embed(progress=lambda done, total: print(done, total, flush=True))
    """
    process = Popen(
        [sys.executable, "-c", textwrap.dedent(program), mongo_url, database_name],
        imported=CLIENT,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout
    lines = [process.stdout.readline() for _ in range(3)]
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert lines[0] == "128 900\n"
    made = opened(Subjects()).memory.embed()
    assert 0 < made <= 900 - 3 * 128
    assert opened(Subjects()).memory.embed() == 0


async def test_a_search_can_be_cancelled_while_the_model_works(
    mongo_url, database_name, opened
) -> None:
    started = asyncio.Event()

    class Endless(Subjects):
        async def aembed_documents(self, texts):
            started.set()
            await asyncio.sleep(3600)

    opened().memory.add_memory("s", said("boat"))
    async with ZepClient(mongo_url, database=database_name, embeddings=Endless()) as client:
        task = asyncio.create_task(client.memory.asearch("ship", session_id="s"))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 5)


def test_concurrent_threads_search_and_write(opened) -> None:
    client = opened(Subjects())
    client.memory.add_memory("s", said(*["boat"] * 50))

    def work(number: int) -> int:
        if number % 4 == 0:
            client.memory.add_memory("s", said(f"boat {number}"))
        return len(client.memory.search("ship", session_id="s", limit=1000))

    with ThreadPoolExecutor(8) as threads:
        counts = list(threads.map(work, range(40)))
    assert all(50 <= count <= 60 for count in counts)
    assert len(client.memory.search("ship", session_id="s", limit=1000)) == 60


@pytest.mark.promise("memory is bounded; a scope is read by an index, page by page")
def test_more_than_a_page_of_vectors_is_searched(opened, monkeypatch) -> None:
    monkeypatch.setattr("langchain_zepstore.mongo.search.scope._SESSIONS", 2)
    monkeypatch.setattr(
        "langchain_zepstore.mongo.search.vector_reads._SPAN_BYTES", 7 * (4 * 16 + 128)
    )
    monkeypatch.setattr("langchain_zepstore.mongo.search.walk._PAGE", 7)
    client = opened(Subjects())
    client.user.add(CreateUserRequest(user_id="u"))
    for name in "abc":
        client.memory.add_session(Session(session_id=name, user_id="u"))
        client.memory.add_memory(name, said(*(f"boat {name} {number}" for number in range(11))))
    for place, count in (({"user_id": "u"}, 33), ({"session_id": "b"}, 11)):
        found = client.memory.search("ship", limit=100, **place)
        assert len({result.message.uuid for result in found}) == count
        assert client.memory.search("ship", limit=5, **place) == found[:5]
        since = datetime(2020, 1, 1, tzinfo=UTC)
        assert client.memory.search("ship", limit=5, start_date=since, **place) == found[:5]
    assert client.memory.embed() == 0


@pytest.mark.promise("memory is bounded; a scope is read by an index, page by page")
def test_a_vector_search_reads_only_its_scope_by_an_index(opened, messages) -> None:
    client = opened(Subjects())
    for user in ("mine", "other"):
        client.user.add(CreateUserRequest(user_id=user))
        client.memory.add_session(Session(session_id=f"of {user}", user_id=user))
        client.memory.add_memory(f"of {user}", said(*["boat"] * (5 if user == "mine" else 500)))
    assert SCOPE_INDEX.document["name"] not in messages.index_information()
    client.memory.search("ship", user_id="mine")
    assert SCOPE_INDEX.document["name"] not in messages.index_information()
    client.memory.search("ship", user_id="mine", metadata={"a": 1})
    assert SCOPE_INDEX.document["name"] in messages.index_information()
    plan = messages.database.command(
        "explain",
        {
            "find": "messages",
            "filter": {"$and": [{"scope": "u:mine", "deleted_at": None}, {}]},
            "sort": {"created_at": -1, "_id": -1},
        },
        verbosity="executionStats",
    )
    assert plan["executionStats"]["totalKeysExamined"] == 5
    assert plan["executionStats"]["totalDocsExamined"] == 5
    assert "SORT" not in str(plan["queryPlanner"]["winningPlan"])


def test_any_langchain_embeddings_can_be_used(opened) -> None:
    client = opened(DeterministicFakeEmbedding(size=1536))
    client.memory.add_memory("s", said("boat", "lake"))
    [first, second] = client.memory.search("boat", session_id="s", search_type="similarity")
    assert first.message.content == "boat"
    assert first.score == pytest.approx(1)
    assert second.score < 0.5


def test_values_that_are_not_embeddings_are_refused(mongo_url) -> None:
    with pytest.raises(BadRequestError, match="Embeddings"):
        ZepClient(mongo_url, embeddings="text-embedding-3-small")
    with pytest.raises(BadRequestError, match="server"):
        ZepClient("http://127.0.0.1:1", embeddings=Subjects())


@pytest.mark.promise("made when first needed or in advance, never on the path of a turn")
def test_progress_is_reported_when_requested(opened, capsys) -> None:
    client = opened(Subjects())
    client.memory.add_memory("s", said(*["boat"] * 200))
    assert client.memory.embed(progress=True) == 200
    assert capsys.readouterr().err == "\r128 of 200 messages\r200 of 200 messages\n"
