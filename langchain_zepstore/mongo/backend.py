"""MongoDB as what stands behind a client."""

from functools import partial

from langchain_zepstore.core.embedder import Embedder
from langchain_zepstore.mongo.deletion.operations import Deletion
from langchain_zepstore.mongo.driver.clients import Drivers, Settings
from langchain_zepstore.mongo.driver.collection import Database
from langchain_zepstore.mongo.indexes import ensure_indexes
from langchain_zepstore.mongo.messages import Messages
from langchain_zepstore.mongo.search.search import Search
from langchain_zepstore.mongo.search.vector_cache import VectorCache
from langchain_zepstore.mongo.sessions import Sessions
from langchain_zepstore.mongo.summaries import Summaries
from langchain_zepstore.mongo.users import Users


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

    def open(self) -> MongoStore:
        """Return the store over pymongo."""
        return MongoStore(self._drivers.open(), self._embedder, self._caches)

    async def aopen(self) -> MongoStore:
        """Return the store over the asynchronous driver, for the running event loop."""
        database = await self._drivers.aopen()
        return MongoStore(database, self._async_embedder, self._caches)

    def close(self) -> None:
        """Close the clients, but for those that the caller passed in."""
        self._drivers.close()

    async def aclose(self) -> None:
        """Close the clients, but for those that the caller passed in."""
        await self._drivers.aclose()
