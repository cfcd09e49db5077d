"""Going through what a client knows of a scope's sessions, and reading what it does not know.

A search lists the sessions that it chooses from, with their marks: a session's changes before any
change of its messages but an addition. Where it is as it was when the client read the messages,
only those added since are read, at the numbers that had no message yet. So a search is exact, sees
every change at once, and its memory is bounded.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.mongo.branches.table import table_of
from langchain_zepstore.mongo.codecs import title_of
from langchain_zepstore.mongo.deletion.counts import may_count, stamp_of
from langchain_zepstore.mongo.documents import Query, SessionDocument
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.search.ranking import MessageKey
from langchain_zepstore.mongo.search.scope import SearchScope
from langchain_zepstore.mongo.search.session_cache import KnownSession, Rows, SessionCache

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_zepstore.mongo.search.session_cache import Numbers

R = TypeVar("R", bound=Rows)

_PAGE = 10_000
_FEW = 8  # of so many messages one meets the conditions: then no others are read
_MAX_NEW = 100  # messages added since, that are read one by one


class Span(NamedTuple):
    """Consecutive numbers of a session.

    Attributes:
        session: The session.
        after: The number before the first.
        last: The last number.
    """

    session: SessionDocument
    after: int
    last: int


@dataclass(frozen=True, slots=True)
class Found(Generic[R]):
    """Live messages that were read, by their sessions' incarnations.

    Attributes:
        rows: The messages.
        empty: The numbers of those that have no row, such as one without words for a vector.
    """

    rows: dict[str, list[R]] = field(default_factory=lambda: defaultdict(list))
    empty: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))


class Reader(Protocol[R]):
    """Reads messages into rows."""

    @property
    def payload(self) -> Hashable:
        """What it reads of them; see ``SessionCache``."""

    @property
    def most(self) -> int:
        """How many messages it reads together."""

    def prepare(self) -> Operation[bool]:
        """Return whether messages can be read; asked before the first are."""

    def read(self, spans: Sequence[Span]) -> Operation[Found[R]]:
        """Return the live messages in spans."""

    def read_at(self, keys: Sequence[MessageKey], ids: Mapping[str, str], /) -> Operation[Found[R]]:
        """Return the live messages at keys; the numbers of deleted ones count as ``empty``.

        Args:
            keys: Where they stand.
            ids: The sessions' ids by incarnation.
        """


class SessionPages:
    """The sessions of a scope with their marks, read once for all who go through them.

    Args:
        database: Where they are.
        scope: The scope.
    """

    def __init__(self, database: Database, scope: SearchScope) -> None:
        self.scope = scope
        self._database = database
        self._pages: list[tuple[list[SessionDocument], Any]] = []
        self._after: int | None = None

    def page(self, index: int) -> Operation[tuple[list[SessionDocument], Any] | None]:
        """Return a page, and the ``primaries`` from before it was read; ``None`` after the last."""
        if index == len(self._pages) and (not index or self._after is not None):
            primaries = self._database.primaries()
            found, self._after = yield from self.scope.sessions(self._database, self._after)
            self._pages.append((found, primaries))
        return self._pages[index] if index < len(self._pages) else None

    @property
    def added(self) -> int:
        """How many messages were ever added to the sessions that were read."""
        return sum(session["seq"] for page, _ in self._pages for session in page)

    def titles(self, session_ids: Iterable[str]) -> dict[str, str | None]:
        """Return the titles of those sessions that were read."""
        wanted = set(session_ids)
        alone = [self.scope.session] if self.scope.session else []
        read = chain(alone, *(page for page, _ in self._pages))
        return {each["_id"]: title_of(each) for each in read if each["_id"] in wanted}


class Walk(Generic[R]):
    """One search's way through the sessions of a scope.

    Args:
        database: Where they are.
        pages: The sessions.
        reader: Reads their messages.
        cache: What is known of them.
        take: Called with a session and messages of it, until all were given.
        until: When it stops reading what is not known; ``None`` for never.
    """

    def __init__(
        self,
        database: Database,
        pages: SessionPages,
        reader: Reader[R],
        cache: SessionCache,
        take: Callable[[SessionDocument, R], None],
        *,
        until: float | None = None,
    ) -> None:
        self._database = database
        self._pages = pages
        self._scope = pages.scope
        self._reader = reader
        self._cache = cache
        self._take = take
        self._until = until
        self._number = cache.begin()
        self._may_keep = database.messages.reads_primary
        self._begun: dict[str, tuple[SessionDocument, KnownSession[R]]] = {}
        self._chosen: dict[str, Numbers] | None = None
        self._tables = {session["_id"]: table_of(session) for session in self._scope.branched}
        self.is_full = False
        """Whether there was no room to keep all that was read."""

    def run(self) -> Operation[bool]:
        """Go; return whether all messages were given."""
        if self._scope.conditions:
            self._chosen = yield from self._matching()
        index = 0
        while page := (yield from self._pages.page(index)):
            sessions, primaries = page
            if self._chosen is not None:
                sessions = [each for each in sessions if each["uuid"] in self._chosen]
            if not (yield from self._go_through(sessions, primaries)):
                return False
            index += 1
        return True

    def allowed(self, session: SessionDocument, numbers: Numbers) -> npt.NDArray[np.bool_] | None:
        """Return which messages of a session meet the conditions; ``None``: all.

        Args:
            session: The session.
            numbers: The messages' numbers.
        """
        allowed: npt.NDArray[np.bool_] | None = None
        if self._chosen is not None:
            allowed = np.isin(numbers, self._chosen[session["uuid"]])
        elif table := self._tables.get(session["_id"]):
            allowed = np.zeros(len(numbers), dtype=np.bool_)
            for first, last in table.active():
                allowed |= (numbers >= first) & (numbers <= last)
        return allowed

    def _matching(self) -> Operation[dict[str, Numbers]]:
        """Return the numbers of the messages that meet the conditions, by incarnation."""
        chosen: dict[str, list[int]] = defaultdict(list)
        after: str | None = None
        while True:
            page, after = yield from self._scope.page(self._database, after, _PAGE, ())
            for listed in page:
                chosen[listed["_id"]["s"]].append(listed["_id"]["q"])
            if after is None:
                return {each: np.array(numbers) for each, numbers in chosen.items()}

    def _go_through(self, sessions: Sequence[SessionDocument], primaries: Any) -> Operation[bool]:
        """Give the messages of sessions; read those that are not known."""
        keys: list[MessageKey] = []
        spans: list[Span] = []
        few: list[SessionDocument] = []
        self._begun.clear()
        for session in sessions:
            incarnation, last = session["uuid"], session["seq"]
            known = self._kept(session, primaries)
            if known is None and self._are_few(session):
                few.append(session)
                continue
            known = known or KnownSession((primaries, stamp_of(session)))
            for rows in known.rows:
                self._take(session, rows)
            if last > known.seq or known.undecided:
                self._begun[incarnation] = session, known
                new = known.missing(last)
                if known.seq and len(new) - len(known.undecided) <= _MAX_NEW:
                    keys += [(incarnation, number) for number in new]
                else:
                    keys += [(incarnation, number) for number in known.undecided]
                    spans.append(Span(session, known.seq, last))
        if (keys or spans or few) and not (yield from self._reader.prepare()):
            return False
        yield from self._read_at(keys, {each.session["uuid"]: each.after for each in spans})
        for session in few:
            yield from self._read_chosen(session)
        return (yield from self._read(spans))

    def _kept(self, session: SessionDocument, primaries: Any) -> KnownSession[R] | None:
        known = self._cache.get(self._reader.payload, session["uuid"], self._number)
        if known and may_count(session) and known.mark == (primaries, stamp_of(session)):
            return known
        return None

    def _are_few(self, session: SessionDocument) -> bool:
        """Return whether few of a session's messages meet the conditions."""
        if self._chosen is None:
            return False
        return _FEW * len(self._chosen[session["uuid"]]) < session["seq"]

    def _read_chosen(self, session: SessionDocument) -> Operation[None]:
        """Read only those messages of a session that meet the conditions."""
        assert self._chosen is not None
        incarnation = session["uuid"]
        keys = [(incarnation, number) for number in self._chosen[incarnation].tolist()]
        found = yield from self._reader.read_at(keys, {incarnation: session["_id"]})
        for rows in found.rows[incarnation]:
            self._take(session, rows)

    def _read_at(self, keys: Sequence[MessageKey], continued: Mapping[str, int]) -> Operation[None]:
        """Read messages one by one.

        Args:
            keys: Where they stand.
            continued: The last numbers of which they are, by incarnation, if not the session's.
        """
        if not keys:
            return
        ids = {incarnation: session["_id"] for incarnation, (session, _) in self._begun.items()}
        found = yield from self._reader.read_at(keys, ids)
        for incarnation in dict.fromkeys(incarnation for incarnation, _ in keys):
            last = continued.get(incarnation, self._begun[incarnation][0]["seq"])
            self._extend(incarnation, found, last)

    def _read(self, spans: Sequence[Span]) -> Operation[bool]:
        """Read spans of sessions while there is time; return whether there was."""
        for some in _together(spans, self._reader.most):
            if self._until is not None and time.monotonic() > self._until:
                return False
            found = yield from self._reader.read(some)
            for session, _, last in some:
                self._extend(session["uuid"], found, last)
        return True

    def _extend(self, incarnation: str, found: Found[R], last: int) -> None:
        """Give what was found of a session, and keep it unless a change is under way."""
        session, known = self._begun[incarnation]
        for rows in found.rows[incarnation]:
            self._take(session, rows)
        if not (self._may_keep and may_count(session)):
            return
        extended = known.extended(
            found.rows[incarnation],
            found.empty[incarnation],
            last,
            fenced=session.get("fenced", 0),
        )
        self._begun[incarnation] = session, extended
        payload = self._reader.payload
        if not self._cache.put(payload, incarnation, extended, self._number):
            self.is_full = True


def span_query(spans: Sequence[Span]) -> Query:
    """Return the query for the live messages in spans, and perhaps others of their sessions."""
    ids = {span.session["_id"] for span in spans}
    query: Query = {"session_id": {"$in": sorted(ids)}, "deleted_at": None}
    if len(spans) == 1:
        query["seq"] = {"$gt": spans[0].after, "$lte": spans[0].last}
    return query


def _together(spans: Sequence[Span], most: int) -> Iterator[list[Span]]:
    """Yield spans in parts, as many together as one read takes."""
    together: list[Span] = []
    room = most
    for span in spans:
        session, after, last = span
        number = last - after
        if together and (number > room or after):
            yield together
            together, room = [], most
        if after or number > most:
            for start in range(after, last, most):
                yield [Span(session, start, min(start + most, last))]
        else:
            together.append(span)
            room -= number
    if together:
        yield together
