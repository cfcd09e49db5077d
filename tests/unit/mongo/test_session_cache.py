"""The cache of sessions keeps what fits, and looks again where nothing was."""

import numpy as np
import pytest

from langchain_zepstore.mongo.search.session_cache import KnownSession, SessionCache, joined
from langchain_zepstore.mongo.search.vector_codec import VectorRows


def rows(*numbers: int) -> VectorRows:
    array = np.array(numbers, dtype=np.int64)
    return VectorRows(array, array, np.ones((len(numbers), 2), dtype=np.float32))


def known(*numbers: int) -> KnownSession:
    return KnownSession("mark").extended([rows(*numbers)], [], max(numbers), fenced=0)


def test_numbers_without_a_message_are_looked_at_again_until_they_are_decided() -> None:
    first = KnownSession("mark").extended([rows(1, 4)], [2], 6, fenced=0)
    assert first.missing(7) == [3, 5, 6, 7]
    second = first.extended([rows(5)], [], 7, fenced=3)
    assert second.missing(7) == [6, 7]
    assert sorted(number for each in second.rows for number in each.numbers) == [1, 4, 5]


def test_small_arrays_are_put_together_and_large_ones_stay() -> None:
    large = rows(*range(1, 5001))
    many = [large]
    for number in range(5001, 5101):
        many = list(joined([*many, rows(number)]))
    assert many[0] is large
    assert len(many) < 10
    assert sum(len(each.numbers) for each in many) == 5100


@pytest.mark.promise("memory is bounded; a scope is read by an index, page by page")
def test_its_size_is_bounded_and_the_last_search_keeps_its_vectors() -> None:
    size = known(1).nbytes
    cache = SessionCache(most_bytes=3 * size)
    search = cache.begin()
    for name in "abcd":
        cache.put(2, name, known(1), search)
    assert [cache.get(2, name, search) is not None for name in "abcd"] == [True, True, True, False]
    later = cache.begin()
    assert cache.get(2, "a", later)
    cache.put(2, "d", known(1), later)
    assert cache.get(2, "d", later)
    assert cache.get(2, "b", later) is None
    assert cache.get(2, "a", later)
