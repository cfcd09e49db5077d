"""What must hold of a session's raw documents, whatever raced and whatever died."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.support.branch_invariants import branch_violations, on_active_branch
from tests.support.copy_invariants import Copy

Document = dict[str, Any]

SECRETS = {"content", "langchain", "metadata", "role", "restored"}


@dataclass
class Story:
    """What is known to have happened to a session, from those who did it.

    An incarnation is the ``uuid`` of a session: a new one after each purge of it.

    Attributes:
        acknowledged: The message ids of each add that returned, in order.
        followed: Pairs of ids: the second's add began when the first's had returned.
        abandoned: Those of each add whose process died in it.
        touched: Ids that were added again, or deleted or undeleted one by one.
        unsure: Ids whose process died in adding them again.
        opened: Incarnation, count and last number of each session deletion that began.
        deletions: The same of each that returned.
        taken_back: Incarnation and count of the deletions that an undelete of the session claimed.
        untold: Whether a process died that may have opened a deletion and not told.
        purged: Whether there were purges, all of them within the hour.
        edits: Of each edit that returned, the id that it replaced, and its ids.
        abandoned_edits: The same of each whose process died in it.
        spans: Each message id, and when a call that stores it began and ended.
        erasures: When each erasure began and ended.
        user_erasures: The same of those of the user.
        deleted_by: When the deletion of an incarnation and a count had returned, at the latest.
        copies: The calls that forked the session.
    """

    acknowledged: list[list[str]] = field(default_factory=list)
    followed: list[tuple[str, str]] = field(default_factory=list)
    abandoned: list[list[str]] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)
    opened: set[tuple[str, int, int]] = field(default_factory=set)
    deletions: list[tuple[str, int, int]] = field(default_factory=list)
    taken_back: set[tuple[str, int]] = field(default_factory=set)
    untold: bool = False
    purged: bool = False
    edits: list[tuple[str, list[str]]] = field(default_factory=list)
    abandoned_edits: list[tuple[str, list[str]]] = field(default_factory=list)
    spans: list[tuple[str, float, float]] = field(default_factory=list)
    erasures: list[tuple[float, float]] = field(default_factory=list)
    user_erasures: list[tuple[float, float]] = field(default_factory=list)
    deleted_by: dict[tuple[str, int], float] = field(default_factory=dict)
    copies: list[Copy] = field(default_factory=list)

    def has_killed_erasures(self) -> bool:
        """Whether an erasure may not be complete."""
        return any(ended == math.inf for _, ended in self.erasures)

    def erased(self) -> set[str]:
        """Return the ids of what was said before an erasure that is complete, and not since."""
        last_begun = max((begun for begun, _ in self.erasures), default=-math.inf)
        kept = {uuid for uuid, _, ended in self.spans if ended >= last_begun}
        return {uuid for uuid, _, _ in self.spans} - kept

    def forget_erased(self, incarnation: str | None) -> None:
        """Forget what may be erased, and all that was about other incarnations."""
        if not self.erasures:
            return
        last_ended = max(ended for _, ended in self.erasures)
        new = {uuid for uuid, begun, _ in self.spans if begun > last_ended}
        self.acknowledged = [call for call in self.acknowledged if new.issuperset(call)]
        self.abandoned = [call for call in self.abandoned if new.issuperset(call)]
        self.edits = [edit for edit in self.edits if new.issuperset([edit[0], *edit[1]])]
        self.abandoned_edits = [edit for edit in self.abandoned_edits if new.issuperset(edit[1])]
        self.followed = [pair for pair in self.followed if new.issuperset(pair)]
        self.deletions = [each for each in self.deletions if each[0] == incarnation]

    def may_be_purged(self, document: Document) -> bool:
        """Whether anybody deleted a message for good, so that a purge could take it.

        What an undelete has claimed comes back, all of it.
        """
        if not self.purged:
            return False
        incarnation, number = _position(document)
        covered = any(
            where == incarnation and number <= last and (where, count) not in self.taken_back
            for where, count, last in self.opened
        )
        return covered or self.untold or document["uuid"] in self.touched


def violations(
    session: Document | None,
    messages: Iterable[Document],
    visible: list[str],
    story: Story,
    parents: dict[str, str | None] | None = None,
) -> list[str]:
    """Return what is wrong, in words; nothing if all is well.

    Args:
        session: The session's document.
        messages: All documents of its messages, deleted ones and placeholders too.
        visible: The ids that a read returns, in its order.
        story: What happened.
        parents: The parents of all messages, as the store says them.
    """
    documents = sorted(messages, key=lambda document: document["seq"])
    return [
        *_of_marks(session, documents, visible),
        *_of_adds(documents, story),
        *_of_deletions(session, documents, story),
        *_of_numbers(session, documents, story),
        *branch_violations(session, documents, story, parents),
    ]


def _position(document: Document) -> tuple[str, int]:
    return document["_id"]["s"], document["_id"]["q"]


def _of_marks(
    session: Document | None, documents: list[Document], visible: list[str]
) -> Iterator[str]:
    live = [document["uuid"] for document in documents if "deleted_at" not in document]
    shown = on_active_branch(session, documents)
    if shown != visible:
        yield f"a read shows {visible}, live on the active branch are {shown}"
    if live and session is None:
        yield f"live messages {live} without a session"
    if live and session and "deleted_at" in session:
        yield f"live messages {live} in a deleted session"
    for document in documents:
        uuid = document["uuid"]
        if "deleted_at" in document and document["deleted_at"] is None:
            yield f"{uuid} is marked with nothing: hidden from no read, kept by TTL"
        if "deleted_at" not in document and session and _position(document)[0] != session["uuid"]:
            yield f"{uuid} is live, but was said before the session began anew"
        if document.get("placeholder"):
            if "deleted_at" not in document:
                yield f"the placeholder at {document['seq']} is live"
            if secrets := SECRETS.intersection(document):
                yield f"the placeholder at {document['seq']} still holds {sorted(secrets)}"


def _of_adds(documents: list[Document], story: Story) -> Iterator[str]:
    found: dict[str, Document] = {}
    for document in documents:
        if not document.get("placeholder"):
            yield from _taken_in(document, found)
    found = {**_purged(documents, story), **found}
    for call in story.acknowledged:
        if missing := [uuid for uuid in call if uuid not in found]:
            yield f"lost: {missing} of {call}"
        for uuid in call:
            document = found.get(uuid, {})
            if document.get("placeholder") and not story.may_be_purged(document):
                yield f"lost: {uuid} of {call} was purged, and nobody had deleted it"
    for call in story.acknowledged + story.abandoned:
        if not story.touched.intersection(call):
            yield from _of_turn(call, [found[uuid] for uuid in call if uuid in found])
    yield from _of_order(found, story)


def _purged(documents: list[Document], story: Story) -> dict[str, Document]:
    """Return what purges have left of messages, by their ids."""
    return {
        document["uuid"]: document
        for document in documents
        # One that gave way says nothing of the one that came, if that one is known to have come.
        if document.get("placeholder")
        and ("superseded" not in document or document["uuid"] in story.unsure)
    }


def _of_order(found: dict[str, Document], story: Story) -> Iterator[str]:
    for first, second in story.followed:
        if story.touched.intersection((first, second)) or not {first, second} <= found.keys():
            continue
        incarnation, number = _position(found[first])
        if (incarnation, number) > _position(found[second]) >= (incarnation, 0):
            yield f"{second} stands before {first}, which was said before it"


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
    incarnation, first = _position(turn[0])
    if [_position(message) for message in turn] != [
        (incarnation, number) for number in range(first, first + len(turn))
    ]:
        yield f"{call} does not stand together"
    left = [message for message in turn if not message.get("placeholder")]
    if len({(each.get("deletion"), each.get("own_deletion")) for each in left}) > 1:
        yield f"half of {call} is deleted"
    if len(left) < len(turn) and any("deleted_at" not in message for message in left):
        yield f"half of {call} is purged, the rest is live"


def _of_deletions(
    session: Document | None, documents: list[Document], story: Story
) -> Iterator[str]:
    for document in documents:
        incarnation, number = _position(document)
        uuid, deletion = document["uuid"], document.get("deletion")
        mark = incarnation, deletion
        is_pending = session and session["uuid"] == incarnation and session.get("undeletion")
        if mark in story.taken_back and not is_pending:
            yield f"{uuid} still carries deletion {deletion}, which was taken back"
        ends = [last for where, count, last in story.opened if (where, count) == mark]
        if ends and number > max(ends):
            yield f"{uuid} carries deletion {deletion}, which took all up to {max(ends)}"
        if "deleted_at" in document:
            continue
        for where, count, last in story.deletions:
            if incarnation == where and number <= last and document.get("restored", 0) < count:
                yield f"{uuid} outlived deletion {count}, which took all up to {last}"


def _of_numbers(session: Document | None, documents: list[Document], story: Story) -> Iterator[str]:
    held: set[tuple[str, int]] = set()
    for document in documents:
        place = _position(document)
        if place in held:
            yield f"two messages share the number {place[1]}"
        held.add(place)
        if session and place[0] == session["uuid"] and place[1] > session["seq"]:
            yield f"{document['uuid']} has a number that was not handed out"
    fences = {(session["uuid"], session.get("fenced", 0))} if session else set()
    fences.update((where, last) for where, _, last in story.deletions)
    for where, last in sorted(fences):
        if gaps := [number for number in range(1, last + 1) if (where, number) not in held]:
            yield f"the fenced numbers {gaps} of {where} are free"
