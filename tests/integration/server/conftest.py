"""The page, on a database that its tests share."""

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
from fastapi import FastAPI
from pymongo import MongoClient

from langchain_zepstore import ZepClient
from langchain_zepstore.server import create_app
from tests.support.pages import Browser, browser_of


@pytest.fixture(scope="session")
def page_database(mongo_url: str) -> Iterator[str]:
    """The database that the page's tests share; each has sessions and users of its own."""
    name = f"page_{uuid4().hex}"
    yield name
    with MongoClient(mongo_url) as client:
        client.drop_database(name)


@pytest.fixture(scope="session")
def page_store(mongo_url: str, page_database: str) -> Iterator[ZepClient]:
    """The store behind the page."""
    with ZepClient(mongo_url, database=page_database, async_driver="pymongo") as client:
        yield client


@pytest.fixture(scope="session")
def page_app(page_store: ZepClient) -> FastAPI:
    """The application with the page, without keys."""
    return create_app(page_store, ui=True, api_keys=())


@pytest.fixture
async def browser(page_app: FastAPI) -> AsyncIterator[Browser]:
    """A browser on the page without keys."""
    browser = browser_of(page_app)
    async with browser.http:
        yield browser
