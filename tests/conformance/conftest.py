"""The backends that the suite runs over."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from zlib import crc32

import httpx
import pytest
import pytest_asyncio

from langchain_zepstore import ZepClient
from langchain_zepstore.server import create_app
from tests.support import databases
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
    "large": (REMOTE, "a request's body may have 17 MB"),
    "synchronous": (("asgi",), "its client has no synchronous side, and the property no twin"),
    "steps": (REMOTE, "the steps of an operation are the server's, not the client's"),
}
"""What a test may need that a backend has not, and why."""


Shared = Callable[[str, str, str], Awaitable[Facade]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test on two backends, on all with ``--long``, or on those that are asked for.

    A backend is asked for by its name, with ``-k`` or as part of a test's id.
    """
    if fixtures := [name for name in metafunc.fixturenames if name in ("zep", "meaning", "own")]:
        config = metafunc.config
        asked = " ".join([config.getoption("keyword"), *config.args])
        whole = config.getoption("long") or any(name in asked for name in BACKENDS)
        backends = tuple(BACKENDS) if whole else _in_turn(metafunc.definition)
        values = [(backend,) * len(fixtures) for backend in backends]
        metafunc.parametrize(fixtures, values, indirect=True, ids=backends)


def _in_turn(test: pytest.Item) -> tuple[str, ...]:
    """Return a backend that runs operations itself and one over HTTP.

    The test's name decides, so that each backend has its share, and the same one every time.
    """
    needs = {marker.args[0] for marker in test.iter_markers("needs")}
    for marker in test.iter_markers("parametrize"):
        marks = (mark for value in marker.args[1] for mark in getattr(value, "marks", ()))
        needs |= {mark.args[0] for mark in marks if mark.name == "needs"}
    lacking = {backend for need in needs for backend in LACKING[need][0]}
    number = crc32(test.nodeid.encode())
    local = [backend for backend in BACKENDS if backend not in {*REMOTE, *lacking}]
    remote = [backend for backend in REMOTE if backend not in lacking]
    return tuple(each[number % len(each)] for each in (local, remote) if each)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let tests share one event loop, as their clients; skip what a backend lacks, and say so."""
    here = Path(__file__).parent
    for item in items:
        if item.path.parent == here and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
        for marker in item.iter_markers("needs"):
            backends, reason = LACKING[marker.args[0]]
            params = item.callspec.params if isinstance(item, pytest.Function) else {}
            lacks = [backend for backend in backends if backend in params.values()]
            for backend in lacks:
                item.add_marker(pytest.mark.skip(reason=f"{backend} lacks this: {reason}"))


@asynccontextmanager
async def _opened(name: str, url: str, database: str) -> AsyncIterator[Facade]:
    _, asynchronous, options = BACKENDS[name]
    embeddings = Subjects() if database.startswith(MEANING) else None
    if name == "asgi":
        served = ZepClient(url, database=database, embeddings=embeddings)
        transport = httpx.ASGITransport(app=create_app(served, api_keys=()))
        async with served, httpx.AsyncClient(transport=transport) as async_client:
            client = ZepClient("http://in-process", async_client=async_client)
            yield Facade(client, asynchronous=True)
        return
    if name.startswith("http"):
        client = ZepClient(f"{url}/{database}")
    else:
        client = ZepClient(url, database=database, embeddings=embeddings, **options)
    yield Facade(client, asynchronous=asynchronous)
    await client.aclose()


def _url(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue(BACKENDS[request.param][0])


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def shared() -> AsyncIterator[Shared]:
    """The clients that tests share: one of each backend and database."""
    facades: dict[tuple[str, ...], Facade] = {}
    async with AsyncExitStack() as stack:

        async def facade(*which: str) -> Facade:
            if which not in facades:
                facades[which] = await stack.enter_async_context(_opened(*which))
            return facades[which]

        yield facade


@pytest_asyncio.fixture(loop_scope="session")
async def zep(request: pytest.FixtureRequest, shared: Shared) -> Facade:
    """A client of each backend, in the database that the suite shares."""
    return await shared(request.param, _url(request), "conformance")


@pytest_asyncio.fixture(loop_scope="session")
async def meaning(request: pytest.FixtureRequest, shared: Shared) -> Facade:
    """A client of each backend whose store has embeddings."""
    return await shared(request.param, _url(request), MEANING)


@pytest_asyncio.fixture(loop_scope="session")
async def own(request: pytest.FixtureRequest) -> AsyncIterator[Facade]:
    """A client of each backend, in a database of the test's own, for what looks at all of it."""
    fixture = "replica_set_url" if request.param.startswith("replica-set") else "mongo_url"
    if request.param.startswith("embedded"):
        fixture = "embedded_url"
    url = request.getfixturevalue(fixture)
    name = databases.take(url)
    async with _opened(request.param, _url(request), name) as facade:
        yield facade
    if fixture != "embedded_url":
        databases.give_back(url, name)
