"""The small dense numbers by which sessions and users are listed."""

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.mongo.driver.collection import Database


def next_number(database: Database, kind: str) -> Operation[int]:
    """Hand out the next of the small dense numbers by which a kind of thing is listed."""
    counter = yield from database.counters.find_one_and_update(
        {"_id": kind}, {"$inc": {"last": 1}}, upsert=True
    )
    assert counter is not None
    return int(counter["last"])
