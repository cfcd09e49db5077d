"""Indexes: which there are, what each is for, and making sure of them."""

from pymongo import ASCENDING, IndexModel

from langchain_zepstore.mongo.collections import Database
from langchain_zepstore.running import Operation

_LIVE = {"deleted_at": None}
_DELETED = {"deleted_at": {"$exists": True}}

MESSAGE_INDEXES = [
    IndexModel(
        [("session_id", ASCENDING), ("seq", ASCENDING)],
        name="live_by_number",  # every read of a conversation
        partialFilterExpression=_LIVE,
    ),
    IndexModel(
        [("session_id", ASCENDING), ("uuid", ASCENDING)],
        name="by_uuid",  # a message id exists once per session
        unique=True,
    ),
]


def ensure_indexes(database: Database) -> Operation[None]:
    """Create the indexes that are missing."""
    yield from database.messages.create_indexes(MESSAGE_INDEXES)
