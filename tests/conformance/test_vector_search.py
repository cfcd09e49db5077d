"""Search by meaning, by both, and with variety; vectors made before they are needed."""

import asyncio

import pytest

from langchain_zepstore import (
    BadRequestError,
    CreateUserRequest,
    MemorySearchPayload,
    Session,
)
from tests.support.facade import Facade
from tests.support.messages import said, texts_found

SHIP = "The old ship lies at anchor"
POND = "Ducks on the pond"
STEW = "A stew of lentils"
SAID = [SHIP, POND, STEW]


@pytest.mark.promise("similarity, mmr and hybrid, over a session or a user's sessions")
async def test_synonyms_are_found(meaning: Facade, session_id: str) -> None:
    await meaning.memory.add_memory(session_id, said(*SAID))
    for text, best in (("sailing a boat", SHIP), ("beans", STEW), ("the lake", POND)):
        results = await meaning.memory.search(text, session_id=session_id, search_type="similarity")
        assert texts_found(results)[0] == best
        assert len(results) == 3
        scores = [result.score for result in results]
        assert scores == sorted(scores, reverse=True)
        assert scores[0] > 0.8
        assert all(-1 <= score <= 1 for score in scores)
        assert [result.dist for result in results] == scores
        assert results[0].session_id == session_id
    assert await meaning.memory.search("boat", session_id=session_id, search_type="text") == []


@pytest.mark.promise(
    "the default with embeddings, also for Zep's payload; without them an error that says "
    "what to pass"
)
async def test_similarity_is_the_default_search_type_with_embeddings(
    meaning: Facade, session_id: str
) -> None:
    await meaning.memory.add_memory(session_id, said(*SAID))
    assert texts_found(await meaning.memory.search("boat", session_id=session_id))[0] == SHIP
    payload = MemorySearchPayload(text="boat", search_type="similarity")
    assert texts_found(await meaning.memory.search_memory(session_id, payload, 1)) == [SHIP]


@pytest.mark.promise("results carry message, session, score and distance, in a stable order")
async def test_the_order_is_stable_for_every_limit(meaning: Facade, session_id: str) -> None:
    await meaning.memory.add_memory(session_id, said(*["a boat"] * 20, *SAID))
    whole = await meaning.memory.search("ship", session_id=session_id, limit=100)
    assert len(whole) == 23
    for limit in (1, 7, 21):
        part = await meaning.memory.search("ship", session_id=session_id, limit=limit)
        assert part == whole[:limit]


@pytest.mark.promise("similarity, mmr and hybrid, over a session or a user's sessions")
async def test_a_vector_search_covers_all_and_only_the_users_sessions(
    meaning: Facade, session_id: str, user_id: str
) -> None:
    other = f"{user_id} other"
    for user in (user_id, other):
        await meaning.user.add(CreateUserRequest(user_id=user))
    for name, owner in (("a", user_id), ("b", user_id), ("c", other), ("d", None)):
        of = f"{session_id} {name}"
        await meaning.memory.add_session(Session(session_id=of, user_id=owner))
        await meaning.memory.add_memory(of, said(f"the ship {name}"))
    found = await meaning.memory.search("boat", user_id=user_id)
    assert sorted(texts_found(found)) == ["the ship a", "the ship b"]
    one = await meaning.memory.search("boat", user_id=user_id, session_id=f"{session_id} a")
    assert texts_found(one) == ["the ship a"]
    assert await meaning.memory.search("boat", user_id=other, session_id=f"{session_id} a") == []


@pytest.mark.promise("every change is seen by the next search; nothing deleted is found")
async def test_the_next_search_sees_every_change(meaning: Facade, session_id: str) -> None:
    async def searched() -> list[str]:
        return sorted(texts_found(await meaning.memory.search("boat", session_id=session_id)))

    await meaning.memory.add_memory(session_id, said(SHIP, uuid="one"))
    await meaning.memory.add_memory(session_id, said("boats", uuid="two"))
    assert await searched() == [SHIP, "boats"]
    await meaning.message.delete_message(session_id, "two")
    assert await searched() == [SHIP]
    await meaning.memory.add_memory(session_id, said(STEW, uuid="one"))
    [result] = await meaning.memory.search("boat", session_id=session_id)
    assert result.message.content == STEW
    assert result.score < 0.5
    await meaning.memory.delete_memory(session_id)
    assert await searched() == []
    await meaning.memory.add_memory(session_id, said(POND))
    assert await searched() == [POND]
    await meaning.memory.undelete_session(session_id)
    assert await searched() == [STEW, POND]
    await meaning.message.undelete_message(session_id, "two")
    assert await searched() == [STEW, POND, "boats"]


@pytest.mark.promise("similarity, mmr and hybrid, over a session or a user's sessions")
async def test_mmr_omits_near_duplicates(meaning: Facade, session_id: str) -> None:
    texts = ["a boat", "the boat", "boats", "a boat in winter", STEW]
    await meaning.memory.add_memory(session_id, said(*texts))

    async def searched(weight: float) -> list[str]:
        return texts_found(
            await meaning.memory.search(
                "boat", session_id=session_id, search_type="mmr", mmr_lambda=weight, limit=3
            )
        )

    similar = texts_found(
        await meaning.memory.search("boat", session_id=session_id, search_type="similarity")
    )
    assert await searched(1.0) == similar[:3]
    assert STEW in await searched(0.0)
    varied = await searched(0.5)
    assert varied[0] == similar[0]
    assert varied != similar[:3]
    payload = MemorySearchPayload(text="boat", search_type="mmr", mmr_lambda=0.5)
    assert texts_found(await meaning.memory.search_memory(session_id, payload, 3)) == varied


@pytest.mark.promise("similarity, mmr and hybrid, over a session or a user's sessions")
async def test_hybrid_search_combines_text_and_vector_results(
    meaning: Facade, session_id: str
) -> None:
    await meaning.memory.add_memory(session_id, said(SHIP, "my boat is called Ada", POND, STEW))
    results = await meaning.memory.search("Ada boat", session_id=session_id, search_type="hybrid")
    assert texts_found(results)[:2] == ["my boat is called Ada", SHIP]
    scores = [result.score for result in results]
    assert scores == sorted(scores, reverse=True)


async def test_metadata_and_dates_filter_a_vector_search(meaning: Facade, session_id: str) -> None:
    for number in range(4):
        await meaning.memory.add_memory(
            session_id, said(f"ship {number}", metadata={"trip": {"day": number}})
        )
    found = await meaning.memory.search(
        "boat", session_id=session_id, metadata={"trip": {"day": 2}}
    )
    assert texts_found(found) == ["ship 2"]
    where = {"jsonpath": "$.trip ? (@.day >= 2)"}
    found = await meaning.memory.search("boat", session_id=session_id, where=where)
    assert sorted(texts_found(found)) == ["ship 2", "ship 3"]


@pytest.mark.promise("made when first needed or in advance, never on the path of a turn")
async def test_embed_computes_missing_vectors_once(
    meaning: Facade, session_id: str, user_id: str
) -> None:
    await meaning.user.add(CreateUserRequest(user_id=user_id))
    for name in "ab":
        session = Session(session_id=f"{session_id} {name}", user_id=user_id)
        await meaning.memory.add_session(session)
        await meaning.memory.add_memory(session.session_id, said(*SAID, " "))
    seen = []
    made = await meaning.memory.embed(
        session_id=f"{session_id} a", progress=lambda *numbers: seen.append(numbers)
    )
    assert (made, seen) == (4, [(4, 4)])
    assert await meaning.memory.embed(session_id=f"{session_id} a") == 0
    assert await meaning.memory.embed(user_id=user_id) == 4
    assert await meaning.memory.embed(user_id=user_id) == 0
    assert await meaning.memory.embed(session_id=f"{session_id} c") == 0
    await meaning.memory.add_memory(f"{session_id} a", said("a boat"))
    assert await meaning.memory.embed() >= 1
    assert await meaning.memory.embed(session_id=f"{session_id} a") == 0


@pytest.mark.promise(
    "the default with embeddings, also for Zep's payload; without them an error that says "
    "what to pass"
)
async def test_invalid_vector_searches_are_refused(
    zep: Facade, meaning: Facade, session_id: str
) -> None:
    for kind in ("similarity", "mmr", "hybrid"):
        with pytest.raises(BadRequestError, match="embeddings="):
            await zep.memory.search("boat", session_id=session_id, search_type=kind)
    with pytest.raises(BadRequestError, match="embeddings="):
        await zep.memory.embed()
    refused = [
        meaning.memory.search("x", session_id=session_id, search_type="mmr", mmr_lambda=1.1),
        meaning.memory.search("x", session_id=session_id, search_type="mmr", mmr_lambda="1"),
        meaning.memory.search("x", session_id=session_id, search_type="mmr", limit=1001),
        meaning.memory.embed(session_id={"$ne": ""}),
        meaning.memory.embed(user_id=5),
    ]
    for call in refused:
        with pytest.raises(BadRequestError):
            await call


async def test_messages_without_text_are_not_found(meaning: Facade, session_id: str) -> None:
    await meaning.memory.add_memory(session_id, said("", "  ", SHIP))
    for _ in range(2):
        assert texts_found(await meaning.memory.search("boat", session_id=session_id)) == [SHIP]


async def test_concurrent_vector_searches_return_their_own_results(
    meaning: Facade, session_id: str
) -> None:
    await meaning.memory.add_memory(session_id, said(*SAID * 30))
    searches = [
        meaning.memory.search(text, session_id=session_id, limit=30)
        for text in ["boat", "lake", "beans"] * 4
    ]
    found = await asyncio.gather(*searches)
    assert [set(texts_found(each)) for each in found] == [{SHIP}, {POND}, {STEW}] * 4
