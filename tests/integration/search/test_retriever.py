"""``ZepRetriever``: LangChain's own tests of a retriever, and what a document holds."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from langchain_core.retrievers import BaseRetriever
from langchain_tests.integration_tests import RetrieversIntegrationTests

from langchain_zepstore import (
    BadRequestError,
    CreateUserRequest,
    Memory,
    Message,
    Session,
    StoreUnavailableError,
    ZepClient,
    ZepRetriever,
)

pytestmark = pytest.mark.turns("lake")

TEXTS = ["Hello.", "We have a boat.", "Is the boat green?", "No, a boat is blue.", "Boats are fun."]


@pytest.fixture(params=["direct", "http"])
def lake(request, mongo_url, server_url, database_name) -> Iterator[ZepClient]:
    """A client of a store in which a session ``lake`` talks of boats."""
    direct = request.param == "direct"
    url = mongo_url if direct else f"{server_url}/{database_name}"
    with ZepClient(url, database=database_name if direct else None) as client:
        messages = [
            Message(role="user", content=text, uuid=str(n), metadata={"n": n})
            for n, text in enumerate(TEXTS)
        ]
        client.memory.add_memory("lake", Memory(messages=messages))
        yield client


class TestAsLangChainHasIt(RetrieversIntegrationTests):
    """LangChain's tests."""

    @pytest.fixture(autouse=True)
    def _store(self, lake: ZepClient) -> None:
        self.client = lake

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return ZepRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"client": self.client, "session_id": "lake"}

    @property
    def retriever_query_example(self) -> str:
        return "boat"


def found(retriever: ZepRetriever, query: str, **options: Any) -> list[str]:
    documents = retriever.invoke(query, **options)
    assert asyncio.run(retriever.ainvoke(query, **options)) == documents
    return [document.page_content for document in documents]


@pytest.mark.promise(
    "the search as a LangChain retriever passes LangChain's tests of one; a document shows "
    "the turns around"
)
def test_a_document_is_a_message_with_its_session_and_position(lake: ZepClient) -> None:
    [document] = lake.as_retriever(session_id="lake").invoke("green")
    stored = lake.message.get_session_message("lake", "2")
    assert document.page_content == TEXTS[2]
    assert document.id == "2"
    score = document.metadata.pop("score")
    assert score > 0
    assert document.metadata == {
        "session_id": "lake",
        "message_id": "2",
        "role": "user",
        "created_at": stored.created_at,
        "metadata": {"n": 2},
    }


@pytest.mark.promise(
    "the search as a LangChain retriever passes LangChain's tests of one; a document shows "
    "the turns around"
)
def test_k_and_top_k_are_aliases(lake: ZepClient) -> None:
    for retriever in (
        lake.as_retriever(session_id="lake", k=2),
        lake.as_retriever(session_id="lake", top_k=2),
    ):
        assert len(found(retriever, "boat")) == 2
        assert len(found(retriever, "boat", k=3)) == 3
        assert len(found(retriever, "boat", top_k=1)) == 1
    assert len(found(lake.as_retriever(session_id="lake"), "boat")) == 4


@pytest.mark.promise(
    "the search as a LangChain retriever passes LangChain's tests of one; a document shows "
    "the turns around"
)
def test_a_window_includes_surrounding_turns(lake: ZepClient) -> None:
    for window, turns in ((1, TEXTS[1:4]), (2, TEXTS), (100, TEXTS)):
        retriever = lake.as_retriever(session_id="lake", window=window)
        assert found(retriever, "green") == ["\n".join(f"user: {text}" for text in turns)]
    first = lake.as_retriever(session_id="lake", window=1)
    assert found(first, "fun") == [f"user: {TEXTS[3]}\nuser: {TEXTS[4]}"]
    lake.message.delete_message("lake", "1")
    assert found(first, "green") == [f"user: {TEXTS[0]}\nuser: {TEXTS[2]}\nuser: {TEXTS[3]}"]


def test_a_users_sessions_are_searched_with_filters(lake: ZepClient) -> None:
    lake.user.add(CreateUserRequest(user_id="ada"))
    lake.memory.add_session(Session(session_id="ada's", user_id="ada"))
    old = Message(role="ai", content="a boat", created_at=datetime(2020, 1, 1, tzinfo=UTC))
    lake.memory.add_memory("ada's", Memory(messages=[old]))
    assert found(lake.as_retriever(user_id="ada"), "boat") == ["a boat"]
    assert found(lake.as_retriever(session_id="lake", filter={"n": 3}), "boat") == [TEXTS[3]]
    since = datetime(2021, 1, 1, tzinfo=UTC)
    assert found(lake.as_retriever(user_id="ada", start_date=since), "boat") == []
    assert found(lake.as_retriever(user_id="ada", end_date=since), "boat") == ["a boat"]


def test_constructing_a_retriever_from_a_url_opens_no_connection() -> None:
    retriever = ZepRetriever(
        url="mongodb://user:secret@127.0.0.1:9/?connectTimeoutMS=200&serverSelectionTimeoutMS=200",
        user_id="u",
    )
    assert "secret" not in repr(retriever)
    with pytest.raises(StoreUnavailableError):
        retriever.invoke("boat")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"session_id": "s", "k": 0},
        {"session_id": "s", "k": "many"},
        {"session_id": "s", "window": -1},
        {"session_id": "s", "url": "mongodb://h"},
        {"session_id": {"$ne": ""}},
    ],
    ids=str,
)
def test_invalid_retriever_arguments_are_refused(lake: ZepClient, options: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError):
        ZepRetriever(client=lake, **options)


def test_unknown_invoke_arguments_are_refused(lake: ZepClient) -> None:
    with pytest.raises(BadRequestError, match="k or top_k"):
        lake.as_retriever(session_id="lake").invoke("boat", limit=5)


def test_importing_the_package_does_not_import_retrievers() -> None:
    code = "import sys, langchain_zepstore; print('langchain_core.retrievers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
