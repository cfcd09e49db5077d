"""The small dense numbers by which sessions and users are listed."""

from langchain_zepstore.mongo.collections import Database
from langchain_zepstore.running import Operation


def next_number(database: Database, kind: str) -> Operation[int]:
    """Hand out the next of the small dense numbers by which a kind of thing is listed."""
    counter = yield from database.counters.find_one_and_update(
        {"_id": kind}, {"$inc": {"last": 1}}, upsert=True
    )
    assert counter is not None
    return int(counter["last"])
