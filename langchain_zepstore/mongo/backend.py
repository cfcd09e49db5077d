"""MongoDB as what stands behind a client."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from langchain_zepstore.core.embedder import Embedder
from langchain_zepstore.core.operation import Operation, arun, run
from langchain_zepstore.core.store import Store
from langchain_zepstore.mongo.deletion.operations import Deletion
from langchain_zepstore.mongo.deletion.purge import Purging
from langchain_zepstore.mongo.driver.clients import Drivers, Settings
from langchain_zepstore.mongo.driver.collection import Database
from langchain_zepstore.mongo.indexes import ensure_indexes
from langchain_zepstore.mongo.messages import Messages
from langchain_zepstore.mongo.search.search import Search
from langchain_zepstore.mongo.search.vector_cache import VectorCache
from langchain_zepstore.mongo.sessions import Sessions
from langchain_zepstore.mongo.summaries import Summaries
from langchain_zepstore.mongo.users import Users

T = TypeVar("T")


class MongoStore:
    """The operations on one database.

    Args:
        database: Where everything is.
        embedder: What makes vectors, if there is anything.
        caches: The client's caches of vectors.
    """

    def __init__(
        self, database: Database, embedder: Embedder | None, caches: dict[int, VectorCache]
    ) -> None:
        self.deletion = Deletion(database)
        self.messages = Messages(database)
        self.purging = Purging(database)
        self.search = Search(database, embedder, caches)
        self.sessions = Sessions(database)
        self.summaries = Summaries(database)
        self.users = Users(database)


class MongoBackend:
    """Opens the drivers, and the indexes, with the first call.

    Args:
        settings: How to reach the database.
        embeddings: What makes vectors, in synchronous and in asynchronous operations.
    """

    def __init__(
        self, settings: Settings, embeddings: tuple[Embedder, Embedder] | None = None
    ) -> None:
        self._drivers = Drivers(settings, partial(ensure_indexes, retention=settings.retention))
        self._embedder = embeddings[0] if embeddings else None
        self._async_embedder = embeddings[1] if embeddings else None
        self._caches: dict[int, VectorCache] = {}

    def run(self, call: Callable[[Store], Operation[T]]) -> T:
        """Run an operation with pymongo."""
        store = MongoStore(self._drivers.open(), self._embedder, self._caches)
        return run(call(store))

    async def arun(self, call: Callable[[Store], Operation[T]]) -> T:
        """Run an operation with the asynchronous driver, on the running event loop."""
        database = await self._drivers.aopen()
        return await arun(call(MongoStore(database, self._async_embedder, self._caches)))

    def close(self) -> None:
        """Close the clients, but for those that the caller passed in."""
        self._drivers.close()

    async def aclose(self) -> None:
        """Close the clients, but for those that the caller passed in."""
        await self._drivers.aclose()
