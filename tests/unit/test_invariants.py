"""The checker of raw documents finds what is broken, and nothing else."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.invariants import Story, violations

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def message(number: int, **fields: Any) -> dict[str, Any]:
    return {"_id": {"s": "u", "q": number}, "seq": number, "uuid": f"m{number}", **fields}


def deleted(number: int, deletion: int = 1, **fields: Any) -> dict[str, Any]:
    return message(number, deleted_at=NOW, deletion=deletion, **fields)


def placeholder(number: int) -> dict[str, Any]:
    return message(number, uuid=f"placeholder {number}", deleted_at=NOW, placeholder=True)


LIVE = {"_id": "s", "uuid": "u", "seq": 4}
DELETED = {**LIVE, "deleted_at": NOW, "deletion": {"id": 1, "seq": 4, "settled": True}, "fenced": 4}


def test_a_sound_live_session_has_no_violations() -> None:
    story = Story(acknowledged=[["m1", "m2"], ["m3"]], abandoned=[["m9"]])
    assert violations(LIVE, [message(1), message(2), message(3)], ["m1", "m2", "m3"], story) == []


def test_a_sound_deleted_session_has_no_violations() -> None:
    story = Story(acknowledged=[["m1", "m2"], ["m3"]], deletions=[(1, 4)])
    documents = [deleted(1), deleted(2), deleted(3), placeholder(4)]
    assert violations(DELETED, documents, [], story) == []


def test_a_sound_restored_session_has_no_violations() -> None:
    story = Story(acknowledged=[["m1"]], deletions=[(1, 1)], taken_back={1})
    assert violations(LIVE, [message(1, restored=1)], ["m1"], story) == []


def test_a_deleted_message_that_gave_way_is_no_double() -> None:
    documents = [deleted(1, uuid="m2", superseded=1), message(2)]
    assert violations(LIVE, documents, ["m2"], Story(acknowledged=[["m2"]], touched={"m2"})) == []


BROKEN = {
    "a live message in a deleted session": (
        DELETED,
        [deleted(1), message(2), deleted(3), placeholder(4)],
        ["m2"],
        Story(),
        "in a deleted session",
    ),
    "a live message without a session": (None, [message(1)], ["m1"], Story(), "without a session"),
    "a visible deleted message": (LIVE, [deleted(1)], ["m1"], Story(), "a read shows"),
    "a hidden live message": (LIVE, [message(1)], [], Story(), "a read shows"),
    "a wrong order": (LIVE, [message(1), message(2)], ["m2", "m1"], Story(), "a read shows"),
    "a lost message": (
        LIVE,
        [message(1)],
        ["m1"],
        Story(acknowledged=[["m1", "m2"]]),
        "lost: ['m2']",
    ),
    "a double": (LIVE, [message(1), message(2, uuid="m1")], ["m1", "m1"], Story(), "there twice"),
    "a live message that has given way": (
        LIVE,
        [message(1, superseded=1)],
        ["m1"],
        Story(),
        "has given way and is live",
    ),
    "a shared number": (
        LIVE,
        [message(1), message(1, uuid="x")],
        ["m1", "x"],
        Story(),
        "share a number",
    ),
    "half an abandoned turn": (
        LIVE,
        [message(1)],
        ["m1"],
        Story(abandoned=[["m1", "m2"]]),
        "half a turn",
    ),
    "a torn turn": (
        LIVE,
        [message(1), message(2), message(3)],
        ["m1", "m2", "m3"],
        Story(acknowledged=[["m1", "m3"], ["m2"]]),
        "does not stand together",
    ),
    "a half deleted turn": (
        LIVE,
        [deleted(1), message(2)],
        ["m2"],
        Story(acknowledged=[["m1", "m2"]]),
        "half of",
    ),
    "a message that outlived its deletion": (
        LIVE,
        [message(1)],
        ["m1"],
        Story(deletions=[(1, 4)]),
        "outlived deletion 1",
    ),
    "a message restored by an older undelete only": (
        LIVE,
        [message(1, restored=1)],
        ["m1"],
        Story(deletions=[(2, 4)]),
        "outlived deletion 2",
    ),
    "a mark that came after the undelete": (
        LIVE,
        [deleted(1)],
        [],
        Story(taken_back={1}),
        "which was taken back",
    ),
    "a mark of nothing": (LIVE, [message(1, deleted_at=None)], [], Story(), "marked with nothing"),
    "a live placeholder": (
        LIVE,
        [message(1, uuid="p", placeholder=True)],
        ["p"],
        Story(),
        "the placeholder at 1 is live",
    ),
    "a number nobody handed out": (LIVE, [message(5)], ["m5"], Story(), "was not handed out"),
    "a free number behind the fence": (
        DELETED,
        [deleted(1), deleted(2), deleted(3)],
        [],
        Story(),
        "fenced numbers [4] are free",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_data_is_found(name: str) -> None:
    session, documents, visible, story, words = BROKEN[name]
    found = violations(session, documents, visible, story)
    assert any(words in violation for violation in found), found
