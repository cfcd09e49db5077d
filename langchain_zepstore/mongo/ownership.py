"""The users that own sessions: checked, or created when they are first named."""

from langchain_zepstore.core.ids import new_id
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.mongo.counters import next_number
from langchain_zepstore.mongo.documents import Stage, UserDocument
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.expressions import literal


def require_user(database: Database, user_id: str) -> Operation[None]:
    """Raise ``BadRequestError`` unless there is such a user."""
    found = yield from database.users.find_one(
        {"_id": user_id, "deleted_at": None}, fields={"_id": 1}
    )
    if found is None:
        raise BadRequestError(f"there is no user {user_id!r}; add it first")


def ensure_user(database: Database, user_id: str) -> Operation[None]:
    """Create a user unless there is one; undelete a deleted one."""
    found = yield from database.users.find_one(
        {"_id": user_id, "deleted_at": None}, fields={"_id": 1}
    )
    if found is None:
        yield from upsert_user(database, user_id, new_id(), {})


def upsert_user(
    database: Database, user_id: str, token: str, fields: Stage
) -> Operation[UserDocument]:
    """Create or undelete a user with these fields; a live one stays as it is."""
    number = yield from next_number(database, "users")
    is_insert = {"$eq": [{"$type": "$uuid"}, "missing"]}
    revived = {"$ne": [{"$ifNull": ["$deleted_at", None]}, None]}
    is_new = {"$or": [is_insert, revived]}
    first = {"uuid": token, "id": number, "created_at": "$$NOW"}
    changes: Stage = {
        **{name: {"$cond": [is_insert, value, f"${name}"]} for name, value in first.items()},
        **{name: {"$cond": [is_new, literal(value), f"${name}"]} for name, value in fields.items()},
        "revival": {"$cond": [revived, token, "$revival"]},
        "updated_at": {"$cond": [is_new, "$$NOW", "$updated_at"]},
    }
    user = yield from database.users.find_one_and_update(
        {"_id": user_id}, [{"$set": changes}, {"$unset": ["deleted_at", "deleting"]}], upsert=True
    )
    assert user is not None
    return user
