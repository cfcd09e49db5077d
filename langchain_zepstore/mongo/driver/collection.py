"""A collection as operations use it, over any of the drivers.

Each method is an operation (``yield from`` it). It returns plain values, raises errors of ours
only, and is made again when the connection was lost: so every step of every operation must be
harmless when it happens twice.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from inspect import iscoroutine
from typing import Any, Generic, NoReturn, Self, TypeVar

from bson.codec_options import CodecOptions
from pymongo import ReadPreference, UpdateMany, UpdateOne, WriteConcern
from pymongo.errors import DuplicateKeyError, WriteConcernError

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.mongo.documents import Fields, Query, Update
from langchain_zepstore.mongo.driver.durability import Writer, writer_of
from langchain_zepstore.mongo.driver.errors import (
    is_on_id,
    refused_write,
    translated,
)
from langchain_zepstore.mongo.driver.narrowing import Narrowing
from langchain_zepstore.mongo.driver.retry import Deployment

D = TypeVar("D", bound=Mapping[str, Any])

_BATCH_SIZE = 10_000
_MAX_LIMIT = 2**31 - 2  # a driver adds one, and a server takes 31 bits
CODEC: CodecOptions[Any] = CodecOptions(tz_aware=True)
_DUPLICATE_KEY = 11000
_BUILD_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Conflict:
    """A document that was not inserted, since its ``_id`` or another unique key is taken."""

    index: int
    on_id: bool


@dataclass(frozen=True, slots=True)
class Inserted:
    """The result of an insert.

    Attributes:
        conflicts: The documents that were not inserted.
        writer: The server that wrote.
    """

    conflicts: list[Conflict]
    writer: Writer


class Collection(Generic[D]):
    """A collection of pymongo, motor or pymongo's asynchronous API.

    Attributes:
        name: Its name.
    """

    def __init__(self, raw: Any, deployment: Deployment) -> None:
        self.name: str = raw.name
        self._raw = raw
        self._w1 = raw.with_options(write_concern=WriteConcern(w=1))
        self._deployment = deployment
        self._narrowing: Narrowing | None = None

    def narrowed(self, field: str, value: Any) -> Self:
        """Return the same collection, in which only documents with this value are found."""
        view = copy(self)
        view._narrowing = Narrowing(field, value)  # noqa: SLF001 - its own class
        return view

    def _own(self, query: Query, *, upsert: bool = False) -> Query:
        return self._narrowing.of(query, upsert=upsert) if self._narrowing else query

    @property
    def reads_primary(self) -> bool:
        """Whether reads see all writes that were acknowledged."""
        return bool(self._raw.read_preference == ReadPreference.PRIMARY)

    @property
    def write_concern(self) -> Mapping[str, Any]:
        """The write concern of writes that must be durable."""
        return dict(self._raw.write_concern.document)

    def find(
        self,
        query: Query,
        *,
        sort: Fields | None = None,
        skip: int = 0,
        limit: int = 0,
        fields: Fields | None = None,
        hint: str | None = None,
        one_batch: bool = False,
    ) -> Operation[list[D]]:
        """Return the documents that match, all of them unless there is a limit.

        With ``one_batch`` it may be fewer: as many as one answer of 16 MB holds.
        """
        query = self._own(query)
        limit, skip = min(limit, _MAX_LIMIT), min(skip, _MAX_LIMIT)
        if limit:
            given = {
                "projection": fields,
                "sort": sort,
                "skip": skip,
                "singleBatch": one_batch,
                "hint": hint,
                "readConcern": self._raw.read_concern.document,
            }
            answer = yield from self._command(
                {
                    "find": self.name,
                    "filter": query,
                    "limit": limit,
                    "batchSize": limit,
                    **{name: value for name, value in given.items() if value},
                },
                read_preference=self._raw.read_preference,
            )
            cursor = answer["cursor"]
            if not cursor["id"]:
                return cursor["firstBatch"]  # type: ignore[no-any-return]
            # One answer holds 16 MB: a cursor of the driver's reads what has more.
            yield from self._command(
                {"killCursors": self.name, "cursors": [cursor["id"]]},
                read_preference=self._raw.read_preference,
            )
        options: Query = {"batch_size": limit or _BATCH_SIZE, "limit": limit}
        if hint is not None:
            options["hint"] = hint
        return (  # type: ignore[no-any-return]
            yield from self._deployment.call(
                lambda: self._raw.find(query, fields, sort=sort, skip=skip, **options).to_list(None)
            )
        )

    def _command(
        self,
        command: Mapping[str, Any],
        *,
        check: Callable[[Any], None] | None = None,
        repeat_on: type[BaseException] | tuple[()] = (),
        **options: Any,
    ) -> Operation[Any]:
        """Run a command by hand, which costs a driver less than its own methods."""
        return self._deployment.call(
            lambda: self._raw.database.command(command, codec_options=CODEC, **options),
            repeat_on=repeat_on,
            check=check,
        )

    def aggregate(
        self, stages: Sequence[Mapping[str, Any]], *, hint: str | None = None
    ) -> Operation[list[Any]]:
        """Return the results of a pipeline that only reads and begins with ``$match``."""
        if self._narrowing:
            first, *others = stages
            stages = [{"$match": self._own(first["$match"])}, *others]
        options: Query = {"batchSize": _BATCH_SIZE}
        if hint is not None:
            options["hint"] = hint

        def whole() -> Any:
            # A cursor that lost its connection is at its end: a repeat begins with a new one.
            cursor = self._raw.aggregate(stages, **options)  # or what hands it over later
            return _listed(cursor) if iscoroutine(cursor) else cursor.to_list(None)

        return self._deployment.call(whole)

    def find_raw(
        self, query: Query, *, sort: Fields, fields: Fields, batch_size: int, limit: int = 0
    ) -> Operation[list[bytes]]:
        """Return the documents that match as BSON, not decoded, as many together as in a batch."""
        query = self._own(query)
        batches: list[bytes] = yield from self._deployment.call(
            lambda: self._raw.find_raw_batches(
                query, fields, sort=sort, limit=limit, batch_size=batch_size
            ).to_list(None)
        )
        return batches

    def find_one(self, query: Query, *, fields: Fields | None = None) -> Operation[D | None]:
        """Return a document that matches, ``None`` if there is none."""
        found = yield from self.find(query, fields=fields, limit=1, one_batch=True)
        return found[0] if found else None

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
            durable: Wait until the update is durable; if not, a later durable write makes it so.
        """
        command = {
            "findAndModify": self.name,
            "query": self._own(query, upsert=upsert),
            "update": update,
            "new": True,
            "upsert": upsert,
            "writeConcern": (self._raw if durable else self._w1).write_concern.document,
        }
        if fields:
            command["fields"] = fields
        answer = yield from self._command(command, repeat_on=DuplicateKeyError if upsert else ())
        if doubt := answer.get("writeConcernError"):
            self._doubt(doubt)
        return answer["value"]  # type: ignore[no-any-return]

    def update(
        self,
        query: Query,
        update: Update,
        *,
        many: bool = False,
        hint: str | None = None,
        durable: bool = True,
    ) -> Operation[int]:
        """Update a document, or all that match, and return how many matched."""
        query = self._own(query)
        raw = self._raw if durable else self._w1
        method = raw.update_many if many else raw.update_one
        result = yield from self._deployment.call(lambda: method(query, update, hint=hint))
        return int(result.matched_count)

    def update_each(
        self,
        updates: Sequence[tuple[Query, Update]],
        *,
        upsert: bool = False,
        durable: bool = True,
    ) -> Operation[int]:
        """Update one document per query, all in one command, and return how many changed."""
        raw = self._raw if durable else self._w1
        requests = [
            UpdateOne(self._own(query, upsert=upsert), update, upsert=upsert)
            for query, update in updates
        ]
        result = yield from self._deployment.call(lambda: raw.bulk_write(requests, ordered=False))
        return int(result.modified_count)

    def update_and_look(
        self, query: Query, update: Update, other: Query
    ) -> Operation[tuple[int, bool]]:
        """Update all that match, each of which changes, and look for what matches another query.

        Returns:
            How many changed, and whether there is another.
        """
        # One command: what matches without a change can only be the other.
        requests = [
            UpdateMany(self._own(query), update),
            UpdateOne(self._own(other), {"$unset": {"nothing": 1}}),
        ]
        result = yield from self._deployment.call(lambda: self._raw.bulk_write(requests))
        changed = int(result.modified_count)
        return changed, result.matched_count > changed

    def insert(self, documents: Sequence[D], *, ordered: bool = False) -> Operation[Inserted]:
        """Insert documents in one command: those that can be, or if ordered, up to a conflict."""
        command = {
            "insert": self.name,
            "documents": documents,
            "ordered": ordered,
            "writeConcern": self._raw.write_concern.document,
        }
        # The drivers' own methods do not tell which server wrote.
        answer = yield from self._command(command, check=_check_writes)
        if doubt := answer.get("writeConcernError"):
            self._doubt(doubt)
        failures = answer.get("writeErrors", [])
        conflicts = [Conflict(failure["index"], is_on_id(failure)) for failure in failures]
        return Inserted(conflicts, writer_of(answer, self._deployment.process()))

    def _doubt(self, doubt: Mapping[str, Any]) -> NoReturn:
        unsure = WriteConcernError(doubt.get("errmsg", ""), doubt.get("code"), doubt)
        raise translated(unsure, self._deployment.name) from unsure

    def replace(self, query: Query, document: D) -> Operation[int]:
        """Replace a document and return how many matched, 0 or 1."""
        query = self._own(query)
        result = yield from self._deployment.call(lambda: self._raw.replace_one(query, document))
        return int(result.matched_count)

    def delete(self, query: Query, *, hint: str | None = None) -> Operation[int]:
        """Remove the documents that match and return how many there were."""
        query = self._own(query)
        result = yield from self._deployment.call(lambda: self._raw.delete_many(query, hint=hint))
        return int(result.deleted_count)

    def count(self, query: Query, *, hint: str | None = None, limit: int = 0) -> Operation[int]:
        """Return how many documents match, at most ``limit`` unless that is 0."""
        query = self._own(query)
        options: Query = {"hint": hint} if hint else {}
        if limit:
            options["limit"] = limit
        return self._deployment.call(lambda: self._raw.count_documents(query, **options))

    def create_indexes(self, models: Sequence[Any], **options: Any) -> Operation[list[str]]:
        """Make sure that the indexes exist and return their names."""
        # A server that is told the usual limit would give up a build, each time anew.
        return self._deployment.call(
            lambda: self._raw.create_indexes(models, **options), seconds=_BUILD_SECONDS
        )

    def drop_index(self, name: str) -> Operation[None]:
        """Remove an index."""
        return self._deployment.call(lambda: self._raw.drop_index(name))

    def index_information(self) -> Operation[Mapping[str, Mapping[str, Any]]]:
        """Return the indexes that there are, by name."""
        return self._deployment.call(self._raw.index_information)

    def set_expiry(self, index: str, seconds: int) -> Operation[None]:
        """Change after how long a TTL index removes documents."""
        change = {"name": index, "expireAfterSeconds": seconds}
        return self._deployment.call(
            lambda: self._raw.database.command("collMod", self.name, index=change)
        )


def _check_writes(answer: Mapping[str, Any]) -> None:
    for failure in answer.get("writeErrors", []):
        if failure["code"] != _DUPLICATE_KEY:
            raise refused_write(failure)


async def _listed(opening: Any) -> Any:
    return await (await opening).to_list(None)
