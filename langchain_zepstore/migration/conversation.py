"""Conversations as readers yield them, and as records."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from heapq import heapify, heappop, heappush
from itertools import islice
from typing import Any, TypeAlias
from uuid import NAMESPACE_URL, uuid5

from langchain_core.messages import BaseMessage, messages_from_dict

from langchain_zepstore.core.records import Record
from langchain_zepstore.messages.langchain import without_blocks
from langchain_zepstore.messages.nearest import Nearest
from langchain_zepstore.messages.parts import from_langchain
from langchain_zepstore.models import Message, Session, User

_NAMESPACE = uuid5(NAMESPACE_URL, "langchain-zepstore")
_PLAIN_FIELDS = frozenset({"content", "id", "type"})
CHUNK_MESSAGES = 500


@dataclass
class Unreadable:
    """A session or message that cannot be read.

    Attributes:
        reason: Why.
        data: What it is, for a file of what was refused.
    """

    reason: str
    data: Any = None


@dataclass
class Conversation:
    """A session of a source with its messages.

    Attributes:
        session: Its id, and what else is known of it.
        messages: Its messages, oldest first. The ids and the order must be the same each time.
        has_branches: Whether each message's ``parent_uuid`` says what it follows; else it follows
            the one before it.
        active: With branches: the last message of the active branch.
        data: What it is in the source, for a file of what was refused.
    """

    session: Session
    messages: Iterable[Message | Unreadable] = field(default_factory=list)
    has_branches: bool = False
    active: str | None = None
    data: Any = None


Item: TypeAlias = User | Conversation | Unreadable
"""A user or a conversation, or an error in its place."""

Reader: TypeAlias = Iterable[Item]
"""The users and sessions of a source; iterated over again, they are the same."""


def id_from(*parts: object) -> str:
    """Return an id that is always the same for the same parts."""
    return str(uuid5(_NAMESPACE, "\0".join(map(str, parts))))


def from_message(message: BaseMessage, uuid: str, created_at: datetime | None = None) -> Message:
    """Return a message for one of LangChain's.

    Args:
        message: The message.
        uuid: Its id, if it has none itself.
        created_at: When it was said.
    """
    parts = from_langchain(message, "message", Nearest())
    content, data = without_blocks(parts.content, parts.data)
    return Message(
        role=parts.role,
        content=content,
        uuid=message.id if parts.uuid == message.id else uuid,
        created_at=created_at,
        token_count=parts.token_count,
        langchain={"type": parts.type, "data": data} if parts.type else None,
    )


def from_json(data: Any, uuid: str, created_at: datetime | None = None) -> Message | Unreadable:
    """Return a message for what LangChain's histories store, as text or as a dict.

    Args:
        data: The message as ``message_to_dict`` makes it.
        uuid: Its id, if it has none itself.
        created_at: When it was said.
    """
    try:
        given = json.loads(data) if isinstance(data, str | bytes) else data
        if _is_plain(given):
            own, role, content = given["data"].get("id"), given["type"], given["data"]["content"]
            return Message(role=role, content=content, uuid=own or uuid, created_at=created_at)
        [message] = messages_from_dict([given])
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        return Unreadable(f"message {uuid} is none of LangChain's: {error!r}", data)
    return from_message(message, uuid, created_at)


def _is_plain(given: dict[str, Any]) -> bool:
    """Return whether a message has nothing but a text and an id: most do, and are made faster."""
    data = given["data"]
    return (
        given["type"] in {"human", "ai"}
        and isinstance(data["content"], str)
        and isinstance(data.get("id"), str | None)
        and all(
            name in _PLAIN_FIELDS or value in (None, {}, []) or value is False
            for name, value in data.items()
        )
    )


Chunk = list[Record | Unreadable]


def chunks(conversation: Conversation, source: str) -> Iterator[Chunk]:
    """Yield the records of a session, the session's own first in each chunk.

    The session grows from chunk to chunk, so one of any length takes little memory. What cannot be
    read has a number as well, which stays free.
    """
    origin = id_from(source, conversation.session.session_id)
    numbered = _numbered(conversation, origin)
    if conversation.has_branches:
        yield _branched(conversation, list(numbered), origin)
        return
    seq = 0
    while (chunk := list(islice(numbered, CHUNK_MESSAGES))) or not seq:
        seq += len(chunk)
        yield [_session_record(conversation.session, origin, seq, chunk), *chunk]
        if len(chunk) < CHUNK_MESSAGES:
            return


def _numbered(conversation: Conversation, origin: str) -> Iterator[Record | Unreadable]:
    session_id = conversation.session.session_id
    seen: set[int] = set()
    for seq, message in enumerate(conversation.messages, 1):
        if isinstance(message, Unreadable):
            yield message
            continue
        uuid = message.uuid or id_from(origin, seq)
        while hash(uuid) in seen:  # some models give several answers the same id
            uuid = id_from(origin, uuid)
        seen.add(hash(uuid))
        record: Record = {
            "type": "message",
            "session_id": session_id,
            "session_uuid": origin,
            "seq": seq,
            "role": message.role,
            "content": message.content,
            "uuid": uuid,
            "token_count": message.token_count,
            "metadata": message.metadata,
            "langchain": message.langchain,
            "parent_uuid": message.parent_uuid,
        }
        if (moment := message.created_at) is not None:
            if beyond := moment.microsecond % 1000:
                moment = moment.replace(microsecond=moment.microsecond - beyond)
            record["created_at"] = moment
        yield record


def _session_record(session: Session, origin: str, seq: int, chunk: Chunk) -> Record:
    times = [
        each["created_at"]
        for each in chunk
        if not isinstance(each, Unreadable) and "created_at" in each
    ]
    given = session.model_dump(exclude_none=True, exclude={"uuid", "id", "deleted_at"})
    record: Record = {"type": "session", **given, "uuid": origin, "seq": seq}
    if times:
        record.setdefault("created_at", min(times))
        record.setdefault("active_at", max(times))
        record.setdefault("updated_at", record["created_at"])
    return record


def _branched(conversation: Conversation, numbered: Chunk, origin: str) -> Chunk:
    """Return the records of a session whose messages are a tree, with its forks.

    A fork is a run of numbers, each of which follows the one before it.
    """
    unreadable = [each for each in numbered if isinstance(each, Unreadable)]
    given = [each for each in numbered if not isinstance(each, Unreadable)]
    records = _in_order(given)
    if len(records) < len(given):
        return [Unreadable("messages follow each other in a circle", conversation.data)]
    numbers: dict[str | None, int] = {None: 0}
    forks: list[dict[str, int]] = []
    for seq, record in enumerate(records, 1):
        record["seq"] = numbers[record["uuid"]] = seq
        after = numbers[record["parent_uuid"]]
        if not forks or after != seq - 1:
            forks.append({"first": seq, "after": after, "activated": len(forks) + 1})
    last = len(records)
    tip = numbers.get(conversation.active, last)
    if tip != last:
        forks.append({"first": last + 1, "after": tip, "activated": len(forks) + 1})
    session = _session_record(conversation.session, origin, last, [*records])
    if len(forks) > 1:
        session |= {"forks": forks, "branched": True, "turn": len(forks)}
    return [session, *records, *unreadable]


def _in_order(records: list[Record]) -> list[Record]:
    """Return records by time, each behind the one that it follows; none that are in a circle.

    A later export of the same session begins with the same records: their numbers stay.
    """
    known = {record["uuid"] for record in records}
    children: dict[str | None, list[int]] = {}
    for index, record in enumerate(records):
        if record["parent_uuid"] not in known:
            record["parent_uuid"] = None
        children.setdefault(record["parent_uuid"], []).append(index)
    begin = datetime.min.replace(tzinfo=UTC)
    waiting = [(records[index].get("created_at", begin), index) for index in children.get(None, ())]
    heapify(waiting)
    ordered = []
    while waiting:
        moment, index = heappop(waiting)
        ordered.append(records[index])
        for child in children.get(records[index]["uuid"], ()):
            heappush(waiting, (max(moment, records[child].get("created_at", moment)), child))
    return ordered
