"""langchain-mongodb's histories, and collections of other libraries on MongoDB."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from typing import Any

from bson import ObjectId
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database

from langchain_zepstore.migration.conversation import Conversation, Item, from_json
from langchain_zepstore.migration.readers.source import Source
from langchain_zepstore.models import Session

_AT_ONCE = 500  # documents


@contextmanager
def opened(url: str, database: str | None, default: str) -> Iterator[Database[Any]]:
    """Open a database: the one given, or the one that the URL names, or the default."""
    with MongoClient[Any](url, tz_aware=True, document_class=dict) as client:
        yield client[database] if database else client.get_default_database(default)


class LangChainMongoDB(Source):
    """The histories of langchain-mongodb's ``MongoDBChatMessageHistory``.

    Args:
        url: The URL.
        database: The database; without it, the one that the URL names.
        collection: The collection.
        session_field: The field with the session's id.
        history_field: The field with the message.
    """

    source = "langchain-mongodb"

    def __init__(
        self,
        url: str,
        *,
        database: str | None = None,
        collection: str = "message_store",
        session_field: str = "SessionId",
        history_field: str = "History",
    ) -> None:
        self._url = url
        self._database = database
        self._collection = collection
        self._session_field = session_field
        self._history_field = history_field

    def items(self) -> Iterator[Item]:
        """Yield the conversations, the oldest first."""
        with opened(self._url, self._database, "chat_history") as database:
            collection = database[self._collection]
            grouped = self._by_session if self._has_index(collection) else self._sorted
            for session_id, documents in grouped(collection):
                session = Session(session_id=str(session_id))
                yield Conversation(session, map(self._message, documents))

    def count(self) -> int:
        """Return about how many messages there are."""
        return next(self._guarded(self._counts()))

    def _counts(self) -> Iterator[int]:
        with opened(self._url, self._database, "chat_history") as database:
            yield database[self._collection].estimated_document_count()

    def _has_index(self, collection: Collection[Any]) -> bool:
        indexes = collection.index_information().values()
        return any(index["key"][0][0] == self._session_field for index in indexes)

    def _by_session(self, collection: Collection[Any]) -> Iterator[tuple[Any, Iterable[Any]]]:
        """Yield sessions with their documents; small sessions are asked for together."""
        sessions = {
            "_id": f"${self._session_field}",
            "first": {"$min": "$_id"},
            "count": {"$sum": 1},
        }
        pipeline: list[dict[str, Any]] = [{"$group": sessions}, {"$sort": {"first": 1}}]
        batch: dict[Any, list[Any]] = {}
        size = 0
        for group in collection.aggregate(pipeline, allowDiskUse=True):
            session_id = group["_id"]
            if batch and size + group["count"] > _AT_ONCE:
                yield from self._filled(collection, batch)
                batch, size = {}, 0
            if group["count"] > _AT_ONCE:
                found = collection.find({self._session_field: {"$eq": session_id}}, self._fields)
                yield session_id, found.sort("_id", 1)
                continue
            batch[session_id] = []
            size += group["count"]
        yield from self._filled(collection, batch)

    def _filled(
        self, collection: Collection[Any], batch: dict[Any, list[Any]]
    ) -> Iterator[tuple[Any, Iterable[Any]]]:
        query = {self._session_field: {"$in": [*batch]}}
        for document in collection.find(query, self._fields, batch_size=_AT_ONCE):
            batch[document[self._session_field]].append(document)
        for session_id, documents in batch.items():
            yield session_id, sorted(documents, key=itemgetter("_id"))

    def _sorted(self, collection: Collection[Any]) -> Iterator[tuple[Any, Iterable[Any]]]:
        order = [(self._session_field, 1), ("_id", 1)]
        documents = collection.find({}, self._fields).sort(order).allow_disk_use(True)
        return groupby(documents, itemgetter(self._session_field))

    @property
    def _fields(self) -> dict[str, int]:
        return {self._session_field: 1, self._history_field: 1}

    def _message(self, document: dict[str, Any]) -> Any:
        key = document["_id"]
        moment = key.generation_time if isinstance(key, ObjectId) else None
        return from_json(document.get(self._history_field), str(key), moment)
