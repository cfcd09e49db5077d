"""The cache of vectors keeps what fits, and nothing that was not added."""

import numpy as np
import pytest

from langchain_zepstore.mongo.search.vector_cache import NONE, UNKNOWN, VectorCache


def vectors(*numbers: float) -> np.ndarray:
    return np.array([[number, 1.0] for number in numbers], dtype=np.float32)


def test_what_was_added_is_found_and_nothing_else() -> None:
    cache = VectorCache(2)
    cache.add([b"a", b"b"], vectors(1, 2))
    rows, matrix = cache.rows([b"b", b"x", b"a"])
    assert rows[1] == UNKNOWN
    assert matrix[rows[0]].tolist() == [2, 1]
    assert matrix[rows[2]].tolist() == [1, 1]


def test_zeros_are_none_and_what_has_no_stamp_is_not_kept() -> None:
    cache = VectorCache(2)
    cache.add([b"a", b""], np.zeros((2, 2), dtype=np.float32))
    rows, _ = cache.rows([b"a", b""])
    assert rows.tolist() == [NONE, UNKNOWN]


def test_rows_stay_what_they_were_while_others_are_added() -> None:
    cache = VectorCache(2)
    cache.add([b"first"], vectors(7))
    rows, matrix = cache.rows([b"first"])
    for start in range(0, 5000, 100):
        cache.add([b"%d" % number for number in range(start, start + 100)], vectors(*range(100)))
    cache.clear()
    assert matrix[rows[0]].tolist() == [7, 1]


@pytest.mark.promise("memory is bounded; a scope is read by an index, page by page")
def test_it_takes_no_more_than_it_may() -> None:
    cache = VectorCache(2, most_bytes=8 * 10)
    cache.add([b"%d" % number for number in range(25)], vectors(*range(25)))
    rows, matrix = cache.rows([b"%d" % number for number in range(25)])
    assert cache.is_full
    assert (rows >= 0).sum() == 10
    assert matrix.nbytes <= 8 * 10
    cache.clear()
    assert not cache.is_full
    assert cache.rows([b"0"])[0].tolist() == [UNKNOWN]
    cache.add([b"new"], vectors(3))
    assert cache.rows([b"new"])[0].tolist() == [0]
