"""A server as what stands behind a client."""

from langchain_zepstore.http.connections import Connections, Settings
from langchain_zepstore.http.deletion import Deletion
from langchain_zepstore.http.messages import Messages
from langchain_zepstore.http.search import Search
from langchain_zepstore.http.sessions import Sessions
from langchain_zepstore.http.summaries import Summaries
from langchain_zepstore.http.transport import Requests
from langchain_zepstore.http.users import Users


class HttpStore:
    """The operations on one server."""

    def __init__(self, requests: Requests) -> None:
        self.deletion = Deletion(requests)
        self.messages = Messages(requests)
        self.search = Search(requests)
        self.sessions = Sessions(requests)
        self.summaries = Summaries(requests)
        self.users = Users(requests)


class HttpBackend:
    """Opens connections with the first call. It asks for no health: the first call tells."""

    def __init__(self, settings: Settings) -> None:
        self._connections = Connections(settings)

    def open(self) -> HttpStore:
        """Return the store over a synchronous client."""
        return HttpStore(self._connections.open())

    async def aopen(self) -> HttpStore:
        """Return the store over an asynchronous client, for the running event loop."""
        return HttpStore(await self._connections.aopen())

    def close(self) -> None:
        """Close the synchronous client, but for one that the caller passed in."""
        self._connections.close()

    async def aclose(self) -> None:
        """Close the clients, but for those that the caller passed in."""
        await self._connections.aclose()
