"""``client.message.window``: what a page shows of a session, cut where it is large."""

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langchain_zepstore import BadRequestError, NotFoundError
from langchain_zepstore.models import Memory, Message, Session
from tests.support.facade import Facade

pytestmark = pytest.mark.promise("large values are cut by the database")


async def say(zep: Facade, session_id: str, *uuids: str, before: str | None = None) -> None:
    messages = [Message(role="human", content=f"say {uuid}", uuid=uuid) for uuid in uuids]
    memory = Memory(messages=messages)
    await zep.memory.add_memory(session_id, memory, before=before)


async def window(zep: Facade, session_id: str, limit: int = 3, **options) -> list[str | None]:
    found = await zep.message.window(session_id, limit, **options)
    return [message.uuid for message in found]


async def test_windows_surround_a_message(zep: Facade, session_id: str) -> None:
    await say(zep, session_id, *"abcdefg")
    assert await window(zep, session_id) == ["e", "f", "g"]
    assert await window(zep, session_id, before="e") == ["b", "c", "d"]
    assert await window(zep, session_id, before="b") == ["a"]
    assert await window(zep, session_id, before="a") == []
    assert await window(zep, session_id, after="e") == ["f", "g"]
    assert await window(zep, session_id, after="g") == []
    assert await window(zep, session_id, 4, around="d") == ["b", "c", "d", "e"]
    assert await window(zep, session_id, 1, around="d") == ["d"]
    assert await window(zep, session_id, 50) == list("abcdefg")
    assert await window(zep, "unknown") == []


async def test_windows_may_include_deleted_messages(zep: Facade, session_id: str) -> None:
    await say(zep, session_id, *"abcd")
    await zep.message.delete_message(session_id, "c")
    assert await window(zep, session_id) == ["a", "b", "d"]
    assert await window(zep, session_id, after="c") == ["d"]
    assert await window(zep, session_id, include_deleted=True) == ["b", "c", "d"]
    assert await window(zep, session_id, before="d", include_deleted=True) == ["a", "b", "c"]
    await zep.memory.delete_memory(session_id)
    assert await window(zep, session_id) == []
    found = await zep.message.window(session_id, around="b", include_deleted=True)
    assert [message.uuid for message in found] == list("abcd")
    assert all(message.deleted_at for message in found)


async def test_messages_of_a_window_name_their_alternatives(zep: Facade, session_id: str) -> None:
    await say(zep, session_id, "q", "a1", "more")
    await say(zep, session_id, "a2", before="a1")
    await say(zep, session_id, "a3", "end", before="a2")
    found = await zep.message.window(session_id)
    assert [(each.uuid, each.alternatives) for each in found] == [
        ("q", None),
        ("a3", ["a1", "a2", "a3"]),
        ("end", None),
    ]
    assert await window(zep, session_id, before="more") == ["q", "a1"]
    await zep.message.delete_message(session_id, "a2")
    found = await zep.message.window(session_id)
    assert found[1].alternatives == ["a1", "a3"]


async def test_large_messages_are_truncated(zep: Facade, session_id: str) -> None:
    history = zep.chat_history(session_id)
    calls = [{"name": "f", "args": {"x": "ä" * 9000, "y": 1}, "id": str(n)} for n in range(100)]
    blocks = [{"type": "text", "text": "b" * 5000}, {"type": "image", "base64": "AA" * 50_000}]
    await history.add(
        HumanMessage("short", id="short"),
        HumanMessage("ü" * 10_000, id="long"),
        AIMessage("calls", id="calls", tool_calls=calls),
        HumanMessage(blocks, id="blocks", additional_kwargs={"a": {"b": [b"c" * 9000]}}),
    )
    found = await zep.message.window(session_id, content_limit=4000)
    short, long, calls, blocks = found
    assert [message.is_cut for message in found] == [False, True, True, True]
    assert (short.content, short.langchain) == ("short", None)
    assert long.content == "ü" * 4000
    cut = calls.langchain["data"]["tool_calls"]
    assert len(cut) == 50
    assert cut[0]["args"] == {"x": "ä" * 1000, "y": 1}
    assert blocks.content == "b" * 1000
    assert len(blocks.langchain["data"]["content"][1]["base64"]) == 1000
    whole = await zep.message.window(session_id)
    assert [message.is_cut for message in whole] == [False] * 4
    assert len(whole[2].langchain["data"]["tool_calls"]) == 100


async def test_previews_are_truncated(zep: Facade, session_id: str, user_id: str) -> None:
    await zep.chat_history(session_id, user_id=user_id).add(HumanMessage("ü" * 10_000))
    page = await zep.memory.recent_sessions(user_id=user_id, preview=True, content_limit=300)
    assert page.sessions[0].last_message.content == "ü" * 300
    assert page.sessions[0].metadata is None
    for metadata, kept in (
        ({"title": "Lake", "a": 1}, {"title": "Lake", "a": 1}),
        ({"a": "x" * 1000}, {"title": "Lake"}),
        ({"title": "é" * 1000}, {"title": "é" * 300}),
        ({"title": 5}, {}),
    ):
        await zep.memory.update_session(Session(session_id=session_id, metadata=metadata))
        page = await zep.memory.recent_sessions(user_id=user_id, content_limit=300)
        assert page.sessions[0].metadata == kept
        title = kept.get("title")
        assert page.sessions[0].title == title
    await zep.memory.delete_memory(session_id)
    trash = await zep.memory.recent_sessions(user_id=user_id, deleted=True, content_limit=300)
    assert trash.sessions[0].metadata == {}
    with pytest.raises(BadRequestError, match="content_limit"):
        await zep.memory.recent_sessions(content_limit=0)


async def test_invalid_windows_are_refused(zep: Facade, session_id: str) -> None:
    await zep.memory.add_session(Session(session_id=session_id))
    for options in (
        {"limit": 0},
        {"limit": 1001},
        {"before": "a", "after": "b"},
        {"content_limit": 0},
        {"around": ""},
        {"include_deleted": 1},
    ):
        with pytest.raises(BadRequestError):
            await zep.message.window(session_id, **options)
    with pytest.raises(NotFoundError, match="no message 'x'"):
        await zep.message.window(session_id, before="x")
