"""``StoreClient``: runs operations on the store behind a URL."""

import asyncio
import atexit
import os
import pickle
import sys
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from langchain_zepstore.core.forking import no_forks
from langchain_zepstore.core.operation import arun, run
from langchain_zepstore.core.settings import Settings
from langchain_zepstore.core.store import Backend, Call
from langchain_zepstore.core.telemetry import traced
from langchain_zepstore.core.urls import (
    default_url,
    embedded_directory,
    is_embedded,
    is_http,
    one_url,
    without_credentials,
)
from langchain_zepstore.core.validation import checked_id
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.managers.administration import Administration
from langchain_zepstore.managers.memory import MemoryManager
from langchain_zepstore.managers.messages import MessageManager
from langchain_zepstore.managers.users import UserManager

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

    from langchain_zepstore.core.results import Connections

T = TypeVar("T")


class StoreClient(Administration):
    """Runs operations on a store. The arguments are ``ZepClient``'s.

    Attributes:
        memory: The session manager.
        message: The messages one by one.
        user: The user manager.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        base_url: str | None = None,
        api_url: str | None = None,
        api_key: str | None = None,
        database: str | None = None,
        client: Any = None,
        async_client: Any = None,
        async_driver: Literal["motor", "pymongo"] = "motor",
        embeddings: "Embeddings | None" = None,
        language: str | None = None,
        retention: timedelta | None = None,
        timeout: float = 10.0,
    ) -> None:
        url = one_url(url, base_url, api_url)
        if url is None and client is None and async_client is None:
            url = default_url()
        self._settings = Settings(
            url=url,
            api_key=api_key,
            database=database,
            client=client,
            async_client=async_client,
            async_driver=async_driver,
            embeddings=embeddings,
            language=language,
            retention=retention,
            timeout=timeout,
        )
        self._backend: Backend | None = None
        self._closed = False
        self._whole: StoreClient | None = None
        self._user_id: str | None = None
        self._add_managers()

    def _add_managers(self) -> None:
        self.memory = MemoryManager(self)
        self.message = MessageManager(self)
        self.user = UserManager(self)

    @property
    def url(self) -> str | None:
        """The URL; ``None`` where clients of MongoDB's drivers were passed in."""
        return self._settings.url

    @property
    def user_id(self) -> str | None:
        """The user whose view it is; ``None`` for everybody's."""
        return self._user_id

    def for_user(self, user_id: str) -> Self:
        """Return the same client, narrowed to one user; no I/O.

        It sees and changes that user's sessions only. Another's are as if they were not there, and
        so are those that are nobody's; only their ids are taken, and to add to one is a
        ``BadRequestError``. What it creates is that user's, who is created too if need be.
        ``user`` knows that user alone; listings, searches and the purge are narrowed.

        It shares the connections of this client, and closing it closes nothing.

        Args:
            user_id: The user's id.

        Raises:
            BadRequestError: The id cannot be one, or this client is another user's already.
        """
        user_id = checked_id(user_id, "user_id")
        if self._user_id is not None:
            if user_id == self._user_id:
                return self
            raise BadRequestError(f"this client is for user {self._user_id!r}, not {user_id!r}")
        view = object.__new__(type(self))
        vars(view).update(vars(self), _whole=self, _user_id=user_id)
        view._add_managers()
        return view

    @property
    def has_embeddings(self) -> bool:
        """Whether it can search by meaning by itself; a server's client leaves that to it."""
        return self._settings.embeddings is not None

    @property
    def location(self) -> str:
        """Where the data is: the embedded server's directory, or the URL without credentials."""
        if self.url is None:
            return "a client passed in"
        if not is_embedded(self.url):
            return without_credentials(self.url)
        from langchain_zepstore.embedded.server import EmbeddedServer  # noqa: PLC0415 - see _backend

        return str(EmbeddedServer(embedded_directory(self.url)).directory)

    def run(self, call: Call[T], *, prepare: bool = True) -> T:
        """Run an operation of the store. For the package's own managers and adapters."""
        if self._whole is not None:
            return self._whole.run(self._narrowed(call), prepare=prepare)
        backend = self._backend
        if backend is None or self._closed:
            backend = self._opened()
        return run(call(traced(backend.open(prepare=prepare))))

    async def arun(self, call: Call[T], *, prepare: bool = True) -> T:
        """Run an operation of the store. For the package's own managers and adapters."""
        if self._whole is not None:
            return await self._whole.arun(self._narrowed(call), prepare=prepare)
        if self._backend is None:
            await asyncio.to_thread(self._opened)  # it imports the drivers
        return await arun(call(traced(await self._opened().aopen(prepare=prepare))))

    def connections(self) -> "Connections":
        """Return how many connections to MongoDB this process has. For the server's metrics."""
        if self._backend is not None:
            return self._backend.connections()
        from langchain_zepstore.core.results import Connections  # noqa: PLC0415 - takes long

        return Connections()

    def _narrowed(self, call: Call[T]) -> Call[T]:
        user_id = str(self._user_id)
        return lambda store: call(store.for_user(user_id))

    def _opened(self) -> Backend:
        if self._closed:
            raise BadRequestError("this ZepClient is closed; build a new one")
        if self._backend is None:
            with no_forks:
                self._backend = self._backend or _backend(self._settings)
        return self._backend

    def close(self) -> None:
        """Close the connections and leave the embedded server. May be called twice.

        One user's client closes nothing.

        What belongs to a running event loop, an ``AsyncMongoClient`` for one, only ``aclose`` can
        close.
        """
        if self._whole is not None:
            return
        self._closed = True
        if self._backend is not None:
            self._backend.close()

    async def aclose(self) -> None:
        """Close the connections, also those of this event loop. May be called twice."""
        if self._whole is not None:
            return
        self._closed = True
        if self._backend is not None:
            await self._backend.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_class: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        error_class: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        url = self.url or ""
        shown = url if is_embedded(url) else without_credentials(url)
        view = "" if self._user_id is None else f".for_user({self._user_id!r})"
        return f"{type(self).__name__}({shown!r}){view}"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments, credentials among them: connections stay where they are."""
        if self._whole is not None:
            return type(self).for_user, (self._whole, self._user_id)
        settings = self._settings
        if settings.has_clients:
            raise pickle.PicklingError(
                "a client that was built with client= or async_client= cannot be pickled: "
                "connections stay in their process; build it from a URL"
            )
        try:
            arguments = pickle.dumps(settings.arguments())
        except Exception as error:
            raise pickle.PicklingError(
                f"the embeddings of this client ({type(settings.embeddings).__name__}) cannot be "
                f"pickled: {error}"
            ) from error
        return _unpickled, (type(self), arguments)


_MONGO = "langchain_zepstore.mongo.backend"


def _backend(settings: Settings) -> Backend:
    # Imported here: drivers cost more to import than everything else, and not everyone needs them.
    if is_http(settings.url):
        from langchain_zepstore.http.backend import HttpBackend  # noqa: PLC0415

        return HttpBackend(settings)
    embedded = None
    if settings.url is not None and is_embedded(settings.url):
        from langchain_zepstore.embedded.server import EmbeddedServer  # noqa: PLC0415

        embedded = EmbeddedServer(embedded_directory(settings.url))
        if _MONGO not in sys.modules:  # it starts while the drivers are imported
            embedded.open_soon()
    from langchain_zepstore.mongo.backend import MongoBackend  # noqa: PLC0415

    return MongoBackend(settings, embedded)


_C = TypeVar("_C", bound=StoreClient)
_shared: dict[tuple[Any, ...], StoreClient] = {}


def shared_client(url: str | None = None, api_key: str | None = None) -> StoreClient:
    """Return the client that everything built from this URL shares in this process.

    A chain builds a history per call; each with connections of its own would leak them. The client
    is closed when the process ends.
    """
    url = one_url(url) or default_url()
    return _share((os.getpid(), url, api_key), lambda: StoreClient(url, api_key=api_key))


def _unpickled(model: type[_C], arguments: bytes) -> _C:
    # Shared too: a worker may unpickle a history for each of its tasks.
    key = (os.getpid(), model, arguments)
    return _share(key, lambda: model(**pickle.loads(arguments)))  # noqa: S301 - from a pickle


def _share(key: tuple[Any, ...], build: Callable[[], _C]) -> _C:
    client: Any = _shared.get(key)
    if client is None or client._closed:  # noqa: SLF001 - its own module
        client = _shared[key] = build()
    return client  # type: ignore[no-any-return]


def client_of(client: Any, url: str | None = None, api_key: str | None = None) -> StoreClient:
    """Return the client that was passed in, or that of the URL, which is shared.

    Raises:
        BadRequestError: It is none, or there is a URL as well.
    """
    if client is None:
        return shared_client(url, api_key)
    if url is not None:
        raise BadRequestError("pass url or client, not both")
    if not isinstance(client, StoreClient):
        raise BadRequestError(f"client must be a ZepClient, not {type(client).__name__}")
    return client


@atexit.register
def _close_shared() -> None:
    for (pid, *_), client in _shared.items():
        if pid == os.getpid():
            client.close()
