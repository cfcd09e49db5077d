"""Databases that tests use one after another: to empty one is far quicker than to make one."""

import atexit
from collections import defaultdict
from functools import cache
from typing import Any
from uuid import uuid4

from pymongo import MongoClient

from langchain_zepstore import Memory, Message, ZepClient

MUCH = 1_000  # documents

_free: dict[str, list[str]] = defaultdict(list)


def take(url: str) -> str:
    """Return the name of an empty database of a server, one given back if there is one."""
    return _free[url].pop() if _free[url] else f"test_{uuid4().hex}"


def give_back(url: str, name: str) -> None:
    """Empty a database for the next test; drop one that holds much or has indexes of its own."""
    usual = _usual_indexes(url)
    client = driver(url)
    database = client[name]
    is_small = database["messages"].estimated_document_count() < MUCH
    if is_small and {each: database[each].index_information() for each in usual} == usual:
        for each in database.list_collection_names():
            database[each].delete_many({})
        _free[url].append(name)
    else:
        client.drop_database(name)


@cache
def driver(url: str) -> MongoClient[Any]:
    """A client that the tests of a process share; connecting takes longer than most commands."""
    client: MongoClient[Any] = MongoClient(url, tz_aware=True)
    atexit.register(client.close)
    return client


@cache
def _usual_indexes(url: str) -> dict[str, Any]:
    name = f"test_{uuid4().hex}"
    with ZepClient(url, database=name) as zep:
        zep.memory.add_memory("s", Memory(messages=[Message(role="user", content="hello")]))
        database = driver(url)[name]
        usual = {
            each: database[each].index_information() for each in database.list_collection_names()
        }
    driver(url).drop_database(name)
    return usual
