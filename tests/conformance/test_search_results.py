"""Results of searches tell their session and the words around the hit; sessions are found, too."""

import pytest

from langchain_zepstore import (
    BadRequestError,
    CreateUserRequest,
    MemorySearchPayload,
    Session,
)
from tests.support.facade import Facade
from tests.support.messages import said


async def session_ids(own: Facade, text: str, **options) -> list[str]:
    found = await own.memory.search(text, search_scope="sessions", **options)
    return [result.session_id for result in found]


@pytest.mark.promise("every result carries session_id, session_title and snippet")
async def test_a_result_has_its_session_and_a_snippet(own: Facade) -> None:
    text = f"{'before ' * 100} the green boat\nlies {'after ' * 100}"
    await own.memory.add_memory("s", said(text, "another boat"))
    await own.memory.organize_session("s", title="Boats")
    long, short = await own.memory.search("boat", session_id="s", search_type="text")
    if long.snippet == "another boat":
        long, short = short, long
    assert short.snippet == "another boat"
    assert [long.session_id, long.session_title] == ["s", "Boats"]
    assert "the green boat lies" in long.snippet
    assert len(long.snippet) <= 240
    assert [long.snippet[slice(*each)] for each in long.highlights] == ["boat"]
    assert short.highlights == [(8, 12)]
    [first, *_] = await own.memory.search_memory("s", MemorySearchPayload(text="boat"))
    assert first.snippet
    assert first.session_title == "Boats"


@pytest.mark.promise("every result carries session_id, session_title and snippet")
async def test_the_title_falls_back_to_the_one_in_metadata(own: Facade) -> None:
    await own.memory.add_session(Session(session_id="s", metadata={"title": "Lakes"}))
    await own.memory.add_memory("s", said("a lake"))
    await own.memory.add_memory("plain", said("a lake"))
    [found] = await own.memory.search("lake", session_id="s")
    assert found.session_title == "Lakes"
    [found] = await own.memory.search("lake", session_id="plain")
    assert found.session_title is None


@pytest.mark.promise("sessions are found by title, tags and summary")
async def test_sessions_are_found_by_title_and_tags(own: Facade, user_id: str) -> None:
    await own.user.add(CreateUserRequest(user_id=user_id))
    for name in ("boats", "lakes", "soup"):
        await own.memory.add_session(Session(session_id=name, user_id=user_id, title=f"On {name}"))
    await own.memory.organize_session("soup", tags=["boat", "dinner"])
    assert set(await session_ids(own, "boat", user_id=user_id)) == {"boats", "soup"}
    assert await session_ids(own, "dinners", user_id=user_id) == ["soup"]
    assert await session_ids(own, "dinn", user_id=user_id) == ["soup"]
    assert await session_ids(own, "whale", user_id=user_id) == []
    assert await session_ids(own, "boat -dinner", user_id=user_id, syntax=True) == ["boats"]
    assert await session_ids(own, "boat", session_id="soup") == ["soup"]
    assert await session_ids(own, "boat", session_id="soup", user_id="another") == []
    [found] = await own.memory.search("dinner", user_id=user_id, search_scope="sessions")
    assert found.message is found.summary is None
    assert [found.session_title, found.snippet] == ["On soup", "On soup boat dinner"]
    assert found.score
    assert found.score == found.dist
    await own.memory.organize_session("soup", title="Stew", tags=[])
    assert await session_ids(own, "dinner", user_id=user_id) == []
    assert await session_ids(own, "stew", user_id=user_id) == ["soup"]


@pytest.mark.promise("deleted sessions and those of other users are never found")
async def test_deleted_and_foreign_sessions_are_not_found(own: Facade, user_id: str) -> None:
    for user in (user_id, "bob"):
        await own.user.add(CreateUserRequest(user_id=user))
    owners = {"mine": user_id, "gone": user_id, "bob's": "bob", "nobody's": None}
    for name, owner in owners.items():
        await own.memory.add_session(Session(session_id=name, user_id=owner, title="Boats"))
        await own.memory.add_memory(name, said("hello"))
    await own.memory.delete_memory("gone")
    assert await session_ids(own, "boats", user_id=user_id) == ["mine"]
    assert await session_ids(own, "boats", session_id="gone") == []
    await own.memory.undelete_session("gone")
    assert set(await session_ids(own, "boats", user_id=user_id)) == {"mine", "gone"}
    await own.memory.update_session(Session(session_id="nobody's", user_id="bob"))
    assert set(await session_ids(own, "boats", user_id="bob")) == {"bob's", "nobody's"}


async def test_sessions_are_filtered_and_listed_without_a_query(own: Facade, user_id: str) -> None:
    await own.user.add(CreateUserRequest(user_id=user_id))
    for name in ("a", "b"):
        session = Session(session_id=name, user_id=user_id, title="Boats", metadata={"n": name})
        await own.memory.add_session(session)
        await own.memory.add_memory(name, said("hello"))
    assert await session_ids(own, "boats", user_id=user_id, metadata={"n": "a"}) == ["a"]
    found = await own.memory.search(
        user_id=user_id, metadata={"n": "b"}, search_scope="sessions", limit=1
    )
    assert [result.session_id for result in found] == ["b"]
    for search_type in ("similarity", "mmr", "hybrid"):
        with pytest.raises(BadRequestError, match="search_type"):
            await session_ids(own, "boats", user_id=user_id, search_type=search_type)
    with pytest.raises(BadRequestError, match="search_scope"):
        await own.memory.search("boats", user_id=user_id, search_scope="titles")


async def test_snippets_work_for_other_scripts_and_long_words(own: Facade) -> None:
    texts = {"天气": "今天" * 200 + "天气很好" + "明天" * 200, "word": f"{'x' * 500} word"}
    await own.memory.add_memory("s", said(*texts.values(), f"{'y' * 1000}"))
    for word in texts:
        [found] = await own.memory.search(word, session_id="s", search_type="text")
        assert word in found.snippet
        assert len(found.snippet) <= 240
