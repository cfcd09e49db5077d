"""The documents that MongoDB stores: every field and its meaning.

``docs/mongodb.md`` shows the same as a table. A field that is ``NotRequired`` is absent until it is
set. Reads with a projection return documents with fewer fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NotRequired, TypeAlias, TypedDict

from bson import ObjectId
from bson.binary import Binary

Metadata: TypeAlias = dict[str, Any]
"""An application's own data, encoded for BSON (see ``mongo.encoding``)."""

Query: TypeAlias = dict[str, Any]
"""A filter, as ``find`` and ``update`` take it, or a part of one."""

Update: TypeAlias = Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""An update with operators, or a pipeline of stages."""

Stage: TypeAlias = dict[str, Any]
"""A stage of a pipeline, or the fields that its ``$set`` sets."""

Fields: TypeAlias = Mapping[str, Any]
"""A projection, or an order to sort by."""


class Embedding(TypedDict):
    """A vector made from a message or a summary; without ``vector`` there was no text for one."""

    #: The model that made it.
    model: str
    #: The vector's length.
    dimension: NotRequired[int]
    #: The vector, as BSON's vector of float32.
    vector: NotRequired[Binary]
    #: New with every vector made. Stands last.
    stamp: ObjectId


class SummaryDocument(TypedDict):
    """A session's summary, stored in its session."""

    #: The summary's id.
    uuid: str
    #: The summary's text.
    content: str
    #: The ``uuid`` of the last message that it covers.
    recent_message_uuid: str
    #: Tokens of the text.
    token_count: int
    #: The application's own data about the summary.
    metadata: NotRequired[Metadata]
    #: The ``seq`` of the last message that it covers.
    seq: int
    #: When it was stored.
    created_at: datetime
    #: The vector of its text, once a search needed it.
    embedding: NotRequired[Embedding]


class Deletion(TypedDict):
    """The last deletion of a session; it takes the messages up to ``seq``."""

    #: The number of this deletion among the session's; the messages that it took carry it.
    id: int
    #: When it began: the ``deleted_at`` of what it takes.
    at: datetime
    #: The last sequence number that it takes.
    seq: int
    #: Whether it may still delete the session; an add closes it.
    open: bool
    #: The session's summary, which it took along.
    summary: NotRequired[SummaryDocument]
    #: Whether all its messages are marked.
    settled: NotRequired[bool]


class Undeletion(TypedDict):
    """An undeletion that was claimed and is not completed yet."""

    #: The session's deletion whose messages it restores.
    id: NotRequired[int]
    #: The only message that it restores.
    message: NotRequired[str]
    #: The ``own_deletion`` of that message, if it was deleted alone.
    own_deletion: NotRequired[ObjectId]
    #: The session's ``deletion_count`` when it was claimed.
    count: int


class Fork(TypedDict):
    """Consecutive sequence numbers of a session that has branched: a part of a branch.

    It owns the numbers up to the next fork's first.
    """

    #: Its first sequence number.
    first: int
    #: The sequence number after which it continues; 0 at the beginning.
    after: int
    #: The session's ``turn`` when a branch that ends in it last became active.
    activated: int
    #: True for an edit whose messages may not all be stored yet.
    pending: NotRequired[bool]


class Erasing(TypedDict):
    """An erasure of a session that is under way, or was interrupted."""

    #: The incarnation that it erases.
    uuid: str
    #: The last sequence number that was handed out in it.
    seq: int
    #: The last sequence number that was fenced before.
    fenced: int
    #: The user that it belonged to; null for nobody's.
    user_id: str | None
    #: All incarnations whose messages it removes: this one, and earlier ones of the same owner.
    incarnations: list[str]


class Counted(TypedDict):
    """The count of live messages on a session's active branch."""

    #: The last sequence number that was counted.
    seq: int
    #: The session's ``turn`` then.
    turn: int | None
    #: The number of live messages up to ``seq``; 1,000 for so many or more.
    messages: int
    #: The sequence number of the last of them, 0 if there is none.
    last: int


class Uncounted(TypedDict):
    """Changes of which messages of a session are live, or of what they say."""

    #: New with every change.
    stamp: ObjectId
    #: The stamps of changes that may not be complete.
    pending: NotRequired[list[ObjectId]]


class SessionDocument(TypedDict):
    """A conversation, in the collection ``sessions``.

    Where a session is being erased and no new one has its id, only ``_id``, ``deleted_at`` in the
    year 9999 and ``erasing`` are there.
    """

    #: The session id.
    _id: str
    #: The incarnation: new whenever the id is used anew.
    uuid: str
    #: A small increasing number, by which sessions are listed.
    id: int
    #: The last sequence number that was handed out to a message.
    seq: int
    #: The user that it belongs to; null for nobody's.
    user_id: str | None
    #: The application's own data.
    metadata: Metadata | None
    #: The title, once it was set.
    title: NotRequired[str]
    #: True if it is pinned; else absent.
    pinned: NotRequired[bool]
    #: True if it is archived; else absent.
    archived: NotRequired[bool]
    #: The tags, if there are any.
    tags: NotRequired[list[str]]
    #: When it was created.
    created_at: datetime
    #: When metadata, user or deletion last changed.
    updated_at: datetime
    #: When messages were last added, or it was created: the order of recent sessions.
    active_at: datetime
    #: When it was deleted; absent while it lives. The TTL index counts from here.
    deleted_at: NotRequired[datetime]
    #: The last deletion, unless it was undone or can no longer be.
    deletion: NotRequired[Deletion]
    #: How many deletions there were.
    deletion_count: NotRequired[int]
    #: The undeletion under way.
    undeletion: NotRequired[Undeletion]
    #: The last sequence number that a deletion, reassignment or count fenced.
    fenced: NotRequired[int]
    #: The count of its messages, once a preview needed it and until something changes it.
    counted: NotRequired[Counted]
    #: What changed which of its messages are live, or what they say.
    uncounted: NotRequired[Uncounted]
    #: The last sequence number of the add that last undeleted it.
    revived: NotRequired[int]
    #: The token of the ``add_session`` that last undeleted it, which recognizes its own retry.
    revival: NotRequired[str]
    #: True while messages of a session that got its user may still say that it is nobody's.
    adopting: NotRequired[bool]
    #: The summary of what was said.
    summary: NotRequired[SummaryDocument]
    #: True once it has branched, or is about to: its messages say so too.
    branched: NotRequired[bool]
    #: How often ``forks`` changed.
    turn: NotRequired[int]
    #: Its branches, as intervals of sequence numbers; the last fork is the active one.
    forks: NotRequired[list[Fork]]
    #: The ``uuid`` of the session that it was imported from.
    origin: NotRequired[str]
    #: The last sequence number that an import brought; while nothing was added since, another
    #: import may bring more.
    imported: NotRequired[int]
    #: What of earlier sessions with the id is still to be removed.
    erasing: NotRequired[list[Erasing]]


class MessageId(TypedDict):
    """The ``_id`` of a message."""

    #: The ``uuid`` of the session's incarnation.
    s: str
    #: The sequence number in it.
    q: int


class LangChainPayload(TypedDict):
    """The parts of a LangChain message that the fields of a message lack."""

    #: Its type in langchain-core, such as ``ai``.
    type: str
    #: Its other fields, as langchain-core's ``message_to_dict`` has them.
    data: Metadata


class MessageDocument(TypedDict):
    """A message, in the collection ``messages``; or a placeholder, which keeps a number taken."""

    #: Incarnation and sequence number.
    _id: MessageId
    #: The session's id.
    session_id: str
    #: The sequence number: the order of the conversation.
    seq: int
    #: The message's id, unique in the session.
    uuid: str
    #: Who speaks.
    role: str
    #: What was said: text, or LangChain's list of blocks.
    content: Any
    #: Tokens of the text.
    token_count: int
    #: When it was said.
    created_at: datetime
    #: Its owner: ``u:`` and the user, or ``s:`` and a session that is nobody's.
    scope: str
    #: The application's own data.
    metadata: NotRequired[Metadata]
    #: What only a LangChain message holds.
    langchain: NotRequired[LangChainPayload]
    #: Whether keys in ``content`` and ``langchain`` are escaped for BSON.
    escaped: NotRequired[bool]
    #: Whether ints and keys that BSON lacks are marked there as well.
    marked: NotRequired[bool]
    #: The beginning of a fingerprint of the words that were given, where others are stored: an edit
    #: has neither.
    given: NotRequired[str]
    #: True in a session that has branched: a read asks the session which branch is active.
    branched: NotRequired[bool]
    #: The tokens of its text by the index's language, once a search by words met it; a deletion
    #: removes them.
    tokens: NotRequired[dict[str, list[str]]]
    #: Its vector, once a search needed it. Stands last.
    embedding: NotRequired[Embedding]
    #: When it was deleted; absent while it lives. The TTL index counts from here.
    deleted_at: NotRequired[datetime]
    #: The ``id`` of the session's deletion that took it. (Early versions stored the
    #: ``own_deletion`` here too; restoring reads both.)
    deletion: NotRequired[int]
    #: Identifies the deletion of this message alone.
    own_deletion: NotRequired[ObjectId]
    #: The session's ``deletion_count`` when it was restored: deletions up to it pass it by.
    restored: NotRequired[int]
    #: Set on a deleted message whose id another is being given; frees the id until that is stored.
    #: In what an erasure leaves, a copy of ``_id``, since ``by_uuid`` is unique.
    superseded: NotRequired[ObjectId | MessageId]
    #: True where the document only keeps its number taken.
    placeholder: NotRequired[bool]
    #: When the database removes what an erasure left, which has no other field but ``_id``,
    #: ``superseded``, ``deleted_at`` and ``placeholder``.
    expires_at: NotRequired[datetime]


class UserDocument(TypedDict):
    """A user, in the collection ``users``."""

    #: The user id.
    _id: str
    #: New whenever the id is used anew after a purge.
    uuid: str
    #: A small increasing number, by which users are listed.
    id: int
    #: When the user was created.
    created_at: datetime
    #: When the user was last changed.
    updated_at: datetime
    #: An address.
    email: NotRequired[str | None]
    #: The first name.
    first_name: NotRequired[str | None]
    #: The last name.
    last_name: NotRequired[str | None]
    #: The application's own data.
    metadata: NotRequired[Metadata | None]
    #: When the user was deleted; absent while the user lives. The TTL index counts from here.
    deleted_at: NotRequired[datetime]
    #: The token of the deletion that goes through the user's sessions.
    deleting: NotRequired[ObjectId]
    #: The token of the call that last undeleted the user, which recognizes its own retry.
    revival: NotRequired[str]


class CounterDocument(TypedDict):
    """A counter, in the collection ``counters``."""

    #: The collection that it counts for.
    _id: str
    #: The last number that was handed out.
    last: int
