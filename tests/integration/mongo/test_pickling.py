"""Clients, and what holds them, pickled and copied."""

import asyncio
import copy
import multiprocessing
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from typing import Any

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.messages import HumanMessage
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import MongoClient

from langchain_zepstore import ZepChatMessageHistory, ZepClient, ZepRetriever

HOLDERS = ["client.chat_history", "history of a URL"]


@pytest.fixture
def client(mongo_url: str) -> Iterator[ZepClient]:
    with ZepClient(mongo_url, timeout=30) as client:
        yield client


def history_of(how: str, client: ZepClient, session_id: str) -> ZepChatMessageHistory:
    if how == "history of a URL":
        return ZepChatMessageHistory(session_id, client.url, lastn=9, start_on="human")
    return client.chat_history(session_id, lastn=9, start_on=HumanMessage)


def add_in_child(history: ZepChatMessageHistory, *, asynchronous: bool) -> list[Any]:
    """Add with what was sent to another process, and return what is there then."""
    if asynchronous:
        asyncio.run(history.aadd_messages([HumanMessage("child")]))
        return [message.content for message in asyncio.run(history.aget_messages())]
    history.add_messages([HumanMessage("child")])
    return [message.content for message in history.messages]


@pytest.mark.promise("histories, retrievers and clients pickle and copy")
@pytest.mark.parametrize(
    ("start", "how", "asynchronous"),
    [
        *product(["fork"], HOLDERS, [False, True]),
        ("spawn", HOLDERS[1], False),
        *(
            pytest.param("spawn", *case, marks=pytest.mark.long("it imports everything again"))
            for case in ((HOLDERS[0], False), (HOLDERS[0], True), (HOLDERS[1], True))
        ),
    ],
)
def test_a_history_works_in_another_process(start, how, asynchronous, client, session_id):
    history = history_of(how, client, session_id)
    history.add_messages([HumanMessage("parent")])
    with ProcessPoolExecutor(1, multiprocessing.get_context(start)) as pool:
        adding = pool.submit(add_in_child, history, asynchronous=asynchronous)
        assert adding.result(120) == ["parent", "child"]
    assert [message.content for message in history.messages] == ["parent", "child"]


@pytest.mark.parametrize("way", ["pickle", "deepcopy"])
@pytest.mark.parametrize("how", HOLDERS)
async def test_a_copied_history_uses_the_same_session(how, way, client, session_id):
    history = history_of(how, client, session_id)
    history.add_messages([HumanMessage("original")])
    twin = pickle.loads(pickle.dumps(history)) if way == "pickle" else copy.deepcopy(history)
    await twin.aadd_messages([HumanMessage("copy")])
    for each in (history, twin):
        assert [message.content for message in each.messages] == ["original", "copy"]
        assert [message.content for message in await each.aget_messages()] == ["original", "copy"]


@pytest.mark.parametrize("way", ["pickle", "deepcopy"])
def test_a_pickled_retriever_finds_the_same(way, client, session_id):
    client.chat_history(session_id).add_messages([HumanMessage("a parrot called Polly")])
    retriever = client.as_retriever(session_id=session_id)
    of_url = ZepRetriever(url=client.url, session_id=session_id)
    for each in (retriever, of_url):
        twin = pickle.loads(pickle.dumps(each)) if way == "pickle" else copy.deepcopy(each)
        assert [found.page_content for found in twin.invoke("parrot")] == ["a parrot called Polly"]


def test_an_unpickled_client_keeps_its_arguments_and_is_shared(mongo_url):
    embeddings = DeterministicFakeEmbedding(size=3)
    pickled = pickle.dumps(ZepClient(mongo_url, timeout=7.5, embeddings=embeddings))
    first, second = pickle.loads(pickled), pickle.loads(pickled)
    assert first is second
    assert type(first) is ZepClient
    assert (first.url, first._settings.timeout) == (mongo_url, 7.5)
    assert first._settings.embeddings == embeddings
    first.close()
    assert pickle.loads(pickled).message.count("nobody") == 0


def test_copying_a_client_returns_the_client(mongo_url):
    with MongoClient(mongo_url) as driver:
        for client in (ZepClient(mongo_url), ZepClient(client=driver)):
            assert copy.copy(client) is copy.deepcopy(client) is client


class Locked(Embeddings):
    """Embeddings that hold what cannot be pickled."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[1.0] for _ in texts]

    def embed_query(self, text: str) -> list[float]:
        return [1.0]


def test_unpicklable_arguments_raise_an_explaining_error(mongo_url, session_id):
    with MongoClient(mongo_url) as driver:
        passed_in = ZepClient(client=driver, async_client=AsyncIOMotorClient(mongo_url))
        for holder in (
            passed_in,
            passed_in.chat_history(session_id),
            passed_in.as_retriever(session_id=session_id),
        ):
            with pytest.raises(pickle.PicklingError, match="build it from a URL"):
                pickle.dumps(holder)
    with pytest.raises(pickle.PicklingError, match="Locked"):
        pickle.dumps(ZepClient(mongo_url, embeddings=Locked()))
