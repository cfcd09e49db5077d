"""The floor: what a chat history costs that does nothing but the driver calls, written by hand.

The same calls as the package makes, with the same write concern, on the same indexes, and the same
constructors of messages; no checks, no metadata, no deletion, no errors translated, no repeats.
"""

from typing import Any
from uuid import uuid4

from bson import CodecOptions
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from pymongo import IndexModel, ReturnDocument, WriteConcern

_CLASSES = {"human": HumanMessage, "ai": AIMessage}
_FIELDS = {"_id": 0, "role": 1, "content": 1, "uuid": 1}
_NUMBER = {"seq": 1}
_INDEXES = [
    IndexModel([("session_id", 1), ("seq", 1)], partialFilterExpression={"deleted_at": None}),
    IndexModel([("session_id", 1), ("uuid", 1)], unique=True),
]


class Collections:
    """Two collections of pymongo's, motor's or pymongo's asynchronous API."""

    def __init__(self, client: Any) -> None:
        options: dict[str, Any] = {
            "codec_options": CodecOptions(tz_aware=True),
            "write_concern": WriteConcern(w="majority", j=True),
        }
        self.sessions = client["floor"].get_collection("sessions", **options)
        self.messages = client["floor"].get_collection("messages", **options)
        # The insert that follows waits for the disk, and so for what was written before it.
        self.hasty_sessions = self.sessions.with_options(write_concern=WriteConcern(w=1))

    def create_indexes(self) -> Any:
        """Create what the queries need; a driver call."""
        return self.messages.create_indexes(_INDEXES)

    def find(self, session_id: str, last: int | None) -> Any:
        """Read the last messages, the newest first, or all of them; a driver call."""
        return self.messages.find(
            {"session_id": session_id, "deleted_at": None},
            _FIELDS,
            sort={"seq": -1 if last else 1},
            limit=last or 0,
            batch_size=last or 10_000,
        ).to_list(None)

    def reserve(self, session_id: str, count: int) -> Any:
        """Reserve a session's next numbers; a driver call."""
        return self.hasty_sessions.find_one_and_update(
            {"_id": session_id},
            {"$inc": {"seq": count}, "$currentDate": {"active_at": True}},
            projection=_NUMBER,
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )

    def insert(self, session_id: str, last: int, messages: list[BaseMessage]) -> Any:
        """Insert messages under numbers up to ``last``; a driver call."""
        first = last - len(messages) + 1
        documents = [
            {
                "_id": {"s": session_id, "q": number},
                "session_id": session_id,
                "seq": number,
                "uuid": message.id or str(uuid4()),
                "role": message.type,
                "content": message.content,
            }
            for number, message in enumerate(messages, first)
        ]
        return self.messages.insert_many(documents, ordered=False)

    def mark(self, session_id: str) -> Any:
        """Mark a session's messages as deleted; a driver call."""
        return self.messages.update_many(
            {"session_id": session_id, "deleted_at": None}, [{"$set": {"deleted_at": "$$NOW"}}]
        )


def _built(documents: list[dict[str, Any]], *, backwards: bool) -> list[BaseMessage]:
    """Build messages, oldest first."""
    if backwards:
        documents.reverse()
    return [_CLASSES[d["role"]](content=d["content"], id=d["uuid"]) for d in documents]


class FloorHistory:
    """A session, with the names of LangChain's chat history."""

    def __init__(self, collections: Collections, session_id: str, window: int | None) -> None:
        self._collections = collections
        self._session_id = session_id
        self._window = window

    @property
    def messages(self) -> list[BaseMessage]:
        """The window, oldest first."""
        found = self._collections.find(self._session_id, self._window)
        return _built(found, backwards=bool(self._window))

    async def aget_messages(self) -> list[BaseMessage]:
        """Return the window, oldest first."""
        found = await self._collections.find(self._session_id, self._window)
        return _built(found, backwards=bool(self._window))

    def add_messages(self, messages: list[BaseMessage]) -> None:
        """Store messages."""
        reserved = self._collections.reserve(self._session_id, len(messages))
        self._collections.insert(self._session_id, reserved["seq"], messages)

    async def aadd_messages(self, messages: list[BaseMessage]) -> None:
        """Store messages."""
        reserved = await self._collections.reserve(self._session_id, len(messages))
        await self._collections.insert(self._session_id, reserved["seq"], messages)

    def clear(self) -> None:
        """Hide everything."""
        self._collections.mark(self._session_id)
