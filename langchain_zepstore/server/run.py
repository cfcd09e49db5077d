"""Running the server: uvicorn on an address, with one process or several."""

import gc
import ipaddress
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from inspect import isroutine
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.server.api_keys import KEYS_VARIABLE, ApiKey, from_environment, from_file
from langchain_zepstore.server.app import create_app
from langchain_zepstore.server.protocol import LimitedProtocol
from langchain_zepstore.store_client import StoreClient

_SETTINGS_VARIABLE = "ZEPSTORE_SERVING"  # how worker processes learn what to serve
_KEEP_ALIVE = 75  # seconds; longer than clients keep a connection they do not use
_GRACE = 30  # seconds for what is in flight when the server is told to stop


@dataclass(frozen=True)
class Serving:
    """What is served, and how.

    Attributes:
        url: The store, as for ``ZepClient``.
        database: As for ``ZepClient``.
        timeout: As for ``ZepClient``.
        embeddings: Where they are in Python, ``module:name``: LangChain's ``Embeddings``, or what
            returns them when it is called.
        language: As for ``ZepClient``.
        api_keys: A file of keys (see ``keys``); without one ``$ZEPSTORE_API_KEYS`` has them.
        cors_origins: As for ``create_app``.
    """

    url: str | None = None
    database: str | None = None
    timeout: float = 10.0
    embeddings: str | None = None
    language: str | None = None
    api_keys: str | None = None
    cors_origins: Sequence[str] = ()

    def keys(self) -> list[str | ApiKey]:
        """Return the keys that are let in.

        Raises:
            BadRequestError: They cannot be read.
        """
        return from_file(Path(self.api_keys)) if self.api_keys else from_environment()

    def app(self) -> FastAPI:
        """Return an application with a client of its own, which ends with it."""
        # motor hands every call to a thread, which then waits for the loop's to let go of the GIL.
        client = StoreClient(
            self.url,
            database=self.database,
            timeout=self.timeout,
            embeddings=_imported(self.embeddings) if self.embeddings else None,
            language=self.language,
            async_driver="pymongo",
        )
        app = create_app(client, api_keys=self.keys(), cors_origins=self.cors_origins)

        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            # What is imported stays; collections that look through all of it stop the loop.
            gc.collect()
            gc.freeze()
            async with client:
                yield

        app.router.lifespan_context = lifespan
        return app


def _imported(place: str) -> Any:
    """Return the embeddings at a place in Python.

    Raises:
        BadRequestError: There are none.
    """
    module, _, name = place.partition(":")
    try:
        found = getattr(import_module(module), name)
        # A class or a function; embeddings themselves are never called.
        return found() if isinstance(found, type) or isroutine(found) else found
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise BadRequestError(
            f"there are no embeddings at {place!r} ({error}); name them as module:name"
        ) from error


def app_of_worker() -> FastAPI:
    """Return the application of a worker process."""
    log_to_stderr()
    return Serving(**json.loads(os.environ[_SETTINGS_VARIABLE])).app()


def serve(
    serving: Serving, *, host: str, port: int, workers: int = 1, insecure: bool = False
) -> None:
    """Serve until told to stop; then finish what is in flight.

    Args:
        serving: What.
        host: The address to listen on.
        port: The port; 0 takes a free one.
        workers: How many processes.
        insecure: Also without keys on an address that others can reach.

    Raises:
        BadRequestError: An argument cannot be used, or the address would be open to everybody.
    """
    if not serving.keys() and not insecure and not _is_loopback(host):
        raise BadRequestError(
            f"without API keys, everybody who reaches {host} could read and change everything; set "
            f"${KEYS_VARIABLE} or --api-keys, listen on 127.0.0.1, or say --insecure"
        )
    options: dict[str, Any] = {
        "host": host,
        "port": port,
        "http": LimitedProtocol,
        "ws": "none",
        "lifespan": "on",
        "access_log": False,
        "server_header": False,
        "timeout_keep_alive": _KEEP_ALIVE,
        "timeout_graceful_shutdown": _GRACE,
        "log_config": None,
    }
    log_to_stderr()
    if workers > 1:
        os.environ[_SETTINGS_VARIABLE] = json.dumps(asdict(serving))
        uvicorn.run(f"{__name__}:app_of_worker", factory=True, workers=workers, **options)
        return
    uvicorn.run(serving.app(), **options)


def log_to_stderr() -> None:
    """Let the server's log, uvicorn's and the accesses go where a process keeper reads them."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    for name in ("uvicorn", "langchain_zepstore"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.handlers = [handler]
        logger.propagate = False


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
