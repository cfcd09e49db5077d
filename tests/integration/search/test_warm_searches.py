"""A client that has searched before finds what a new one finds, whatever happens meanwhile.

The vectors point in directions whose lengths and products are exact, so that both get the same
scores to the last digit.
"""

import hashlib
import math
import random
import time
from contextlib import suppress
from typing import Any
from unittest.mock import Mock, patch

import pytest
from langchain_core.embeddings import Embeddings

from langchain_zepstore import CreateUserRequest, Session, ZepClient, ZepStoreError
from langchain_zepstore.core.arguments import SessionDefaults
from langchain_zepstore.core.search_query import SearchQuery
from langchain_zepstore.mongo.search import known_words, session_cache, walk
from langchain_zepstore.mongo.search.session_cache import SessionCache
from tests.support.messages import parts_of, said
from tests.support.stepping import Drive, store_of

WORDS = [f"word{number}" for number in range(9)]
WORDS += ["which word0?", "words of word1 and word2", "the WORD1_word2"]
ASKED = ["word0", "word1 word2", "Which word1?", "the", "wor", "word1 of nothing", "word1 wor?"]
SESSIONS = ["a", "b", "c"]
IDS = [f"id{number}" for number in range(8)]
DIMENSION = 16


class Exact(Embeddings):
    """Vectors of four ones or minus ones."""

    model = "exact"

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        chance = random.Random(hashlib.sha256(text.encode()).digest())
        vector = [0.0] * DIMENSION
        for index in chance.sample(range(DIMENSION), 4):
            vector[index] = chance.choice((-1.0, 1.0))
        return vector


class Two:
    """A client that changes a store, and one that searches it."""

    def __init__(self, url: str, database: str, seed: int) -> None:
        self.chance = random.Random(seed)
        self.types = ["similarity"] if seed % 3 == 0 else ["text", "hybrid"]
        self.writer = ZepClient(url, database=database)
        self.reader = ZepClient(url, database=database, embeddings=Exact())
        self.store = store_of(self.writer)
        self.searches = store_of(self.reader).search
        self.writer.user.add(CreateUserRequest(user_id="u"))

    def close(self) -> None:
        self.writer.close()
        self.reader.close()

    def found(self, **options: Any) -> list[Any]:
        query = SearchQuery(**{"limit": 7} | options)
        found = self.reader.run(lambda _: self.searches.find(query))
        return [
            (each.session_id, each.message.uuid, each.message.content, each.score) for each in found
        ]

    def compare(self) -> None:
        places = [{"user_id": "u"}, {"session_id": self.chance.choice(SESSIONS)}]
        options = self.chance.choice(places) | self.chance.choice(
            [{}, {"limit": 100}, {"all_branches": True}, {"metadata": {"even": True}}]
        )
        options |= {
            "text": self.chance.choice(ASKED),
            "search_type": self.chance.choice(self.types),
        }
        warm = self.found(**options)
        with (
            patch.object(known_words, "LOAD_SECONDS", -1),
            patch.multiple(SessionCache, get=lambda *_: None, put=lambda *_: True),
        ):
            fresh = self.found(**options)
        assert warm == fresh, options

    def change(self) -> tuple[str, Any]:
        """Return any change, and its operation."""
        chance, store = self.chance, self.store
        session, uuid = chance.choice(SESSIONS), chance.choice(IDS)
        number = chance.randrange(4)
        new = [chance.choice(WORDS) for _ in range(chance.randrange(1, 4))]
        changes = {
            "add": lambda: store.messages.add(session, parts_of(said(*new)), SessionDefaults("u")),
            "put": lambda: store.messages.add(
                session,
                parts_of(said(new[0], uuid=uuid, metadata={"even": number % 2 == 0})),
                SessionDefaults("u"),
            ),
            "keep": lambda: store.messages.add(
                session, parts_of(said(new[0], uuid=uuid)), SessionDefaults("u"), keep_deleted=True
            ),
            "edit": lambda: store.messages.add(session, parts_of(said(*new)), before=uuid),
            "words": lambda: store.messages.update(session, uuid, content=new[0]),
            "delete": lambda: store.deletion.delete_message(session, uuid),
            "undelete": lambda: store.deletion.undelete_message(session, uuid),
            "delete all": lambda: store.deletion.delete_session(session),
            "undelete all": lambda: store.deletion.undelete_session(session),
            "rewind": lambda: store.branches.rewind(session, uuid),
            "switch": lambda: store.branches.switch(session, uuid),
            "erase": lambda: store.deletion.erase_session(session, None),
        }
        weights = [6, 6, 2, 3, 4, 4, 3, 2, 3, 1, 2, 1]
        change = chance.choices(list(changes), weights)[0]
        return change, changes[change]()


@pytest.fixture
def two(request, mongo_url, database_name):
    pair = Two(mongo_url, database_name, request.param)
    yield pair
    pair.close()


@pytest.mark.promise("every change is seen by the next search; nothing deleted is found")
@pytest.mark.turns("two")
@pytest.mark.parametrize("two", range(6), indirect=True)
def test_warm_and_fresh_clients_find_the_same(two: Two) -> None:
    """Changes are made whole, or stop for good or for a while after a few calls."""
    paused: list[Drive] = []
    for _ in range(60):
        change, operation = two.change()
        drive = Drive(operation)
        with suppress(ZepStoreError, StopIteration):
            # The index has the words of a session until its erasure is complete.
            if two.chance.random() < 0.6 or (change == "erase" and "text" in two.types):
                drive.finish()
            else:
                drive.step(two.chance.randrange(1, 6))
                if two.chance.random() < 0.7:
                    paused.append(drive)
        two.compare()
        if paused and two.chance.random() < 0.5:
            with suppress(ZepStoreError):
                paused.pop(two.chance.randrange(len(paused))).finish()
            two.compare()


def test_a_user_whose_words_outgrow_the_memory_is_searched_by_the_index(
    mongo_url, user_id, monkeypatch
) -> None:
    monkeypatch.setattr(session_cache, "_OF_WORDS", 0)
    reads: list[float] = []
    read = known_words.WordReads.read

    def last_read(*arguments: Any) -> Any:
        reads.append(time.monotonic())
        monkeypatch.setattr(walk, "time", Mock(monotonic=lambda: math.inf))
        return read(*arguments)

    monkeypatch.setattr(known_words.WordReads, "read", last_read)
    with ZepClient(mongo_url) as client:
        client.user.add(CreateUserRequest(user_id=user_id))
        for session_id in (f"first of {user_id}", f"second of {user_id}"):
            client.memory.add_session(Session(session_id=session_id, user_id=user_id))
            client.memory.add_memory(session_id, said(*WORDS * 30))
        for _ in range(4):
            assert client.memory.search("word3", user_id=user_id, limit=5)
            monkeypatch.setattr(walk, "time", time)
    assert len(reads) == 1
