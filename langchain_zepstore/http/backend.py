"""A server as what stands behind a client."""

from collections.abc import Callable
from typing import TypeVar

from langchain_zepstore.core.operation import Operation, arun, run
from langchain_zepstore.core.store import Store
from langchain_zepstore.http.connections import Connections, Settings
from langchain_zepstore.http.deletion import Deletion
from langchain_zepstore.http.messages import Messages
from langchain_zepstore.http.search import Search
from langchain_zepstore.http.sessions import Sessions
from langchain_zepstore.http.summaries import Summaries
from langchain_zepstore.http.transport import Requests
from langchain_zepstore.http.users import Users

T = TypeVar("T")


class HttpStore:
    """The operations on one server."""

    def __init__(self, requests: Requests) -> None:
        self.deletion = self.purging = Deletion(requests)
        self.messages = Messages(requests)
        self.search = Search(requests)
        self.sessions = Sessions(requests)
        self.summaries = Summaries(requests)
        self.users = Users(requests)


class HttpBackend:
    """Opens connections with the first call. It asks for no health: the first call tells."""

    def __init__(self, settings: Settings) -> None:
        self._connections = Connections(settings)

    def run(self, call: Callable[[Store], Operation[T]]) -> T:
        """Run an operation with a synchronous client."""
        return run(call(HttpStore(self._connections.open())))

    async def arun(self, call: Callable[[Store], Operation[T]]) -> T:
        """Run an operation with an asynchronous client, on the running event loop."""
        return await arun(call(HttpStore(await self._connections.aopen())))

    def close(self) -> None:
        """Close the synchronous client, but for one that the caller passed in."""
        self._connections.close()

    async def aclose(self) -> None:
        """Close the clients, but for those that the caller passed in."""
        await self._connections.aclose()
