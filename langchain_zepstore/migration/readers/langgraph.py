"""The threads that a checkpointer of LangGraph's holds, read through the checkpointer."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any

from langchain_core.messages import BaseMessage

from langchain_zepstore.migration.conversation import (
    Conversation,
    Item,
    Unreadable,
    from_message,
)
from langchain_zepstore.migration.readers.mongodb import opened
from langchain_zepstore.migration.readers.source import Source, needed
from langchain_zepstore.models import Message, Session

_MOST_CHECKPOINTS = 500  # of a thread, for the times of its messages
_OWN = frozenset({"source", "step", "parents", "writes", "thread_id", "run_id"})


class _LangGraph(Source):
    """Threads with the messages of their last checkpoints; what it belongs to is its metadata.

    A message's time is that of the first checkpoint that has it, among the last 500.
    """

    def items(self) -> Iterator[Item]:
        """Yield the conversations in the order of their threads' ids."""
        with self._opened() as (saver, thread_ids):
            for thread_id in thread_ids:
                yield self._conversation(saver, thread_id)

    def _opened(self) -> AbstractContextManager[tuple[Any, Iterator[str]]]:
        raise NotImplementedError

    def _conversation(self, saver: Any, thread_id: str) -> Item:
        config = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
        last: Any = None
        moments: dict[str, datetime] = {}
        moment = None
        for each in saver.list(config, limit=_MOST_CHECKPOINTS):
            last = last or each
            moment = datetime.fromisoformat(each.checkpoint["ts"])
            moments |= {message.id: moment for message in _messages_of(each) if message.id}
        if last is None:
            return Unreadable(f"thread {thread_id!r} has no checkpoint")
        metadata = {
            name: value
            for name, value in (last.metadata or {}).items()
            if name not in _OWN and isinstance(value, str | int | float | bool)
        }
        session = Session(session_id=thread_id, metadata=metadata or None, created_at=moment)
        messages: list[Message | Unreadable] = [
            from_message(message, f"{thread_id}-{index}", moments.get(message.id or ""))
            for index, message in enumerate(_messages_of(last))
        ]
        return Conversation(session, messages)


def _messages_of(checkpoint: Any) -> list[BaseMessage]:
    found = checkpoint.checkpoint["channel_values"].get("messages") or []
    return [each for each in found if isinstance(each, BaseMessage)]


class LangGraphMongoDB(_LangGraph):
    """The threads of LangGraph's ``MongoDBSaver``.

    Args:
        url: The URL.
        database: The database; without it, the one that the URL names.
        collection: The collection of the checkpoints.
    """

    source = "langgraph-mongodb"

    def __init__(
        self, url: str, *, database: str | None = None, collection: str = "checkpoints"
    ) -> None:
        self._url = url
        self._database = database
        self._collection = collection

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, Iterator[str]]]:
        module = needed("langgraph.checkpoint.mongodb", "langgraph-checkpoint-mongodb")
        base = needed("langgraph.checkpoint.base", "langgraph-checkpoint")
        serde = needed("langgraph.checkpoint.serde.jsonplus", "langgraph-checkpoint")
        with opened(self._url, self._database, "checkpointing_db") as database:
            saver = module.MongoDBSaver.__new__(module.MongoDBSaver)
            base.BaseCheckpointSaver.__init__(saver)  # its own would create indexes
            saver.client, saver.db, saver.ttl = database.client, database, None
            saver.checkpoint_collection = database[self._collection]
            saver.writes_collection = database["checkpoint_writes"]
            saver.serde = serde.JsonPlusSerializer()
            threads = [
                {"$match": {"checkpoint_ns": ""}},
                {"$group": {"_id": "$thread_id"}},
                {"$sort": {"_id": 1}},
            ]
            found = saver.checkpoint_collection.aggregate(threads, allowDiskUse=True)
            yield saver, (each["_id"] for each in found)


class LangGraphPostgres(_LangGraph):
    """The threads of LangGraph's ``PostgresSaver``.

    Args:
        url: The URL, as psycopg takes it.
    """

    source = "langgraph-postgres"

    def __init__(self, url: str) -> None:
        self._url = url

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, Iterator[str]]]:
        module = needed("langgraph.checkpoint.postgres", "langgraph-checkpoint-postgres")
        threads = "SELECT DISTINCT thread_id FROM checkpoints WHERE checkpoint_ns = '' ORDER BY 1"
        with module.PostgresSaver.from_conn_string(self._url) as saver:
            rows = saver.conn.execute(threads).fetchall()
            yield saver, (row["thread_id"] for row in rows)
