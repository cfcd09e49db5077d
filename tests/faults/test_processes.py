"""Two processes that delete, undelete, add to and purge one session at the same time."""

import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from langchain_zepstore import ZepClient
from tests.faults import random_operations as hands
from tests.support.invariants import Story
from tests.support.operation_log import read_story
from tests.support.races import check, check_after, check_copies

PROCESSES = multiprocessing.get_context("forkserver")
IMPORTS = [hands.__name__, "langchain_zepstore.mongo.backend", "motor.motor_asyncio"]


class Worker:
    """A process of ``tests.faults.random_operations`` on a session."""

    def __init__(
        self, url: str, session_id: str, logs: Path, name: str, seconds: float, driver: str
    ) -> None:
        self._first_log = logs / f"{name}.0"
        self._complaint = logs.parent / f"{name}.complaint"
        arguments = [url, session_id, str(uuid4()), str(logs), name, seconds, driver]
        self.process = PROCESSES.Process(target=hands.main, args=[self._complaint, *arguments])
        self.process.start()

    def wait_until_at_work(self) -> None:
        deadline = time.monotonic() + 60
        while not self._first_log.exists():
            assert self.process.is_alive(), self.end()
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def kill(self) -> None:
        self.process.kill()
        self._join()

    def end(self) -> str:
        """Wait for its end and return its complaint, if it has one."""
        self._join()
        if self.process.exitcode == 0:
            return ""
        complained = self._complaint.exists()
        return self._complaint.read_text() if complained else f"exit code {self.process.exitcode}"

    def _join(self) -> None:
        self.process.join(120)
        assert self.process.exitcode is not None


@pytest.fixture(scope="module", autouse=True)
def quick_to_start() -> None:
    """Let processes be forks of one that has imported everything."""
    PROCESSES.set_forkserver_preload(IMPORTS)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    logs = tmp_path / "logs"
    logs.mkdir()
    return logs


def in_database(url: str, name: str) -> str:
    return url.replace("/?", f"/{name}?")


def settled(url: str, session_id: str, logs: Path) -> tuple[list[str], Counter[str]]:
    """Check a session as it was left, after a purge, and after what was begun has been finished."""
    story, counts = read_story(logs)
    with ZepClient(url, timeout=hands.PATIENCE) as client:
        wrong = check_copies(client, session_id, story) + check(client, session_id, story)
        story.purged = True
        client.purge()
        wrong += [f"after a purge: {each}" for each in check(client, session_id, story)]
        wrong += check_after(client, session_id, story)
        wrong += purged(client, session_id, story)
    return wrong, counts


def purged(client: ZepClient, session_id: str, story: Story) -> list[str]:
    """Purge when nothing is left to finish, and say what is gone that should not be, or is not."""
    before = client.memory.get_memory(session_id).messages
    client.purge()
    wrong = check(client, session_id, story)
    if client.memory.get_memory(session_id).messages != before:
        wrong.append("a purge changed what a read shows")
    if client.purge() != {"messages": 0, "sessions": 0, "users": 0}:
        wrong.append("a second purge found something")
    return [f"after the last purge: {violation}" for violation in wrong]


def described(what: str, counts: Counter[str], wrong: list[str]) -> str:
    total = sum(count for kind, count in counts.items() if not kind.startswith("abandoned"))
    each = ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items()))
    return f"{what}: {total} operations ({each}), {len(wrong)} violations"


@pytest.mark.parametrize(
    ("url_fixture", "drivers"),
    [
        pytest.param(
            *("mongo_url", ("pymongo", "pymongo")),
            marks=pytest.mark.long("threads are shown with tasks as well"),
        ),
        ("mongo_url", ("pymongo", "motor")),
        ("replica_set_url", ("pymongo", "motor")),
    ],
    ids=["threads", "threads and tasks", "on a replica set"],
)
def test_two_processes_on_one_session_keep_it_consistent(
    url_fixture: str,
    drivers: tuple[str, str],
    request: pytest.FixtureRequest,
    session_id: str,
    logs: Path,
    long: bool,
    report: Callable[[str], None],
) -> None:
    url = in_database(request.getfixturevalue(url_fixture), "processes")
    seconds = 30 if long else 0.5
    workers = [
        Worker(url, session_id, logs, name, seconds, driver)
        for name, driver in zip("pq", drivers, strict=True)
    ]
    complaints = [complaint for worker in workers if (complaint := worker.end())]
    wrong, counts = settled(url, session_id, logs)
    report(described(f"{' and '.join(drivers)}, {seconds} s each", counts, wrong))
    assert not complaints
    assert not wrong, "\n".join(wrong)
    assert all(counts[kind] for kind in hands.WEIGHTS) if long else counts["add"]


def test_two_killed_and_restarted_processes_keep_their_session_consistent(
    mongo_url: str,
    session_id: str,
    logs: Path,
    long: bool,
    report: Callable[[str], None],
) -> None:
    url = in_database(mongo_url, "processes")
    until = time.monotonic() + (30 if long else 2)
    lives = 0
    while time.monotonic() < until or lives < 2:
        lives += 1
        workers = [
            Worker(url, session_id, logs, f"{name}{lives}", 60, driver)
            for name, driver in (("p", "pymongo"), ("q", "motor"))
        ]
        for worker in workers:
            worker.wait_until_at_work()
        for worker in random.sample(workers, 2):
            time.sleep(random.uniform(0, 2 if long else 0.5))
            worker.kill()
    wrong, counts = settled(url, session_id, logs)
    report(described(f"{2 * lives} processes killed", counts, wrong))
    assert not wrong, "\n".join(wrong)
    assert any(kind.startswith("abandoned") for kind in counts)
