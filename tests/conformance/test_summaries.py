"""Summaries roll on, come with the memory, are found, and go and come back with their session."""

import asyncio

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from langchain_zepstore import (
    APIError,
    BadRequestError,
    CreateUserRequest,
    MemorySearchPayload,
    NotFoundError,
    Session,
)
from tests.support.facade import Facade
from tests.support.messages import said


class Counting(BaseChatModel):
    """Answers with the last lines that it was shown, and keeps what it was asked."""

    asked: list[str]

    @property
    def _llm_type(self) -> str:
        return "counting"

    def _generate(self, messages: list[BaseMessage], *args, **options) -> ChatResult:
        self.asked.append(str(messages[-1].content))
        text = f"summary {len(self.asked)}: " + str(messages[-1].content).splitlines()[-1]
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])


@pytest.mark.promise("rolling, incremental, stored, returned with the memory")
async def test_a_summary_is_extended_by_new_messages(zep: Facade, session_id: str) -> None:
    llm = Counting(asked=[])
    await zep.memory.add_memory(session_id, said("a boat", "a lake"))
    first = await zep.memory.summarize(session_id, llm)
    memory = await zep.memory.get_memory(session_id)
    assert memory.summary == first
    assert first.content == "summary 1: user: a lake"
    assert first.recent_message_uuid == memory.messages[-1].uuid
    assert first.token_count > 0
    assert len(memory.messages) == 2
    assert await zep.memory.summarize(session_id, llm) == first
    assert len(llm.asked) == 1
    await zep.memory.add_memory(session_id, said("a soup"))
    second = await zep.memory.summarize(session_id, llm)
    assert second.uuid != first.uuid
    assert second.content == "summary 2: user: a soup"
    assert "summary 1" in llm.asked[1]
    assert "boat" not in llm.asked[1]
    assert (await zep.memory.get_memory(session_id, 1)).summary == second


@pytest.mark.promise("rolling, incremental, stored, returned with the memory")
async def test_a_long_session_is_summarized_in_parts(zep: Facade, session_id: str) -> None:
    llm = Counting(asked=[])
    await zep.memory.add_memory(session_id, said(*(f"turn {number}" for number in range(450))))
    summary = await zep.memory.summarize(session_id, llm)
    assert len(llm.asked) == 3
    assert summary.content == "summary 3: user: turn 449"
    told = [line for asked in llm.asked for line in asked.splitlines() if line.startswith("user:")]
    assert told == [f"user: turn {number}" for number in range(450)]


async def test_the_last_turns_can_be_excluded_from_a_summary(zep: Facade, session_id: str) -> None:
    llm = Counting(asked=[])
    await zep.memory.add_memory(session_id, said("one", "two", "three"))
    summary = await zep.memory.summarize(session_id, llm, keep_last=1)
    assert summary.content == "summary 1: user: two"
    assert await zep.memory.summarize(session_id, llm, keep_last=1) == summary
    assert await zep.memory.summarize(session_id, llm, keep_last=9) == summary


@pytest.mark.promise("deleted and undeleted with its session, under races")
async def test_a_summary_is_deleted_and_undeleted_with_its_session(
    zep: Facade, session_id: str
) -> None:
    async def summary_text() -> str | None:
        summary = (await zep.memory.get_memory(session_id)).summary
        return summary and summary.content

    llm = Counting(asked=[])
    await zep.memory.add_memory(session_id, said("old"))
    await zep.memory.summarize(session_id, llm)
    await zep.memory.delete_memory(session_id)
    assert await summary_text() is None
    await zep.memory.undelete_session(session_id)
    assert await summary_text() == "summary 1: user: old"
    await zep.memory.delete_memory(session_id)
    await zep.memory.add_memory(session_id, said("new"))
    assert await summary_text() is None
    await zep.memory.summarize(session_id, llm)
    assert await summary_text() == "summary 2: user: new"
    assert "old" not in llm.asked[-1]
    await zep.memory.undelete_session(session_id)
    assert await summary_text() == "summary 1: user: old"
    await zep.memory.summarize(session_id, llm)
    assert await summary_text() == "summary 3: user: new"


@pytest.mark.promise("found with the scope `summary`")
async def test_summaries_are_found_within_a_session_or_user(
    zep: Facade, session_id: str, user_id: str
) -> None:
    await zep.user.add(CreateUserRequest(user_id=user_id))
    texts = {"a": "They painted a boat green", "b": "They cooked soup", "c": None}
    for name, text in texts.items():
        of = f"{session_id} {name}"
        await zep.memory.add_session(Session(session_id=of, user_id=user_id))
        await zep.memory.add_memory(of, said("hello"))
        if text:
            await zep.memory.summarize(of, FakeListChatModel(responses=[text]))

    async def found(text: str, **where) -> list[tuple[str, str]]:
        results = await zep.memory.search(text, search_scope="summary", **where)
        assert all(result.message is None for result in results)
        return [(result.session_id, result.summary.content) for result in results]

    assert await found("boats", user_id=user_id) == [(f"{session_id} a", texts["a"])]
    assert await found("boats", session_id=f"{session_id} a") == [(f"{session_id} a", texts["a"])]
    assert await found("boats", session_id=f"{session_id} b") == []
    assert await found("they", user_id=user_id, metadata={"a": 1}) == []
    payload = MemorySearchPayload(text="soup", search_scope="summary")
    [result] = await zep.memory.search_memory(f"{session_id} b", payload)
    assert result.summary.content == texts["b"]
    assert await zep.memory.search("boat", user_id=user_id) == []
    await zep.memory.delete_memory(f"{session_id} a")
    assert await found("boats", user_id=user_id) == []


@pytest.mark.promise("found with the scope `summary`")
async def test_summaries_are_found_by_vector_search(
    meaning: Facade, session_id: str, user_id: str
) -> None:
    await meaning.user.add(CreateUserRequest(user_id=user_id))
    for name, text in (("a", "A ship was painted"), ("b", "Stew was eaten")):
        of = f"{session_id} {name}"
        await meaning.memory.add_session(Session(session_id=of, user_id=user_id))
        await meaning.memory.add_memory(of, said("hello"))
        await meaning.memory.summarize(of, FakeListChatModel(responses=[text]))
    for kind in ("similarity", "mmr", "hybrid"):
        results = await meaning.memory.search(
            "boat", user_id=user_id, search_scope="summary", search_type=kind
        )
        assert [result.summary.content for result in results] == [
            "A ship was painted",
            "Stew was eaten",
        ]


@pytest.mark.promise("two at once agree; a model that fails leaves the last one")
async def test_concurrent_summarize_calls_return_the_same_summary(
    zep: Facade, session_id: str
) -> None:
    llm = Counting(asked=[])
    await zep.memory.add_memory(session_id, said("one", "two"))
    summaries = await asyncio.gather(*(zep.memory.summarize(session_id, llm) for _ in range(4)))
    kept = (await zep.memory.get_memory(session_id)).summary
    assert {summary.uuid for summary in summaries} == {kept.uuid}


async def test_invalid_summarize_calls_are_refused(zep: Facade, session_id: str) -> None:
    llm = Counting(asked=[])
    with pytest.raises(NotFoundError):
        await zep.memory.summarize(session_id, llm)
    await zep.memory.add_session(Session(session_id=session_id))
    assert await zep.memory.summarize(session_id, llm) is None
    await zep.memory.add_memory(session_id, said("one"))
    for arguments in ((session_id, "a model"), ({"$ne": ""}, llm), ("", llm)):
        with pytest.raises(BadRequestError):
            await zep.memory.summarize(*arguments)
    with pytest.raises(BadRequestError):
        await zep.memory.summarize(session_id, llm, keep_last=-1)
    with pytest.raises(BadRequestError):
        await zep.memory.summarize(session_id, llm, keep_last=1001)
    with pytest.raises(BadRequestError):
        await zep.memory.summarize(session_id, llm, prompt=" ")
    with pytest.raises(APIError):
        await zep.memory.summarize(session_id, FakeListChatModel(responses=[" "]))
    assert (await zep.memory.get_memory(session_id)).summary is None
