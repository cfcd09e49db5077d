"""MongoDB as what stands behind a client."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from langchain_zepstore.mongo.collections import Database
from langchain_zepstore.mongo.deletion import Deletion
from langchain_zepstore.mongo.drivers import Drivers, Settings
from langchain_zepstore.mongo.messages import Messages
from langchain_zepstore.mongo.purging import Purging
from langchain_zepstore.mongo.schema import ensure_indexes
from langchain_zepstore.mongo.search import Search
from langchain_zepstore.mongo.sessions import Sessions
from langchain_zepstore.mongo.users import Users
from langchain_zepstore.running import Operation, arun, run
from langchain_zepstore.store import Store

T = TypeVar("T")


class MongoStore:
    """The operations on one database."""

    def __init__(self, database: Database) -> None:
        self.deletion = Deletion(database)
        self.messages = Messages(database)
        self.purging = Purging(database)
        self.search = Search(database)
        self.sessions = Sessions(database)
        self.users = Users(database)


class MongoBackend:
    """Opens the drivers, and the indexes, with the first call."""

    def __init__(self, settings: Settings) -> None:
        self._drivers = Drivers(settings, partial(ensure_indexes, retention=settings.retention))

    def run(self, call: Callable[[Store], Operation[T]]) -> T:
        """Run an operation with pymongo."""
        return run(call(MongoStore(self._drivers.open())))

    async def arun(self, call: Callable[[Store], Operation[T]]) -> T:
        """Run an operation with the asynchronous driver, on the running event loop."""
        return await arun(call(MongoStore(await self._drivers.aopen())))

    def close(self) -> None:
        """Close the clients, but for those that the caller passed in."""
        self._drivers.close()

    async def aclose(self) -> None:
        """Close the clients, but for those that the caller passed in."""
        await self._drivers.aclose()
