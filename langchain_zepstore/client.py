"""``ZepClient``: the URL decides what stands behind it."""

import asyncio
import atexit
import os
import re
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar
from urllib.parse import unquote

from langchain_zepstore.core.embedder import embedders
from langchain_zepstore.core.operation import arun, run
from langchain_zepstore.core.store import Backend, Call
from langchain_zepstore.core.validation import without_credentials
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.managers.memory import MemoryManager
from langchain_zepstore.managers.messages import MessageManager
from langchain_zepstore.managers.users import UserManager
from langchain_zepstore.messages.langchain import StartOn

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

    from langchain_zepstore.history import ZepChatMessageHistory
    from langchain_zepstore.retriever import ZepRetriever

T = TypeVar("T")

_URL_VARIABLE = "ZEPSTORE_URL"
_LONGEST = timedelta(seconds=2**31 - 1) - timedelta(days=1)  # of a TTL index, sessions linger a day
_LONGEST_TIMEOUT = 24 * 60 * 60
_SCHEMES = "mongodb://…, mongodb+srv://…, http://…, https://…, embedded: or embedded:///some/dir"
_LANGUAGES = frozenset(
    """
    danish dutch english finnish french german hungarian italian none norwegian portuguese romanian
    russian spanish swedish turkish
    """.split()  # noqa: SIM905 - as a list it would take fifteen lines
)
_OF_MONGODB, _OF_HTTP = ("mongodb://", "mongodb+srv://"), ("http://", "https://")


class ZepClient:
    """A store of chat sessions, with the names of zep-python.

    Building one does no I/O: connections, indexes and the embedded server come with the first call.
    It works from many threads, from one event loop after another (not with an ``async_client``
    passed in), and after a fork. It is a sync and an async context manager.

    Args:
        url: ``mongodb://…`` or ``mongodb+srv://…``; ``http://…`` or ``https://…`` for a zepstore
            server; ``embedded:`` for a mongod of its own in the user's data directory,
            ``embedded:///some/dir`` for one in that directory. Without one, ``$ZEPSTORE_URL``, and
            without that ``embedded:``.
        base_url: The same, as zep-python 1.x calls it.
        api_url: The same, as zep-python 2.0 calls it.
        api_key: What a server asks for; ignored for MongoDB.
        database: The database's name; the URL's if not given, else ``zepstore``.
        client: A ready ``pymongo.MongoClient`` for the synchronous calls, or with an http URL an
            ``httpx.Client``; the caller closes it.
        async_client: A ready ``motor.AsyncIOMotorClient`` or ``pymongo.AsyncMongoClient`` for the
            asynchronous calls, or with an http URL an ``httpx.AsyncClient``; the caller closes it.
        async_driver: What to open for asynchronous calls: ``motor``, or ``pymongo`` for its
            ``AsyncMongoClient``.
        embeddings: What makes vectors for searching by meaning: any of LangChain's ``Embeddings``.
            Needs the extra ``vector``. Vectors are kept under the class's name and the model's, and
            made anew by another model.
        language: What messages are searched in by words: ``german``, ``french``, … (those that
            MongoDB knows), or ``none`` for words as they stand. ``None`` leaves the database's
            setting as it is, which is ``english`` when first made. A value given changes it for
            all, and makes the index anew.
        retention: How long the database keeps what is soft-deleted; ``None`` leaves its setting as
            it is, which is 30 days when first made. A value given changes it for all.
        timeout: Seconds for each driver call or request, with its repeats. Options of a MongoDB
            URL take precedence.

    Attributes:
        memory: The session manager.
        message: The messages one by one.
        user: Those whose conversations the sessions are.

    Raises:
        BadRequestError: The URL has a scheme that is not known, or arguments contradict each other.
        ImportError: ``embeddings`` needs an extra that is not installed.
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
        self.url = _one_url(url, base_url, api_url)
        url_given = self.url is not None
        if self.url is None and client is None and async_client is None:
            self.url = os.environ.get(_URL_VARIABLE) or "embedded:"
        _check(self.url, async_driver, timeout, retention)
        if _is_http(self.url):
            of_server = {
                "database": database,
                "embeddings": embeddings,
                "language": language,
                "retention": retention,
            }
            for name, value in of_server.items():
                if value is not None:
                    raise BadRequestError(f"{name} is the server's to choose, not a client's")
        elif url_given and (client is not None or async_client is not None):
            raise BadRequestError("pass a URL, or clients of MongoDB's drivers, not both")
        if database is not None:
            _check_database(database)
        if language is not None and str(language) not in _LANGUAGES:
            raise BadRequestError(
                f"language must be one of {', '.join(sorted(_LANGUAGES))}, not {language!r}"
            )
        self._options: dict[str, Any] = {
            "api_key": api_key,
            "database": database,
            "client": client,
            "async_client": async_client,
            "async_driver": async_driver,
            "embeddings": None if embeddings is None else embedders(embeddings),
            "language": language,
            "timeout": timeout,
            "retention": retention,
        }
        self._backends: dict[str, Backend] = {}
        self._closed = False
        self.memory = MemoryManager(self)
        self.message = MessageManager(self)
        self.user = UserManager(self)

    @property
    def location(self) -> str:
        """Where the data is: the embedded server's directory, or the URL without credentials."""
        if self.url is None:
            return "a client passed in"
        if not self.url.startswith("embedded:"):
            return without_credentials(self.url)
        from langchain_zepstore.embedded.server import EmbeddedServer  # noqa: PLC0415 - see _backend

        return str(EmbeddedServer(_embedded_directory(self.url)).directory)

    def chat_history(
        self,
        session_id: str,
        *,
        lastn: int | None = None,
        start_on: StartOn | None = None,
        user_id: str | None = None,
        session_metadata: dict[str, Any] | None = None,
    ) -> "ZepChatMessageHistory":
        """Return a LangChain chat history on a session; no I/O.

        Fit to be given to ``RunnableWithMessageHistory`` as it is: ``client.chat_history``.

        Args:
            session_id: The session's id.
            lastn: As for ``ZepChatMessageHistory``.
            start_on: As for ``ZepChatMessageHistory``.
            user_id: As for ``ZepChatMessageHistory``.
            session_metadata: As for ``ZepChatMessageHistory``.

        Raises:
            BadRequestError: An argument cannot be used.
        """
        from langchain_zepstore.history import ZepChatMessageHistory  # noqa: PLC0415 - a cycle

        return ZepChatMessageHistory(
            session_id,
            client=self,
            lastn=lastn,
            start_on=start_on,
            user_id=user_id,
            session_metadata=session_metadata,
        )

    def as_retriever(self, **options: Any) -> "ZepRetriever":
        """Return a LangChain retriever over messages; no I/O.

        Args:
            **options: The arguments of ``ZepRetriever`` but ``client`` and ``url``: ``session_id``
                or ``user_id``, ``k``, ``window`` and so on.

        Raises:
            BadRequestError: An argument is missing or cannot be used.
        """
        from langchain_zepstore.retriever import ZepRetriever  # noqa: PLC0415 - a cycle

        return ZepRetriever(client=self, **options)

    def purge(self, older_than: timedelta | None = None) -> dict[str, int]:
        """Remove for good, now, what the database would remove later.

        Args:
            older_than: Only what has been soft-deleted for so long; without it, all of it.

        Returns:
            How many were removed: ``{"messages": …, "sessions": …, "users": …}``.

        Raises:
            BadRequestError: ``older_than`` is no timedelta, or negative.
            StoreUnavailableError: The database cannot be reached; repeating the call goes on.
        """
        return self.run(_purging(older_than))

    async def apurge(self, older_than: timedelta | None = None) -> dict[str, int]:
        """Remove for good, now, what the database would remove later; see ``purge``."""
        return await self.arun(_purging(older_than))

    def run(self, call: Call[T]) -> T:
        """Run an operation of the store. For the package's own managers and adapters."""
        return run(call(self._backend().open()))

    async def arun(self, call: Call[T]) -> T:
        """Run an operation of the store. For the package's own managers and adapters."""
        if not self._backends:
            await asyncio.to_thread(self._backend)  # it imports the drivers
        return await arun(call(await self._backend().aopen()))

    def _backend(self) -> Backend:
        if self._closed:
            raise BadRequestError("this ZepClient is closed; build a new one")
        if not self._backends:
            self._backends.setdefault("opened", _backend(self.url, {**self._options}))
        return self._backends["opened"]

    def close(self) -> None:
        """Close the connections and leave the embedded server. May be called twice.

        What belongs to a running event loop, an ``AsyncMongoClient`` for one, only ``aclose`` can
        close.
        """
        self._closed = True
        for backend in self._backends.values():
            backend.close()

    async def aclose(self) -> None:
        """Close the connections, also those of this event loop. May be called twice."""
        self._closed = True
        for backend in self._backends.values():
            await backend.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        url = self.url or ""
        shown = url if url.startswith("embedded:") else without_credentials(url)
        return f"{type(self).__name__}({shown!r})"


def _one_url(*urls: str | None) -> str | None:
    given = [url for url in urls if url is not None]
    for url in given:
        if not isinstance(url, str):
            raise BadRequestError(f"url must be a str, not {type(url).__name__}")
    if len(set(given)) > 1:
        raise BadRequestError("url, base_url and api_url are three names of one thing; pass one")
    return given[0] if given else None


def _check(url: str | None, async_driver: str, timeout: float, retention: timedelta | None) -> None:
    if url is not None and not url.startswith((*_OF_MONGODB, *_OF_HTTP)):
        _embedded_directory(url)
    if async_driver not in ("motor", "pymongo"):
        raise BadRequestError(f"async_driver must be 'motor' or 'pymongo', not {async_driver!r}")
    is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if not is_number or not 0 < timeout <= _LONGEST_TIMEOUT:
        raise BadRequestError(
            f"timeout must be a number of seconds above 0, up to a day, not {timeout!r}"
        )
    if retention is not None:
        _checked_period(retention, "retention")


def _is_http(url: str | None) -> bool:
    return url is not None and url.startswith(_OF_HTTP)


def _check_database(name: str) -> None:
    # MongoDB's rule for every platform.
    if not isinstance(name, str) or not re.fullmatch(r"[^/\\. \"$*<>:|?\0]{1,63}", name):
        raise BadRequestError(f"{name!r} cannot be the name of a database of MongoDB")


def _purging(older_than: timedelta | None) -> Call[dict[str, int]]:
    if older_than is not None:
        _checked_period(older_than, "older_than")
    return lambda store: store.deletion.purge(older_than)


def _checked_period(value: timedelta, name: str) -> timedelta:
    if not isinstance(value, timedelta) or not timedelta() <= value <= _LONGEST:
        raise BadRequestError(
            f"{name} must be a timedelta from 0 to {_LONGEST.days} days, not {value!r}"
        )
    return value


def _embedded_directory(url: str) -> Path | None:
    scheme, colon, rest = url.partition(":")
    if scheme != "embedded" or not colon:
        raise BadRequestError(f"a URL of the scheme {scheme!r} is not known; use {_SCHEMES}")
    path = unquote(rest.removeprefix("//"))
    if (path and not path.startswith("/")) or {"?", "#"} & set(rest) or "\0" in path:
        raise BadRequestError(
            f"{url!r} names no directory; use embedded:///some/dir, percent-encoded"
        )
    if os.name == "nt":
        path = path.removeprefix("/")
    return Path(path) if path.strip("/") else None


def _backend(url: str | None, options: dict[str, Any]) -> Backend:
    # Imported here: drivers cost more to import than everything else, and not everyone needs them.
    api_key = options.pop("api_key")
    if url is not None and _is_http(url):
        from langchain_zepstore.http import connections  # noqa: PLC0415
        from langchain_zepstore.http.backend import HttpBackend  # noqa: PLC0415

        given = {name: options[name] for name in ("timeout", "client", "async_client")}
        return HttpBackend(connections.Settings(url=url, api_key=api_key, **given))

    from langchain_zepstore.embedded.server import EmbeddedServer  # noqa: PLC0415
    from langchain_zepstore.mongo.backend import MongoBackend  # noqa: PLC0415
    from langchain_zepstore.mongo.driver.clients import Settings  # noqa: PLC0415

    embedded = None
    if url is not None and url.startswith("embedded:"):
        embedded = EmbeddedServer(_embedded_directory(url))
        url = None
    embeddings = options.pop("embeddings")
    return MongoBackend(Settings(url=url, embedded=embedded, **options), embeddings)


_shared: dict[tuple[str | None, str | None, int], ZepClient] = {}


def shared_client(url: str | None = None, api_key: str | None = None) -> ZepClient:
    """Return the client that everything built from this URL shares in this process.

    A chain builds a history per call; each with connections of its own would leak them. The client
    is closed when the process ends.
    """
    url = _one_url(url) or os.environ.get(_URL_VARIABLE)
    key = (url, api_key, os.getpid())
    if key not in _shared:
        _shared.setdefault(key, ZepClient(url, api_key=api_key))
    return _shared[key]


def client_of(client: Any, url: str | None = None, api_key: str | None = None) -> ZepClient:
    """Return the client that was passed in, or that of the URL, which is shared.

    Raises:
        BadRequestError: It is none, or there is a URL as well.
    """
    if client is None:
        return shared_client(url, api_key)
    if url is not None:
        raise BadRequestError("pass url or client, not both")
    if not isinstance(client, ZepClient):
        raise BadRequestError(f"client must be a ZepClient, not {type(client).__name__}")
    return client


@atexit.register
def _close_shared() -> None:
    for (_, _, pid), client in _shared.items():
        if pid == os.getpid():
            client.close()
