"""The few verbs in which operations speak to MongoDB, over any of the drivers.

A verb is an operation itself (``yield from`` it). It brings back plain values, raises errors of
ours only, and runs once more when the connection was lost on the way: so every step of every
operation must be harmless when it happens twice.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from inspect import iscoroutine
from typing import Any, Generic, TypeVar

import pymongo
from bson.codec_options import CodecOptions
from pymongo import IndexModel, ReturnDocument, UpdateOne, WriteConcern
from pymongo.errors import DuplicateKeyError, WriteConcernError

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.errors import AuthError
from langchain_zepstore.mongo.documents import (
    CounterDocument,
    Fields,
    MessageDocument,
    Query,
    SessionDocument,
    Update,
    UserDocument,
)
from langchain_zepstore.mongo.driver.durability import Tenure, Writer, writer_of
from langchain_zepstore.mongo.driver.errors import (
    DRIVER_ERRORS,
    UNAUTHORIZED,
    is_lost_connection,
    is_unreachable,
    refused_write,
    translated,
)

D = TypeVar("D", bound=Mapping[str, Any])

_ATTEMPTS = 5
_FEW = 8  # calls at once that need not wait for each other: motor has five threads per core
_BATCH = 10_000
_MOST = 2**31 - 1  # no collection's session holds more, and no driver takes more everywhere
_CODEC: CodecOptions[Any] = CodecOptions(tz_aware=True)
_DUPLICATE_KEY = 11000


@dataclass(frozen=True, slots=True)
class Conflict:
    """A document that was not inserted, since its ``_id`` or another unique key is taken."""

    index: int
    on_id: bool


@dataclass(frozen=True, slots=True)
class Inserted:
    """What came of an insert.

    Attributes:
        conflicts: The documents that were not inserted.
        writer: Who wrote.
    """

    conflicts: list[Conflict]
    writer: Writer


@dataclass(frozen=True, slots=True)
class Place:
    """Where a database is, how long a call to it may take, and how to bring it back.

    Attributes:
        name: For a reader, without credentials.
        timeout: Seconds that a call may take, with its repeats.
        process: Returns the server's process, if it stands alone and the driver knows it.
        revive: Starts the server again if it is ours to start; yielded as a driver call.
        limits_whole: Whether a call that queues or is repeated is limited as a whole; the driver
            then forgets how long it was told to look for a server.
        in_flight: The calls under way, a token each.
    """

    name: str
    timeout: float
    process: Callable[[], Any]
    revive: Callable[[], Any] | None = None
    limits_whole: bool = False
    in_flight: set[object] = field(default_factory=set)


class Collection(Generic[D]):
    """A collection of pymongo, motor or pymongo's asynchronous API.

    Attributes:
        name: Its name.
    """

    def __init__(self, raw: Any, place: Place) -> None:
        self.name: str = raw.name
        self._raw = raw
        self._hasty = raw.with_options(write_concern=WriteConcern(w=1))
        self._place = place

    def call(
        self,
        attempt: Callable[[], Any],
        *,
        repeat_on: type[BaseException] | tuple[()] = (),
    ) -> Operation[Any]:
        """Make a driver call; after a lost connection, make it again."""
        deadline = time.monotonic() + self._place.timeout
        in_flight, revive = self._place.in_flight, self._place.revive
        token, is_repeat = object(), False
        for attempts_left in reversed(range(_ATTEMPTS)):
            in_flight.add(token)
            try:
                # The driver limits each wait for itself (for a connection, for the answer), which
                # is enough for a first attempt that need not queue; a limit of the whole is dearer.
                limited = self._place.limits_whole and (is_repeat or len(in_flight) > _FEW)
                # In a context of its own, which an interrupt in the driver cannot leave spoilt.
                yielded = copy_context().run(
                    partial(_within, deadline, attempt) if limited else attempt
                )
                return (yield yielded)
            except DRIVER_ERRORS as error:
                repeat = (
                    is_lost_connection(error)
                    or (revive and is_unreachable(error))
                    or isinstance(error, repeat_on)
                )
                if not repeat or not attempts_left or time.monotonic() > deadline:
                    raise translated(error, self._place.name) from error
            finally:
                in_flight.discard(token)
            is_repeat = True
            if revive:
                yield revive()
        raise AssertionError("unreachable")

    def find(
        self,
        query: Query,
        *,
        sort: Fields | None = None,
        skip: int = 0,
        limit: int = 0,
        fields: Fields | None = None,
    ) -> Operation[list[D]]:
        """Return the documents that match, all of them unless there is a limit."""
        limit, skip = min(limit, _MOST), min(skip, _MOST)
        return self.call(
            lambda: self._raw.find(
                query, fields, sort=sort, skip=skip, limit=limit, batch_size=limit or _BATCH
            ).to_list(None)
        )

    def aggregate(self, stages: Sequence[Mapping[str, Any]]) -> Operation[list[Any]]:
        """Return what comes out of a pipeline that only reads."""

        def whole() -> Any:
            # A cursor that lost its connection is at its end: a repeat begins with a new one.
            cursor = self._raw.aggregate(stages)  # or what hands it over later
            return _listed(cursor) if iscoroutine(cursor) else cursor.to_list(None)

        return self.call(whole)

    def find_raw(
        self, query: Query, *, sort: Fields, limit: int, fields: Fields
    ) -> Operation[list[bytes]]:
        """Return the documents that match as BSON, not decoded."""
        batches = yield from self.call(
            lambda: self._raw.find_raw_batches(
                query, fields, sort=sort, limit=limit, batch_size=limit
            ).to_list(None)
        )
        return [document for batch in batches for document in _split(batch)]

    def find_one(self, query: Query, *, fields: Fields | None = None) -> Operation[D | None]:
        """Return a document that matches, ``None`` if there is none."""
        return self.call(lambda: self._raw.find_one(query, fields))

    def find_one_and_update(
        self,
        query: Query,
        update: Update,
        *,
        fields: Fields | None = None,
        upsert: bool = False,
        durable: bool = True,
    ) -> Operation[D | None]:
        """Update a document and return it as it is then; ``None`` if there was none.

        Args:
            query: Which document.
            update: The update or pipeline.
            fields: A projection.
            upsert: Insert it if there is none.
            durable: Wait until the update is; a later write that does carries it along.
        """
        raw = self._raw if durable else self._hasty
        return self.call(
            lambda: raw.find_one_and_update(
                query,
                update,
                projection=fields,
                upsert=upsert,
                return_document=ReturnDocument.AFTER,
            ),
            repeat_on=DuplicateKeyError if upsert else (),
        )

    def update(
        self, query: Query, update: Update, *, many: bool = False, hint: str | None = None
    ) -> Operation[int]:
        """Update a document, or all that match, and return how many matched."""
        method = self._raw.update_many if many else self._raw.update_one
        result = yield from self.call(lambda: method(query, update, hint=hint))
        return int(result.matched_count)

    def update_each(self, updates: Sequence[tuple[Query, Update]]) -> Operation[int]:
        """Update one document per query, all in one command, and return how many matched."""
        several = [UpdateOne(query, update) for query, update in updates]
        result = yield from self.call(lambda: self._raw.bulk_write(several, ordered=False))
        return int(result.matched_count)

    def insert(self, documents: Sequence[D]) -> Operation[Inserted]:
        """Insert documents in one command, those that can be."""
        command = {
            "insert": self.name,
            "documents": documents,
            "ordered": False,
            "writeConcern": self._raw.write_concern.document,
        }
        for attempts_left in reversed(range(_ATTEMPTS)):
            # By hand: the drivers' own methods keep to themselves who wrote.
            answer = yield from self.call(lambda: self._raw.database.command(command))
            failures = answer.get("writeErrors", [])
            others = [failure for failure in failures if failure["code"] != _DUPLICATE_KEY]
            if not others:
                break
            error = refused_write(others[0])
            if not (attempts_left and is_lost_connection(error)):
                raise translated(error, self._place.name) from error
        if doubt := answer.get("writeConcernError"):
            unsure = WriteConcernError(doubt.get("errmsg", ""), doubt.get("code"), doubt)
            raise translated(unsure, self._place.name) from unsure
        conflicts = [Conflict(item["index"], "_id" in item["keyPattern"]) for item in failures]
        return Inserted(conflicts, writer_of(answer, self._place.process()))

    def replace(self, query: Query, document: D) -> Operation[int]:
        """Put a document in the place of one and return how many matched, 0 or 1."""
        result = yield from self.call(lambda: self._raw.replace_one(query, document))
        return int(result.matched_count)

    def delete(self, query: Query, *, hint: str | None = None) -> Operation[int]:
        """Remove the documents that match and return how many there were."""
        result = yield from self.call(lambda: self._raw.delete_many(query, hint=hint))
        return int(result.deleted_count)

    def count(self, query: Query, *, hint: str | None = None) -> Operation[int]:
        """Return how many documents match."""
        options = {"hint": hint} if hint else {}
        return self.call(lambda: self._raw.count_documents(query, **options))

    def create_indexes(self, models: Sequence[Any]) -> Operation[list[str]]:
        """Make sure that the indexes exist and return their names."""
        return self.call(lambda: self._raw.create_indexes(models))

    def drop_index(self, name: str) -> Operation[None]:
        """Remove an index."""
        return self.call(lambda: self._raw.drop_index(name))

    def index_information(self) -> Operation[Mapping[str, Mapping[str, Any]]]:
        """Return the indexes that there are, by name."""
        return self.call(self._raw.index_information)

    def set_expiry(self, index: str, seconds: int) -> Operation[None]:
        """Change after how long a TTL index removes documents."""
        change = {"name": index, "expireAfterSeconds": seconds}
        return self.call(lambda: self._raw.database.command("collMod", self.name, index=change))


class Database:
    """The package's collections in one database.

    Attributes:
        sessions: One document per session.
        messages: One document per message.
        users: One document per user.
        counters: The last small int handed out, per kind.
        tenure: Who wrote last.
        language: What the messages are searched in; ``None``: as the database has it.
        search_language: What they are searched in, once that is known.
        vector_indexes: Whether Atlas has an index of vectors of a length, once that is known.
    """

    def __init__(self, raw: Any, place: Place, language: str | None = None) -> None:
        concern = WriteConcern(**{"w": "majority", "j": True, **raw.write_concern.document})

        def collection(name: str) -> Collection[Any]:
            return Collection(
                raw.get_collection(name, codec_options=_CODEC, write_concern=concern), place
            )

        self.sessions: Collection[SessionDocument] = collection("sessions")
        self.messages: Collection[MessageDocument] = collection("messages")
        self.users: Collection[UserDocument] = collection("users")
        self.counters: Collection[CounterDocument] = collection("counters")
        self.tenure = Tenure()
        self.language = language
        self.search_language: str | None = None
        self.vector_indexes: dict[int, bool] = {}
        self._ensured: set[str] = set()

    def ensure(self, collection: Collection[Any], index: IndexModel) -> Operation[None]:
        """Make sure, once, that an index is there that not everyone needs."""
        name = index.document["name"]
        if name in self._ensured:
            return
        if name not in (yield from collection.index_information()):
            try:
                yield from collection.create_indexes([index])
            except AuthError as error:  # without it, it takes longer
                if getattr(error.__cause__, "code", None) != UNAUTHORIZED:
                    raise
        self._ensured.add(name)


async def _listed(opening: Any) -> Any:
    return await (await opening).to_list(None)


def _split(batch: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(batch):
        end = start + int.from_bytes(batch[start : start + 4], "little")
        yield batch[start:end]
        start = end


def _within(deadline: float, attempt: Callable[[], Any]) -> Any:
    with _time_until(deadline):
        call = attempt()
    return _awaited_within(deadline, call) if iscoroutine(call) else call


async def _awaited_within(deadline: float, call: Any) -> Any:
    with _time_until(deadline):
        return await call


def _time_until(deadline: float) -> AbstractContextManager[None]:
    return pymongo.timeout(max(deadline - time.monotonic(), 0.001))
