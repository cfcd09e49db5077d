"""The small dense numbers by which sessions and users are listed."""

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.mongo.driver.database import Database


def next_number(database: Database, collection: str) -> Operation[int]:
    """Return the next number for a document of a collection."""
    return (yield from next_numbers(database, collection, 1))[0]


def next_numbers(database: Database, collection: str, count: int) -> Operation[range]:
    """Return the next numbers for documents of a collection."""
    counter = yield from database.counters.find_one_and_update(
        {"_id": collection}, {"$inc": {"last": count}}, upsert=True
    )
    assert counter is not None
    last = int(counter["last"])
    return range(last - count + 1, last + 1)
