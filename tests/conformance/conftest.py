"""The backends that the suite runs over."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx
import pytest

from langchain_zepstore import ZepClient
from langchain_zepstore.server import create_app
from tests.support.embeddings import Subjects
from tests.support.facade import Facade
from tests.support.serving import MEANING

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
    "large": (REMOTE, "a request's body may have 5 MB"),
    "steps": (REMOTE, "the steps of an operation are the server's, not the client's"),
}
"""What a test may need that a backend has not, and why."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what a backend lacks, and say so."""
    for item in items:
        for marker in item.iter_markers("needs"):
            backends, reason = LACKING[marker.args[0]]
            callspec = getattr(item, "callspec", None)
            lacks = (
                [name for name in backends if name in callspec.params.values()] if callspec else []
            )
            for backend in lacks:
                item.add_marker(pytest.mark.skip(reason=f"{backend} lacks this: {reason}"))


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
