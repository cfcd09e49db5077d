"""Reading the vectors of messages; those that are not there are made on the way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from langchain_zepstore.core.batches import batches
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.mongo.codecs import MAX_DOCUMENT_BYTES
from langchain_zepstore.mongo.documents import (
    Embedding,
    MessageDocument,
    Query,
    Update,
)
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.search.hits import at, key_of
from langchain_zepstore.mongo.search.ranking import MessageKey
from langchain_zepstore.mongo.search.texts import text_with_speaker
from langchain_zepstore.mongo.search.vector_codec import (
    READ_FIELDS,
    VectorRows,
    embedding_of,
    fits,
    read_rows,
    unit,
    vector_in,
)
from langchain_zepstore.mongo.search.walk import Found, Span, span_query

if TYPE_CHECKING:
    from langchain_zepstore.core.embedder import Embedder, Vectors

MADE = 64
"""How many vectors are made at once, and stored in one write."""

_SPAN_BYTES = 8 * 1024 * 1024  # of documents in one read
_BATCH = 1000  # documents in one answer
_KEYS = 1000  # in one query
_BESIDE = 128  # bytes of a document beside its vector
_HEADROOM = 1024  # in a message, for what stands beside its vector
_SAID = {"session_id": 1, "seq": 1, "role": 1, "content": 1, "size": {"$bsonSize": "$$ROOT"}}


class VectorReads:
    """Reads the vectors of one model and one length.

    Args:
        database: Where the messages are.
        embedder: What makes vectors.
        dimension: The length of the vectors.
    """

    def __init__(self, database: Database, embedder: Embedder, dimension: int) -> None:
        self._messages = database.messages
        self._embedder = embedder
        self.payload = dimension
        self.most = max(_SPAN_BYTES // (4 * dimension + _BESIDE), 1)

    def prepare(self) -> Operation[bool]:
        """Return that vectors can always be read."""
        return True
        yield

    def read(self, spans: Sequence[Span]) -> Operation[Found[VectorRows]]:
        """Return the live messages in spans."""
        read = yield from self._messages.find_raw(
            span_query(spans),
            sort={"session_id": 1, "seq": 1},
            batch_size=_BATCH,
            fields=READ_FIELDS,
        )
        found: Found[VectorRows] = Found()
        last = {span.session["uuid"]: span.last for span in spans}
        others: list[MessageDocument] = []
        for batch in read:
            for each in read_rows(batch, self._embedder.model, self.payload):
                if not isinstance(each, tuple):
                    if each["_id"]["q"] <= last.get(each["_id"]["s"], 0):
                        others.append(each)
                elif each[0] in last:
                    found.rows[each[0]].append(each[1].up_to(last[each[0]]))
        ids = {span.session["uuid"]: span.session["_id"] for span in spans}
        yield from self._take(others, ids, found)
        return found

    def read_at(
        self, keys: Sequence[MessageKey], ids: Mapping[str, str]
    ) -> Operation[Found[VectorRows]]:
        """Return the live messages at keys; the numbers of deleted ones count as ``empty``.

        Args:
            keys: Where they stand.
            ids: The sessions' ids by incarnation.
        """
        found: Found[VectorRows] = Found()
        for part in batches(keys, _KEYS):
            query: Query = {
                "_id": {"$in": [{"s": incarnation, "q": number} for incarnation, number in part]}
            }
            fields = {**READ_FIELDS, "deleted_at": 1}
            documents = yield from self._messages.find(query, fields=fields)
            for document in documents:
                if "deleted_at" in document:
                    found.empty[document["_id"]["s"]].append(document["_id"]["q"])
            live = [each for each in documents if "deleted_at" not in each]
            yield from self._take(live, ids, found)
        return found

    def _take(
        self, documents: Sequence[MessageDocument], ids: Mapping[str, str], found: Found[VectorRows]
    ) -> Operation[None]:
        """Add live messages to what was found; make the vectors that they lack."""
        times = {key_of(each): each["created_at"] for each in documents}
        stored = {key_of(each): each.get("embedding") for each in documents}
        lacking = {
            key: ids[key[0]]
            for key in times
            if not fits(stored[key], self._embedder.model, self.payload)
        }
        stored |= dict.fromkeys(lacking) | (yield from self.make(lacking))
        vectors: dict[str, list[Vectors]] = defaultdict(list)
        keys: dict[str, list[MessageKey]] = defaultdict(list)
        for key in times:
            vector = vector_in(stored[key], self.payload)
            if vector is None:
                found.empty[key[0]].append(key[1])
            else:
                vectors[key[0]].append(vector)
                keys[key[0]].append(key)
        for incarnation, some in keys.items():
            numbers = np.array([number for _, number in some], dtype=np.int64)
            created = [round(times[key].timestamp() * 1000) for key in some]
            found.rows[incarnation].append(
                VectorRows(numbers, np.array(created), unit(np.stack(vectors[incarnation])))
            )

    def make(self, lacking: Mapping[MessageKey, str]) -> Operation[dict[MessageKey, Embedding]]:
        """Make messages' vectors, store them and return them by key.

        Args:
            lacking: The keys, each with the session's id.
        """
        made = {}
        for keys in batches(list(lacking), MADE):
            these = at(keys, (lacking[key] for key in keys))
            said = yield from self._messages.find(these, fields=_SAID)
            vectors = yield from self._embedder.documents(
                [text_with_speaker(message) for message in said]
            )
            updates: list[tuple[Query, Update]] = []
            for message, vector in zip(said, vectors, strict=True):
                size: int = message["size"]  # type: ignore[typeddict-item] # computed
                if vector is not None and size + vector.nbytes > MAX_DOCUMENT_BYTES - _HEADROOM:
                    vector = None  # noqa: PLW2901 - there is no room for it
                made[key_of(message)] = embedding_of(self._embedder.model, vector)
                # Said otherwise since it was read, it keeps no vector of what it was.
                this = {name: message[name] for name in ("_id", "session_id", "role", "content")}
                updates.append((this, {"$set": {"embedding": made[key_of(message)]}}))
            if updates:
                yield from self._messages.update_each(updates)
        return made
