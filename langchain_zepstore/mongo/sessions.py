"""Operations on sessions, except deletion."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from bson import ObjectId

from langchain_zepstore.core.arguments import Listing, RecentQuery, SessionChanges, changes_in
from langchain_zepstore.core.ids import new_id
from langchain_zepstore.core.operation import Operation, Page
from langchain_zepstore.errors import AlreadyExistsError, BadRequestError, NotFoundError
from langchain_zepstore.models import Session
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.adding.reservation import CLOSED_DELETION, fields_on_insert
from langchain_zepstore.mongo.deletion.marks import with_id
from langchain_zepstore.mongo.deletion.operations import Deletion
from langchain_zepstore.mongo.documents import Metadata, Query, SessionDocument, Stage
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.encoding import encoded_metadata, mergeable
from langchain_zepstore.mongo.expressions import contains, literal, merged, without
from langchain_zepstore.mongo.indexes import listing_index
from langchain_zepstore.mongo.ownership import (
    ensure_user,
    require_free,
    require_user,
    upsert_session,
)
from langchain_zepstore.mongo.reassignment import assign_owner, complete_reassignment
from langchain_zepstore.mongo.recent import recent_sessions


class Sessions:
    """Creates, reads, updates and lists sessions."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sessions = database.sessions
        self._messages = database.messages
        self._deletion = Deletion(database)

    def create(self, session: Session) -> Operation[Session]:
        """Create a session, or bring a deleted one back without its messages."""
        session_id, user_id = session.session_id, self._database.owner(session.user_id)
        metadata = None
        if session.metadata is not None:
            metadata = encoded_metadata(session.metadata, "session.metadata")
        yield from require_free(self._database, session_id)
        if user_id is not None:
            # In that user's view there is no other, and it is the user who asks.
            checked = require_user if self._database.viewer is None else ensure_user
            yield from checked(self._database, user_id)
        sidebar = _sidebar(changes_in(session))
        token = new_id()
        while True:
            found = yield from self._sessions.find_one(with_id(session_id))
            if found is None:
                fields = yield from fields_on_insert(
                    self._database, token, user_id, metadata, sidebar
                )
                found = yield from upsert_session(self._database, session_id, [{"$set": fields}])
            elif found.get("deleted_at"):
                yield from self._revive(found, token, user_id, metadata, sidebar)
                continue
            if token not in (found["uuid"], found.get("revival")):
                raise AlreadyExistsError(f"session {session_id!r} exists already")
            if user_id is not None:
                yield from self._check_orphan(session_id, user_id)
            return codecs.to_session(found)

    def _check_orphan(self, session_id: str, user_id: str) -> Operation[None]:
        """Delete a new session if its user was deleted meanwhile, without it."""
        try:
            yield from require_user(self._database, user_id)
        except BadRequestError:
            with suppress(NotFoundError):
                yield from self._deletion.delete_session(session_id)
            raise

    def _revive(
        self,
        session: SessionDocument,
        token: str,
        user_id: str | None,
        metadata: Metadata | None,
        sidebar: Stage,
    ) -> Operation[None]:
        changes: Stage = {
            "revival": token,
            "updated_at": "$$NOW",
            "active_at": "$$NOW",
            "metadata": literal(metadata),
            **sidebar,
        }
        removed = ["deleted_at"]
        if user_id != session.get("user_id"):
            # A new incarnation: the former owner's messages can never be restored into it.
            changes |= {"uuid": token, "user_id": literal(user_id), "created_at": "$$NOW"}
            changes |= _CLEARED | sidebar
            removed += ["deletion", "adopting", "branched", "forks", "turn", "counted"]
            yield from self._messages.update(
                {"session_id": session["_id"], "deleted_at": None},
                [{"$set": {"deleted_at": "$$NOW", "own_deletion": ObjectId()}}],
                many=True,
            )
        yield from self._sessions.update(
            {
                "_id": session["_id"],
                "uuid": session["uuid"],
                "deleted_at": session["deleted_at"],
            },
            [{"$set": changes}, {"$unset": removed}],
        )

    def get(self, session_id: str) -> Operation[Session]:
        """Return a live session."""
        session = yield from self._sessions.find_one({"_id": session_id, "deleted_at": None})
        if session is None:
            raise NotFoundError(f"there is no session {session_id!r}")
        return codecs.to_session(session)

    def find(self, session_id: str) -> Operation[Session | None]:
        """Return a session, live or deleted."""
        session = yield from self._sessions.find_one(with_id(session_id))
        return None if session is None else codecs.to_session(session)

    def update(self, session: Session, unset: Sequence[Sequence[str]]) -> Operation[Session]:
        """Merge metadata into a session's and remove keys, in one update; undeletes the session."""
        session_id, user_id = session.session_id, session.user_id
        if user_id is not None:
            user_id = self._database.owner(user_id)
        metadata: Any = "$metadata"
        if session.metadata is not None:
            metadata = merged(metadata, mergeable(session.metadata, "session.metadata"))
        if unset:
            metadata = without(metadata, unset)
        changes = {
            "metadata": metadata,
            "updated_at": "$$NOW",
            "deletion": CLOSED_DELETION,
            **_sidebar(changes_in(session)),
        }
        query: Query = with_id(session_id)
        if user_id is not None:
            yield from self._check_user(session_id, user_id)
            query["user_id"] = {"$in": [None, user_id]}
            changes |= assign_owner(user_id)
        updated = yield from self._sessions.find_one_and_update(
            query, [{"$set": changes}, {"$unset": "deleted_at"}]
        )
        if updated is None:
            if user_id is not None:
                yield from self._check_user(session_id, user_id)
            raise NotFoundError(f"there is no session {session_id!r}")
        yield from complete_reassignment(self._database, updated)
        return codecs.to_session(updated)

    def _check_user(self, session_id: str, user_id: str) -> Operation[None]:
        session = yield from self._sessions.find_one(with_id(session_id), fields={"user_id": 1})
        if session is None:
            raise NotFoundError(f"there is no session {session_id!r}")
        owner = session.get("user_id")
        if owner is None:
            yield from require_user(self._database, user_id)
        elif owner != user_id:
            raise BadRequestError(f"session {session_id!r} belongs to another user")

    def listed(self, listing: Listing, limit: int, cursor: int) -> Operation[list[Session]]:
        """Return sessions with ids above the cursor, by id; all of them with limit 0."""
        query: Query = {"id": {"$gt": cursor}}
        if not listing.include_deleted:
            query["deleted_at"] = None
        if listing.user_id is not None:
            query["user_id"] = listing.user_id
        if listing.metadata:
            wanted = encoded_metadata(listing.metadata, "metadata")
            query["$expr"] = {"$and": contains("$metadata", wanted)}
        index = listing_index(
            listing.user_id or self._database.viewer, is_live=not listing.include_deleted
        )
        yield from self._database.indexes.ensure(self._sessions, index)
        found = yield from self._sessions.find(
            query, sort={"id": 1}, limit=limit, fields=codecs.SESSION_FIELDS
        )
        return [codecs.to_session(session) for session in found]

    def page(self, listing: Listing, limit: int, cursor: Any) -> Operation[Page[Session]]:
        """Return the page of sessions after a page's cursor."""
        sessions = yield from self.listed(listing, limit, cursor or 0)
        return Page(sessions, sessions[-1].id if len(sessions) == limit else None)

    def organize(self, session_id: str, changes: SessionChanges) -> Operation[Session]:
        """Change a live session's title, pin, archive, tags and metadata, in one update."""
        fields = {**_sidebar(changes), "updated_at": "$$NOW"}
        if "metadata" in (given := changes.given()):
            fields["metadata"] = merged("$metadata", mergeable(given["metadata"], "metadata"))
        updated = yield from self._sessions.find_one_and_update(
            {"_id": session_id, "deleted_at": None}, [{"$set": fields}]
        )
        if updated is None:
            raise NotFoundError(f"there is no session {session_id!r}")
        return codecs.to_session(updated)

    def recent(self, query: RecentQuery) -> Operation[Page[Session]]:
        """Return live sessions, the most recently active first; or deleted ones, likewise."""
        return recent_sessions(self._database, query)


_CLEARED = dict.fromkeys(("title", "pinned", "archived", "tags"), "$$REMOVE")


def _sidebar(changes: SessionChanges) -> Stage:
    """Return the ``$set`` of title, pin, archive and tags; empty ones are not stored."""
    return {
        name: literal(value) if value or value == "" else "$$REMOVE"
        for name, value in changes.given().items()
        if name in _CLEARED
    }
