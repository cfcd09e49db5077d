"""Sessions as a sidebar shows them: organized, filtered, in the trash, previewed."""

import asyncio
from datetime import UTC, datetime

import pytest

from langchain_zepstore import (
    BadRequestError,
    CreateUserRequest,
    NotFoundError,
    Session,
)
from tests.support.facade import Facade
from tests.support.messages import said

TICK = 0.003  # times are kept to the millisecond
FIELDS = ("title", "pinned", "archived", "tags")


async def ids(own: Facade, **filters) -> list[str]:
    """Return the ids of recent sessions, in pages of two."""
    found, cursor = [], None
    while True:
        page = await own.memory.recent_sessions(2, cursor, **filters)
        found += [session.session_id for session in page.sessions]
        cursor = page.next_cursor
        if cursor is None:
            return found


def organized(session: Session) -> list:
    return [getattr(session, name) for name in FIELDS]


async def test_a_session_is_added_with_its_title_pin_archive_and_tags(own: Facade) -> None:
    given = {"title": "$Boats", "pinned": True, "archived": True, "tags": ["a", "$b", "a"]}
    added = await own.memory.add_session(Session(session_id="s", **given))
    assert organized(added) == ["$Boats", True, True, ["a", "$b"]]
    assert organized(await own.memory.get_session("s")) == organized(added)
    assert added.active_at == added.created_at
    plain = await own.memory.add_session(Session(session_id="plain"))
    assert organized(plain) == [None, False, False, []]
    assert plain.message_count is plain.last_message is None


@pytest.mark.promise("organize_session changes the given fields and leaves active_at alone")
async def test_organizing_changes_only_the_given_fields(own: Facade) -> None:
    await own.memory.add_memory("s", said("a"))
    before = await own.memory.get_session("s")
    changed = await own.memory.organize_session("s", title="Boats", pinned=True, tags=["a"])
    assert organized(changed) == ["Boats", True, False, ["a"]]
    changed = await own.memory.organize_session("s", archived=True, metadata={"a": {"b": 1}})
    changed = await own.memory.organize_session("s", pinned=False, metadata={"a": {"c": 2}})
    assert organized(changed) == ["Boats", False, True, ["a"]]
    assert changed.metadata == {"a": {"b": 1, "c": 2}}
    changed = await own.memory.organize_session("s", title=None, archived=False, tags=[])
    assert organized(changed) == [None, False, False, []]
    assert changed.active_at == before.active_at
    assert changed.updated_at > before.updated_at


async def test_organizing_does_not_revive_a_deleted_session(own: Facade) -> None:
    with pytest.raises(NotFoundError):
        await own.memory.organize_session("s", title="a")
    await own.memory.add_memory("s", said("a"))
    await own.memory.delete_memory("s")
    with pytest.raises(NotFoundError):
        await own.memory.organize_session("s", title="a")
    assert [session.session_id for session in await own.memory.list_sessions()] == []


async def test_an_update_changes_only_the_given_fields(own: Facade) -> None:
    await own.memory.add_session(Session(session_id="s", title="a", pinned=True, tags=["t"]))
    updated = await own.memory.update_session(Session(session_id="s", metadata={"a": 1}))
    assert organized(updated) == ["a", True, False, ["t"]]
    updated = await own.memory.update_session(Session(session_id="s", title=None, pinned=False))
    assert organized(updated) == [None, False, False, ["t"]]


async def test_an_update_with_a_read_session_changes_only_assigned_fields(own: Facade) -> None:
    await own.memory.add_session(Session(session_id="s", metadata={"title": "old"}))
    read = await own.memory.get_session("s")
    await own.memory.organize_session("s", pinned=True)
    read.archived = True
    updated = await own.memory.update_session(read)
    assert organized(updated) == ["old", True, True, []]


async def test_every_read_session_tracks_assigned_fields(own: Facade) -> None:
    await own.user.add(CreateUserRequest(user_id="ada"))
    await own.memory.add_session(Session(session_id="s", user_id="ada"))
    await own.memory.delete_memory("s")
    read = [await own.memory.undelete_session("s"), *await own.user.get_sessions("ada")]
    read += await own.memory.list_sessions()
    read += (await own.memory.recent_sessions()).sessions
    await own.memory.organize_session("s", title="a", pinned=True, tags=["t"])
    for session in read:
        session.archived = True
        assert organized(await own.memory.update_session(session)) == ["a", True, True, ["t"]]


async def test_the_title_defaults_to_the_one_in_metadata(own: Facade) -> None:
    session = Session(session_id="s", metadata={"title": "from metadata"})
    assert (await own.memory.add_session(session)).title == "from metadata"
    assert (await own.memory.organize_session("s", title="set")).title == "set"
    assert (await own.memory.organize_session("s", title=None)).title == "from metadata"
    other = await own.memory.organize_session("s", metadata={"title": 1})
    assert other.title is None


async def test_a_session_id_reused_by_another_user_keeps_no_fields(
    own: Facade,
) -> None:
    for user_id in ("ada", "bob"):
        await own.user.add(CreateUserRequest(user_id=user_id))
    await own.memory.add_session(Session(session_id="s", user_id="ada", title="a", tags=["t"]))
    await own.memory.delete_memory("s")
    added = await own.memory.add_session(Session(session_id="s", user_id="bob", pinned=True))
    assert organized(added) == [None, True, False, []]


@pytest.mark.promise("recent_sessions filters by archive, pin, tags, metadata and time")
async def test_recent_sessions_are_filtered(own: Facade) -> None:
    await own.user.add(CreateUserRequest(user_id="ada"))
    for number in range(6):
        await asyncio.sleep(TICK)
        await own.memory.add_session(
            Session(
                session_id=f"s{number}",
                user_id="ada" if number % 2 else None,
                pinned=number in (1, 4),
                archived=number < 2,
                tags=["even"] if number % 2 == 0 else ["odd", "uneven"],
                metadata={"number": {"is": number}},
            )
        )
    assert await ids(own) == ["s5", "s4", "s3", "s2", "s1", "s0"]
    assert await ids(own, archived=True) == ["s1", "s0"]
    assert await ids(own, archived=False) == ["s5", "s4", "s3", "s2"]
    assert await ids(own, pinned=True) == ["s4", "s1"]
    assert await ids(own, pinned=False, user_id="ada") == ["s5", "s3"]
    assert await ids(own, pinned=True, archived=False) == ["s4"]
    assert await ids(own, tags=["odd"]) == ["s5", "s3", "s1"]
    assert await ids(own, tags=["uneven", "odd"], user_id="ada") == ["s5", "s3", "s1"]
    assert await ids(own, tags=["even", "odd"]) == []
    assert await ids(own, metadata={"number": {"is": 3}}) == ["s3"]
    third = (await own.memory.get_session("s3")).active_at
    assert await ids(own, since=third) == ["s5", "s4", "s3"]
    assert await ids(own, until=third) == ["s3", "s2", "s1", "s0"]
    assert await ids(own, since=third, until=third) == ["s3"]
    assert await ids(own, since=datetime(2100, 1, 1, tzinfo=UTC)) == []


@pytest.mark.promise("the trash lists deleted sessions, the last deleted first")
async def test_the_trash_is_sorted_by_deletion_newest_first(own: Facade) -> None:
    await own.user.add(CreateUserRequest(user_id="ada"))
    for number in range(5):
        await own.memory.add_session(
            Session(session_id=f"s{number}", user_id="ada" if number < 3 else None)
        )
    for number in (3, 0, 2):
        await asyncio.sleep(TICK)
        await own.memory.delete_memory(f"s{number}")
    assert await ids(own, deleted=True) == ["s2", "s0", "s3"]
    assert await ids(own, deleted=True, user_id="ada") == ["s2", "s0"]
    assert await ids(own) == ["s4", "s1"]
    page = await own.memory.recent_sessions(deleted=True)
    assert all(session.deleted_at for session in page.sessions)
    await own.memory.undelete_session("s0")
    assert await ids(own, deleted=True) == ["s2", "s3"]


@pytest.mark.promise("a sidebar is right while sessions change between its pages")
async def test_sessions_that_change_between_pages_are_neither_missed_nor_repeated(
    own: Facade,
) -> None:
    for number in range(9):
        await asyncio.sleep(TICK)
        await own.memory.add_memory(f"s{number}", said(str(number)))
    await own.memory.delete_memory("s2")
    page = await own.memory.recent_sessions(2, archived=False, preview=True)
    assert [session.session_id for session in page.sessions] == ["s8", "s7"]
    await own.memory.add_memory("s6", said("active again"))
    await own.memory.organize_session("s5", pinned=True, title="b")
    await own.memory.organize_session("s4", archived=True)
    await own.memory.delete_memory("s3")
    await own.memory.undelete_session("s2")
    rest, cursor = [], page.next_cursor
    while cursor is not None:
        page = await own.memory.recent_sessions(2, cursor, archived=False, preview=True)
        rest += page.sessions
        cursor = page.next_cursor
    assert [session.session_id for session in rest] == ["s5", "s2", "s1", "s0"]
    assert [session.last_message.content for session in rest] == ["5", "2", "1", "0"]
    assert organized(rest[0]) == ["b", True, False, []]
    assert await ids(own, archived=False) == ["s6", "s8", "s7", "s5", "s2", "s1", "s0"]
    assert await ids(own, archived=True) == ["s4"]


@pytest.mark.promise("a sidebar is right while sessions change between its pages")
async def test_the_trash_is_correct_while_sessions_are_restored_between_pages(
    own: Facade,
) -> None:
    for number in range(6):
        await own.memory.add_session(Session(session_id=f"s{number}"))
    for number in range(5):
        await asyncio.sleep(TICK)
        await own.memory.delete_memory(f"s{number}")
    page = await own.memory.recent_sessions(2, deleted=True)
    assert [session.session_id for session in page.sessions] == ["s4", "s3"]
    await own.memory.undelete_session("s3")
    await own.memory.undelete_session("s1")
    await own.memory.delete_memory("s5")
    page = await own.memory.recent_sessions(2, page.next_cursor, deleted=True)
    assert [session.session_id for session in page.sessions] == ["s2", "s0"]
    assert page.next_cursor is None
    assert await ids(own, deleted=True) == ["s5", "s4", "s2", "s0"]


@pytest.mark.promise("a preview counts messages up to 1,000 and shows the last one")
async def test_a_preview_shows_the_count_and_the_last_message(own: Facade) -> None:
    await own.memory.add_session(Session(session_id="empty"))
    await asyncio.sleep(TICK)
    await own.memory.add_memory("short", said("a", "b", "c", metadata={"n": 2**40}))
    await own.memory.add_memory("long", said(*map(str, range(1001))))
    last = (await own.memory.get_memory("short")).messages[-1]
    await own.message.delete_message("short", last.uuid)
    page = await own.memory.recent_sessions(preview=True)
    shown = [
        (session.session_id, session.message_count, session.last_message)
        for session in page.sessions
    ]
    previous = (await own.memory.get_memory("short")).messages[-1]
    newest = (await own.memory.get_memory("long", 1)).messages[-1]
    assert shown == [("long", 1000, newest), ("short", 2, previous), ("empty", 0, None)]
    filtered = await own.memory.recent_sessions(1, preview=True)
    assert [session.session_id for session in filtered.sessions] == ["long"]
    assert filtered.next_cursor


INVALID_CHANGES = [
    ("title", 1),
    ("title", "\ud800"),
    ("pinned", None),
    ("pinned", "yes"),
    ("archived", 1),
    ("tags", "a"),
    ("tags", [1]),
    ("tags", [""]),
    ("tags", ["\0"]),
    ("tags", [str(number) for number in range(101)]),
    ("metadata", None),
    ("metadata", []),
]


async def test_an_invalid_organize_argument_is_a_bad_request(zep: Facade, session_id: str) -> None:
    await zep.memory.add_session(Session(session_id=session_id))
    before = await zep.memory.get_session(session_id)
    for argument, value in INVALID_CHANGES:
        with pytest.raises(BadRequestError, match=argument):
            await zep.memory.organize_session(session_id, **{argument: value})
        assert await zep.memory.get_session(session_id) == before, (argument, value)


INVALID_FILTERS = [
    ("archived", "yes"),
    ("pinned", 1),
    ("tags", "a"),
    ("tags", [{"$ne": 1}]),
    ("metadata", "a"),
    ("since", "yesterday"),
    ("until", 1),
    ("deleted", "yes"),
    ("preview", 1),
    ("user_id", {"$ne": 1}),
    ("cursor", "x"),
    ("cursor", "bnVsbA"),
]


async def test_a_filter_of_the_wrong_type_is_a_bad_request(zep: Facade) -> None:
    for argument, value in INVALID_FILTERS:
        with pytest.raises(BadRequestError, match=argument):
            await zep.memory.recent_sessions(**{argument: value})
