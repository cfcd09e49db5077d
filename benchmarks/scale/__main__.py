"""A database grown to a million sessions with five million messages: what grows with it?

It is measured with 1,000 sessions and at each power of ten from there: how long reads, writes and
listings take (one after the other, and turns of 64 tasks at once), how much the server looks at for
them, what everything takes on disk, and what deleting and purging cost.

Ordinary calls would need hours to fill it, so bulk inserts do, of exactly the documents that the
package writes; that these are the same is checked at the beginning, on documents made both ways,
and that the client reads what was filled, at the end.

    python -m benchmarks.scale --output scale.md
    python -m benchmarks.scale --sessions 10000

It takes about half an hour, 10 GB of disk, and a mongod of its own, whose cache is kept smaller
than the data. With ``--url`` it uses another server, in a database of its own that is dropped at
the end; what needs the server's TTL monitor is left out then.
"""

import argparse
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from pymongo import MongoClient

from benchmarks.scale import calls, growing, sidebar, sizes
from benchmarks.scale.deleting import Deleting
from benchmarks.scale.growing import Document
from benchmarks.scale.plan import Plan
from benchmarks.scale.population import Population
from benchmarks.scale.report import Report, progress, say
from langchain_zepstore import ZepClient
from tests.support.mongod import Mongod

_FEWEST = 100
_SMALLEST = 1000
_SAMPLE = 200


def main() -> None:
    """Measure, and print what was measured."""
    options = _options()
    report = Report(f"{options.sessions:,} sessions")
    with _server(options) as url:
        name = f"scale_{uuid4().hex[:8]}"
        try:
            _run(url, name, options, report)
        finally:
            if options.url:
                with MongoClient[Document](url) as client:
                    client.drop_database(name)
    print(report)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--messages-per-session", type=float, default=5.0, help="on average")
    parser.add_argument("--users", type=int, help="a tenth of the sessions, if not given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=1000, help="how often each call is timed")
    parser.add_argument("--url", help="of a MongoDB, instead of a mongod of its own")
    parser.add_argument("--cache-gb", type=float, default=4.0, help="of a mongod of its own")
    parser.add_argument("--directory", type=Path, help="where its data is meanwhile")
    parser.add_argument("--output", type=Path, help="a file for the tables, too")
    options = parser.parse_args()
    if options.users is None:
        options.users = max(1, options.sessions // 10)
    if options.sessions < _FEWEST:
        parser.error(f"there must be at least {_FEWEST} sessions")
    if min(options.users, options.rounds) < 1:
        parser.error("users and rounds must be at least 1")
    if options.messages_per_session < 1:
        parser.error("a session has at least one message")
    return options


@contextmanager
def _server(options: argparse.Namespace) -> Iterator[str]:
    if options.url:
        yield options.url
        return
    with tempfile.TemporaryDirectory(prefix="scale-", dir=options.directory) as directory:
        monitor = ("--setParameter", "ttlMonitorSleepSecs=1")
        mongod = Mongod(Path(directory), options=monitor).start()
        try:
            with MongoClient[Document](mongod.url) as client:
                cache = f"cache_size={options.cache_gb * 1024:.0f}M"
                client.admin.command("setParameter", 1, wiredTigerEngineRuntimeConfig=cache)
            yield mongod.url
        finally:
            mongod.stop(signal.SIGKILL)  # its data is of no use any more


def _run(url: str, name: str, options: argparse.Namespace, report: Report) -> None:
    begun = time.monotonic()
    compared = growing.twins(url, name)
    report.notes.append(f"{compared} documents, filled and made by calls, compared: the same")
    plan = Plan(
        options.sessions,
        options.messages_per_session,
        options.users,
        options.seed,
        datetime.now(UTC),
    )
    population = Population(plan)
    with ZepClient(url, database=name) as client, MongoClient[Document](url) as raw:
        client.memory.list_sessions(limit=1)  # makes the indexes
        _describe(raw, options, report)
        for size in _sizes(options.sessions):
            report.begin(size)
            _grow(url, name, population, size)
            raw.admin.command("fsync")
            sizes.measure(raw[name], report)
            calls.measure(url, name, population, report, options.rounds)
            sidebar.measure(client, raw[name], population, report, options.rounds)
            Deleting(client, raw[name], population, report).measure(
                options.rounds, ttl=not options.url
            )
            _save(report, options.output)
        read = _read_back(client, population)
        report.notes.append(f"{read} filled sessions read by the client: as planned")
    report.notes.append(f"took {(time.monotonic() - begun) / 60:.0f} minutes")
    _save(report, options.output)


def _describe(raw: MongoClient[Document], options: argparse.Namespace, report: Report) -> None:
    server = raw.server_info()["version"]
    cache = raw.admin.command("serverStatus")["wiredTiger"]["cache"]["maximum bytes configured"]
    report.notes += [
        f"MongoDB {server}, a cache of {cache / 2**30:.1f} GB; w=majority, j=true",
        f"{options.messages_per_session:g} messages per session, {options.users:,} users",
        f"each call {options.rounds:,} times; seed {options.seed}",
    ]


def _sizes(sessions: int) -> list[int]:
    found, size = [], _SMALLEST
    while size < sessions:
        found.append(size)
        size *= 10
    return [*found, sessions]


def _grow(url: str, name: str, population: Population, size: int) -> None:
    plan, have = population.plan, population.count
    begun = time.monotonic()
    messages = 0
    with progress(f"messages for {size:,} sessions", sum(plan.lengths[have:size])) as advance:
        for _, came in growing.grow(url, name, plan, have, size):
            advance(came)
            messages += came
    population.count = size
    say(f"{messages:,} messages in {time.monotonic() - begun:.0f} s")


def _read_back(client: ZepClient, population: Population) -> int:
    numbers = population.untouched(_SAMPLE)
    for number in numbers:
        planned, _, turns = population.plan.conversation(number)
        session = client.memory.get_session(planned.session_id)
        assert (session.user_id, session.metadata) == (planned.user_id, planned.metadata)
        read = client.memory.get_memory(planned.session_id).messages
        spoken = [message for _, messages in turns for message in messages]
        assert [(m.role, m.content, m.metadata) for m in read] == [
            (m.role, m.content, m.metadata) for m in spoken
        ]
    return len(numbers)


def _save(report: Report, output: Path | None) -> None:
    if output:
        output.write_text(f"{report}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
