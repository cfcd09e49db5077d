"""Reads along a branch.

A linear session is read without asking for its table: its messages do not have ``branched``. Where
one has it, the table is read first, then the messages in the ranges of a branch. So all messages
are there of any edit that the table shows as active, and none that was numbered since.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Literal

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.mongo.branches.table import ForkTable, Range, clipped, holds, table_of
from langchain_zepstore.mongo.deletion.marks import with_id
from langchain_zepstore.mongo.documents import Fields, MessageDocument, Query
from langchain_zepstore.mongo.driver.collection import Collection
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.ownership import check_owner, find_owned

_MAX_RANGES = 50  # in one query; the planner is slow with more
_MAX_HINTS = 10_000

TABLE_FIELDS = dict.fromkeys(("uuid", "seq", "user_id", "forks", "turn"), 1)
"""The projection for ``table_of`` and updates of the table."""


ALL: Range = (1, 2**63 - 1)
"""All numbers."""


class BranchReads:
    """Reads live messages of the active branches.

    It remembers which sessions have a table, for speed only: those are asked for it first.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sessions = database.sessions
        self._messages = database.messages
        self._known = database.branched_sessions

    def find(
        self,
        session_id: str,
        fields: Fields,
        *,
        between: Range = ALL,
        through: int | None = None,
        where: Query | None = None,
        order: Literal[1, -1] = 1,
        skip: int = 0,
        limit: int = 0,
        user_id: str | None = None,
    ) -> Operation[list[MessageDocument]]:
        """Return live messages of a session's active branch.

        Args:
            session_id: The session's id.
            fields: A projection; with ``branched``.
            between: The first and the last number.
            through: A number: of a branch that holds it, if the active one does not.
            where: What else they match.
            order: 1 for the first ones first, -1 for the last ones.
            skip: How many to leave out.
            limit: How many to return at most; 0 for all.
            user_id: The session's user, if it has one.

        Raises:
            BadRequestError: The session, live or deleted, is another user's.
        """
        query: Query = {"session_id": session_id, "deleted_at": None, **(where or {})}
        user_id = self._database.owner_to_check(user_id)
        table = None
        if session_id in self._known:
            table = yield from self.table(session_id, user_id)
        if table is None:
            numbered = query if between == ALL else {**query, **in_ranges([between])}
            found = yield from find_owned(
                self._messages,
                numbered,
                user_id,
                order=order,
                skip=skip,
                limit=limit,
                fields=fields,
            )
            if any(document.get("branched") for document in found):
                table = yield from self.table(session_id)
            if table is None:
                return found
        first, last = between
        return (
            yield from find_along(
                self._messages,
                query,
                clipped(branch_of(table, through), first=first, last=last),
                order=order,
                skip=skip,
                limit=limit,
                fields=fields,
            )
        )

    def count(self, session_id: str) -> Operation[int]:
        """Return how many live messages a session's active branch has."""
        query: Query = {"session_id": session_id, "deleted_at": None}
        counted = yield from self._messages.aggregate(
            [
                {"$match": query},
                {"$group": {"_id": 1, "n": {"$sum": 1}, "branched": {"$max": "$branched"}}},
            ]
        )
        if not counted:
            return 0
        table = None
        if counted[0]["branched"]:
            table = yield from self.table(session_id)
        if table is None:
            return int(counted[0]["n"])
        return (yield from count_along(self._messages, query, table.active()))

    def table(self, session_id: str, user_id: str | None = None) -> Operation[ForkTable | None]:
        """Return a session's table; ``None`` if it has none.

        Raises:
            BadRequestError: The session is another user's than ``user_id``.
        """
        session = yield from self._sessions.find_one(with_id(session_id), fields=TABLE_FIELDS)
        check_owner(session, user_id)
        self._known.pop(session_id, None)
        if session is None or not session.get("forks"):
            return None
        if len(self._known) >= _MAX_HINTS:
            self._known.clear()
        self._known[session_id] = None
        return table_of(session)


def branch_of(table: ForkTable, number: int | None) -> list[Range]:
    """Return the active branch; another one if that does not hold a number."""
    active = table.active()
    if not number or number > table.last or holds(active, number):
        return active
    return table.path_through(number)


def in_ranges(ranges: Sequence[Range]) -> Query:
    """Return the query for numbers in ranges, of which there are at most a few."""
    conditions = [{"seq": {"$gte": first, "$lte": last}} for first, last in ranges]
    return conditions[0] if len(conditions) == 1 else {"$and": [{"$or": conditions}]}


def find_along(
    messages: Collection[MessageDocument],
    query: Query,
    ranges: Sequence[Range],
    *,
    order: Literal[1, -1] = 1,
    by: str = "seq",
    skip: int = 0,
    limit: int = 0,
    fields: Fields | None = None,
) -> Operation[list[MessageDocument]]:
    """Return the messages along a path, as ``find`` does.

    Args:
        messages: The collection.
        query: What else they match.
        ranges: The path.
        order: 1 from its beginning, -1 from its end.
        by: The field to sort by, which rises with the number.
        skip: How many to leave out.
        limit: How many to return at most; 0 for all.
        fields: A projection.
    """
    found: list[MessageDocument] = []
    for some in _in_parts(ranges[::order], skip + limit):
        part = {**query, **in_ranges(some)}
        if skip:
            size = yield from messages.count(part)
            if skip >= size:
                skip -= size
                continue
        found += yield from messages.find(
            part, sort={by: order}, skip=skip, limit=limit and limit - len(found), fields=fields
        )
        skip = 0
        if limit and len(found) >= limit:
            break
    return found


def count_along(
    messages: Collection[MessageDocument],
    query: Query,
    ranges: Sequence[Range],
    *,
    limit: int = 0,
) -> Operation[int]:
    """Return how many messages a path has, at most ``limit`` unless that is 0."""
    total = 0
    for some in _in_parts(ranges):
        room = limit and limit - total
        total += yield from messages.count({**query, **in_ranges(some)}, limit=room)
        if limit and total >= limit:
            break
    return total


def last_along(
    messages: Collection[MessageDocument],
    query: Query,
    ranges: Sequence[Range],
    *,
    below: int | None = None,
    fields: Fields | None = None,
) -> Operation[MessageDocument | None]:
    """Return the last message of a path, or of its part up to a number."""
    found = yield from find_along(
        messages, query, clipped(ranges, last=below), order=-1, limit=1, fields=fields
    )
    return found[0] if found else None


def _in_parts(ranges: Sequence[Range], wanted: int = 0) -> Iterator[Sequence[Range]]:
    """Yield a path in parts for one query each: first what has so many numbers, if any are wanted.

    A query for one range is faster than for two, and most windows lie in the last one.
    """
    start = 0
    while start < len(ranges):
        end = min(start + _MAX_RANGES, len(ranges))
        if start == 0 and wanted:
            sizes = accumulate(last - first + 1 for first, last in ranges[:end])
            end = next((at for at, size in enumerate(sizes, 1) if size >= wanted), end)
        yield ranges[start:end]
        start = end
