"""The backends that the suite runs over."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from langchain_zepstore import ZepClient
from tests.support.facade import Facade

BACKENDS = {
    "mongodb-sync": ("mongo_url", False, {}),
    "mongodb-motor": ("mongo_url", True, {"async_driver": "motor"}),
    "mongodb-pymongo-async": ("mongo_url", True, {"async_driver": "pymongo"}),
    "embedded-sync": ("embedded_url", False, {}),
    "embedded-motor": ("embedded_url", True, {}),
    "replica-set-sync": ("replica_set_url", False, {}),
    "replica-set-motor": ("replica_set_url", True, {}),
}


@pytest.fixture(params=BACKENDS)
async def zep(request: pytest.FixtureRequest) -> AsyncIterator[Facade]:
    """A client of each backend, in the database that the suite shares."""
    url, asynchronous, options = BACKENDS[request.param]
    client = ZepClient(request.getfixturevalue(url), database="conformance", **options)
    yield Facade(client, asynchronous=asynchronous)
    await client.aclose()


@pytest.fixture(params=BACKENDS)
async def own(request: pytest.FixtureRequest) -> AsyncIterator[Facade]:
    """A client of each backend, in a database of the test's own, for what looks at all of it."""
    url, asynchronous, options = BACKENDS[request.param]
    name = f"own_{uuid4().hex}"
    client = ZepClient(request.getfixturevalue(url), database=name, **options)
    yield Facade(client, asynchronous=asynchronous)
    await client.aclose()
