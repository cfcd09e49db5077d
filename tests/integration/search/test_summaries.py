"""A summary takes its time: what happens meanwhile, and to whom it belongs then."""

from collections.abc import Callable

import pytest
from langchain_core.runnables import RunnableLambda

from langchain_zepstore import (
    BadRequestError,
    NotFoundError,
    StoreUnavailableError,
    ZepClient,
)
from tests.support.messages import said


def model(meanwhile: Callable[[], object]) -> RunnableLambda:
    """A model while which something happens, the first time."""
    calls = []

    def answer(question: list) -> str:
        calls.append(question)
        if len(calls) == 1:
            meanwhile()
        return f"summary {len(calls)} of {str(question[-1].content).splitlines()[-1]}"

    return RunnableLambda(answer)


@pytest.mark.promise("deleted and undeleted with its session, under races")
def test_a_summary_racing_a_deletion_is_not_stored(client, session_id) -> None:
    client.memory.add_memory(session_id, said("old"))
    with pytest.raises(NotFoundError):
        client.memory.summarize(session_id, model(lambda: client.memory.delete_memory(session_id)))
    client.memory.undelete_session(session_id)
    assert client.memory.get_memory(session_id).summary is None


@pytest.mark.promise("deleted and undeleted with its session, under races")
def test_a_revived_session_does_not_keep_a_summary_of_deleted_messages(client, session_id) -> None:
    def deleted_and_revived() -> None:
        client.memory.delete_memory(session_id)
        client.memory.add_memory(session_id, said("new"))

    client.memory.add_memory(session_id, said("old"))
    summary = client.memory.summarize(session_id, model(deleted_and_revived))
    assert summary.content == "summary 2 of user: new"
    assert client.memory.get_memory(session_id).summary == summary


def test_a_summary_racing_a_newer_one_is_discarded(client, session_id) -> None:
    def summed_up_by_another() -> None:
        client.memory.summarize(session_id, RunnableLambda(lambda _: "another's"))

    client.memory.add_memory(session_id, said("old"))
    assert client.memory.summarize(session_id, model(summed_up_by_another)).content == "another's"


def test_messages_added_during_a_summarize_call_are_included(client, session_id) -> None:
    client.memory.add_memory(session_id, said("old"))
    meanwhile = model(lambda: client.memory.add_memory(session_id, said("new")))
    assert client.memory.summarize(session_id, meanwhile).content == "summary 2 of user: new"


@pytest.mark.promise("two at once agree; a model that fails leaves the last one")
def test_a_failing_model_keeps_the_previous_summary(client, session_id) -> None:
    client.memory.add_memory(session_id, said("old"))
    first = client.memory.summarize(session_id, RunnableLambda(lambda _: "first"))
    client.memory.add_memory(session_id, said("new"))

    def fail() -> None:
        raise RuntimeError("no tokens left")

    with pytest.raises(RuntimeError, match="no tokens"):
        client.memory.summarize(session_id, model(fail))
    assert client.memory.get_memory(session_id).summary == first


def test_a_purge_removes_deleted_summaries(mongo_url, database_name) -> None:
    with ZepClient(mongo_url, database=database_name) as client:
        client.memory.add_memory("s", said("old"))
        client.memory.summarize("s", RunnableLambda(lambda _: "a secret"))
        client.memory.delete_memory("s")
        client.memory.add_memory("s", said("new"))
        client.purge()
        with pytest.raises(NotFoundError):
            client.memory.undelete_session("s")
        raw = client.run(lambda store: store.sessions.find("s"))
        assert raw is not None
        from pymongo import MongoClient

        with MongoClient(mongo_url) as mongo:
            assert "a secret" not in str(mongo[database_name].sessions.find_one())


async def test_summarize_can_be_cancelled_immediately(mongo_url, database_name) -> None:
    import asyncio

    started = asyncio.Event()

    async def forever(_: object) -> str:
        started.set()
        await asyncio.sleep(3600)
        return ""

    async with ZepClient(mongo_url, database=database_name) as client:
        await client.memory.aadd_memory("s", said("old"))
        llm = RunnableLambda(lambda _: "", afunc=forever)
        task = asyncio.create_task(client.memory.asummarize("s", llm))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 5)
        assert (await client.memory.aget_memory("s")).summary is None


def test_the_model_is_not_called_without_a_server(session_id) -> None:
    asked = []
    with (
        ZepClient("mongodb://127.0.0.1:9/", timeout=0.2) as client,
        pytest.raises(StoreUnavailableError),
    ):
        client.memory.summarize(session_id, RunnableLambda(asked.append))
    assert not asked


@pytest.mark.promise("`search` and `zep_summary` of LangChain's class for Zep")
def test_a_history_has_the_summary_and_search_of_langchains_zep_class(client, session_id) -> None:
    history = client.chat_history(session_id)
    assert history.zep_summary is None
    history.add_user_message("a boat on the lake")
    client.memory.summarize(session_id, RunnableLambda(lambda _: "boats"))
    assert history.zep_summary == "boats"
    [found] = history.search("lakes")
    assert found.message.content == "a boat on the lake"
    [found] = history.search("boat", search_scope="summary", limit=1)
    assert found.summary.content == "boats"
    with pytest.raises(BadRequestError):
        history.search("boat", search_type="guess")
    with pytest.raises(BadRequestError):
        history.search("boat", metadata=["a"])


async def test_the_history_searches_asynchronously(client, mongo_url, session_id) -> None:
    async with ZepClient(mongo_url) as asynchronous:
        history = asynchronous.chat_history(session_id)
        await history.aadd_messages([])
        client.memory.add_memory(session_id, said("a boat"))
        [found] = await history.asearch("boats", {"where": {"jsonpath": "$"}}, limit=3) or [None]
        assert found is None
        [found] = await history.asearch("boats")
        assert found.message.content == "a boat"
