"""What must hold of a session's table of forks and of the messages on its branches."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.invariants import Story

Document = dict[str, Any]


def branch_violations(
    session: Document | None,
    documents: list[Document],
    story: Story,
    parents: dict[str, str | None] | None,
) -> Iterator[str]:
    """Yield what is wrong with branches, in words.

    Args:
        session: The session's document.
        documents: All documents of its messages.
        story: What happened.
        parents: The parents of all live messages, as the store says them.
    """
    if session is None:
        return
    own = [document for document in documents if document["_id"]["s"] == session["uuid"]]
    if forks := session.get("forks"):
        yield from _of_table(session, forks)
        for document in own:
            if not document.get("branched") and not document.get("placeholder"):
                yield f"{document['uuid']} is not flagged in a session that has branched"
        yield from _of_edits(session, own, story)
    if parents is not None and "deleted_at" not in session:
        live = {document["seq"]: document["uuid"] for document in own if is_live(document)}
        expected = {uuid: above(session, live, number) for number, uuid in live.items()}
        if expected != parents:
            yield f"the tree is {expected}, the store says {parents}"


def on_active_branch(session: Document | None, documents: list[Document]) -> list[str]:
    """Return the ids of the live messages on the active branch, in order."""
    if not (session and session.get("forks")):
        return [document["uuid"] for document in documents if is_live(document)]
    number, numbers = session["seq"], set()
    if session["forks"][-1]["first"] > number:
        number = session["forks"][-1]["after"]
    while number:
        numbers.add(number)
        number = before(session, number)
    return [
        document["uuid"]
        for document in documents
        if is_live(document) and document["seq"] in numbers
    ]


def is_live(document: Document) -> bool:
    return "deleted_at" not in document


def before(session: Document, number: int) -> int:
    """Return the number that a number follows on its branch; 0 where the table has a circle."""
    own = [fork for fork in session.get("forks") or () if fork["first"] == number]
    after = int(own[0]["after"]) if own else number - 1
    return after if after < number else 0


def above(session: Document, live: dict[int, str], number: int) -> str | None:
    while number := before(session, number):
        if number in live:
            return live[number]
    return None


def _of_table(session: Document, forks: list[Document]) -> Iterator[str]:
    firsts = [fork["first"] for fork in forks]
    if firsts[0] != 1 or firsts != sorted(set(firsts)) or firsts[-1] > session["seq"] + 1:
        yield f"forks begin at {firsts}, the last number is {session['seq']}"
    for fork in forks:
        if fork["after"] >= fork["first"]:
            yield f"a fork at {fork['first']} continues after {fork['after']}"
        if fork["activated"] > session["turn"]:
            yield f"a fork at {fork['first']} was activated after turn {session['turn']}"
    if forks[-1].get("pending") or forks[-1]["activated"] != max(f["activated"] for f in forks):
        yield "the last fork is not the one activated last"


def _of_edits(session: Document, own: list[Document], story: Story) -> Iterator[str]:
    moved = {document["uuid"] for document in own if "superseded" in document} | story.touched
    numbers = {document["uuid"]: document["seq"] for document in own}
    pending = {fork["first"] for fork in session["forks"] if fork.get("pending")}
    for replaced, uuids in story.edits:
        if moved.intersection((replaced, *uuids)) or not {replaced, *uuids} <= numbers.keys():
            continue
        first = numbers[uuids[0]]
        if before(session, first) != before(session, numbers[replaced]):
            yield f"{uuids} does not stand in the place of {replaced}"
        if first in pending:
            yield f"{uuids} was acknowledged and is pending"
        for previous, following in pairwise(uuids):
            if before(session, numbers[following]) != numbers[previous]:
                yield f"{following} does not follow {previous}"
