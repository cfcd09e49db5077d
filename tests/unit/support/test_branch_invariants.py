"""The checker of branches finds what is broken, and nothing else."""

from typing import Any

import pytest

from tests.support.invariants import Story, violations


def message(number: int, **fields: Any) -> dict[str, Any]:
    place = {"s": "u", "q": number}
    return {"_id": place, "seq": number, "uuid": f"m{number}", "branched": True, **fields}


def fork(first: int, after: int, activated: int, **fields: Any) -> dict[str, Any]:
    return {"first": first, "after": after, "activated": activated, **fields}


FORKS = [fork(1, 0, 1), fork(3, 1, 3)]
SESSION = {"_id": "s", "uuid": "u", "seq": 4, "branched": True, "turn": 3, "forks": FORKS}
DOCUMENTS = [message(number) for number in (1, 2, 3, 4)]
VISIBLE = ["m1", "m3", "m4"]
PARENTS: dict[str, str | None] = {"m1": None, "m2": "m1", "m3": "m1", "m4": "m3"}
STORY = Story(acknowledged=[["m1", "m2"], ["m3", "m4"]], edits=[("m2", ["m3", "m4"])])


def test_a_consistent_branched_session_has_no_violations() -> None:
    assert violations(SESSION, DOCUMENTS, VISIBLE, STORY, PARENTS) == []


def test_a_rewound_session_has_no_violations() -> None:
    session = {**SESSION, "forks": [*FORKS, fork(5, 1, 4)], "turn": 4}
    assert violations(session, DOCUMENTS, ["m1"], STORY, PARENTS) == []


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"documents": [*DOCUMENTS[:3], message(4, branched=None)]}, "m4 is not flagged"),
        ({"visible": ["m1", "m2"]}, "a read shows"),
        ({"forks": [fork(1, 0, 1), fork(3, 0, 3)]}, "does not stand in the place of m2"),
        ({"forks": [fork(1, 0, 1), fork(3, 1, 3), fork(4, 2, 3)]}, "m4 does not follow m3"),
        ({"forks": [fork(1, 0, 1), fork(3, 1, 0, pending=True), fork(5, 2, 3)]}, "is pending"),
        ({"forks": [fork(1, 0, 1), fork(3, 1, 3, pending=True)]}, "activated last"),
        ({"forks": [fork(1, 0, 3), fork(3, 1, 2)]}, "activated last"),
        ({"forks": [fork(1, 0, 1), fork(3, 3, 3)]}, "continues after 3"),
        ({"forks": [fork(1, 0, 1), fork(3, 1, 9)]}, "activated after turn 3"),
        ({"forks": [fork(1, 0, 1), fork(9, 1, 3)]}, "the last number is 4"),
        ({"parents": {**PARENTS, "m3": "m2"}}, "the tree is"),
    ],
)
def test_inconsistencies_are_found(changes: dict[str, Any], found: str) -> None:
    given = {"forks": FORKS, "documents": DOCUMENTS, "visible": VISIBLE, "parents": PARENTS}
    given |= changes
    session = {**SESSION, "forks": given["forks"]}
    wrong = violations(session, given["documents"], given["visible"], STORY, given["parents"])
    assert any(found in violation for violation in wrong), wrong
