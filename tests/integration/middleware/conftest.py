"""The client of the middleware's tests."""

from collections.abc import AsyncIterator

import pytest

from langchain_zepstore import ZepClient


@pytest.fixture
async def client(mongo_url: str) -> AsyncIterator[ZepClient]:
    """A client for both kinds of calls."""
    async with ZepClient(mongo_url) as client:
        yield client
