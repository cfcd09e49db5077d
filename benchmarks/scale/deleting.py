"""What deleting, undeleting and purging cost, and what the purge costs who writes meanwhile."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from pymongo.database import Database

from benchmarks.scale.growing import Document
from benchmarks.scale.plan import turn
from benchmarks.scale.population import Population
from benchmarks.scale.report import Report, latency, timed
from langchain_zepstore import Memory, ZepClient

_TABLE = "Deleting and purging, ms: median / p99, where it says nothing else"
_SHORT, _LONG = 5, 10_000
_SHARE, _MOST = 0.01, 50_000
_THREADS = 8
_LONG_AGO = timedelta(days=60)
_TWO_HOURS = timedelta(hours=2)
_PATIENCE = 600.0
_TICK = 0.05
_FEW = 500  # documents, of which no rate is told


class Deleting:
    """The measures."""

    def __init__(
        self, client: ZepClient, raw: Database[Document], population: Population, report: Report
    ) -> None:
        self._client = client
        self._raw = raw
        self._population = population
        self._report = report

    def _put(self, row: str, value: str) -> None:
        self._report.put(_TABLE, row, value)

    def measure(self, rounds: int, *, ttl: bool) -> None:
        """Take all measures, and leave nothing deleted behind.

        Args:
            rounds: Of what is done often.
            ttl: The server is ours: its TTL monitor looks every second, and may be stopped.
        """
        memory = self._client.memory
        short = self._population.of_length(_SHORT, rounds)
        calls: dict[str, Callable[[str], object]] = {
            "delete": memory.delete_memory,
            "undelete": memory.undelete_session,
        }
        for label, call in calls.items():
            taken = timed(_calling(call, session_id) for session_id in short)
            self._put(f"{label} a session of {_SHORT} messages", latency(taken))
        self._long_session()
        if ttl:
            self._monitor(enabled=False)
            self._expire(rounds)
        self._purge()

    def _long_session(self) -> None:
        memory, session_id = self._client.memory, uuid4().hex
        rng = self._population.plan.random(-1)
        whole = Memory(messages=[message for _ in range(_LONG // 2) for message in turn(rng)])
        more = self._population.said()
        calls: dict[str, Callable[[], object]] = {
            "add all in one call": lambda: memory.add_memory(session_id, whole),
            "read the last 20": lambda: memory.get_memory(session_id, 20),
            "read all": lambda: memory.get_memory(session_id),
            "add a turn": lambda: memory.add_memory(session_id, more),
            "delete": lambda: memory.delete_memory(session_id),
            "undelete": lambda: memory.undelete_session(session_id),
        }
        for label, call in calls.items():
            self._put(f"a session of {_LONG:,} messages: {label}", latency(timed([call])))
        self._raw.messages.delete_many({"session_id": session_id})
        self._raw.sessions.delete_one({"_id": session_id})

    def _delete_share(self) -> int:
        """Delete a hundredth of the messages, with their sessions; return the sessions a second."""
        count = self._raw.messages.estimated_document_count()
        gone = self._population.take(min(int(count * _SHARE), _MOST))
        begun = time.perf_counter()
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(self._client.memory.delete_memory, gone))
        return round(len(gone) / (time.perf_counter() - begun))

    def _age(self, every: int = 1) -> int:
        """Date the deletions back, of all or of one session in so many; return the documents."""
        past = datetime.now(UTC) - _LONG_AGO
        recent = {"deleted_at": {"$gt": past}}
        deleted = [session["_id"] for session in self._raw.sessions.find(recent, {"_id": 1})]
        chosen = deleted[::every]
        change = {"$set": {"deleted_at": past}}
        aged = self._raw.messages.update_many({**recent, "session_id": {"$in": chosen}}, change)
        self._raw.sessions.update_many({"_id": {"$in": chosen}}, change)
        return aged.modified_count + len(chosen)

    def _expire(self, rounds: int) -> None:
        rate = self._delete_share()
        label = f"delete 1 % (at most {_MOST:,} messages), {_THREADS} threads"
        self._put(f"{label}: sessions a second", f"{rate:,}")
        expected = self._age()
        turns = (self._population.a_turn(self._client) for _ in range(rounds))
        self._put("TTL purge of these: a turn before", latency(timed(turns)))
        with ThreadPoolExecutor(1) as pool:
            watch = pool.submit(self._expired, expected)
            self._monitor(enabled=True)

            def turns_meanwhile() -> Iterator[Callable[[], object]]:
                while not watch.done():
                    yield self._population.a_turn(self._client)

            meanwhile = timed(turns_meanwhile())
            begun, ended = watch.result()
        self._monitor(enabled=False)
        self._put("TTL purge of these: documents", f"{expected:,}")
        told = latency(meanwhile) if expected >= _FEW else "-"
        self._put("TTL purge of these: a turn meanwhile", told)
        self._put("TTL purge of these: documents a second", _rate(expected, ended - begun))

    def _monitor(self, *, enabled: bool) -> None:
        self._raw.client.admin.command("setParameter", 1, ttlMonitorEnabled=enabled)

    def _expired(self, expected: int) -> tuple[float, float]:
        """Wait until the TTL monitor has removed so many; return when it began and was done."""

        def removed() -> int:
            status = self._raw.client.admin.command("serverStatus")
            return int(status["metrics"]["ttl"]["deletedDocuments"])

        # What it has removed is known when it is done; that it has begun, by the count.
        before, most, begun = removed(), 0, time.monotonic()
        deadline = begun + _PATIENCE
        while removed() < before + expected:
            assert time.monotonic() < deadline, "the TTL monitor is not done"
            count = self._raw.messages.estimated_document_count()
            if count >= most:
                most, begun = count, time.monotonic()
            time.sleep(_TICK)
        return begun, time.monotonic()

    def _examined(self) -> int:
        status = self._raw.client.admin.command("serverStatus")
        return int(status["metrics"]["queryExecutor"]["scannedObjects"])

    def _purge(self) -> None:
        """Purge what was deleted long ago, and then what was deleted just now."""
        self._delete_share()
        self._age(every=2)
        for label, older_than in (("60 days ago", _TWO_HOURS), ("just now", None)):
            begun, looked_at = time.perf_counter(), self._examined()
            removed = sum(self._client.purge(older_than).values())
            seconds = time.perf_counter() - begun
            row = f"purge() of what was deleted {label}"
            self._put(f"{row}: documents", f"{removed:,}")
            self._put(f"{row}: documents a second", _rate(removed, seconds))
            looked_at = self._examined() - looked_at
            self._put(f"{row}: documents examined for each", f"{looked_at / max(1, removed):.1f}")
        # It left placeholders, for an hour and the retention.
        self._raw.messages.delete_many({"deleted_at": {"$exists": True}})


def _rate(count: int, seconds: float) -> str:
    return f"{count / seconds:,.0f}" if count >= _FEW else "-"


def _calling(call: Callable[[str], object], session_id: str) -> Callable[[], object]:
    return lambda: call(session_id)
