"""For administrators of a database: its indexes, and the commands that shard it.

The package makes the indexes itself when it first needs them. Who prefers to make them beforehand,
or gives the package a user who may not, finds them here as models for pymongo's ``create_indexes``.
"""

from langchain_zepstore.mongo.indexes import (
    MESSAGE_INDEXES,
    SESSION_INDEXES,
    USER_INDEXES,
    sharding_commands,
)

__all__ = ["MESSAGE_INDEXES", "SESSION_INDEXES", "USER_INDEXES", "sharding_commands"]
