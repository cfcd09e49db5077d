"""Messages one by one: pages of them, their metadata, deleting, and ids that come again."""

from datetime import UTC, datetime
from typing import Any

import pytest

from langchain_zepstore import BadRequestError, Memory, Message, NotFoundError
from tests.support.facade import Facade

HUGE = 2**63 - 1


def one(uuid: str, content: str | None = None, **fields: Any) -> Message:
    return Message(role="user", content=uuid if content is None else content, uuid=uuid, **fields)


async def add(zep: Facade, session_id: str, *uuids: str) -> None:
    await zep.memory.add_memory(session_id, Memory(messages=[one(uuid) for uuid in uuids]))


async def ids(zep: Facade, session_id: str) -> list[str]:
    return [message.uuid for message in (await zep.memory.get_memory(session_id)).messages]


async def page(zep: Facade, session_id: str, *args: Any, **options: Any) -> list[str]:
    found = await zep.message.get_session_messages(session_id, *args, **options)
    return [message.uuid for message in found]


@pytest.mark.promise("pages, as in Zep")
async def test_pages_are_counted_from_1(zep: Facade, session_id: str) -> None:
    await add(zep, session_id, *"abcdefg")
    assert await page(zep, session_id, 3) == ["a", "b", "c"]
    assert await page(zep, session_id, 3, 1) == ["a", "b", "c"]
    assert await page(zep, session_id, limit=3, cursor=2) == ["d", "e", "f"]
    assert await page(zep, session_id, limit=3, cursor=3) == ["g"]
    assert await page(zep, session_id, limit=3, cursor=4) == []
    assert await page(zep, session_id, limit=7, cursor=1) == list("abcdefg")
    assert await page(zep, session_id, limit=7, cursor=2) == []


async def test_a_page_has_100_messages_by_default(zep: Facade, session_id: str) -> None:
    uuids = [str(number) for number in range(120)]
    await add(zep, session_id, *uuids)
    assert await page(zep, session_id) == uuids[:100]
    assert await page(zep, session_id, cursor=2) == uuids[100:]
    assert await page(zep, session_id, 110) == uuids[:110]


async def test_pages_and_limits_of_any_size_are_accepted(zep: Facade, session_id: str) -> None:
    await add(zep, session_id, "a", "b")
    assert await page(zep, session_id, 2**31) == ["a", "b"]
    assert await page(zep, session_id, HUGE) == ["a", "b"]
    assert await page(zep, session_id, 1, HUGE) == []
    assert await page(zep, session_id, HUGE, HUGE) == []
    assert await page(zep, session_id, 100, 2**62) == []


@pytest.mark.promise("pages, as in Zep")
async def test_pages_return_the_same_messages_as_a_read(zep: Facade, session_id: str) -> None:
    await add(zep, session_id, *"abcd")
    await zep.message.delete_message(session_id, "b")
    read = (await zep.memory.get_memory(session_id)).messages
    assert await zep.message.get_session_messages(session_id, 2, 1) == read[:2]
    assert await zep.message.get_session_messages(session_id, 2, 2) == read[2:]


async def test_an_unknown_session_has_no_pages(zep: Facade, session_id: str) -> None:
    assert await page(zep, session_id) == []


async def test_one_message_is_read_with_all_its_fields(zep: Facade, session_id: str) -> None:
    moment = datetime(2024, 2, 29, tzinfo=UTC)
    full = one("b", "text", created_at=moment, token_count=7, metadata={"a": {"$b": None}})
    await zep.memory.add_memory(session_id, Memory(messages=[one("a"), full, one("c")]))
    assert await zep.message.get_session_message(session_id, "b") == full


@pytest.mark.promise("an unknown message is not found")
async def test_an_unknown_message_is_not_found(zep: Facade, session_id: str) -> None:
    other = f"{session_id} other"
    with pytest.raises(NotFoundError, match=session_id):
        await zep.message.get_session_message(session_id, "a")
    await add(zep, session_id, "a")
    await add(zep, other, "b")
    for call in (
        zep.message.get_session_message(session_id, "b"),
        zep.message.update_message_metadata(session_id, "b", {"a": 1}),
        zep.message.delete_message(session_id, "b"),
        zep.message.undelete_message(session_id, "b"),
        zep.message.undelete_message(f"{session_id} none", "b"),
    ):
        with pytest.raises(NotFoundError, match="'b'"):
            await call
    assert await ids(zep, other) == ["b"]


@pytest.mark.promise("merging a message's metadata leaves its token count")
@pytest.mark.promise("metadata")
async def test_message_metadata_merges_like_session_metadata(zep: Facade, session_id: str) -> None:
    old = {"map": {"a": 1, "b": [1, 2]}, "x.y": 1, "text": "x", "$ref": {"$id": 1}}
    await zep.memory.add_memory(session_id, Memory(messages=[one("a", metadata=old), one("b")]))
    patch = {
        "map": {"b": [3], "$c": None},
        "x.y": {"z": 1},
        "text": "",
        "$ref": {"$ref": 2},
        "system": "dropped",
    }
    merged = {
        "map": {"a": 1, "b": [3], "$c": None},
        "x.y": {"z": 1},
        "text": "",
        "$ref": {"$id": 1, "$ref": 2},
    }
    updated = await zep.message.update_message_metadata(session_id, "a", patch)
    assert updated.metadata == merged
    assert await zep.message.get_session_message(session_id, "a") == updated
    none = await zep.message.update_message_metadata(session_id, "b", {"a": {"b": 1}})
    assert none.metadata == {"a": {"b": 1}}
    assert (await zep.message.update_message_metadata(session_id, "a", {})).metadata == merged


@pytest.mark.promise("merging a message's metadata leaves its token count")
async def test_merging_metadata_keeps_the_rest_of_a_message(zep: Facade, session_id: str) -> None:
    moment = datetime(2024, 2, 29, tzinfo=UTC)
    given = one("a", "text", created_at=moment, token_count=4321, metadata={"a": 1})
    counted = one("b", "word " * 50)
    await zep.memory.add_memory(session_id, Memory(messages=[given, counted]))
    before = (await zep.memory.get_memory(session_id)).messages
    for message in before:
        await zep.message.update_message_metadata(session_id, message.uuid, {"b": 2})
    after = (await zep.memory.get_memory(session_id)).messages
    assert [m.metadata for m in after] == [{"a": 1, "b": 2}, {"b": 2}]
    assert [m.token_count for m in after] == [4321, before[1].token_count]
    rest = {"metadata"}
    assert [m.model_dump(exclude=rest) for m in after] == [
        m.model_dump(exclude=rest) for m in before
    ]


async def test_unstorable_message_metadata_changes_nothing(zep: Facade, session_id: str) -> None:
    await zep.memory.add_memory(session_id, Memory(messages=[one("a", metadata={"a": 1})]))
    deep: dict[str, Any] = {}
    for _ in range(16):
        deep = {"deeper": deep}
    for bad in (None, 5, "text", [], {"a": {1, 2}}, {1: 2}, {"a": 2**64}, {"a": "\ud800"}, deep):
        with pytest.raises(BadRequestError, match="metadata"):
            await zep.message.update_message_metadata(session_id, "a", bad)
    with pytest.raises(BadRequestError):
        await zep.message.update_message_metadata(session_id, "a", {"big": "x" * 17_000_000})
    assert (await zep.message.get_session_message(session_id, "a")).metadata == {"a": 1}


@pytest.mark.promise("delete and undelete")
async def test_a_deleted_message_is_hidden_from_every_read(zep: Facade, session_id: str) -> None:
    await add(zep, session_id, *"abc")
    assert await zep.message.delete_message(session_id, "b") == "OK"
    assert await ids(zep, session_id) == ["a", "c"]
    assert await zep.message.count(session_id) == 2
    assert await page(zep, session_id, 1, 2) == ["c"]
    assert [m.uuid async for m in zep.message.each("iter_messages", session_id, 1)] == ["a", "c"]
    assert [m.id for m in await zep.chat_history(session_id).messages()] == ["a", "c"]
    assert [m.id for m in await zep.chat_history(session_id, lastn=2).messages()] == ["a", "c"]
    for call in (
        zep.message.get_session_message(session_id, "b"),
        zep.message.update_message_metadata(session_id, "b", {"a": 1}),
        zep.message.delete_message(session_id, "b"),
    ):
        with pytest.raises(NotFoundError, match="'b'"):
            await call


async def test_a_session_stays_live_when_all_its_messages_are_deleted(
    zep: Facade, session_id: str
) -> None:
    await add(zep, session_id, "a")
    await zep.message.delete_message(session_id, "a")
    assert await ids(zep, session_id) == []
    assert (await zep.memory.get_session(session_id)).deleted_at is None


@pytest.mark.promise("delete and undelete")
async def test_an_undeleted_message_returns_to_its_position(zep: Facade, session_id: str) -> None:
    await add(zep, session_id, *"abc")
    before = await zep.memory.get_memory(session_id)
    await zep.message.delete_message(session_id, "b")
    await add(zep, session_id, "d")
    undeleted = await zep.message.undelete_message(session_id, "b")
    assert undeleted == before.messages[1]
    assert await ids(zep, session_id) == ["a", "b", "c", "d"]
    assert (await zep.memory.get_memory(session_id)).messages[:3] == before.messages


async def test_a_message_can_be_deleted_and_undeleted_repeatedly(
    zep: Facade, session_id: str
) -> None:
    await add(zep, session_id, *"ab")
    for _ in range(3):
        await zep.message.delete_message(session_id, "a")
        assert await ids(zep, session_id) == ["b"]
        await zep.message.undelete_message(session_id, "a")
        assert await ids(zep, session_id) == ["a", "b"]


async def test_a_message_that_is_not_deleted_cannot_be_undeleted(
    zep: Facade, session_id: str
) -> None:
    await add(zep, session_id, "a")
    with pytest.raises(NotFoundError, match="not deleted"):
        await zep.message.undelete_message(session_id, "a")
    await zep.message.delete_message(session_id, "a")
    await zep.message.undelete_message(session_id, "a")
    with pytest.raises(NotFoundError, match="not deleted"):
        await zep.message.undelete_message(session_id, "a")
    assert await ids(zep, session_id) == ["a"]


async def test_a_message_of_a_deleted_session_cannot_be_undeleted(
    zep: Facade, session_id: str
) -> None:
    await add(zep, session_id, *"abc")
    await zep.message.delete_message(session_id, "b")
    await zep.memory.delete_memory(session_id)
    for uuid in "abc":
        with pytest.raises(NotFoundError, match="undelete_session"):
            await zep.message.undelete_message(session_id, uuid)
    assert await ids(zep, session_id) == []
    await zep.memory.undelete_session(session_id)
    assert await ids(zep, session_id) == ["a", "c"]


@pytest.mark.promise("delete and undelete")
async def test_a_message_deleted_with_its_session_can_be_undeleted_after_a_revival(
    zep: Facade, session_id: str
) -> None:
    await add(zep, session_id, *"abc")
    await zep.memory.delete_memory(session_id)
    await add(zep, session_id, "new")
    undeleted = await zep.message.undelete_message(session_id, "b")
    assert undeleted.uuid == "b"
    assert await ids(zep, session_id) == ["b", "new"]
    # The rest of that deletion can still come back.
    await zep.memory.undelete_session(session_id)
    assert await ids(zep, session_id) == ["a", "b", "c", "new"]


async def test_a_message_of_an_earlier_deletion_can_be_undeleted(
    zep: Facade, session_id: str
) -> None:
    await add(zep, session_id, "first")
    await zep.memory.delete_memory(session_id)
    await add(zep, session_id, "second")
    await zep.memory.delete_memory(session_id)
    await add(zep, session_id, "third")
    await zep.message.undelete_message(session_id, "first")
    assert await ids(zep, session_id) == ["first", "third"]


async def test_an_undeleted_message_is_deleted_with_its_session(
    zep: Facade, session_id: str
) -> None:
    await add(zep, session_id, "a", "b")
    await zep.memory.delete_memory(session_id)
    await add(zep, session_id, "new")
    await zep.message.undelete_message(session_id, "a")
    await zep.memory.delete_memory(session_id)
    assert await ids(zep, session_id) == []
    await zep.memory.undelete_session(session_id)
    assert await ids(zep, session_id) == ["a", "new"]


@pytest.mark.promise("ids that come again")
async def test_a_live_message_added_again_is_replaced_in_position(
    zep: Facade, session_id: str
) -> None:
    await zep.memory.add_memory(
        session_id, Memory(messages=[one("a"), one("b", metadata={"old": 1}), one("c")])
    )
    await zep.memory.add_memory(session_id, Memory(messages=[one("d"), one("b", "replaced")]))
    assert await ids(zep, session_id) == ["a", "b", "c", "d"]
    message = await zep.message.get_session_message(session_id, "b")
    assert (message.content, message.metadata) == ("replaced", None)


@pytest.mark.promise(
    "an id that is there is replaced in its place; a deleted one lives again, at the end; a "
    "retry is harmless"
)
@pytest.mark.promise("ids that come again")
async def test_a_deleted_message_added_again_is_appended(zep: Facade, session_id: str) -> None:
    await add(zep, session_id, *"abc")
    await zep.message.delete_message(session_id, "a")
    await zep.memory.add_memory(session_id, Memory(messages=[one("d"), one("a", "again")]))
    assert await ids(zep, session_id) == ["b", "c", "d", "a"]
    assert (await zep.message.get_session_message(session_id, "a")).content == "again"
    with pytest.raises(NotFoundError, match="not deleted"):
        await zep.message.undelete_message(session_id, "a")


@pytest.mark.promise("ids that come again")
async def test_one_call_may_contain_new_live_and_deleted_ids(zep: Facade, session_id: str) -> None:
    await add(zep, session_id, *"abcd")
    await zep.message.delete_message(session_id, "b")
    again = [one("new"), one("b", "b1"), one("c", "c1"), one("b", "b2"), one("d", "d1")]
    await zep.memory.add_memory(session_id, Memory(messages=[*again, one("new", "new2")]))
    read = (await zep.memory.get_memory(session_id)).messages
    assert [(m.uuid, m.content) for m in read] == [
        ("a", "a"),
        ("c", "c1"),
        ("d", "d1"),
        ("new", "new2"),
        ("b", "b2"),
    ]


async def test_a_replaced_message_is_undeleted_as_replaced(zep: Facade, session_id: str) -> None:
    await add(zep, session_id, "a", "b")
    await zep.memory.add_memory(session_id, Memory(messages=[one("a", "replaced")]))
    await zep.message.delete_message(session_id, "a")
    undeleted = await zep.message.undelete_message(session_id, "a")
    assert undeleted.content == "replaced"
    assert await ids(zep, session_id) == ["a", "b"]
