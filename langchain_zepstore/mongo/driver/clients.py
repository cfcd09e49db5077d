"""Opening and closing the drivers' clients: pymongo, motor and pymongo's asynchronous API.

The only module that makes clients of theirs.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any
from urllib.parse import parse_qsl

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient, MongoClient
from pymongo.driver_info import DriverInfo

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.per_loop import Loop
from langchain_zepstore.core.results import Connections
from langchain_zepstore.core.settings import Settings
from langchain_zepstore.core.urls import is_embedded, without_credentials
from langchain_zepstore.core.version import package_version
from langchain_zepstore.embedded.server import EmbeddedServer
from langchain_zepstore.errors import BadRequestError, StoreUnavailableError, ZepStoreError
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.driver.errors import DRIVER_ERRORS, translated
from langchain_zepstore.mongo.driver.retry import Deployment

_DEFAULT_DATABASE = "zepstore"
_LIMITS = ("connectTimeoutMS", "serverSelectionTimeoutMS", "socketTimeoutMS", "waitQueueTimeoutMS")
_REVIVAL_PATIENCE_MS = 1000  # an embedded server that is gone this long is started again


@dataclass(frozen=True, slots=True)
class Connection:
    """A client of a driver, and the database that operations use through it.

    Attributes:
        client: The client.
        database: The database.
        is_ours: Whether we opened the client, and have to close it.
    """

    client: Any
    database: Database
    is_ours: bool


class Connector:
    """Opens and closes the clients of one ``ZepClient``.

    Args:
        settings: How to reach the database.
        embedded: The embedded server, if it is there.
        forget: Called when the embedded server was started again at another address, where the
            open connections lead nowhere.
    """

    def __init__(
        self, settings: Settings, embedded: EmbeddedServer | None, forget: Callable[[], None]
    ) -> None:
        check_passed(settings.client, settings.async_client)
        self._settings = settings
        self._forget = forget
        self._embedded = embedded
        self._name = display_name(settings.url, self._embedded)

    def open(self, loop: Loop | None) -> Operation[Connection]:
        """Open a client for an event loop, or for synchronous calls."""
        # In a thread: TLS, SRV look-ups and the embedded server's start would block the loop.
        connection: Connection = yield (
            self._connect(None) if loop is None else asyncio.to_thread(self._connect, loop)
        )
        return connection

    def _connect(self, loop: Loop | None) -> Connection:
        settings = self._settings
        passed = settings.client if loop is None else settings.async_client
        if passed is None and settings.has_clients:
            call, argument = (
                ("a synchronous", "client") if loop is None else ("an asynchronous", "async_client")
            )
            raise BadRequestError(f"{call} call needs the argument {argument} of ZepClient")
        try:
            client = passed or self._client(loop)
            raw = (
                client[settings.database]
                if settings.database
                else client.get_default_database(_DEFAULT_DATABASE)
            )
        except ZepStoreError:
            raise
        except (*DRIVER_ERRORS, ValueError, TypeError, OSError) as error:
            raise translated(error, self._name) from error
        if not raw.write_concern.acknowledged:
            if passed is None and not isinstance(client, AsyncMongoClient):
                client.close()
            raise BadRequestError(
                f"the write concern w=0 of {self._name} cannot be used: "
                "an unacknowledged write may be lost without a word"
            )
        database = Database(raw, self._deployment(client, loop), settings.language)
        return Connection(client, database, is_ours=passed is None)

    def _client(self, loop: Loop | None) -> Any:
        settings = self._settings
        url = self._embedded.open() if self._embedded else str(settings.url)
        options = _options(settings, url)
        if loop is None:
            return MongoClient(url, driver=_driver_info(), **options)
        if settings.async_driver == "motor":
            return AsyncIOMotorClient(url, io_loop=loop, **options)
        return AsyncMongoClient(url, driver=_driver_info(), **options)

    def _deployment(self, client: Any, loop: Loop | None) -> Deployment:
        settings = self._settings
        revive = None
        if self._embedded:
            revive = self._revive if loop is None else partial(asyncio.to_thread, self._revive)
        synchronous = client.delegate if isinstance(client, AsyncIOMotorClient) else client
        return Deployment(
            self._name,
            settings.timeout,
            process=partial(_process, synchronous),
            primaries=partial(_primaries, synchronous),
            sleep=time.sleep if loop is None else asyncio.sleep,
            revive=revive,
            limits_calls=not (settings.has_clients or revive or _own_limits(str(settings.url))),
        )

    def _revive(self) -> None:
        assert self._embedded
        address = self._embedded.open()
        if self._embedded.ensure() != address:
            self._forget()
            raise StoreUnavailableError(
                f"{self._name} was started again at another address; repeat the call"
            )

    def close(self, connection: Connection, loop: Loop | None) -> Operation[None]:
        """Close a client, unless it is the caller's, or one that only its own loop can close."""
        client = connection.client
        if not connection.is_ours:
            return
        if isinstance(client, AsyncMongoClient):
            if loop is not None:
                yield client.close()
        elif loop is None:
            client.close()
        else:
            try:
                closing = loop.run_in_executor(None, client.close)
            except RuntimeError:  # the interpreter is ending: no thread starts any more
                client.close()
            else:
                yield closing

    def leave(self) -> None:
        """Stop using the embedded server."""
        if self._embedded:
            self._embedded.close()


def display_name(url: str | None, embedded: EmbeddedServer | None = None) -> str:
    """Return a database's name for a reader, without credentials."""
    if embedded:
        return f"the embedded mongod in {embedded.directory}"
    if not url:
        return "MongoDB"
    return f"MongoDB at {without_credentials(url).partition('://')[2].rstrip('/')}"


def pool_use(client: Any) -> Connections:
    """Return how many connections a client has."""
    synchronous = client.delegate if isinstance(client, AsyncIOMotorClient) else client
    # The public way is a listener, which would cost every call.
    servers = list(synchronous._topology._servers.values())  # noqa: SLF001
    in_use = sum(server.pool.active_sockets for server in servers)
    return Connections(in_use + sum(len(server.pool.conns) for server in servers), in_use)


def _process(client: Any) -> Any:
    servers = client.topology_description.server_descriptions().values()
    versions = [server.topology_version for server in servers]
    return versions[0]["processId"] if len(versions) == 1 and versions[0] else None


def _primaries(client: Any) -> Any:
    servers = client.topology_description.server_descriptions().values()
    return {
        (str((server.topology_version or {}).get("processId")), str(server.election_id))
        for server in servers
        if server.is_writable
    }


def _given(url: str) -> set[str]:
    return {name.lower() for name, _ in parse_qsl(url.partition("?")[2])}


def _own_limits(url: str) -> set[str]:
    return _given(url) & {name.lower() for name in (*_LIMITS, "timeoutMS")}


def _options(settings: Settings, url: str) -> Mapping[str, Any]:
    limit = ceil(settings.timeout * 1000)
    patience = min(limit, _REVIVAL_PATIENCE_MS) if is_embedded(settings.url) else limit
    options = dict.fromkeys(_LIMITS, limit) | {"serverSelectionTimeoutMS": patience}
    given = _given(url)
    if "timeoutms" in given:
        # A limit of the driver's for all of these.
        options = {}
    if is_embedded(settings.url):
        options["directConnection"] = True
    # Deployment.call repeats what was lost, on every server; a driver would do so without
    # a pause while there is no primary.
    options |= {"retryReads": False, "retryWrites": False}
    return {name: value for name, value in options.items() if name.lower() not in given}


def check_passed(client: Any, async_client: Any) -> None:
    """Check that the caller's clients are of the right class.

    Raises:
        BadRequestError: They are not.
    """
    # Not by their attributes: a client answers to any name, with a database.
    if client is not None and not isinstance(client, MongoClient):
        raise BadRequestError(f"client must be a pymongo.MongoClient, not {type(client).__name__}")
    if async_client is not None and not isinstance(
        async_client, AsyncIOMotorClient | AsyncMongoClient
    ):
        raise BadRequestError(
            "async_client must be a motor.AsyncIOMotorClient or a pymongo.AsyncMongoClient, "
            f"not {type(async_client).__name__}"
        )


def _driver_info() -> DriverInfo:
    return DriverInfo("langchain-zepstore", package_version())
