"""New ids are UUIDs in the order of time, unique across threads and forks."""

import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.queues import SimpleQueue
from uuid import UUID

import pytest

from langchain_zepstore.core import ids
from langchain_zepstore.core.ids import new_id


def many_ids(count: int = 1000) -> list[str]:
    return [new_id() for _ in range(count)]


def put(queue: "SimpleQueue[list[str]]") -> None:
    queue.put(many_ids())


def test_an_id_is_a_uuid_that_begins_with_the_time() -> None:
    before = time.time_ns() // 1_000_000
    made = UUID(new_id())
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000


def test_ids_of_one_millisecond_are_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter(range(1_700_000_000_000_000_000, 1_700_000_000_000_900_000, 300))
    monkeypatch.setattr(ids.time, "time_ns", lambda: next(moments))
    made = many_ids()
    assert made == sorted(made)


def test_ids_are_unique_across_threads() -> None:
    with ThreadPoolExecutor(8) as threads:
        made = [each for part in threads.map(many_ids, [2000] * 8) for each in part]
    assert len(set(made)) == 16_000


def test_forked_children_generate_different_ids() -> None:
    context = multiprocessing.get_context("fork")
    queue: SimpleQueue[list[str]] = context.SimpleQueue()
    new_id()
    children = [context.Process(target=put, args=(queue,)) for _ in range(3)]
    for child in children:
        child.start()
    made = [each for _ in children for each in queue.get()] + many_ids()
    for child in children:
        child.join(10)
    assert len(set(made)) == 4000
