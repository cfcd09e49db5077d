"""How long reads, writes and listings take, and what the server looks at for them."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from psutil import getloadavg
from pymongo import MongoClient
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from benchmarks.scale.growing import Document
from benchmarks.scale.population import MOST, Population
from benchmarks.scale.report import Report, latency, timed
from langchain_zepstore import ZepClient

Prepare = Callable[[ZepClient], Callable[[], object]]

_LATENCY = "Latency, ms: median / p99"
_EXAMINED = "Examined by the server: keys / documents of the commands that have a plan, mean of 10"
_ALL_OF_ONE = "get_sessions of the user with 1 % of all"
_STRIDE = 10_000
_MANY = 20
_EXPLAINED = 10
_TASKS = 64
_EXPLAINABLE = {"find", "aggregate", "update", "findAndModify"}
_UNEXPLAINED = {"lsid", "txnNumber", "$db", "$clusterTime", "$readPreference", "writeConcern"}


def measure(url: str, name: str, population: Population, report: Report, rounds: int) -> None:
    """Time each call, then let the server explain one of each."""
    report.put(_LATENCY, "(the machine's load average at the beginning)", f"{getloadavg()[0]:.1f}")
    with ZepClient(url, database=name) as client:
        calls = _calls(client, population)
        for row, prepare in calls.items():
            most = 10 if row == _ALL_OF_ONE else rounds
            report.put(_LATENCY, row, latency(timed(prepare(client) for _ in range(most))))
        for row, prepare in calls.items():
            report.put(_EXAMINED, row, _examined(url, name, prepare))
    asyncio.run(_many_at_once(url, name, population, report, rounds))


def _calls(client: ZepClient, population: Population) -> dict[str, Prepare]:
    middle = len(client.user.get_sessions(MOST)) // 2
    last_id = max(1, population.count * 9 // 10)
    of_most = client.memory.list_sessions(limit=middle + 1, user_id=MOST)[-1].id
    recent = _cursor_at(client, population.count // 2, None)
    recent_of_most = _cursor_at(client, middle, MOST)

    long_ones = population.those(lambda length: length >= _MANY)

    def reading(lastn: int | None, among: Sequence[int] = ()) -> Prepare:
        def prepare(client: ZepClient) -> Callable[[], object]:
            session_id = population.session_id(among)
            return lambda: client.memory.get_memory(session_id, lastn)

        return prepare

    def of_user(call: Callable[[ZepClient, str], object]) -> Prepare:
        def prepare(client: ZepClient) -> Callable[[], object]:
            user_id = population.user_id()
            return lambda: call(client, user_id)

        return prepare

    def plain(call: Callable[[ZepClient], object]) -> Prepare:
        return lambda client: lambda: call(client)

    return {
        "add_memory, a turn to some session": population.a_turn,
        "add_memory, the first message of a new session": population.a_birth,
        "get_memory, last 20 of some session": reading(_MANY),
        "get_memory, last 20 of one with 20 or more": reading(_MANY, long_ones),
        "get_memory, all of some session": reading(None),
        "list_sessions, first 100": plain(lambda c: c.memory.list_sessions(100)),
        "list_sessions, 100 behind nine tenths": plain(
            lambda c: c.memory.list_sessions(100, last_id)
        ),
        "list_sessions, first 100 of some user": of_user(
            lambda c, user_id: c.memory.list_sessions(100, user_id=user_id)
        ),
        "list_sessions, 100 in the middle of those of the user with 1 %": plain(
            lambda c: c.memory.list_sessions(100, of_most, user_id=MOST)
        ),
        "get_sessions of some user": of_user(lambda c, user_id: c.user.get_sessions(user_id)),
        _ALL_OF_ONE: plain(lambda c: c.user.get_sessions(MOST)),
        "recent_sessions, first 20": plain(lambda c: c.memory.recent_sessions(20)),
        "recent_sessions, 20 in the middle": plain(lambda c: c.memory.recent_sessions(20, recent)),
        "recent_sessions, first 20 of some user": of_user(
            lambda c, user_id: c.memory.recent_sessions(20, user_id=user_id)
        ),
        "recent_sessions, first 20 of the user with 1 %": plain(
            lambda c: c.memory.recent_sessions(20, user_id=MOST)
        ),
        "recent_sessions, 20 in the middle of those of the user with 1 %": plain(
            lambda c: c.memory.recent_sessions(20, recent_of_most, user_id=MOST)
        ),
    }


def _cursor_at(client: ZepClient, place: int, user_id: str | None) -> str | None:
    cursor = None
    while place > 0:
        page = client.memory.recent_sessions(min(place, _STRIDE), cursor, user_id=user_id)
        place, cursor = place - len(page.sessions), page.next_cursor
        if cursor is None:
            break
    return cursor


class _Commands(CommandListener):
    def __init__(self) -> None:
        self.sent: list[Document] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.sent.append(dict(event.command))

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...


def _examined(url: str, name: str, prepare: Prepare) -> str:
    commands = _Commands()
    with MongoClient[Document](url, event_listeners=[commands]) as driver:
        client = ZepClient(client=driver, database=name)
        client.memory.list_sessions(limit=1)
        works = [prepare(client) for _ in range(_EXPLAINED)]
        commands.sent.clear()
        for work in works:
            work()
        sent = [command for command in commands.sent if next(iter(command)) in _EXPLAINABLE]
        keys = documents = 0
        sorts = ""
        for command in sent:
            told = {key: value for key, value in command.items() if key not in _UNEXPLAINED}
            explained = driver[name].command("explain", told, verbosity="executionStats")
            statistics = explained["executionStats"]
            keys += statistics["totalKeysExamined"]
            documents += statistics["totalDocsExamined"]
            if bad := {"SORT", "COLLSCAN"} & set(_stages(explained["queryPlanner"]["winningPlan"])):
                sorts = f" ({', '.join(sorted(bad))})"
    return f"{keys / _EXPLAINED:,.0f} / {documents / _EXPLAINED:,.0f}{sorts}"


def _stages(plan: Any) -> Iterator[str]:
    if isinstance(plan, list):
        for item in plan:
            yield from _stages(item)
    elif isinstance(plan, dict):
        if isinstance(plan.get("stage"), str):
            yield plan["stage"]
        for value in plan.values():
            yield from _stages(value)


async def _many_at_once(
    url: str, name: str, population: Population, report: Report, rounds: int
) -> None:
    taken: list[float] = []

    async def task(client: ZepClient) -> None:
        for _ in range(max(1, rounds * 4 // _TASKS)):
            session_id, memory = population.next_turn()
            begun = time.perf_counter()
            await client.memory.aadd_memory(session_id, memory)
            taken.append((time.perf_counter() - begun) * 1000)

    async with ZepClient(url, database=name) as client:
        await client.memory.alist_sessions(1)
        begun = time.perf_counter()
        await asyncio.gather(*(task(client) for _ in range(_TASKS)))
        seconds = time.perf_counter() - begun
    row = "aadd_memory, turns of 64 tasks"
    report.put(_LATENCY, row, latency(taken))
    report.put(_LATENCY, f"{row}, a second", f"{len(taken) / seconds:,.0f}")
