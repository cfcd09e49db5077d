"""The backends that the suite runs over."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from langchain_zepstore import ZepClient
from langchain_zepstore.server import create_app
from tests.support.embeddings import Subjects
from tests.support.facade import Facade
from tests.support.serving import MEANING

HERE = Path(__file__).parent
BACKENDS = {
    "mongodb-sync": ("mongo_url", False, {}),
    "mongodb-motor": ("mongo_url", True, {"async_driver": "motor"}),
    "mongodb-pymongo-async": ("mongo_url", True, {"async_driver": "pymongo"}),
    "embedded-sync": ("embedded_url", False, {}),
    "embedded-motor": ("embedded_url", True, {}),
    "replica-set-sync": ("replica_set_url", False, {}),
    "replica-set-motor": ("replica_set_url", True, {}),
    "http-sync": ("server_url", False, {}),
    "http-async": ("server_url", True, {}),
    "asgi": ("mongo_url", True, {}),
}

REMOTE = ("http-sync", "http-async", "asgi")
LACKING = {
    "large": (REMOTE, "a request's body may have 17 MB"),
    "synchronous": (("asgi",), "its client has no synchronous side, and the property no twin"),
    "steps": (REMOTE, "the steps of an operation are the server's, not the client's"),
}
"""What a test may need that a backend has not, and why."""


WHOLE = ("mongodb-sync", "http-async")
"""Backends on which every test runs."""
ALIKE = (
    ("mongodb-motor", "mongodb-pymongo-async"),
    ("embedded-sync", "embedded-motor"),
    ("replica-set-sync", "replica-set-motor"),
    ("http-sync", "asgi"),
)
"""The others differ from these in how they are opened and awaited: of two that are alike each
promise is shown on one, in turns, and with ``--long`` every test runs on both."""
TURN = {backend: turn for pair in ALIKE for turn, backend in enumerate(pair)}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what shows nothing new on a backend; skip what a backend lacks, and say so."""
    if not config.getoption("long"):
        left_out = _showing_nothing_new(items)
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=list(left_out))
    for item in items:
        for marker in item.iter_markers("needs"):
            backends, reason = LACKING[marker.args[0]]
            callspec = getattr(item, "callspec", None)
            lacks = (
                [name for name in backends if name in callspec.params.values()] if callspec else []
            )
            for backend in lacks:
                item.add_marker(pytest.mark.skip(reason=f"{backend} lacks this: {reason}"))


def _showing_nothing_new(items: list[pytest.Item]) -> set[pytest.Item]:
    numbers: dict[str, int] = {}
    shown: set[tuple[str, str]] = set()
    left_out = set()
    for item in items:
        backend = next((name for name in BACKENDS if f"[{name}" in item.name), None)
        if not backend or backend in WHOLE or item.path.parent != HERE:
            continue
        its_turn = {
            (backend, promise)
            for promise in (marker.args[0] for marker in item.iter_markers("promise"))
            if numbers.setdefault(promise, len(numbers)) % 2 == TURN[backend]
        }
        if its_turn <= shown:
            left_out.add(item)
        shown |= its_turn
    return left_out


@asynccontextmanager
async def _opened(request: pytest.FixtureRequest, database: str) -> AsyncIterator[Facade]:
    name = request.param
    fixture, asynchronous, options = BACKENDS[name]
    embeddings = Subjects() if database.startswith(MEANING) else None
    url = request.getfixturevalue(fixture)
    if name.startswith("http"):
        client = ZepClient(f"{url}/{database}")
    elif name == "asgi":
        served = ZepClient(url, database=database, embeddings=embeddings)
        transport = httpx.ASGITransport(app=create_app(served, api_keys=()))
        async with served, httpx.AsyncClient(transport=transport) as async_client:
            yield Facade(
                ZepClient("http://in-process", async_client=async_client), asynchronous=True
            )
        return
    else:
        client = ZepClient(url, database=database, embeddings=embeddings, **options)
    yield Facade(client, asynchronous=asynchronous)
    await client.aclose()


@pytest.fixture(params=BACKENDS)
async def zep(request: pytest.FixtureRequest) -> AsyncIterator[Facade]:
    """A client of each backend, in the database that the suite shares."""
    async with _opened(request, "conformance") as facade:
        yield facade


@pytest.fixture(params=BACKENDS)
async def meaning(request: pytest.FixtureRequest) -> AsyncIterator[Facade]:
    """A client of each backend whose store has embeddings."""
    async with _opened(request, MEANING) as facade:
        yield facade


@pytest.fixture(params=BACKENDS)
async def own(request: pytest.FixtureRequest) -> AsyncIterator[Facade]:
    """A client of each backend, in a database of the test's own, for what looks at all of it."""
    async with _opened(request, f"own_{uuid4().hex}") as facade:
        yield facade
