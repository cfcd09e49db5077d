"""The sessions of the OpenAI Agents SDK, on MongoDB and on SQLite."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from langchain_zepstore.adapters._openai_items import message_of
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.messages.nearest import Nearest
from langchain_zepstore.migration.conversation import Conversation, Item, Unreadable, id_from
from langchain_zepstore.migration.readers.mongodb import opened
from langchain_zepstore.migration.readers.source import Source
from langchain_zepstore.models import Message, Session


def _message(data: Any, uuid: str, created_at: datetime | None = None) -> Message | Unreadable:
    """Return a message that ``ZepSession`` reads back as the item that it was."""
    try:
        message = message_of(json.loads(data), Nearest())
    except (BadRequestError, ValueError, TypeError, RecursionError) as error:
        return Unreadable(f"item {uuid} cannot be read: {error}", data)
    return message.model_copy(update={"uuid": uuid, "created_at": created_at})


class OpenAIAgentsSQLite(Source):
    """The sessions of the SDK's ``SQLiteSession``.

    Args:
        path: The file.
        collection: The table of the messages.
    """

    source = "openai-agents-sqlite"

    def __init__(self, path: str, *, collection: str = "agent_messages") -> None:
        self._path = Path(path)
        self._table = collection

    def items(self) -> Iterator[Item]:
        """Yield the conversations, the oldest first."""
        table = self._table.replace('"', '""')
        columns = "session_id, id, message_data, created_at"
        order = "min(id) OVER (PARTITION BY session_id), session_id, id"
        query = f'SELECT {columns} FROM "{table}" ORDER BY {order}'  # noqa: S608 - a quoted name
        uri = f"{self._path.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as rows:
            for session_id, group in groupby(rows.execute(query), lambda row: str(row[0])):
                yield Conversation(Session(session_id=session_id), map(self._message, group))

    def _message(self, row: tuple[Any, ...]) -> Message | Unreadable:
        _, key, data, moment = row
        created_at = datetime.fromisoformat(moment).replace(tzinfo=UTC) if moment else None
        return _message(data, id_from(self.source, self._table, key), created_at)


class OpenAIAgentsMongoDB(Source):
    """The sessions of the SDK's ``MongoDBSession``.

    Args:
        url: The URL.
        database: The database; without it, the one that the URL names.
        collection: The collection of the messages; that of the sessions is ``agent_sessions``.
    """

    source = "openai-agents-mongodb"

    def __init__(
        self, url: str, *, database: str | None = None, collection: str = "agent_messages"
    ) -> None:
        self._url = url
        self._database = database
        self._collection = collection

    def items(self) -> Iterator[Item]:
        """Yield the conversations, the oldest first."""
        with opened(self._url, self._database, "agents") as database:
            messages = database[self._collection]
            for found in database["agent_sessions"].find({}).sort("_id", 1):
                session_id, generation = found["session_id"], found.get("_generation") or 0
                # A session that was cleared has a new generation; the first one had no number.
                query = {"$in": [0, None]} if generation == 0 else generation
                documents = messages.find({"session_id": session_id, "generation": query})
                session = Session(
                    session_id=session_id,
                    created_at=found.get("created_at"),
                    active_at=found.get("updated_at"),
                )
                yield Conversation(session, _each_item(documents.sort("seq", 1)))


def _each_item(documents: Iterable[dict[str, Any]]) -> Iterator[Message | Unreadable]:
    for document in documents:
        items = document.get("message_data")
        moment = document["_id"].generation_time
        for index, item in enumerate(items if isinstance(items, list) else [items]):
            yield _message(item, f"{document['_id']}-{index}", moment)
