"""The checker of raw documents finds what is broken, and nothing else."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.invariants import Story, violations

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def message(number: int, incarnation: str = "u", **fields: Any) -> dict[str, Any]:
    return {"_id": {"s": incarnation, "q": number}, "seq": number, "uuid": f"m{number}", **fields}


def deleted(number: int, deletion: int = 1, **fields: Any) -> dict[str, Any]:
    return message(number, deleted_at=NOW, deletion=deletion, **fields)


def placeholder(number: int) -> dict[str, Any]:
    return purged(number, uuid=f"placeholder {number}")


def purged(number: int, **fields: Any) -> dict[str, Any]:
    return message(number, deleted_at=NOW, placeholder=True, **fields)


LIVE = {"_id": "s", "uuid": "u", "seq": 4}
DELETED = {**LIVE, "deleted_at": NOW, "deletion": {"id": 1, "seq": 4, "settled": True}, "fenced": 4}


def test_a_consistent_live_session_has_no_violations() -> None:
    story = Story(acknowledged=[["m1", "m2"], ["m3"]], abandoned=[["m9"]])
    assert violations(LIVE, [message(1), message(2), message(3)], ["m1", "m2", "m3"], story) == []


def test_a_consistent_deleted_session_has_no_violations() -> None:
    story = Story(acknowledged=[["m1", "m2"], ["m3"]], deletions=[("u", 1, 4)])
    documents = [deleted(1), deleted(2), deleted(3), placeholder(4)]
    assert violations(DELETED, documents, [], story) == []


def test_a_consistent_restored_session_has_no_violations() -> None:
    story = Story(acknowledged=[["m1"]], deletions=[("u", 1, 1)], taken_back={("u", 1)})
    assert violations(LIVE, [message(1, restored=1)], ["m1"], story) == []


def test_purged_messages_of_a_deletion_are_not_lost() -> None:
    story = Story(
        acknowledged=[["m1", "m2"], ["m3"]],
        opened={("u", 1, 2)},
        deletions=[("u", 1, 2)],
        purged=True,
    )
    assert violations(LIVE, [purged(1), purged(2), message(3)], ["m3"], story) == []
    assert violations(None, [purged(1), purged(2), deleted(3, deletion=2)], [], story) == []


def test_purged_individually_deleted_messages_are_not_lost() -> None:
    story = Story(acknowledged=[["m1", "m2"]], touched={"m1"}, purged=True)
    assert violations(LIVE, [purged(1), message(2)], ["m2"], story) == []


def test_purged_messages_of_an_unrecorded_deletion_are_not_lost() -> None:
    story = Story(acknowledged=[["m1"]], untold=True, purged=True)
    assert violations(LIVE, [purged(1)], [], story) == []


def test_a_recreated_session_is_consistent() -> None:
    story = Story(
        acknowledged=[["m1"], ["m2"]],
        followed=[("m1", "m2")],
        opened={("old", 1, 1), ("old", 2, 9)},
        deletions=[("old", 1, 1)],
        taken_back={("old", 1)},
        purged=True,
    )
    documents = [purged(1, incarnation="old"), deleted(1, uuid="m2")]
    assert violations(DELETED | {"fenced": 1}, documents, [], story) == []


def test_a_message_superseded_by_an_interrupted_writer_may_be_purged() -> None:
    story = Story(acknowledged=[["m1"]], touched={"m1"}, unsure={"m1"}, purged=True)
    assert violations(LIVE, [purged(1, superseded=1)], [], story) == []


def test_a_superseded_deleted_message_is_not_a_duplicate() -> None:
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
        "share the number 1",
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
        Story(deletions=[("u", 1, 4)]),
        "outlived deletion 1",
    ),
    "a message restored by an older undelete only": (
        LIVE,
        [message(1, restored=1)],
        ["m1"],
        Story(deletions=[("u", 2, 4)]),
        "outlived deletion 2",
    ),
    "a mark that came after the undelete": (
        LIVE,
        [deleted(1)],
        [],
        Story(taken_back={("u", 1)}),
        "which was taken back",
    ),
    "a mark of a deletion that ended before the message": (
        LIVE,
        [deleted(1), deleted(2)],
        [],
        Story(opened={("u", 1, 1)}),
        "m2 carries deletion 1, which took all up to 1",
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
        "fenced numbers [4] of u are free",
    ),
    "a free number behind the fence of a session that is gone": (
        None,
        [purged(1), purged(3)],
        [],
        Story(deletions=[("u", 1, 3)], opened={("u", 1, 3)}, purged=True),
        "fenced numbers [2] of u are free",
    ),
    "a message purged that nobody deleted": (
        LIVE,
        [purged(1), message(2)],
        ["m2"],
        Story(acknowledged=[["m1"], ["m2"]], purged=True),
        "m1 of ['m1'] was purged, and nobody",
    ),
    "a message purged that came after the deletion": (
        LIVE,
        [purged(1), purged(2)],
        [],
        Story(acknowledged=[["m1"], ["m2"]], opened={("u", 1, 1)}, purged=True),
        "m2 of ['m2'] was purged, and nobody",
    ),
    "a message purged for a deletion of the session before": (
        LIVE,
        [purged(1)],
        [],
        Story(acknowledged=[["m1"]], opened={("old", 1, 1)}, purged=True),
        "m1 of ['m1'] was purged, and nobody",
    ),
    "a message purged that was taken back": (
        LIVE,
        [purged(1)],
        [],
        Story(acknowledged=[["m1"]], opened={("u", 1, 1)}, taken_back={("u", 1)}, purged=True),
        "m1 of ['m1'] was purged, and nobody",
    ),
    "a message that became a placeholder without a purge": (
        LIVE,
        [purged(1)],
        [],
        Story(acknowledged=[["m1"]], opened={("u", 1, 1)}),
        "m1 of ['m1'] was purged, and nobody",
    ),
    "a message whose purge took its number too": (
        LIVE,
        [message(2)],
        ["m2"],
        Story(acknowledged=[["m1"]], opened={("u", 1, 1)}, purged=True),
        "lost: ['m1']",
    ),
    "a message that gave way to one that was lost": (
        LIVE,
        [purged(1, superseded=1)],
        [],
        Story(acknowledged=[["m1"]], touched={"m1"}, purged=True),
        "lost: ['m1']",
    ),
    "a half purged turn": (
        LIVE,
        [purged(1), message(2)],
        ["m2"],
        Story(acknowledged=[["m1", "m2"]], opened={("u", 1, 2)}, purged=True),
        "half of ['m1', 'm2'] is purged",
    ),
    "a purged message that still says something": (
        LIVE,
        [purged(1, content="secret")],
        [],
        Story(),
        "the placeholder at 1 still holds ['content']",
    ),
    "a live message of a session that was purged": (
        LIVE,
        [message(1, incarnation="old")],
        ["m1"],
        Story(),
        "m1 is live, but was said before",
    ),
    "a turn in two sessions": (
        LIVE,
        [deleted(1, incarnation="old"), deleted(2)],
        [],
        Story(acknowledged=[["m1", "m2"]]),
        "does not stand together",
    ),
    "a writer's turns in the wrong order": (
        LIVE,
        [message(1), message(2)],
        ["m1", "m2"],
        Story(acknowledged=[["m2"], ["m1"]], followed=[("m2", "m1")]),
        "m1 stands before m2",
    ),
}


@pytest.mark.promise("the race program's checker finds seeded defects")
@pytest.mark.parametrize("name", BROKEN)
def test_inconsistencies_are_found(name: str) -> None:
    session, documents, visible, story, words = BROKEN[name]
    found = violations(session, documents, visible, story)
    assert any(words in violation for violation in found), found
