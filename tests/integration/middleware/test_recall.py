"""``search_past_conversations``: what a user has said in other sessions."""

from collections.abc import Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage

from langchain_zepstore import BadRequestError, ZepClient
from langchain_zepstore.middleware import ChatHistoryMiddleware, search_past_conversations
from tests.support.agents import Call, Scripted, both_ways, of, said

pytestmark = pytest.mark.turns("call")

TOOL = "search_past_conversations"


@pytest.fixture
def client(mongo_url: str, database_name: str) -> Iterator[ZepClient]:
    """A client of a store in which Ann and Ben have said where they keep their keys."""
    with ZepClient(mongo_url, database=database_name) as client:
        for session, user, place in (
            ("a1", "Ann", "under the mat"),
            ("a2", "Ann", "in the boat"),
            ("b1", "Ben", "at the bank"),
        ):
            client.chat_history(session, user_id=user).add_messages(
                [HumanMessage(f"My key is {place}."), AIMessage("Noted.")]
            )
        yield client


def asking(query: str = "key", **more: Any) -> AIMessage:
    call = {"name": TOOL, "args": {"query": query, **more}, "id": "c", "type": "tool_call"}
    return AIMessage("", tool_calls=[call])  # type: ignore[list-item]


def agent(client: ZepClient, *script: Any, **options: Any) -> Any:
    middleware = [ChatHistoryMiddleware(client=client, recall=True, **options)]
    return create_agent(Scripted(*script), middleware=middleware)


async def recalled(call: Call, speaker: Any, options: dict[str, Any]) -> list[str]:
    result = await call(speaker, said("Where is my key?"), options)
    answer = result["messages"][-2]
    assert answer.type == "tool"
    return str(answer.content).split("\n")


@pytest.mark.promise("`search_past_conversations` over the user's other sessions")
@both_ways
async def test_the_users_other_sessions_are_searched(client: ZepClient, call: Call) -> None:
    lines = await recalled(call, agent(client, asking()), of("a3", user_id="Ann"))
    assert len(lines) == 2
    assert all("UTC] human: My key is " in line for line in lines)
    assert any("under the mat" in line for line in lines)
    assert any("in the boat" in line for line in lines)


@pytest.mark.promise("`search_past_conversations` over the user's other sessions")
@both_ways
async def test_the_current_session_is_excluded(client: ZepClient, call: Call) -> None:
    options = of("a1", user_id="Ann")
    client.chat_history("a1").add_messages([HumanMessage(f"key {n}") for n in range(50)])
    lines = await recalled(call, agent(client, asking()), options)
    assert len(lines) == 1
    assert "in the boat" in lines[0]


@pytest.mark.promise("`search_past_conversations` over the user's other sessions")
@both_ways
async def test_the_model_cannot_choose_the_user(client: ZepClient, call: Call) -> None:
    speaker = agent(client, asking(user_id="Ben", runtime={"context": {"user_id": "Ben"}}))
    lines = await recalled(call, speaker, of("a3", user_id="Ann"))
    assert len(lines) == 2
    assert not any("bank" in line for line in lines)


@both_ways
async def test_deleted_messages_are_not_found(client: ZepClient, call: Call) -> None:
    client.memory.delete_memory("a1")
    lines = await recalled(call, agent(client, asking()), of("a3", user_id="Ann"))
    assert len(lines) == 1


@both_ways
async def test_the_answer_explains_a_missing_user(client: ZepClient, call: Call) -> None:
    [line] = await recalled(call, agent(client, asking()), of("a3"))
    assert "not known who the user is" in line


@both_ways
@pytest.mark.parametrize(
    ("query", "answer"), [("zebra", "Nothing was found"), (" ", "refused"), ("\ud800", "refused")]
)
async def test_empty_and_invalid_queries_are_answered(
    client: ZepClient, call: Call, query: str, answer: str
) -> None:
    speaker = agent(client, asking(query), record_tools=False)
    [line] = await recalled(call, speaker, of("a3", user_id="Ann"))
    assert answer in line


@both_ways
async def test_messages_are_truncated_to_one_line(client: ZepClient, call: Call) -> None:
    client.chat_history("a4", user_id="Ann").add_messages([HumanMessage("zebra\n" * 500)])
    [line] = await recalled(call, agent(client, asking("zebra")), of("a3", user_id="Ann"))
    assert len(line) < 1100
    assert line.endswith("…")


@both_ways
async def test_the_tool_works_without_the_middleware(client: ZepClient, call: Call) -> None:
    tool = search_past_conversations(client, session_id="none", user_id="Ann", limit=1)
    speaker = create_agent(Scripted(asking()), [tool])
    assert len(await recalled(call, speaker, {})) == 1


def test_the_models_schema_has_only_the_query(client: ZepClient) -> None:
    tool = search_past_conversations(client)
    assert tool.name == TOOL
    schema: Any = tool.tool_call_schema
    assert set(schema.model_json_schema()["properties"]) == {"query"}


def test_no_tool_is_added_without_recall(client: ZepClient) -> None:
    assert list(ChatHistoryMiddleware(client=client).tools) == []


def test_a_limit_below_1_is_refused(client: ZepClient) -> None:
    with pytest.raises(BadRequestError, match="limit"):
        search_past_conversations(client, limit=0)
