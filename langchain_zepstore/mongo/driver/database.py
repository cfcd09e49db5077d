"""The package's collections in one database."""

from collections.abc import Mapping
from copy import copy
from typing import Any

from pymongo import WriteConcern

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.mongo.codecs import user_scope
from langchain_zepstore.mongo.documents import (
    CounterDocument,
    MessageDocument,
    SessionDocument,
    UserDocument,
)
from langchain_zepstore.mongo.driver.collection import CODEC, Collection
from langchain_zepstore.mongo.driver.durability import LastWriter
from langchain_zepstore.mongo.driver.index_maker import IndexMaker
from langchain_zepstore.mongo.driver.retry import Deployment


class Database:
    """The package's collections in one database.

    Attributes:
        sessions: One document per session.
        messages: One document per message.
        users: One document per user.
        counters: The last small int handed out, one per collection.
        last_writer: Who wrote last.
        indexes: Makes those indexes that not everyone needs.
        language: The language of searches by words; ``None``: as the database has it.
        search_language: The language that the database has, once that is known.
        branched_sessions: Ids of sessions that were seen to have branches: hints, for speed.
        viewer: The user whose view it is; ``None`` for everybody's.
        whole: The database without a view, for what was found through one: the incarnation of a
            session, and whatever is in it.
    """

    def __init__(self, raw: Any, deployment: Deployment, language: str | None = None) -> None:
        concern = WriteConcern(**{"w": "majority", "j": True, **raw.write_concern.document})

        def collection(name: str) -> Collection[Any]:
            return Collection(
                raw.get_collection(name, codec_options=CODEC, write_concern=concern), deployment
            )

        self.sessions: Collection[SessionDocument] = collection("sessions")
        self.messages: Collection[MessageDocument] = collection("messages")
        self.users: Collection[UserDocument] = collection("users")
        self.counters: Collection[CounterDocument] = collection("counters")
        self.last_writer = LastWriter()
        self.indexes = IndexMaker(self._hello)
        self.language = language
        self.search_language: str | None = None
        self.branched_sessions: dict[str, None] = {}
        self._raw = raw
        self._deployment = deployment
        self._server: Mapping[str, Any] | None = None
        self.viewer: str | None = None
        self.whole = self

    @property
    def name(self) -> str:
        """The database's name."""
        return str(self._raw.name)

    @property
    def embedded(self) -> str | None:
        """The embedded server's name for a reader; ``None`` if it is another."""
        return self._deployment.name if self._deployment.revive else None

    def primaries(self) -> Any:
        """Return what is not the same any more once writes that were seen may be lost."""
        return self._deployment.primaries()

    def command(
        self, name: str, value: Any = 1, *, admin: bool = False, **options: Any
    ) -> Operation[Any]:
        """Run a command that only reads, on this database or on ``admin``."""
        raw = self._raw.client.admin if admin else self._raw
        return self._deployment.call(lambda: raw.command(name, value, **options))

    def is_sharded(self) -> Operation[bool]:
        """Whether the database is behind a router."""
        return (yield from self._hello()).get("msg") == "isdbgrid"

    def _hello(self) -> Operation[Mapping[str, Any]]:
        if self._server is None:
            self._server = yield from self.command("hello")
        return self._server

    def for_user(self, user_id: str) -> "Database":
        """Return a view in which every query finds only this user's documents."""
        view = copy(self)
        view.viewer = user_id
        view.sessions = self.sessions.narrowed("user_id", user_id)
        view.messages = self.messages.narrowed("scope", user_scope(user_id))
        view.users = self.users.narrowed("_id", user_id)
        return view

    def require_whole(self) -> "Database":
        """Return the database, unless it is a view.

        Raises:
            BadRequestError: It is one.
        """
        if self.viewer is not None:
            raise BadRequestError(f"this is of the whole store, and not of user {self.viewer!r}")
        return self

    def owner(self, user_id: str | None) -> str | None:
        """Return whose something new is: in a view, the viewer's.

        Raises:
            BadRequestError: It shall be another user's.
        """
        if self.viewer is None:
            return user_id
        if user_id not in (None, self.viewer):
            raise BadRequestError(f"user_id must be {self.viewer!r} in that user's view")
        return self.viewer

    def owner_to_check(self, user_id: str | None) -> str | None:
        """Return whose a session must be that is read; in a view, queries see to it.

        Raises:
            BadRequestError: In a view, it shall be another user's.
        """
        self.owner(user_id)
        return user_id if self.viewer is None else None
