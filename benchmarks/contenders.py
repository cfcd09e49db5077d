"""Those who are compared, each behind the names of LangChain's chat history."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Literal
from uuid import NAMESPACE_OID, uuid5

from langchain_core.messages import BaseMessage, message_to_dict
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient, MongoClient

from benchmarks.floor import Collections, FloorHistory
from langchain_zepstore import ZepClient

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_core.chat_history import BaseChatMessageHistory

_CHUNK = 1000


class Contender:
    """A store of chat histories.

    Attributes:
        name: For the tables.
        url: Where its data is.
        has_crowds: Whether it is compared on an event loop too.
    """

    name: str
    url: str
    has_crowds = False

    def history(self, session_id: str, window: int | None = None) -> Any:
        """Return a history on a session that reads its last ``window`` messages, or all."""
        raise NotImplementedError

    def ahistory(self, session_id: str, window: int | None = None) -> Any:
        """Return the same for asynchronous calls."""
        return self.history(session_id, window)

    def grow(self, session_id: str, messages: Sequence[BaseMessage]) -> None:
        """Store many messages, quickly."""
        history = self.history(session_id)
        for start in range(0, len(messages), _CHUNK):
            history.add_messages(list(messages[start : start + _CHUNK]))

    def close(self) -> None:
        """Close what is open."""

    async def aclose(self) -> None:
        """Close what belongs to the running event loop."""


class Zepstore(Contender):
    """This package."""

    name = "zepstore"
    has_crowds = True
    async_driver: Literal["motor", "pymongo"] = "motor"

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = ZepClient(url, database="zepstore", async_driver=self.async_driver)
        self.client.message.count("warm")

    def history(self, session_id: str, window: int | None = None) -> BaseChatMessageHistory:
        """Return a history on a session."""
        return self.client.chat_history(session_id, lastn=window)

    def close(self) -> None:
        """Close what is open."""
        self.client.close()


class ZepstoreOverPymongo(Zepstore):
    """This package over pymongo's asynchronous API."""

    name = "zepstore over pymongo"
    async_driver = "pymongo"


class Floor(Contender):
    """The same driver calls by hand."""

    name = "floor"
    has_crowds = True

    def __init__(self, url: str) -> None:
        self.url = url
        self._client: MongoClient[dict[str, Any]] = MongoClient(url)
        self._collections = Collections(self._client)
        self._collections.create_indexes()
        self._motor: dict[asyncio.AbstractEventLoop, AsyncIOMotorClient[dict[str, Any]]] = {}

    def history(self, session_id: str, window: int | None = None) -> FloorHistory:
        """Return a history on a session."""
        return FloorHistory(self._collections, session_id, window)

    def ahistory(self, session_id: str, window: int | None = None) -> FloorHistory:
        """Return a history over motor."""
        loop = asyncio.get_running_loop()
        if loop not in self._motor:
            self._motor[loop] = AsyncIOMotorClient(self.url, io_loop=loop)
        return FloorHistory(Collections(self._motor[loop]), session_id, window)

    def close(self) -> None:
        """Close what is open."""
        self._client.close()
        for client in self._motor.values():
            client.close()


class LangchainMongodb(Contender):
    """langchain-mongodb on the same mongod; one client, indexes created once.

    Args:
        url: The server's.
        durable: Give its client the write concern that this package has; else its defaults.
    """

    name = "langchain-mongodb"
    has_crowds = True

    def __init__(self, url: str, *, durable: bool = True) -> None:
        self.url = url
        self.durable = durable
        options: dict[str, Any] = {"w": "majority", "journal": True} if durable else {}
        self._client: MongoClient[dict[str, Any]] = MongoClient(url, **options)
        self._open("warm", None, create_index=True)

    def _open(self, session_id: str, window: int | None, *, create_index: bool) -> Any:
        from langchain_mongodb import MongoDBChatMessageHistory  # noqa: PLC0415 - a peer

        return MongoDBChatMessageHistory(
            None, session_id, client=self._client, history_size=window, create_index=create_index
        )

    def history(self, session_id: str, window: int | None = None) -> BaseChatMessageHistory:
        """Return a history on a session."""
        history: BaseChatMessageHistory = self._open(session_id, window, create_index=False)
        return history

    def grow(self, session_id: str, messages: Sequence[BaseMessage]) -> None:
        """Insert the documents that it would insert one by one."""
        collection = self._open(session_id, None, create_index=False).collection
        for start in range(0, len(messages), _CHUNK):
            collection.insert_many(
                {"SessionId": session_id, "History": json.dumps(message_to_dict(message))}
                for message in messages[start : start + _CHUNK]
            )

    def close(self) -> None:
        """Close what is open."""
        self._client.close()


class LangchainMongodbWhole(LangchainMongodb):
    """The same as it comes: without ``history_size`` it reads the whole session."""

    name = "langchain-mongodb, reading all"

    def history(
        self,
        session_id: str,
        window: int | None = None,  # noqa: ARG002 - not asked for
    ) -> BaseChatMessageHistory:
        """Return a history on a session."""
        return super().history(session_id)


class AgentsSession(Contender):
    """The Agents SDK's session on MongoDB, with the write concern that this package has.

    It is asynchronous only, and keeps what is added in one call as one document.
    """

    name = "Agents SDK's MongoDBSession"
    has_crowds = True

    def __init__(self, url: str) -> None:
        self.url = url
        self._client: MongoClient[dict[str, Any]] = MongoClient(url)
        self._clients: dict[asyncio.AbstractEventLoop, AsyncMongoClient[dict[str, Any]]] = {}

    def ahistory(self, session_id: str, window: int | None = None) -> Any:
        """Return a history on a session."""
        from agents.extensions.memory import MongoDBSession  # noqa: PLC0415 - a peer

        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self._clients[loop] = AsyncMongoClient(self.url, w="majority", journal=True)
        return _AgentsHistory(MongoDBSession(session_id, client=self._clients[loop]), window)

    def grow(self, session_id: str, messages: Sequence[BaseMessage]) -> None:
        """Insert the documents that it would insert turn by turn."""
        database = self._client["agents"]
        database["agent_sessions"].insert_one(
            {"session_id": session_id, "_generation": 0, "_seq": len(messages)}
        )
        items = [json.dumps(item, separators=(",", ":")) for item in _items(messages)]
        turns = [
            {"seq": at + 1, "message_data": items[at : at + 2]} for at in range(0, len(items), 2)
        ]
        database["agent_messages"].insert_many(
            {"session_id": session_id, "generation": 0, **turn} for turn in turns
        )

    async def aclose(self) -> None:
        """Close the running event loop's client."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()

    def close(self) -> None:
        """Close what is open."""
        self._client.close()


class _AgentsHistory:
    def __init__(self, session: Any, window: int | None) -> None:
        self._session = session
        self._window = window

    async def aget_messages(self) -> list[Any]:
        # It reads so many documents, each of them a turn.
        found: list[Any] = await self._session.get_items(self._window)
        return found

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        await self._session.add_items(_items(messages))


def _items(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    roles = {"ai": "assistant", "human": "user"}
    return [{"role": roles[each.type], "content": each.content} for each in messages]


class LangchainPostgres(Contender):
    """langchain-postgres on one connection."""

    name = "langchain-postgres"

    def __init__(self, url: str) -> None:
        import psycopg  # noqa: PLC0415 - a peer's
        from langchain_postgres import PostgresChatMessageHistory  # noqa: PLC0415 - a peer

        self.url = url
        self._connection = psycopg.connect(url)
        self._history = PostgresChatMessageHistory
        PostgresChatMessageHistory.create_tables(self._connection, "messages")

    def history(
        self,
        session_id: str,
        window: int | None = None,  # noqa: ARG002 - it knows none
    ) -> BaseChatMessageHistory:
        """Return a history on a session; it knows no window, and only UUIDs for ids."""
        key = str(uuid5(NAMESPACE_OID, session_id))
        history: BaseChatMessageHistory = self._history(
            "messages", key, sync_connection=self._connection
        )
        return history

    def close(self) -> None:
        """Close what is open."""
        self._connection.close()


class RedisList(Contender):
    """langchain-community's history on a Redis list."""

    name = "Redis list"

    def __init__(self, url: str) -> None:
        self.url = url

    def history(
        self,
        session_id: str,
        window: int | None = None,  # noqa: ARG002 - it knows none
    ) -> BaseChatMessageHistory:
        """Return a history on a session; it knows no window."""
        from langchain_community.chat_message_histories import (  # noqa: PLC0415 - a peer
            RedisChatMessageHistory,
        )

        return RedisChatMessageHistory(session_id, url=self.url)

    def grow(self, session_id: str, messages: Sequence[BaseMessage]) -> None:
        """Push what it would push one by one, in pipelines."""
        history: Any = self.history(session_id)
        for start in range(0, len(messages), _CHUNK):
            with history.redis_client.pipeline(transaction=False) as pipeline:
                for message in messages[start : start + _CHUNK]:
                    pipeline.lpush(history.key, json.dumps(message_to_dict(message)))
                pipeline.execute()


class Sqlite(Contender):
    """langchain-community's SQL history on SQLite."""

    name = "SQLite"

    def __init__(self, url: str) -> None:
        from sqlalchemy import create_engine  # noqa: PLC0415 - a peer's

        self.url = url
        self._engine = create_engine(url)

    def history(
        self,
        session_id: str,
        window: int | None = None,  # noqa: ARG002 - it knows none
    ) -> BaseChatMessageHistory:
        """Return a history on a session; it knows no window."""
        from langchain_community.chat_message_histories import (  # noqa: PLC0415 - a peer
            SQLChatMessageHistory,
        )

        return SQLChatMessageHistory(session_id, connection=self._engine)

    def close(self) -> None:
        """Close what is open."""
        self._engine.dispose()


_KINDS: dict[str, Callable[[str], Contender]] = {
    kind.name: kind
    for kind in (Zepstore, Floor, LangchainMongodb, LangchainPostgres, RedisList, Sqlite)
}


def opened(name: str, url: str) -> Contender:
    """Open a contender by its name."""
    return _KINDS[name](url)
