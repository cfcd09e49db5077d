"""The checker of copies finds what is broken, and nothing else."""

from typing import Any

import pytest

from tests.support.copy_invariants import Copy, copy_violations
from tests.support.invariants import Story
from tests.unit.support.test_branch_invariants import DOCUMENTS, SESSION

SOURCE = [{**document, "session_id": "s"} for document in DOCUMENTS]
COPY = Copy("copy", None, begun=10, ended=11)
FORK = {"_id": "copy", "uuid": "v", "metadata": {"forked_from": "s"}}
SPANS = [(f"m{number}", float(number), number + 0.5) for number in (1, 2, 3, 4)]
COPIED = ("m1", "m3", "m4")


def found_in(
    copy: Copy = COPY,
    fork: dict[str, Any] | None = FORK,
    copied: tuple[str, ...] = COPIED,
    **story: Any,
) -> list[str]:
    documents = [
        {"_id": {"s": "v", "q": number}, "seq": number, "uuid": uuid, "content": uuid}
        for number, uuid in enumerate(copied, 1)
    ]
    return list(
        copy_violations(copy, fork, documents, SESSION, SOURCE, Story(spans=SPANS, **story))
    )


def test_consistent_copies_have_no_violations() -> None:
    assert found_in() == []
    assert found_in(Copy("copy", "m2", 10, 11), copied=("m1", "m2")) == []
    assert found_in(Copy("copy", None, 10, 11, is_missing=True), None, ()) == []
    assert found_in(copied=("m1", "m4"), touched={"m3"}) == []
    assert found_in(copied=("m4",), opened={("u", 1, 3)}) == []
    assert found_in(fork=None, copied=(), user_erasures=[(9, 12)]) == []
    deleted = {"deletions": [("u", 1, 4)], "deleted_by": {("u", 1): 5.0}}
    assert found_in(**deleted, taken_back={("u", 1)}) == []


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"copied": ("m1", "m4")}, "lacks m3"),
        ({"copied": ("m1", "m4", "m3")}, "has m3 after m4"),
        ({"copied": ("m1", "m2", "m3")}, "m2, which is on another branch"),
        ({"copy": Copy("copy", "m4", 10, 11), "copied": ("m1", "m3")}, "not with m4"),
        ({"fork": None, "copied": ()}, "is lost"),
        ({"fork": {**FORK, "metadata": {"forking_from": {}}}}, "with metadata"),
        ({"copy": Copy("copy", None, 10, 11, is_missing=True)}, "failed and left"),
        ({"user_erasures": [(12, 13)]}, "outlived its user"),
        (
            {"deletions": [("u", 1, 4)], "deleted_by": {("u", 1): 5.0}},
            "has m1, which was deleted before",
        ),
    ],
)
def test_inconsistencies_are_found(changes: dict[str, Any], found: str) -> None:
    wrong = found_in(**changes)
    assert any(found in violation for violation in wrong), wrong
