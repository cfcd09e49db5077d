"""Opening, sharing and closing the drivers: pymongo, motor and pymongo's asynchronous API.

The only module that makes clients of theirs.
"""

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
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

from langchain_zepstore.core.operation import Operation, arun, run
from langchain_zepstore.core.validation import without_credentials
from langchain_zepstore.embedded.server import EmbeddedServer
from langchain_zepstore.errors import BadRequestError, StoreUnavailableError, ZepStoreError
from langchain_zepstore.mongo.driver.collection import Database, Place
from langchain_zepstore.mongo.driver.errors import DRIVER_ERRORS, translated

AsyncDriver = Literal["motor", "pymongo"]

_DEFAULT_DATABASE = "zepstore"
_LIMITS = ("connectTimeoutMS", "serverSelectionTimeoutMS", "socketTimeoutMS", "waitQueueTimeoutMS")
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
        language: What messages are searched in; ``None``: as the database has it.
    """

    url: str | None
    embedded: EmbeddedServer | None
    database: str | None
    client: Any
    async_client: Any
    async_driver: AsyncDriver
    timeout: float
    retention: timedelta | None
    language: str | None = None

    @property
    def place(self) -> str:
        """The database's name for a reader, without credentials."""
        if self.embedded:
            return f"the embedded mongod in {self.embedded.directory}"
        if not self.url:
            return "MongoDB"
        return f"MongoDB at {without_credentials(self.url).partition('://')[2].rstrip('/')}"


@dataclass
class _Opened:
    client: Any
    database: Database
    is_ours: bool
    keeper: AsyncGenerator[None, None] | None = None


class Drivers:
    """The clients of one ``ZepClient``: a synchronous one, and one per event loop.

    Each process opens its own; those that a fork left behind are neither used nor closed.

    Args:
        settings: How to reach the database.
        prepare: What is done on the database when it is first opened.
    """

    def __init__(self, settings: Settings, prepare: Callable[[Database], Operation[None]]) -> None:
        check_passed(settings.client, settings.async_client)
        self.settings = settings
        self._prepare = prepare
        self._prepared = False
        self._clients: dict[int, _Opened] = {}
        self._loops: dict[tuple[int, asyncio.AbstractEventLoop], asyncio.Task[_Opened]] = {}
        self._locks: dict[int, threading.Lock] = {}

    def open(self) -> Database:
        """Return the database for synchronous calls."""
        opened = self._clients.get(os.getpid())
        if opened:
            return opened.database
        with self._locks.setdefault(os.getpid(), threading.Lock()):
            opened = self._clients.get(os.getpid())
            if not opened:
                opened = self._connect(None)
                try:
                    if not self._prepared:
                        run(self._prepare(opened.database))
                        self._prepared = True
                except BaseException:
                    self._close(opened)
                    raise
                self._clients[os.getpid()] = opened
        return opened.database

    async def aopen(self) -> Database:
        """Return the database for calls on the running event loop."""
        key = os.getpid(), asyncio.get_running_loop()
        task = self._loops.get(key)
        if task is None or _failed(task):
            self._drop_closed_loops()
            task = self._loops[key] = key[1].create_task(self._open(key[1]))
        try:
            return (await asyncio.shield(task)).database
        except BaseException:
            if _failed(task) and self._loops.get(key) is task:
                del self._loops[key]
            raise

    async def _open(self, loop: asyncio.AbstractEventLoop) -> _Opened:
        # In a thread: TLS, SRV look-ups and the embedded server's start would block the loop.
        opened = await asyncio.to_thread(self._connect, loop)
        opened.keeper = self._keep(opened, loop)
        await anext(opened.keeper)
        try:
            if not self._prepared:
                await arun(self._prepare(opened.database))
                self._prepared = True
        except BaseException:
            await opened.keeper.aclose()
            raise
        return opened

    async def _keep(
        self, opened: _Opened, loop: asyncio.AbstractEventLoop
    ) -> AsyncGenerator[None, None]:
        # asyncio.run closes what generators are left before it closes the loop: the only moment at
        # which an AsyncMongoClient that nobody closed can be. Others do so and go on with the loop
        # (the Agents SDK's run_sync): the next call opens another client.
        try:
            yield
        finally:
            key = os.getpid(), loop
            task = self._loops.get(key)
            if task and task.done() and not _failed(task) and task.result() is opened:
                del self._loops[key]
            if isinstance(opened.client, AsyncMongoClient) and opened.is_ours:
                await opened.client.close()
            else:
                await asyncio.to_thread(self._close, opened)

    def _connect(self, loop: asyncio.AbstractEventLoop | None) -> _Opened:
        settings = self.settings
        passed = settings.client if loop is None else settings.async_client
        if passed is None and (settings.client or settings.async_client) is not None:
            kind, argument = (
                ("a synchronous", "client") if loop is None else ("an asynchronous", "async_client")
            )
            raise BadRequestError(f"{kind} call needs the argument {argument} of ZepClient")
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
            raise translated(error, settings.place) from error
        if not raw.write_concern.acknowledged:
            if passed is None and not isinstance(client, AsyncMongoClient):
                client.close()
            raise BadRequestError(
                f"the write concern w=0 of {settings.place} cannot be used: "
                "an unacknowledged write may be lost without a word"
            )
        revive = None
        if settings.embedded:
            revive = self._revive if loop is None else partial(asyncio.to_thread, self._revive)
        synchronous = client.delegate if isinstance(client, AsyncIOMotorClient) else client
        process = partial(_process, synchronous)
        limits_whole = passed is None and not revive and not _own_limits(str(settings.url))
        place = Place(settings.place, settings.timeout, process, revive, limits_whole)
        return _Opened(client, Database(raw, place, settings.language), is_ours=passed is None)

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

    def _client(self, loop: asyncio.AbstractEventLoop | None) -> Any:
        settings = self.settings
        url = settings.embedded.open() if settings.embedded else str(settings.url)
        options = _options(settings, url)
        if loop is None:
            return MongoClient(url, driver=_driver_info(), **options)
        if settings.async_driver == "motor":
            return AsyncIOMotorClient(url, io_loop=loop, **options)
        return AsyncMongoClient(url, driver=_driver_info(), **options)

    def _close(self, opened: _Opened) -> None:
        """Close a client unless it is the caller's, or one that only its own loop can close."""
        if opened.is_ours and not isinstance(opened.client, AsyncMongoClient):
            opened.client.close()

    def _drop_closed_loops(self) -> None:
        for key in [key for key in list(self._loops) if key[1].is_closed()]:
            self._drop(key)

    def _drop(self, key: tuple[int, asyncio.AbstractEventLoop]) -> None:
        task = self._loops.pop(key, None)
        if task and task.done() and not _failed(task):
            self._close(task.result())

    def close(self) -> None:
        """Close what can be closed without an event loop. May be called twice."""
        opened = self._clients.pop(os.getpid(), None)
        if opened:
            self._close(opened)
        for key in [key for key in list(self._loops) if key[0] == os.getpid()]:
            self._drop(key)
        if self.settings.embedded:
            self.settings.embedded.close()

    async def aclose(self) -> None:
        """Close everything. May be called twice."""
        task = self._loops.pop((os.getpid(), asyncio.get_running_loop()), None)
        try:
            if task:
                with suppress(ZepStoreError):  # then there is nothing to close
                    keeper = (await task).keeper
                    assert keeper
                    await keeper.aclose()
        finally:
            await asyncio.to_thread(self.close)


def _process(client: Any) -> Any:
    servers = client.topology_description.server_descriptions().values()
    versions = [server.topology_version for server in servers]
    return versions[0]["processId"] if len(versions) == 1 and versions[0] else None


def _failed(task: asyncio.Task[_Opened]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _given(url: str) -> set[str]:
    return {name.lower() for name, _ in parse_qsl(url.partition("?")[2])}


def _own_limits(url: str) -> set[str]:
    return _given(url) & {name.lower() for name in _LIMITS}


def _options(settings: Settings, url: str) -> Mapping[str, Any]:
    limit = ceil(settings.timeout * 1000)
    patience = min(limit, _REVIVAL_PATIENCE_MS) if settings.embedded else limit
    options = dict.fromkeys(_LIMITS, limit) | {"serverSelectionTimeoutMS": patience}
    given = _given(url)
    if "timeoutms" in given:
        # A limit of the driver's for all of these. It costs a turn about a twentieth.
        options = {}
    if settings.embedded:
        options["directConnection"] = True
    # Collection.call repeats what was lost, on every kind of server; a driver would do so without
    # a pause while there is no primary.
    options |= {"retryReads": False, "retryWrites": False}
    return {name: value for name, value in options.items() if name.lower() not in given}


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
