"""The store on a server, and the backend that opens it."""

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.per_loop import Loop, PerLoop
from langchain_zepstore.core.results import Connections
from langchain_zepstore.core.settings import Settings
from langchain_zepstore.http.branches import Branches
from langchain_zepstore.http.connections import Connector
from langchain_zepstore.http.deletion import Deletion
from langchain_zepstore.http.diagnosis import Diagnosis
from langchain_zepstore.http.messages import Messages
from langchain_zepstore.http.search import Search
from langchain_zepstore.http.sessions import Sessions
from langchain_zepstore.http.summaries import Summaries
from langchain_zepstore.http.transfer import Transfer
from langchain_zepstore.http.transport import Requests
from langchain_zepstore.http.users import Users


class HttpStore:
    """The operations on one server."""

    def __init__(self, requests: Requests) -> None:
        self.client = requests.client
        self.span_attributes = requests.span_attributes
        self.branches = Branches(requests)
        self._requests = requests
        self.deletion = Deletion(requests)
        self.messages = Messages(requests)
        self.search = Search(requests)
        self.sessions = Sessions(requests)
        self.summaries = Summaries(requests)
        self.diagnosis = Diagnosis(requests)
        self.transfer = Transfer(requests)
        self.users = Users(requests)

    def for_user(self, user_id: str) -> "HttpStore":
        """Return the operations on one user's data."""
        return HttpStore(self._requests.for_user(user_id))


class HttpBackend:
    """Opens clients with the first call. No health check: the first request finds the server.

    Args:
        settings: How to reach the server.
    """

    def __init__(self, settings: Settings) -> None:
        self._connector = Connector(settings)
        self._stores = PerLoop(self._open, self._close)

    def open(self, *, prepare: bool = True) -> HttpStore:  # noqa: ARG002 - nothing to prepare
        """Return the store over a synchronous client."""
        return self._stores.get()

    async def aopen(self, *, prepare: bool = True) -> HttpStore:  # noqa: ARG002
        """Return the store over an asynchronous client, for the running event loop."""
        return await self._stores.aget()

    def _open(self, loop: Loop | None) -> Operation[HttpStore]:
        return HttpStore((yield from self._connector.open(loop)))

    def _close(self, store: HttpStore, loop: Loop | None) -> Operation[None]:
        return self._connector.close(store.client, loop)

    def connections(self) -> Connections:
        """Return none: there are none to MongoDB."""
        return Connections()

    def close(self) -> None:
        """Close the synchronous client, but for one that the caller passed in."""
        self._stores.close()

    async def aclose(self) -> None:
        """Close the clients, but for those that the caller passed in."""
        await self._stores.aclose()
