"""The store on MongoDB, and the backend that opens it."""

import asyncio
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from langchain_zepstore.core.embedder import Embedder, embedders
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.per_loop import Loop, PerLoop
from langchain_zepstore.core.results import Connections
from langchain_zepstore.core.settings import Settings
from langchain_zepstore.embedded.server import EmbeddedServer
from langchain_zepstore.mongo.branches.operations import Branches
from langchain_zepstore.mongo.deletion.operations import Deletion
from langchain_zepstore.mongo.diagnosis.operations import Diagnosis
from langchain_zepstore.mongo.driver.clients import Connection, Connector, pool_use
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.indexes import ensure_indexes
from langchain_zepstore.mongo.messages import Messages
from langchain_zepstore.mongo.search.session_cache import SessionCache
from langchain_zepstore.mongo.sessions import Sessions
from langchain_zepstore.mongo.summaries import Summaries
from langchain_zepstore.mongo.transfer import Transfer
from langchain_zepstore.mongo.users import Users

if TYPE_CHECKING:
    from langchain_zepstore.mongo.search.search import Search


class MongoStore:
    """The operations on one database.

    Args:
        database: The database.
        embedder: Makes the vectors of texts; ``None`` where there are no embeddings.
        cache: What the client knows of sessions, for its searches.
    """

    def __init__(self, database: Database, embedder: Embedder | None, cache: SessionCache) -> None:
        self.span_attributes: dict[str, str | int] = {
            "db.system.name": "mongodb",
            "db.namespace": database.name,
        }
        self.branches = Branches(database)
        self._database = database
        self._embedder = embedder
        self._cache = cache
        self.deletion = Deletion(database)
        self.messages = Messages(database)
        self.sessions = Sessions(database)
        self.summaries = Summaries(database)
        self.diagnosis = Diagnosis(database, embedder.model if embedder else None)
        self.transfer = Transfer(database)
        self.users = Users(database)

    @cached_property
    def search(self) -> "Search":
        """The operations of searches."""
        from langchain_zepstore.mongo.search.search import (  # noqa: PLC0415 - slow to import
            Search,
        )

        return Search(self._database, self._embedder, self._cache)

    def for_user(self, user_id: str) -> "MongoStore":
        """Return the operations on one user's data."""
        return MongoStore(self._database.for_user(user_id), self._embedder, self._cache)


@dataclass(frozen=True, slots=True)
class _Opened:
    connection: Connection
    store: MongoStore


class MongoBackend:
    """Opens a driver with the first call, and makes the indexes with the first that needs them.

    Args:
        settings: How to reach the database.
        embedded: The embedded server, if it is there.
    """

    def __init__(self, settings: Settings, embedded: EmbeddedServer | None = None) -> None:
        self._retention = settings.retention
        self._opened = PerLoop(self._open, self._close)
        self._unprepared = PerLoop(
            self._connect, self._close
        )  # for who looks before any other call
        self._connector = Connector(settings, embedded, self._forget)
        self._embedder: Embedder | None = None
        self._async_embedder: Embedder | None = None
        if settings.embeddings is not None:
            self._embedder, self._async_embedder = embedders(settings.embeddings)
        self._cache = SessionCache()
        self._has_indexes = False

    def open(self, *, prepare: bool = True) -> MongoStore:
        """Return the store over pymongo."""
        stores = self._opened if prepare or self._has_indexes else self._unprepared
        return stores.get().store

    async def aopen(self, *, prepare: bool = True) -> MongoStore:
        """Return the store over the asynchronous driver, for the running event loop."""
        stores = self._opened if prepare or self._has_indexes else self._unprepared
        return (await stores.aget()).store

    def _open(self, loop: Loop | None) -> Operation[_Opened]:
        opened = yield from self._connect(loop)
        if not self._has_indexes:
            try:
                yield from ensure_indexes(opened.connection.database, retention=self._retention)
            except BaseException:
                yield from self._close(opened, loop)
                raise
            self._has_indexes = True
        return opened

    def _connect(self, loop: Loop | None) -> Operation[_Opened]:
        connection = yield from self._connector.open(loop)
        embedder = self._embedder if loop is None else self._async_embedder
        return _Opened(connection, MongoStore(connection.database, embedder, self._cache))

    def _forget(self) -> None:
        self._unprepared.forget()
        self._opened.forget()

    def _close(self, opened: _Opened, loop: Loop | None) -> Operation[None]:
        return self._connector.close(opened.connection, loop)

    def connections(self) -> Connections:
        """Return how many connections this process has."""
        each = [pool_use(opened.connection.client) for opened in self._opened.resources()]
        return Connections(sum(use.opened for use in each), sum(use.in_use for use in each))

    def close(self) -> None:
        """Close the clients, but for those that the caller passed in."""
        self._unprepared.close()
        self._opened.close()
        self._connector.leave()

    async def aclose(self) -> None:
        """Close the clients, but for those that the caller passed in."""
        try:
            await self._unprepared.aclose()
            await self._opened.aclose()
        finally:
            await asyncio.to_thread(self._connector.leave)
