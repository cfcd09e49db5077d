"""A process that does a mass of operations, or lives through many event loops, and measures itself.

``python -m tests.faults.flat_memory`` with a URL, ``operations`` or ``loops``, how many, and how
often to measure; each measurement is a line of JSON. Shared clients of chat histories built
from a URL would stay for the rest of the tests in a process that runs others too.
"""

import asyncio
import gc
import itertools
import json
import random
import sys
import threading
import time
from collections.abc import Awaitable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
from langchain_core.messages import AIMessage, HumanMessage
from pymongo import MongoClient

from langchain_zepstore import (
    CreateUserRequest,
    Memory,
    Message,
    NotFoundError,
    Session,
    UpdateUserRequest,
    ZepChatMessageHistory,
    ZepClient,
)
from tests.support.facade import Facade, HistoryFacade

WORKERS = 4
SHORT_SESSIONS = 500  # per worker and driver, used again and again
LONG_SESSIONS = 2
DRIVERS = ("sync", "motor", "pymongo")


class Worker:
    """One thread or task: it visits session after session and counts what it does.

    Attributes:
        done: How many operations it has done.
    """

    def __init__(self, zep: Facade, name: str, *, purges: bool) -> None:
        self.done = 0
        self._purges = purges
        self._zep = zep
        self._name = name
        self._chance = random.Random(name)
        self._visits = itertools.count()

    async def work(self, operations: int) -> None:
        """Do so many operations more, and a few to end the last visit."""
        until = self.done + operations
        while self.done < until:
            number = next(self._visits)
            await self._visit(f"{self._name} {number % SHORT_SESSIONS}")
            if number % 10 == 0:
                await self._extend(f"{self._name} long {number // 10 % LONG_SESSIONS}")
            if number % 5 == 0 and self._purges:
                await self._does(self._zep.purge())

    async def _does(self, call: Awaitable[Any]) -> Any:
        self.done += 1
        try:
            return await call
        except NotFoundError:
            return None

    async def _visit(self, name: str) -> None:
        """What an application does in a short conversation, and what it does to clean up."""
        zep, does = self._zep, self._does
        await does(zep.user.add(CreateUserRequest(user_id=name, metadata={"a": 1})))
        await does(zep.memory.add_session(Session(session_id=name, user_id=name)))
        await self._talk(zep.chat_history(name, lastn=10, user_id=name))
        await self._talk(self._history(name))
        memory = await does(zep.memory.get_memory(name, lastn=4))
        uuid = memory.messages[-1].uuid
        await does(zep.message.delete_message(name, uuid))
        await does(zep.message.undelete_message(name, uuid))
        await does(zep.message.update_message_metadata(name, uuid, {"seen": {"by": name}}))
        await does(zep.message.get_session_message(name, uuid))
        await does(zep.message.count(name))
        await does(zep.memory.update_session(Session(session_id=name, metadata={"title": "x"})))
        await does(zep.memory.delete_memory(name))
        await does(zep.memory.undelete_session(name))
        await does(zep.memory.get_session(name))
        await does(zep.memory.list_sessions(5, user_id=name))
        await does(zep.memory.recent_sessions(5, user_id=name))
        await does(zep.user.update(UpdateUserRequest(user_id=name, first_name=name)))
        await does(zep.user.get(name))
        await does(zep.user.get_sessions(name))
        await does(zep.user.list(5))
        await does(zep.user.delete(name))

    def _history(self, name: str) -> HistoryFacade:
        """Build a history from the URL, which shares a client with all others."""
        history = ZepChatMessageHistory(name, self._zep.client.url, start_on="human")
        return HistoryFacade(history, asynchronous=self._zep.asynchronous)

    async def _talk(self, history: HistoryFacade) -> None:
        turn = [HumanMessage(self._chance.randbytes(20).hex()), AIMessage("y" * 100)]
        await self._does(history.add(*turn))
        await self._does(history.messages())

    async def _extend(self, name: str) -> None:
        """What happens to a long conversation; it is cleared when it has become too long."""
        messages = [Message(role="user", content="z" * 200) for _ in range(10)]
        await self._does(self._zep.memory.add_memory(name, Memory(messages=messages)))
        count = 0
        async for _ in self._zep.message.each("iter_messages", name, chunk_size=100):
            count += 1
        self.done += 1
        if count > 500:
            await self._does(self._zep.memory.delete_memory(name))


class Mass:
    """All the workers, over all the drivers, of one process."""

    def __init__(self, url: str) -> None:
        self._threads = ThreadPoolExecutor(WORKERS)
        self._runners = {name: asyncio.Runner() for name in ("motor", "pymongo")}
        self._clients = [ZepClient(url), *(ZepClient(url, async_driver=n) for n in self._runners)]
        facades = [Facade(c, asynchronous=n > 0) for n, c in enumerate(self._clients)]
        self._workers = {
            driver: [
                Worker(zep, f"{driver} {number}", purges=number == 0) for number in range(WORKERS)
            ]
            for driver, zep in zip(DRIVERS, facades, strict=True)
        }

    @property
    def done(self) -> int:
        return sum(worker.done for workers in self._workers.values() for worker in workers)

    def work(self, operations: int) -> None:
        each = operations // len(DRIVERS) // WORKERS
        for driver, workers in self._workers.items():
            if driver == "sync":
                list(self._threads.map(lambda worker: driven(worker.work(each)), workers))
            else:
                self._runners[driver].run(together([worker.work(each) for worker in workers]))

    def close(self) -> None:
        self._threads.shutdown()
        self._clients[0].close()
        for runner, client in zip(self._runners.values(), self._clients[1:], strict=True):
            runner.run(client.aclose())
            runner.close()


def driven(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that never waits: its calls are synchronous."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("it waited")


async def together(coroutines: list[Coroutine[Any, Any, None]]) -> None:
    await asyncio.gather(*coroutines)


async def one_loop(clients: list[ZepClient], name: str) -> None:
    """What a script does that calls ``asyncio.run`` for each message."""
    for client in clients:
        await client.memory.aadd_memory(name, Memory(messages=[Message(role="user", content="x")]))
        await client.memory.aget_memory(name, lastn=2)
    await ZepChatMessageHistory(name, clients[0].url, lastn=2).aget_messages()


class Meter:
    """Measures this process, and what a server sees of it."""

    def __init__(self, url: str) -> None:
        # One connection to ask on, and one to watch the server with.
        self._client: MongoClient[Any] = MongoClient(url, serverMonitoringMode="poll")
        self._process = psutil.Process()
        self._client.admin.command("ping")
        self._at_rest: list[int] = []

    def measure(self, done: int) -> None:
        """Write the figures to standard output."""
        gc.collect()
        connections, sockets, files, threads = self._in_use()
        figures = {
            "done": done,
            "rss": self._process.memory_info().rss,
            "objects": len(gc.get_objects()),
            "connections": connections,
            "sockets": sockets,
            "files": files,
            "threads": threads,
        }
        sys.stdout.write(json.dumps(figures) + "\n")

    def rest(self) -> None:
        """Wait until all that was opened since the first call is closed, or a minute has passed.

        The drivers close connections, and end their threads, a moment after they were told to.
        """
        for _ in range(600):
            connections, sockets, files, _ = self._in_use()
            threads = sum(thread.name.startswith("pymongo") for thread in threading.enumerate())
            now = [connections, sockets, files, threads]
            self._at_rest = self._at_rest or now
            if now == self._at_rest:
                return
            time.sleep(0.1)

    def _in_use(self) -> tuple[int, int, int, int]:
        return (
            self._client.admin.command("serverStatus")["connections"]["current"],
            len(self._process.net_connections()),
            self._process.num_fds(),
            self._process.num_threads(),
        )

    def close(self) -> None:
        self._client.close()


def operations(url: str, meter: Meter, total: int, samples: int) -> None:
    mass = Mass(url)
    for _ in range(samples):
        mass.work(total // samples)
        meter.measure(mass.done)
    mass.close()


def loops(url: str, meter: Meter, total: int, samples: int) -> None:
    meter.rest()
    clients = [ZepClient(url), ZepClient(url, async_driver="pymongo")]
    for number in range(1, total + 1):
        asyncio.run(one_loop(clients, f"loop {number % 10}"))
        if number % (total // samples) == 0:
            meter.rest()
            meter.measure(number)
    for client in clients:
        client.close()


def main(url: str, what: str, total: str, samples: str) -> None:
    meter = Meter(url)
    {"operations": operations, "loops": loops}[what](url, meter, int(total), int(samples))
    meter.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
