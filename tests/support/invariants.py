"""What must hold of a session's raw documents, whatever raced and whatever died."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]


@dataclass
class Story:
    """What is known to have happened to a session, from those who did it.

    Attributes:
        acknowledged: The message ids of each add that returned, in order.
        abandoned: Those of each add whose process died in it.
        touched: Ids that were added again, or deleted or undeleted one by one.
        deletions: Count and last number of each session deletion that returned.
        taken_back: Counts of the deletions that an undelete of the session claimed.
    """

    acknowledged: list[list[str]] = field(default_factory=list)
    abandoned: list[list[str]] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)
    deletions: list[tuple[int, int]] = field(default_factory=list)
    taken_back: set[int] = field(default_factory=set)


def violations(
    session: Document | None, messages: Iterable[Document], visible: list[str], story: Story
) -> list[str]:
    """Return what is wrong, in words; nothing if all is well.

    Args:
        session: The session's document.
        messages: All documents of its messages, deleted ones and placeholders too.
        visible: The ids that a read returns, in its order.
        story: What happened.
    """
    documents = sorted(messages, key=lambda document: document["seq"])
    return [
        *_of_marks(session, documents, visible),
        *_of_adds(documents, story),
        *_of_deletions(session, documents, story),
    ]


def _of_marks(
    session: Document | None, documents: list[Document], visible: list[str]
) -> Iterator[str]:
    live = [document["uuid"] for document in documents if "deleted_at" not in document]
    if live != visible:
        yield f"a read shows {visible}, live are {live}"
    if live and session is None:
        yield f"live messages {live} without a session"
    if live and session and "deleted_at" in session:
        yield f"live messages {live} in a deleted session"
    for document in documents:
        if "deleted_at" in document and document["deleted_at"] is None:
            yield f"{document['uuid']} is marked with nothing: hidden from no read, kept by TTL"
        if document.get("placeholder") and "deleted_at" not in document:
            yield f"the placeholder at {document['seq']} is live"
        if session and document["seq"] > session["seq"]:
            yield f"{document['uuid']} has a number that was not handed out"


def _of_adds(documents: list[Document], story: Story) -> Iterator[str]:
    numbers = [document["seq"] for document in documents]
    if len(numbers) != len(set(numbers)):
        yield "two messages share a number"
    found: dict[str, Document] = {}
    for document in documents:
        if not document.get("placeholder"):
            yield from _taken_in(document, found)
    for call in story.acknowledged:
        if missing := [uuid for uuid in call if uuid not in found]:
            yield f"lost: {missing} of {call}"
    for call in story.acknowledged + story.abandoned:
        if not story.touched.intersection(call):
            yield from _of_turn(call, [found[uuid] for uuid in call if uuid in found])


def _taken_in(document: Document, found: dict[str, Document]) -> Iterator[str]:
    uuid = document["uuid"]
    if "superseded" in document:
        # It gave way to a new one, which may not have come yet.
        if "deleted_at" not in document:
            yield f"{uuid} has given way and is live"
        found.setdefault(uuid, document)
        return
    if uuid in found and "superseded" not in found[uuid]:
        yield f"{uuid} is there twice"
    found[uuid] = document


def _of_turn(call: list[str], turn: list[Document]) -> Iterator[str]:
    if not turn:
        return
    if len(turn) < len(call):
        yield f"half a turn: {[message['uuid'] for message in turn]} of {call}"
    first = turn[0]["seq"]
    if [message["seq"] for message in turn] != list(range(first, first + len(turn))):
        yield f"{call} does not stand together"
    if len({message.get("deletion") for message in turn}) > 1:
        yield f"half of {call} is deleted"


def _of_deletions(
    session: Document | None, documents: list[Document], story: Story
) -> Iterator[str]:
    for document in documents:
        deletion = document.get("deletion")
        if deletion in story.taken_back and not (session and session.get("undeletion")):
            yield f"{document['uuid']} still carries deletion {deletion}, which was taken back"
        if "deleted_at" in document:
            continue
        for count, last in story.deletions:
            if document["seq"] <= last and document.get("restored", 0) < count:
                yield f"{document['uuid']} outlived deletion {count}, which took all up to {last}"
    if session is None:
        return
    held = {document["seq"] for document in documents}
    if gaps := [number for number in range(1, session.get("fenced", 0) + 1) if number not in held]:
        yield f"the fenced numbers {gaps} are free"
