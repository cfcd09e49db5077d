"""Running the server: uvicorn on an address, in one process or more."""

import asyncio
import gc
import ipaddress
import json
import logging
import os
import secrets
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from inspect import isroutine
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from langchain_zepstore.core.version import package_version
from langchain_zepstore.errors import BadRequestError, ZepStoreError
from langchain_zepstore.server.api_keys import KEYS_VARIABLE, ApiKey, from_environment, from_file
from langchain_zepstore.server.app import create_app
from langchain_zepstore.server.asgi.observability import ACCESS_LOG, METRICS_VARIABLE
from langchain_zepstore.server.protocol import Protocol
from langchain_zepstore.server.routes.service import check_store
from langchain_zepstore.server.ui.security import SECRET_VARIABLE
from langchain_zepstore.store_client import StoreClient

_SETTINGS_VARIABLE = "ZEPSTORE_SERVING"  # passes the settings to worker processes
_KEEP_ALIVE = 75  # seconds; longer than clients keep an idle connection
_PROMPT_SECONDS = 2.0  # a driver gives up much later
_RETRY_SECONDS = 1.0
_LOG = logging.getLogger("langchain_zepstore.server")
_GRACE = 30  # seconds for requests in flight when the server is stopped
_MAX_CONNECTIONS = 10_000  # beyond them the answer is a 503


@dataclass(frozen=True)
class Serving:
    """The settings of a server process.

    Attributes:
        url: The store, as for ``ZepClient``.
        database: As for ``ZepClient``.
        timeout: As for ``ZepClient``.
        embeddings: LangChain's ``Embeddings``, or a callable that returns them, as
            ``module:name``.
        language: As for ``ZepClient``.
        api_keys: A JSON file of keys; without one, those in ``$ZEPSTORE_API_KEYS``.
        cors_origins: As for ``create_app``.
        max_body: As ``max_body_bytes`` of ``create_app``.
        insecure: Whether others are served without keys.
    """

    url: str | None = None
    database: str | None = None
    timeout: float = 10.0
    embeddings: str | None = None
    language: str | None = None
    api_keys: str | None = None
    cors_origins: Sequence[str] = ()
    max_body: int | None = None
    insecure: bool = False

    def keys(self) -> list[str | ApiKey]:
        """Return the accepted keys.

        Raises:
            BadRequestError: They cannot be read.
        """
        return from_file(Path(self.api_keys)) if self.api_keys else from_environment()

    def app(self) -> FastAPI:
        """Return an application with a client of its own, closed at its shutdown."""
        # motor hands every call to a thread, which then waits for the GIL.
        client = StoreClient(
            self.url,
            database=self.database,
            timeout=self.timeout,
            embeddings=_imported(self.embeddings) if self.embeddings else None,
            language=self.language,
            async_driver="pymongo",
        )
        keys = self.keys()
        app = create_app(
            client,
            api_keys=keys,
            cors_origins=self.cors_origins,
            max_body_bytes=self.max_body,
            ui=True,
            local_only=not keys and not self.insecure,
        )

        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            # Imported modules stay; a garbage collection of them all would stop the loop.
            gc.collect()
            gc.freeze()
            async with client:
                report = asyncio.create_task(_report_store(client))
                yield
                report.cancel()

        app.router.lifespan_context = lifespan
        return app


async def _report_store(client: StoreClient) -> None:
    """Log whether the store answers; if it does not yet, log that too and go on asking."""
    store = client.location
    warning = asyncio.get_running_loop().call_later(
        _PROMPT_SECONDS, _LOG.warning, "%s is not reachable yet; until then answers are 503", store
    )
    reason = ""
    try:
        while True:
            try:
                await check_store(client)
            except ZepStoreError as error:
                if str(error) != reason:
                    _LOG.warning("%s is not reachable yet: %s", store, error)
                reason = str(error)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                _LOG.info("%s is reachable", store)
                return
    finally:
        warning.cancel()


def _imported(name: str) -> Any:
    """Return the embeddings named ``module:attribute``.

    Raises:
        BadRequestError: There are none.
    """
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
        # Embeddings that happen to be callable are not called.
        return found() if isinstance(found, type) or isroutine(found) else found
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise BadRequestError(
            f"there are no embeddings at {name!r} ({error}); name them as module:name"
        ) from error


def app_of_worker() -> FastAPI:
    """Return the application of a worker process."""
    log_to_stderr()
    return Serving(**json.loads(os.environ[_SETTINGS_VARIABLE])).app()


def serve(serving: Serving, *, host: str, port: int, workers: int = 1) -> None:
    """Serve until stopped, then finish the requests in flight.

    Args:
        serving: The settings.
        host: The address to listen on.
        port: The port; 0 takes a free one.
        workers: The number of processes.

    Raises:
        BadRequestError: An argument is invalid, or the address would be open to everybody.
    """
    if not serving.keys() and not serving.insecure and not _is_loopback(host):
        raise BadRequestError(
            f"without API keys, everybody who reaches {host} could read and change everything; set "
            f"${KEYS_VARIABLE} or --api-keys, listen on 127.0.0.1, or say --insecure"
        )
    options: dict[str, Any] = {
        "workers": workers,
        "http": Protocol,
        "limit_concurrency": _MAX_CONNECTIONS,
        "ws": "none",
        "lifespan": "on",
        "access_log": False,
        "server_header": False,
        "timeout_keep_alive": _KEEP_ALIVE,
        "timeout_graceful_shutdown": _GRACE,
        "log_config": None,
    }
    if workers > 1:
        os.environ[_SETTINGS_VARIABLE] = json.dumps(asdict(serving))
        os.environ.setdefault(SECRET_VARIABLE, secrets.token_hex())
        config = uvicorn.Config(f"{__name__}:app_of_worker", factory=True, **options)
    else:
        config = uvicorn.Config(serving.app(), **options)
    listener = _bound(host, port)
    log_to_stderr()
    banner = asyncio.run(_banner(serving, host, listener))
    if workers == 1:
        listener.listen(config.backlog)  # who comes while it starts waits
    sys.stderr.write(banner)
    if workers > 1:
        with tempfile.TemporaryDirectory(prefix="zepstore-metrics-") as directory:
            os.environ[METRICS_VARIABLE] = directory
            Multiprocess(config, sockets=[listener]).run()
        return
    server = uvicorn.Server(config)
    server.run(sockets=[listener])
    if not server.started:
        sys.exit(1)


def _bound(host: str, port: int) -> socket.socket:
    """Return a socket at an address.

    Raises:
        BadRequestError: The address is taken, or not this machine's.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        reason = str(error.strerror).lower()
        raise BadRequestError(f"cannot listen on {host}, port {port}: {reason}") from error
    listener.set_inheritable(True)
    return listener


async def _banner(serving: Serving, host: str, listener: socket.socket) -> str:
    shown_host = f"[{host}]" if ":" in host else host
    url = f"http://{shown_host}:{listener.getsockname()[1]}"
    keys = len(serving.keys())
    who = "none: whoever reaches this address may read and change everything"
    if keys:
        who = f"{keys}, from {serving.api_keys or '$' + KEYS_VARIABLE}"
    timeout = min(serving.timeout, _PROMPT_SECONDS)
    async with StoreClient(serving.url, database=serving.database, timeout=timeout) as client:
        state = "it answers"
        try:
            await check_store(client)
        except ZepStoreError as error:
            state = f"it does not answer yet, until then requests are a 503 ({error})"
        lines = {
            "store": f"{client.location}: {state}",
            "keys": who,
            "page": f"{url}/ui",
            "docs": f"{url}/docs",
            "metrics": f"{url}/metrics",
        }
    shown = "".join(f"\n  {name:8} {text}" for name, text in lines.items())
    return f"zepstore {package_version()} running on {url}{shown}\n"


def log_to_stderr() -> None:
    """Log to stderr: the access log as JSON lines, the rest as text."""
    text, json_lines = "%(asctime)s %(levelname)s %(name)s %(message)s", "%(message)s"
    for name, form in (
        ("uvicorn", text),
        ("langchain_zepstore", text),
        (ACCESS_LOG.name, json_lines),
    ):
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter(form))
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
