"""Opening, sharing and closing the drivers: pymongo, motor and pymongo's asynchronous API.

The only module that makes clients of theirs.
"""

import asyncio
import os
import threading
import warnings
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from math import ceil
from typing import Any, Literal
from urllib.parse import parse_qsl

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient, MongoClient
from pymongo.driver_info import DriverInfo

from langchain_zepstore.checks import without_credentials
from langchain_zepstore.embedded.server import EmbeddedServer
from langchain_zepstore.errors import BadRequestError, StoreUnavailableError, ZepStoreError
from langchain_zepstore.mongo.collections import Database, Place
from langchain_zepstore.mongo.failures import DRIVER_ERRORS, translated

AsyncDriver = Literal["motor", "pymongo"]

_DEFAULT_DATABASE = "zepstore"
_REVIVAL_PATIENCE_MS = 1000  # an embedded server that is gone this long is started again


@dataclass(frozen=True)
class Settings:
    """How to reach the database.

    Attributes:
        url: A ``mongodb://`` or ``mongodb+srv://`` URL; ``None`` with an embedded server, or when
            clients are passed in.
        embedded: The embedded server.
        database: Its name; ``None``: the URL's, else ``zepstore``.
        client: The caller's ``pymongo.MongoClient``.
        async_client: The caller's ``AsyncIOMotorClient`` or ``AsyncMongoClient``.
        async_driver: Which driver to open for asynchronous calls.
        timeout: Seconds for each driver call.
        retention: How long soft-deleted data is kept; ``None``: as the database has it.
    """

    url: str | None
    embedded: EmbeddedServer | None
    database: str | None
    client: Any
    async_client: Any
    async_driver: AsyncDriver
    timeout: float
    retention: timedelta | None

    @property
    def place(self) -> str:
        """The database's name for a reader, without credentials."""
        if self.embedded:
            return f"the embedded mongod in {self.embedded.directory}"
        if not self.url:
            return "MongoDB"
        return f"MongoDB at {without_credentials(self.url).partition('://')[2]}"


class Drivers:
    """The clients of one ``ZepClient``: a synchronous one, and one per event loop.

    Each process opens its own; those that a fork left behind are neither used nor closed.
    """

    def __init__(self, settings: Settings) -> None:
        check_passed(settings.client, settings.async_client)
        self.settings = settings
        self._clients: dict[int, tuple[Any, Database]] = {}
        self._loops: dict[tuple[int, asyncio.AbstractEventLoop], asyncio.Task[Any]] = {}
        self._locks: dict[int, threading.Lock] = {}

    def open(self) -> Database:
        """Return the database for synchronous calls."""
        opened = self._clients.get(os.getpid())
        if opened:
            return opened[1]
        with self._locks.setdefault(os.getpid(), threading.Lock()):
            opened = self._clients.get(os.getpid())
            if not opened:
                opened = self._connect(asynchronous=False)
                self._clients[os.getpid()] = opened
        return opened[1]

    async def aopen(self) -> Database:
        """Return the database for calls on the running event loop."""
        loop = asyncio.get_running_loop()
        task = self._loops.get((os.getpid(), loop))
        if task is None:
            self._drop_closed_loops()
            # Off the loop: TLS, SRV look-ups and the embedded server's start would block it.
            task = loop.create_task(asyncio.to_thread(self._connect, asynchronous=True, loop=loop))
            self._loops[os.getpid(), loop] = task
        try:
            return (await asyncio.shield(task))[1]  # type: ignore[no-any-return]
        except BaseException:
            if task.done() and (task.cancelled() or task.exception()):
                self._loops.pop((os.getpid(), loop), None)
            raise

    def _connect(
        self, *, asynchronous: bool, loop: asyncio.AbstractEventLoop | None = None
    ) -> tuple[Any, Database]:
        settings = self.settings
        embedded = settings.embedded
        passed = settings.async_client if asynchronous else settings.client
        if passed is None and (settings.client or settings.async_client) is not None:
            kind, argument = (
                ("an asynchronous", "async_client") if asynchronous else ("a synchronous", "client")
            )
            raise BadRequestError(f"{kind} call needs the argument {argument} of ZepClient")
        try:
            client = passed
            if client is None:
                url = embedded.open() if embedded else settings.url
                client = self._client(str(url), asynchronous=asynchronous, loop=loop)
            if settings.database:
                raw = client[settings.database]
            else:
                raw = client.get_default_database(_DEFAULT_DATABASE)
        except ZepStoreError:
            raise
        except (*DRIVER_ERRORS, ValueError, TypeError) as error:
            raise translated(error, settings.place) from error
        if not raw.write_concern.acknowledged:
            raise BadRequestError(
                f"the write concern w=0 of {settings.place} cannot be used: "
                "an unacknowledged write may be lost without a word"
            )
        revive = None
        if embedded:
            revive = partial(asyncio.to_thread, self._revive) if asynchronous else self._revive
        return client, Database(raw, Place(settings.place, settings.timeout, revive))

    def _revive(self) -> None:
        embedded = self.settings.embedded
        assert embedded
        address = embedded.open()
        if embedded.ensure() != address:
            self._clients.clear()
            self._loops.clear()
            raise StoreUnavailableError(
                f"{self.settings.place} was started again at another address; repeat the call"
            )

    def _client(
        self, url: str, *, asynchronous: bool, loop: asyncio.AbstractEventLoop | None
    ) -> Any:
        options = self._options(url)
        if not asynchronous:
            return MongoClient(url, driver=_driver_info(), **options)
        if self.settings.async_driver == "motor":
            return AsyncIOMotorClient(url, io_loop=loop, **options)
        return AsyncMongoClient(url, driver=_driver_info(), **options)

    def _options(self, url: str) -> dict[str, Any]:
        limit = ceil(self.settings.timeout * 1000)
        options: dict[str, Any] = {"timeoutMS": limit}
        if self.settings.embedded:
            # Not timeoutMS, with which a driver looks for a dead server until the time is up.
            options = {
                "directConnection": True,
                "serverSelectionTimeoutMS": min(limit, _REVIVAL_PATIENCE_MS),
                "socketTimeoutMS": limit,
                "waitQueueTimeoutMS": limit,
            }
        given = {name.lower() for name, _ in parse_qsl(url.partition("?")[2])}
        return {name: value for name, value in options.items() if name.lower() not in given}

    def _drop_closed_loops(self) -> None:
        for key in [key for key in self._loops if key[1].is_closed()]:
            task = self._loops.pop(key)
            if key[0] == os.getpid() and not task.cancelled() and not task.exception():
                self._abandon(task.result()[0])

    def _abandon(self, client: Any) -> None:
        if client is self.settings.async_client:
            return
        if isinstance(client, AsyncIOMotorClient):
            client.close()
            return
        with warnings.catch_warnings():
            # An AsyncMongoClient can only be closed on its own loop, and that one has ended.
            warnings.simplefilter("ignore", ResourceWarning)
            del client

    def close(self) -> None:
        """Close what can be closed without an event loop. May be called twice."""
        opened = self._clients.pop(os.getpid(), None)
        if opened and opened[0] is not self.settings.client:
            opened[0].close()
        self._drop_closed_loops()
        for key in [key for key in self._loops if key[0] == os.getpid()]:
            task = self._loops[key]
            if task.done() and not task.cancelled() and not task.exception():
                client = task.result()[0]
                if isinstance(client, AsyncIOMotorClient):
                    del self._loops[key]
                    self._abandon(client)
        if self.settings.embedded:
            self.settings.embedded.close()

    async def aclose(self) -> None:
        """Close everything. May be called twice."""
        loop = asyncio.get_running_loop()
        task = self._loops.pop((os.getpid(), loop), None)
        if task:
            client, _ = await task
            if isinstance(client, AsyncMongoClient) and client is not self.settings.async_client:
                await client.close()
            else:
                await asyncio.to_thread(self._abandon, client)
        await asyncio.to_thread(self.close)


def check_passed(client: Any, async_client: Any) -> None:
    """Check that what the caller passed as clients are clients of the right kind.

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
    return DriverInfo("langchain-zepstore", version("langchain-zepstore"))
