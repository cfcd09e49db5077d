"""The small dense numbers by which sessions and users are listed."""

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.mongo.driver.database import Database


def next_number(database: Database, collection: str) -> Operation[int]:
    """Return the next number for a document of a collection."""
    counter = yield from database.counters.find_one_and_update(
        {"_id": collection}, {"$inc": {"last": 1}}, upsert=True
    )
    assert counter is not None
    return int(counter["last"])
