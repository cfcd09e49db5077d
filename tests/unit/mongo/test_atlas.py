"""What is asked of Atlas, as its documentation has it; there is no Atlas here to ask."""

import numpy as np
import pytest

from langchain_zepstore.mongo.search import atlas as vector_index
from langchain_zepstore.mongo.search.scope import Selection


def test_the_index_holds_vectors_and_what_searches_are_narrowed_by() -> None:
    definition = vector_index.definition(384)
    assert definition["type"] == "vectorSearch"
    vector, *filters = definition["definition"]["fields"]
    assert vector == {
        "type": "vector",
        "path": "embedding.vector",
        "numDimensions": 384,
        "similarity": "cosine",
    }
    assert {each["type"] for each in filters} == {"filter"}
    assert {each["path"] for each in filters} == {"scope", "session_id", "embedding.model"}


@pytest.mark.promise("Atlas's index of vectors, as far as it can be shown without Atlas")
@pytest.mark.parametrize("session_id", [None, "s"])
def test_a_search_stays_in_its_scope_and_leaves_out_what_is_deleted(session_id) -> None:
    selection = Selection("u:me", session_id, {"created_at": {"$gte": 1}})
    vector = np.array([0.6, 0.8], dtype=np.float32)
    search, match, limit, project = vector_index.stages(selection, vector, "m", 5)
    asked = search["$vectorSearch"]
    expected = {"embedding.model": "m", "scope": "u:me"}
    assert asked["filter"] == (expected | {"session_id": "s"} if session_id else expected)
    assert asked["queryVector"] == pytest.approx([0.6, 0.8])
    assert all(type(number) is float for number in asked["queryVector"])
    assert asked["limit"] <= asked["numCandidates"] <= vector_index.MOST
    assert match == {"$match": {"deleted_at": None, "created_at": {"$gte": 1}}}
    assert limit == {"$limit": 5}
    assert project["$project"]["score"] == {"$meta": "vectorSearchScore"}


def test_a_score_of_atlas_s_is_a_cosine_again() -> None:
    found = vector_index.found({"_id": {"s": "a", "q": 3}, "session_id": "s", "score": 0.75})
    assert (found.place, found.session_id, found.score) == (("a", 3), "s", 0.5)
