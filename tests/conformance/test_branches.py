"""Branches: edits, alternatives, switches, rewinds, copies, over every backend."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage

from langchain_zepstore import (
    AlreadyExistsError,
    BadRequestError,
    CreateUserRequest,
    Memory,
    Message,
    NotFoundError,
    Session,
)
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.store import Store
from tests.support.facade import Facade

EDITS = pytest.mark.promise("a question is edited and an answer regenerated, and both are kept")


def memory_of(*ids: str) -> Memory:
    return Memory(messages=[Message(role="user", content=f"says {id_}", uuid=id_) for id_ in ids])


async def add(zep: Facade, session_id: str, *ids: str, before: str | None = None) -> None:
    options = {} if before is None else {"before": before}
    await zep.memory.add_memory(session_id, memory_of(*ids), **options)


async def ids(zep: Facade, session_id: str, lastn: int | None = None, **options: str) -> str:
    memory = await zep.memory.get_memory(session_id, lastn, **options)
    return " ".join(message.uuid or "" for message in memory.messages)


async def alternatives(zep: Facade, session_id: str, uuid: str) -> str:
    found = await zep.message.alternatives(session_id, uuid)
    return " ".join(message.uuid for message in found)


async def branched(zep: Facade, session_id: str) -> None:
    """Two questions with answers; the second is edited, then its answer regenerated."""
    await add(zep, session_id, "q1", "a1", "q2", "a2")
    await add(zep, session_id, "q2b", before="q2")
    await add(zep, session_id, "a2b")
    await add(zep, session_id, "a2c", before="a2b")


@EDITS
async def test_an_edit_replaces_a_message_and_its_successors(zep: Facade, session_id: str) -> None:
    await add(zep, session_id, "q1", "a1", "q2", "a2")
    await add(zep, session_id, "q2b", "a2b", before="q2")
    assert await ids(zep, session_id) == "q1 a1 q2b a2b"
    await add(zep, session_id, "q3")
    assert await ids(zep, session_id) == "q1 a1 q2b a2b q3"


@EDITS
async def test_every_read_follows_the_active_branch(zep: Facade, session_id: str) -> None:
    await branched(zep, session_id)
    assert await ids(zep, session_id) == "q1 a1 q2b a2c"
    for lastn, expected in [(0, ""), (1, "a2c"), (2, "q2b a2c"), (9, "q1 a1 q2b a2c")]:
        assert await ids(zep, session_id, lastn) == expected
    assert await zep.message.count(session_id) == 4
    for chunk_size in (1, 2, 3, 100):
        each = zep.message.each("iter_messages", session_id, chunk_size=chunk_size)
        assert [message.uuid async for message in each] == ["q1", "a1", "q2b", "a2c"]
    pages = [await zep.message.get_session_messages(session_id, 3, page) for page in (1, 2, 3)]
    assert [[message.uuid for message in page] for page in pages] == [
        ["q1", "a1", "q2b"],
        ["a2c"],
        [],
    ]


@pytest.mark.promise("alternatives are the messages at a position in all branches")
async def test_the_alternatives_of_a_message_are_listed(zep: Facade, session_id: str) -> None:
    await branched(zep, session_id)
    for uuid in ("q2", "q2b"):
        assert await alternatives(zep, session_id, uuid) == "q2 q2b"
    for uuid in ("a2b", "a2c"):
        assert await alternatives(zep, session_id, uuid) == "a2b a2c"
    assert await alternatives(zep, session_id, "a2") == "a2"
    assert await alternatives(zep, session_id, "q1") == "q1"


@pytest.mark.promise("a switch activates the branch that holds a message, the last active one")
async def test_branches_are_switched_back_and_forth(zep: Facade, session_id: str) -> None:
    await branched(zep, session_id)
    assert await zep.memory.switch_branch(session_id, "a2") == "OK"
    assert await ids(zep, session_id) == "q1 a1 q2 a2"
    await zep.memory.switch_branch(session_id, "q2b")  # in two branches
    assert await ids(zep, session_id) == "q1 a1 q2b a2c"
    await zep.memory.switch_branch(session_id, "a2b")
    await zep.memory.switch_branch(session_id, "q1")  # on the active branch already
    assert await ids(zep, session_id) == "q1 a1 q2b a2b"
    await zep.memory.switch_branch(session_id, "q2")
    await add(zep, session_id, "q3")
    assert await ids(zep, session_id) == "q1 a1 q2 a2 q3"
    await zep.memory.switch_branch(session_id, "q2b")
    assert await ids(zep, session_id) == "q1 a1 q2b a2b"


@pytest.mark.promise("a rewind ends the active branch before a message")
async def test_a_rewind_ends_the_active_branch(zep: Facade, session_id: str) -> None:
    await add(zep, session_id, "q1", "a1", "q2", "a2")
    for _ in range(2):  # repeated, it changes nothing more
        assert await zep.memory.rewind(session_id, "q2") == "OK"
        assert await ids(zep, session_id) == "q1 a1"
    await add(zep, session_id, "q2b")
    assert await ids(zep, session_id) == "q1 a1 q2b"
    await zep.memory.switch_branch(session_id, "a2")
    assert await ids(zep, session_id) == "q1 a1 q2 a2"


async def test_a_rewind_to_the_beginning_empties_the_session(zep: Facade, session_id: str) -> None:
    await add(zep, session_id, "q1", "a1")
    await zep.memory.rewind(session_id, "q1")
    assert await ids(zep, session_id) == ""
    assert await ids(zep, session_id, 5) == ""
    assert await zep.message.count(session_id) == 0
    branches = await zep.memory.branches(session_id)
    assert [(each.last_message_id, each.is_active) for each in branches] == [
        ("a1", False),
        (None, True),
    ]
    await add(zep, session_id, "q1b")
    assert await ids(zep, session_id) == "q1b"
    assert await alternatives(zep, session_id, "q1b") == "q1 q1b"


async def test_the_first_message_is_edited(zep: Facade, session_id: str) -> None:
    await add(zep, session_id, "q1", "a1")
    await add(zep, session_id, "q1b", "a1b", before="q1")
    assert await ids(zep, session_id) == "q1b a1b"
    assert await alternatives(zep, session_id, "q1") == "q1 q1b"


async def test_a_message_of_an_inactive_branch_can_be_edited(zep: Facade, session_id: str) -> None:
    await branched(zep, session_id)
    await add(zep, session_id, "a2d", before="a2")
    assert await ids(zep, session_id) == "q1 a1 q2 a2d"
    assert await alternatives(zep, session_id, "a2") == "a2 a2d"


@pytest.mark.promise("an edit repeated with the same ids changes nothing more")
async def test_a_retried_edit_changes_nothing(zep: Facade, session_id: str) -> None:
    await branched(zep, session_id)
    await zep.memory.switch_branch(session_id, "a2")
    await add(zep, session_id, "q2b", before="q2")
    await add(zep, session_id, "a2c", before="a2b")
    assert await ids(zep, session_id) == "q1 a1 q2 a2"
    assert len(await zep.memory.branches(session_id)) == 3


async def test_an_add_of_known_ids_of_any_branch_changes_nothing(
    zep: Facade, session_id: str
) -> None:
    await branched(zep, session_id)
    await add(zep, session_id, "q2", "a2")
    await add(zep, session_id, "q1", "a1")
    assert await ids(zep, session_id) == "q1 a1 q2b a2c"
    assert await ids(zep, session_id, branch="a2") == "q1 a1 q2 a2"


@pytest.mark.promise("branches are listed in the order of their making")
async def test_branches_are_listed(zep: Facade, session_id: str) -> None:
    assert await zep.memory.branches(session_id) == []
    await add(zep, session_id, "q1", "a1", "q2", "a2")
    (only,) = await zep.memory.branches(session_id)
    first = (await zep.message.get_session_message(session_id, "q1")).created_at
    assert (only.last_message_id, only.message_count, only.is_active) == ("a2", 4, True)
    assert only.created_at == first
    await add(zep, session_id, "q2b", "a2b", "q3", before="q2")
    await add(zep, session_id, "a2c", before="a2b")
    await zep.memory.switch_branch(session_id, "a2")
    await add(zep, session_id, "q4")
    branches = await zep.memory.branches(session_id)
    assert [(each.last_message_id, each.message_count, each.is_active) for each in branches] == [
        ("q4", 5, True),
        ("q3", 5, False),
        ("a2c", 4, False),
    ]
    made = [
        (await zep.message.get_session_message(session_id, uuid)).created_at
        for uuid in ("q1", "q2b", "a2c")
    ]
    assert [each.created_at for each in branches] == made


async def test_a_rewound_branch_is_listed_until_another_is_active(
    zep: Facade, session_id: str
) -> None:
    await add(zep, session_id, "q1", "a1", "q2", "a2")
    await zep.memory.rewind(session_id, "q2")
    branches = await zep.memory.branches(session_id)
    assert [(each.last_message_id, each.message_count, each.is_active) for each in branches] == [
        ("a2", 4, False),
        ("a1", 2, True),
    ]
    assert branches[1].created_at is None
    await zep.memory.switch_branch(session_id, "a2")
    (only,) = await zep.memory.branches(session_id)
    assert (only.last_message_id, only.is_active) == ("a2", True)


@pytest.mark.promise("another branch is read without switching")
async def test_an_inactive_branch_can_be_read(zep: Facade, session_id: str) -> None:
    await add(zep, session_id, "q1", "a1", "q2", "a2")
    assert await ids(zep, session_id, branch="q1") == "q1 a1 q2 a2"
    await add(zep, session_id, "q2b", before="q2")
    assert await ids(zep, session_id, branch="q2") == "q1 a1 q2 a2"
    assert await ids(zep, session_id, 1, branch="q2") == "a2"
    assert await ids(zep, session_id, 0, branch="q2") == ""
    assert await ids(zep, session_id, branch="a1") == "q1 a1 q2b"
    assert await ids(zep, session_id) == "q1 a1 q2b"


@pytest.mark.promise("all branches are read as a tree, in the order of adding")
async def test_all_branches_are_read_with_their_parents(zep: Facade, session_id: str) -> None:
    await branched(zep, session_id)
    for chunk_size in (1, 2, 3, 100):
        each = zep.message.each(
            "iter_messages", session_id, chunk_size=chunk_size, all_branches=True
        )
        assert [(message.uuid, message.parent_uuid) async for message in each] == [
            ("q1", None),
            ("a1", "q1"),
            ("q2", "a1"),
            ("a2", "q2"),
            ("q2b", "a1"),
            ("a2b", "q2b"),
            ("a2c", "q2b"),
        ]


async def test_all_branches_of_a_linear_session_are_read(zep: Facade, session_id: str) -> None:
    await add(zep, session_id, "q1", "a1", "q2")
    for chunk_size in (1, 2, 100):
        each = zep.message.each(
            "iter_messages", session_id, chunk_size=chunk_size, all_branches=True
        )
        assert [(message.uuid, message.parent_uuid) async for message in each] == [
            ("q1", None),
            ("a1", "q1"),
            ("q2", "a1"),
        ]


@pytest.mark.promise("delete and undelete of a session take all branches and give them back")
async def test_deleting_and_restoring_a_session_keeps_its_branches(
    zep: Facade, session_id: str
) -> None:
    await branched(zep, session_id)
    await zep.memory.switch_branch(session_id, "a2")
    await zep.memory.delete_memory(session_id)
    assert await ids(zep, session_id) == ""
    assert await zep.memory.branches(session_id) == []
    with pytest.raises(NotFoundError):
        await zep.memory.switch_branch(session_id, "a2b")
    await zep.memory.undelete_session(session_id)
    assert await ids(zep, session_id) == "q1 a1 q2 a2"
    await zep.memory.switch_branch(session_id, "a2c")
    assert await ids(zep, session_id) == "q1 a1 q2b a2c"


async def test_a_revived_session_continues_its_active_branch(zep: Facade, session_id: str) -> None:
    await branched(zep, session_id)
    await zep.memory.delete_memory(session_id)
    await add(zep, session_id, "q9")
    assert await ids(zep, session_id) == "q9"
    await zep.memory.undelete_session(session_id)
    assert await ids(zep, session_id) == "q1 a1 q2b a2c q9"


@pytest.mark.promise("the branches that share a deleted message are without it")
async def test_a_deleted_message_is_missing_in_all_branches(zep: Facade, session_id: str) -> None:
    await branched(zep, session_id)
    await zep.message.delete_message(session_id, "a1")
    assert await ids(zep, session_id) == "q1 q2b a2c"
    assert await ids(zep, session_id, branch="a2") == "q1 q2 a2"
    assert await alternatives(zep, session_id, "q2") == "q2 q2b"
    await zep.message.undelete_message(session_id, "a1")
    assert await ids(zep, session_id) == "q1 a1 q2b a2c"
    assert await ids(zep, session_id, branch="a2") == "q1 a1 q2 a2"


async def test_the_parent_of_a_message_is_its_nearest_live_ancestor(
    zep: Facade, session_id: str
) -> None:
    await branched(zep, session_id)
    for uuid in ("q2", "q2b"):
        await zep.message.delete_message(session_id, uuid)
    assert await alternatives(zep, session_id, "a2") == "a2 a2b a2c"
    each = zep.message.each("iter_messages", session_id, chunk_size=1, all_branches=True)
    assert [(message.uuid, message.parent_uuid) async for message in each][2:] == [
        ("a2", "a1"),
        ("a2b", "a1"),
        ("a2c", "a1"),
    ]


@pytest.mark.promise("a session is forked with a copy of its active branch")
async def test_a_fork_copies_the_active_branch(zep: Facade, session_id: str) -> None:
    await branched(zep, session_id)
    fork = await zep.memory.fork_session(session_id)
    assert fork.metadata == {"forked_from": session_id}
    assert await ids(zep, fork.session_id) == "q1 a1 q2b a2c"
    (copied, *_), (original, *_) = [
        (await zep.memory.get_memory(each)).messages for each in (fork.session_id, session_id)
    ]
    assert copied == original
    await add(zep, fork.session_id, "q3")
    assert await ids(zep, session_id) == "q1 a1 q2b a2c"
    assert len(await zep.memory.branches(fork.session_id)) == 1


async def test_a_fork_copies_title_and_tags_but_not_the_pin(zep: Facade, session_id: str) -> None:
    await add(zep, session_id, "q1")
    await zep.memory.organize_session(
        session_id, title="Boats", tags=["sea"], pinned=True, metadata={"a": 1}
    )
    fork = await zep.memory.fork_session(session_id)
    assert (fork.title, fork.tags, fork.pinned, fork.archived) == ("Boats", ["sea"], False, False)
    assert fork.metadata == {"a": 1, "forked_from": session_id}


async def test_a_fork_may_end_at_a_message_of_any_branch(zep: Facade, session_id: str) -> None:
    await branched(zep, session_id)
    new_id = f"{session_id} copy"
    fork = await zep.memory.fork_session(session_id, at="q2", new_session_id=new_id)
    assert fork.session_id == new_id
    assert await ids(zep, new_id) == "q1 a1 q2"
    with pytest.raises(AlreadyExistsError):
        await zep.memory.fork_session(session_id, new_session_id=new_id)
    with pytest.raises(NotFoundError):
        await zep.memory.fork_session(session_id, at="nobody")
    with pytest.raises(NotFoundError):
        await zep.memory.fork_session(f"no {session_id}")


@pytest.mark.promise("of two editors at once both have their branch")
async def test_concurrent_edits_create_separate_branches(zep: Facade, session_id: str) -> None:
    await add(zep, session_id, "q1", "a1")
    await asyncio.gather(
        *(add(zep, session_id, f"q{each}", f"a{each}", before="q1") for each in (2, 3, 4))
    )
    found = {await ids(zep, session_id, branch=f"a{each}") for each in (1, 2, 3, 4)}
    assert found == {"q1 a1", "q2 a2", "q3 a3", "q4 a4"}
    assert await ids(zep, session_id) in found - {"q1 a1"}
    branches = await zep.memory.branches(session_id)
    assert [each.is_active for each in branches].count(True) == 1


async def test_invalid_edits_are_refused(zep: Facade, session_id: str) -> None:
    await add(zep, session_id, "q1", "a1")
    with pytest.raises(NotFoundError, match="nobody"):
        await add(zep, session_id, "q2", before="nobody")
    with pytest.raises(BadRequestError, match="q1"):
        await add(zep, session_id, "q1", before="q1")
    with pytest.raises(BadRequestError, match="rewind"):
        await add(zep, session_id, before="q1")
    for before in ("", 7, "\0" * 2000):
        with pytest.raises(BadRequestError):
            await zep.memory.add_memory(session_id, memory_of("q2"), before=before)
    for call in (zep.memory.rewind, zep.memory.switch_branch, zep.message.alternatives):
        with pytest.raises(NotFoundError):
            await call(session_id, "nobody")
        with pytest.raises(BadRequestError):
            await call(session_id, "")
    with pytest.raises(NotFoundError):
        await zep.memory.get_memory(session_id, branch="nobody")
    assert await ids(zep, session_id) == "q1 a1"
    assert len(await zep.memory.branches(session_id)) == 1


@pytest.mark.promise("an edit never takes a message from where it stands")
@pytest.mark.parametrize("taken", ["q1", "a2", "q2b"])
async def test_an_edit_with_the_id_of_an_existing_message_is_refused(
    zep: Facade, session_id: str, taken: str
) -> None:
    await add(zep, session_id, "q1", "a1", "q2", "a2")
    await add(zep, session_id, "q2b", "a2b", before="q2")
    for new in ([taken], ["new", taken]):
        with pytest.raises(BadRequestError, match=f"has a message '{taken}' already"):
            await add(zep, session_id, *new, before="a1")
    assert await ids(zep, session_id) == "q1 a1 q2b a2b"
    assert await zep.message.count(session_id) == 4
    await add(zep, session_id, "new", before="a1")
    assert await ids(zep, session_id) == "q1 new"


async def test_a_retried_edit_does_not_restore_deleted_messages(
    zep: Facade, session_id: str
) -> None:
    await add(zep, session_id, "q1", "a1")
    await add(zep, session_id, "q1b", "a1b", before="q1")
    await add(zep, session_id, "q2")
    await zep.message.delete_message(session_id, "a1b")
    await add(zep, session_id, "q1b", "a1b", before="q1")
    assert await ids(zep, session_id) == "q1b q2"
    assert len(await zep.memory.branches(session_id)) == 2


async def test_an_edit_of_an_unknown_session_does_not_create_it(
    zep: Facade, session_id: str
) -> None:
    with pytest.raises(NotFoundError):
        await add(zep, session_id, "q1", before="q0")
    with pytest.raises(NotFoundError):
        await zep.memory.get_session(session_id)


async def test_an_iteration_stays_on_its_first_branch(zep: Facade, session_id: str) -> None:
    await add(zep, session_id, "q1", "a1", "q2", "a2")
    each = zep.message.each("iter_messages", session_id, chunk_size=3)
    found = [(await anext(each)).uuid for _ in range(3)]
    await add(zep, session_id, "q1b", before="q1")
    found += [message.uuid async for message in each]
    assert found == ["q1", "a1", "q2", "a2"]


async def test_include_deleted_reads_deleted_messages_of_the_active_branch(
    zep: Facade, session_id: str
) -> None:
    await branched(zep, session_id)
    await zep.message.delete_message(session_id, "a1")
    await zep.message.delete_message(session_id, "q2")
    memory = await zep.memory.get_memory(session_id, include_deleted=True)
    assert [message.uuid for message in memory.messages] == ["q1", "a1", "q2b", "a2c"]
    each = zep.message.each("iter_messages", session_id, chunk_size=2, include_deleted=True)
    assert [message.uuid async for message in each] == ["q1", "a1", "q2b", "a2c"]


async def test_an_edit_may_need_more_than_one_insert(zep: Facade, session_id: str) -> None:
    await add(zep, session_id, "q1", "a1")
    many = [f"m{number}" for number in range(1200)]
    await add(zep, session_id, *many, before="a1")
    assert await zep.message.count(session_id) == 1201
    assert await ids(zep, session_id, 2) == "m1198 m1199"


@pytest.mark.promise("searches find messages of the active branch, or of all if asked")
async def test_text_search_covers_the_active_branch(zep: Facade, session_id: str) -> None:
    user_id = f"user of {session_id}"
    await zep.user.add(CreateUserRequest(user_id=user_id))
    await zep.memory.add_session(Session(session_id=session_id, user_id=user_id))
    await branched(zep, session_id)
    await zep.memory.add_session(Session(session_id=f"{session_id} 2", user_id=user_id))
    await add(zep, f"{session_id} 2", "q1")

    async def found(text: str, **options: object) -> set[str]:
        hits = await zep.memory.search(text, limit=20, **options)
        return {hit.message.uuid for hit in hits}

    for where in ({"session_id": session_id}, {"user_id": user_id}):
        for text in ("says", ""):
            dates = {} if text else {"start_date": datetime(2000, 1, 1, tzinfo=UTC)}
            assert await found(text, **where, **dates) == {"q1", "a1", "q2b", "a2c"}
            every = await found(text, **where, **dates, all_branches=True)
            assert every == {"q1", "a1", "q2", "a2", "q2b", "a2b", "a2c"}
    hits = await zep.memory.search("says", session_id=session_id, limit=2)
    assert len(hits) == 2
    assert {hit.message.uuid for hit in hits} <= {"q1", "a1", "q2b", "a2c"}


async def test_vector_search_covers_the_active_branch(meaning: Facade, session_id: str) -> None:
    await branched(meaning, session_id)
    for search_type in ("similarity", "mmr", "hybrid"):
        hits = await meaning.memory.search(
            "says a2b", session_id=session_id, search_type=search_type, limit=20
        )
        assert {hit.message.uuid for hit in hits} == {"q1", "a1", "q2b", "a2c"}


@pytest.mark.promise("previews show the active branch")
async def test_previews_show_the_active_branch(own: Facade, session_id: str) -> None:
    await branched(own, session_id)
    await own.memory.switch_branch(session_id, "q2")
    (session,) = (await own.memory.recent_sessions(preview=True)).sessions
    assert session.message_count == 4
    assert session.last_message.uuid == "a2"
    await own.memory.rewind(session_id, "q1")
    (session,) = (await own.memory.recent_sessions(preview=True)).sessions
    assert (session.message_count, session.last_message) == (0, None)


@pytest.mark.promise("a summary of another branch's messages is not returned")
async def test_summaries_cover_the_active_branch(zep: Facade, session_id: str) -> None:
    await add(zep, session_id, "q1", "a1", "q2", "a2")

    async def summary() -> str | None:
        kept = (await zep.memory.get_memory(session_id, 1)).summary
        return kept and kept.recent_message_uuid

    llm = FakeListChatModel(responses=["They talk.", "Otherwise."])
    await zep.memory.summarize(session_id, llm)
    assert await summary() == "a2"
    await add(zep, session_id, "q2b", before="q2")
    assert await summary() is None
    found = await zep.memory.search("talk", session_id=session_id, search_scope="summary")
    assert found == []
    await zep.memory.switch_branch(session_id, "a2")
    assert await summary() == "a2"
    kept = (await zep.memory.get_memory(session_id, branch="q2b")).summary
    assert kept is None
    await zep.memory.switch_branch(session_id, "q2b")
    await zep.memory.summarize(session_id, llm)
    assert await summary() == "q2b"


async def test_the_window_around_a_message_follows_its_branch(zep: Facade, session_id: str) -> None:
    await branched(zep, session_id)

    async def around(uuid: str) -> list[str]:
        def call(store: Store) -> Operation[list[Message]]:
            return store.messages.around(session_id, uuid, 1)

        found = await zep.client.arun(call) if zep.asynchronous else zep.client.run(call)
        return [message.uuid for message in found]

    assert await around("q2b") == ["a1", "q2b", "a2c"]
    assert await around("q2") == ["a1", "q2", "a2"]


async def test_a_session_assigned_to_a_user_keeps_its_branches(
    zep: Facade, session_id: str
) -> None:
    user_id = f"user of {session_id}"
    await branched(zep, session_id)
    await zep.user.add(CreateUserRequest(user_id=user_id))
    await zep.memory.update_session(Session(session_id=session_id, user_id=user_id))
    assert await ids(zep, session_id) == "q1 a1 q2b a2c"
    await add(zep, session_id, "q3", before="q2")
    assert await ids(zep, session_id) == "q1 a1 q3"


async def test_a_session_id_reused_by_another_user_has_no_branches(
    zep: Facade, session_id: str
) -> None:
    user_id = f"user of {session_id}"
    await branched(zep, session_id)
    await zep.memory.delete_memory(session_id)
    await zep.user.add(CreateUserRequest(user_id=user_id))
    await zep.memory.add_session(Session(session_id=session_id, user_id=user_id))
    await add(zep, session_id, "n1", "n2")
    assert await ids(zep, session_id) == "n1 n2"
    await add(zep, session_id, "n2b", before="n2")
    assert await ids(zep, session_id) == "n1 n2b"
    assert [each.last_message_id for each in await zep.memory.branches(session_id)] == [
        "n2",
        "n2b",
    ]


async def test_a_purge_keeps_the_branches(zep: Facade, session_id: str) -> None:
    await branched(zep, session_id)
    await zep.message.delete_message(session_id, "q2b")
    await zep.purge(session_id=session_id)
    assert await ids(zep, session_id) == "q1 a1 a2c"
    assert await ids(zep, session_id, branch="a2b") == "q1 a1 a2b"
    await zep.memory.switch_branch(session_id, "a2")
    assert await ids(zep, session_id) == "q1 a1 q2 a2"


@pytest.mark.promise("a history is edited: its messages are the active branch")
async def test_messages_are_edited_through_a_history(zep: Facade, session_id: str) -> None:
    history = zep.chat_history(session_id)
    await history.add(HumanMessage("q", id="q1"), AIMessage("a", id="a1"))
    await history.edit("q1", HumanMessage("q?", id="q2"), AIMessage("b", id="b"))
    assert [message.id for message in await history.messages()] == ["q2", "b"]


@pytest.mark.parametrize("begun", ["x", {"session_id": 1}, {"last": [1]}, {"uuid": 1}])
async def test_a_session_that_resembles_an_unfinished_fork_is_not_taken_over(
    zep: Facade, session_id: str, begun: Any
) -> None:
    await add(zep, session_id, "a", "b")
    if isinstance(begun, dict):
        begun = {"session_id": session_id, "uuid": "u", "last": 1, **begun}
    other = Session(session_id=f"{session_id} other", metadata={"forking_from": begun})
    await zep.memory.add_session(other)
    with pytest.raises(AlreadyExistsError):
        await zep.memory.fork_session(session_id, new_session_id=other.session_id)
