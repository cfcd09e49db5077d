"""What must hold of a copy that ``fork_session`` made of a session that others were changing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tests.support.branch_invariants import before, is_live

if TYPE_CHECKING:
    from tests.support.invariants import Story

Document = dict[str, Any]


@dataclass(frozen=True)
class Copy:
    """A call of ``fork_session``.

    Attributes:
        session_id: The new session's id.
        at: The id of the last message to copy, if one was given.
        begun: When the call began.
        ended: When it returned; infinite if its process died.
        is_missing: Whether it said that there is no such session or message.
    """

    session_id: str
    at: str | None
    begun: float
    ended: float
    is_missing: bool = False


def copy_violations(
    copy: Copy,
    fork: Document | None,
    copied: list[Document],
    session: Document | None,
    documents: list[Document],
    story: Story,
) -> Iterator[str]:
    """Yield what is wrong with a copy, in words.

    Args:
        copy: The call.
        fork: The new session's document.
        copied: All documents of its messages.
        session: The document of the session that it was made from.
        documents: All documents of that one's messages.
        story: What happened to that one.
    """
    if copy.is_missing:
        if copy.ended < math.inf and (fork or copied):
            yield f"{copy.session_id} failed and left {fork}, {len(copied)} messages"
        return
    erased = any(copy.begun <= ended for _, ended in story.user_erasures)
    if any(copy.ended <= begun for begun, _ in story.user_erasures) and fork:
        yield f"{copy.session_id} outlived its user"
    if fork is None or "uuid" not in fork:
        if not erased:
            yield f"{copy.session_id} is lost"
        return
    origin = documents[0]["session_id"] if documents else fork["metadata"].get("forked_from")
    if fork["metadata"].get("forked_from") != origin or "forking_from" in fork["metadata"]:
        yield f"{copy.session_id} is a fork with metadata {fork['metadata']}"
    live = sorted(filter(is_live, copied), key=lambda document: document["seq"])
    uuids = [document["uuid"] for document in live]
    for document in live:
        if document["content"] not in {document["uuid"], f"{document['uuid']} updated"}:
            yield f"{document['uuid']} was copied as {document['content']}"
    yield from _of_messages(copy, uuids, session, documents, story)


def _of_messages(
    copy: Copy,
    uuids: list[str],
    session: Document | None,
    documents: list[Document],
    story: Story,
) -> Iterator[str]:
    """Check that a copy is a branch as it stood while the call ran."""
    moved = {each["uuid"] for each in documents if "superseded" in each} | story.touched
    origins = {each["uuid"]: each for each in documents if each["uuid"] not in moved}
    for uuid in uuids:
        if uuid in origins and _is_deleted(origins[uuid], story, copy.begun):
            yield f"{copy.session_id} has {uuid}, which was deleted before"
    own = {
        uuid: int(each["seq"])
        for uuid, each in origins.items()
        if session and each["_id"]["s"] == session.get("uuid")
    }
    # What was said before the session began anew has no table any more.
    if session and uuids and own.keys() >= set(uuids) - moved:
        yield from _of_path(copy, uuids, _path_to(session, own, uuids), own, moved)
        said = {uuid for uuid, _, ended in story.spans if ended < copy.begun}
        safe = {uuid for uuid in own if not _may_be_deleted(origins[uuid], story)}
        for uuid in said & safe - set(uuids):
            if own[uuid] in _path_to(session, own, uuids):
                yield f"{copy.session_id} lacks {uuid}"
        if copy.at in safe and copy.at != uuids[-1]:
            yield f"{copy.session_id} ends with {uuids[-1]}, not with {copy.at}"


def _path_to(session: Document, own: dict[str, int], uuids: list[str]) -> set[int]:
    """Return the numbers that lead to the last of the messages that has one."""
    path, number = set(), next((own[uuid] for uuid in reversed(uuids) if uuid in own), 0)
    while number:
        path.add(number)
        number = before(session, number)
    return path


def _of_path(
    copy: Copy, uuids: list[str], path: set[int], own: dict[str, int], moved: set[str]
) -> Iterator[str]:
    known = [uuid for uuid in uuids if uuid not in moved]
    for first, second in pairwise(known):
        if own[first] >= own[second]:
            yield f"{copy.session_id} has {second} after {first}"
    for uuid in known:
        if own[uuid] not in path:
            yield f"{copy.session_id} has {uuid}, which is on another branch"


def _is_deleted(document: Document, story: Story, when: float) -> bool:
    """Whether a deletion that had returned by then took a message for good."""
    incarnation, number = document["_id"]["s"], document["_id"]["q"]
    return any(
        where == incarnation
        and number <= last
        and (where, count) not in story.taken_back
        and story.deleted_by.get((where, count), when) < when
        for where, count, last in story.deletions
    )


def _may_be_deleted(document: Document, story: Story) -> bool:
    """Whether a deletion may have taken a message at some time."""
    incarnation, number = document["_id"]["s"], document["_id"]["q"]
    return story.untold or any(
        where == incarnation and number <= last for where, _, last in story.opened
    )
