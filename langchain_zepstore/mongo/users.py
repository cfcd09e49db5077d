"""Operations on users."""

from typing import Any

from bson import ObjectId

from langchain_zepstore.core.ids import new_id
from langchain_zepstore.core.operation import Operation, Page
from langchain_zepstore.core.validation import checked_text
from langchain_zepstore.errors import AlreadyExistsError, NotFoundError
from langchain_zepstore.models import CreateUserRequest, Session, UpdateUserRequest, User
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.deletion.operations import Deletion
from langchain_zepstore.mongo.documents import SessionDocument, Stage
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.encoding import encoded_metadata, mergeable
from langchain_zepstore.mongo.expressions import literal, merged
from langchain_zepstore.mongo.indexes import BY_USER, LIVE_BY_ID
from langchain_zepstore.mongo.ownership import upsert_user

_TEXTS = ("email", "first_name", "last_name")


class Users:
    """Creates, reads, updates, lists and deletes users."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._users = database.users
        self._sessions = database.sessions
        self._deletion = Deletion(database)

    def create(self, request: CreateUserRequest) -> Operation[User]:
        """Create a user, or bring a deleted one back, without the sessions."""
        self._database.owner(request.user_id)
        fields = _texts({name: getattr(request, name) for name in _TEXTS})
        metadata = None
        if request.metadata is not None:
            metadata = encoded_metadata(request.metadata, "user.metadata")
        fields["metadata"] = metadata
        token = new_id()
        user = yield from upsert_user(self._database, request.user_id, token, fields)
        if token not in (user["uuid"], user.get("revival")):
            raise AlreadyExistsError(f"user {request.user_id!r} exists already")
        return codecs.to_user(user)

    def get(self, user_id: str) -> Operation[User]:
        """Return a live user."""
        user = yield from self._users.find_one({"_id": user_id, "deleted_at": None})
        if user is None:
            raise NotFoundError(f"there is no user {user_id!r}")
        return codecs.to_user(user)

    def update(self, request: UpdateUserRequest) -> Operation[User]:
        """Change the fields that are given: texts are replaced, metadata is merged."""
        given = {
            name: getattr(request, name) for name in _TEXTS if name in request.model_fields_set
        }
        # An empty text changes nothing, as in Zep; None clears.
        fields = _texts({name: text for name, text in given.items() if text != ""})
        changes: Stage = {name: literal(text) for name, text in fields.items()}
        if request.metadata is not None:
            changes["metadata"] = merged("$metadata", mergeable(request.metadata, "user.metadata"))
        elif "metadata" in request.model_fields_set:
            changes["metadata"] = None
        changes["updated_at"] = "$$NOW"
        user = yield from self._users.find_one_and_update(
            {"_id": request.user_id, "deleted_at": None}, [{"$set": changes}]
        )
        if user is None:
            raise NotFoundError(f"there is no user {request.user_id!r}")
        return codecs.to_user(user)

    def delete(self, user_id: str) -> Operation[None]:
        """Soft-delete a user, then the sessions one by one; repeated, it goes on where it was."""
        yield from self._database.indexes.ensure(self._sessions, BY_USER)
        token = ObjectId()
        user = yield from self._users.find_one_and_update(
            {"_id": user_id, "$or": [{"deleted_at": None}, {"deleting": {"$ne": None}}]},
            [
                {
                    "$set": {
                        "deleted_at": {"$ifNull": ["$deleted_at", "$$NOW"]},
                        "updated_at": "$$NOW",
                        "deleting": token,
                    }
                }
            ],
        )
        if user is None:
            raise NotFoundError(f"there is no user {user_id!r}")
        ours = {"_id": user_id, "deleting": token}
        last = 0
        while sessions := (yield from self._sessions_after(user_id, last)):
            for session in sessions:
                if session.get("deleted_at"):
                    continue
                try:
                    yield from self._deletion.delete_session(session["_id"])
                except NotFoundError:
                    continue  # another was faster
            last = sessions[-1]["id"]
            if not (yield from self._users.find_one(ours, fields={"_id": 1})):
                return  # added again, or another goes on
        yield from self._users.update(ours, {"$unset": {"deleting": 1}})

    def _sessions_after(self, user_id: str, after: int) -> Operation[list[SessionDocument]]:
        return self._sessions.find(
            {"user_id": user_id, "id": {"$gt": after}},
            sort={"id": 1},
            limit=100,
            fields={"id": 1, "deleted_at": 1},
        )

    def listed(self, limit: int, cursor: int) -> Operation[list[User]]:
        """Return live users with ids above the cursor, by id; all of them with limit 0."""
        yield from self._database.indexes.ensure(self._users, LIVE_BY_ID)
        found = yield from self._users.find(
            {"deleted_at": None, "id": {"$gt": cursor}}, sort={"id": 1}, limit=limit
        )
        return [codecs.to_user(user) for user in found]

    def page(self, limit: int, cursor: Any) -> Operation[Page[User]]:
        """Return the page of users after a page's cursor."""
        users = yield from self.listed(limit, cursor or 0)
        return Page(users, users[-1].id if len(users) == limit else None)

    def sessions(self, user_id: str) -> Operation[list[Session]]:
        """Return the live sessions of a user, by id."""
        yield from self._database.indexes.ensure(self._sessions, BY_USER)
        found = yield from self._sessions.find(
            {"user_id": user_id, "deleted_at": None, "id": {"$gt": 0}},
            sort={"id": 1},
            fields=codecs.SESSION_FIELDS,
        )
        return [codecs.to_session(session) for session in found]


def _texts(given: Stage) -> Stage:
    return {
        name: None if text is None else checked_text(text, f"user.{name}")
        for name, text in given.items()
    }
