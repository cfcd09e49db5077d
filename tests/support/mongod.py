"""A mongod of the tests' own: started, killed and started again on one data directory."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from pymongo import MongoClient, WriteConcern
from pymongo.errors import OperationFailure, PyMongoError

from langchain_zepstore.embedded.binary import find_mongod

T = TypeVar("T")


class Mongod:
    """A mongod on loopback TCP; with ``replica_set``, one that can be a member of a set.

    One that is to be away for a while needs a ``port`` from ``lasting_port``.
    """

    def __init__(
        self,
        directory: Path,
        *,
        replica_set: str | None = None,
        options: tuple[str, ...] = (),
        port: int | None = None,
    ) -> None:
        self.directory = directory
        self.replica_set = replica_set
        self.options = options
        self.port = port or free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"mongodb://{self.address}/?directConnection=true"

    def start(self) -> "Mongod":
        data = self.directory / "db"
        data.mkdir(parents=True, exist_ok=True)
        binary = find_mongod(scratch=self.directory)
        command = [
            str(binary.path),
            "--dbpath",
            str(data),
            "--port",
            str(self.port),
            "--bind_ip",
            "127.0.0.1",
            "--nounixsocket",
            "--logpath",
            str(self.directory / "mongod.log"),
            "--logappend",
            "--wiredTigerCacheSizeGB",
            "0.25",
            "--setParameter",
            "diagnosticDataCollectionEnabled=false",
            "--wiredTigerEngineConfigString",
            "log=(prealloc=false,file_max=16MB)",
            *self.options,
        ]
        if self.replica_set:
            command += ["--replSet", self.replica_set, "--oplogSize", "64"]
        self.process = subprocess.Popen(
            command, env={**os.environ, **binary.environment}, stdout=subprocess.DEVNULL
        )
        self.wait_until_ready()
        return self

    def wait_until_ready(self, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), 1),
            ):
                return
            assert self.process
            assert self.process.poll() is None, self._log_end()
            time.sleep(0.02)
        raise TimeoutError("mongod did not start")

    def _log_end(self) -> str:
        return (self.directory / "mongod.log").read_text()[-2000:]

    def initiate(self, members: "list[Mongod] | None" = None, **settings: int) -> None:
        hosts = [
            {"_id": index, "host": member.address} for index, member in enumerate(members or [self])
        ]
        with MongoClient(self.url) as client:
            with contextlib.suppress(OperationFailure):
                client.admin.command(
                    "replSetInitiate",
                    {"_id": self.replica_set, "members": hosts, "settings": settings},
                )
            deadline = time.monotonic() + 30
            while not client.admin.command("hello")["isWritablePrimary"]:
                assert time.monotonic() < deadline, "no primary"
                time.sleep(0.02)

    def send(self, number: signal.Signals) -> None:
        assert self.process
        self.process.send_signal(number)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Let the process hang: it keeps its connections and answers nothing."""
        self.send(signal.SIGSTOP)
        assert self.process
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)  # all its threads, only now
        try:
            yield
        finally:
            self.send(signal.SIGCONT)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process:
            if self.process.poll() is None:
                self.process.send_signal(number)
            self.process.wait(30)
            self.process = None


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def lasting_port() -> int:
    """Return a port that nobody takes while its server is down.

    It lies below those that systems give to outgoing connections: among them, one that knocks at a
    free port every few milliseconds will one day be given that very port, and answer itself.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
            return port


class ReplicaSet:
    """Mongods that elect a primary among them within seconds."""

    def __init__(self, directory: Path, *, name: str = "rs0", size: int = 3) -> None:
        self.name = name
        options = (
            *("--setParameter", "enableTestCommands=1"),  # for fail points
            *("--syncdelay", "2"),  # a rollback goes back to the last checkpoint, and takes as long
            # Told to end, a primary would otherwise stay for 15 seconds after it has stepped down.
            *("--setParameter", "shutdownTimeoutMillisForSignaledShutdown=1000"),
        )
        self.members = [
            Mongod(
                directory / str(number),
                replica_set=name,
                options=options,
                port=lasting_port(),
            )
            for number in range(size)
        ]

    @property
    def url(self) -> str:
        addresses = ",".join(member.address for member in self.members)
        return f"mongodb://{addresses}/?replicaSet={self.name}"

    def start(self) -> "ReplicaSet":
        with ThreadPoolExecutor(len(self.members)) as threads:
            list(threads.map(Mongod.start, self.members))
        hosts = [{"_id": n, "host": member.address} for n, member in enumerate(self.members)]
        settings = {"electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 500}
        with MongoClient(self.members[0].url) as client:
            client.admin.command(
                "replSetInitiate", {"_id": self.name, "members": hosts, "settings": settings}
            )
        self.wait_until_whole()
        return self

    def primary(self) -> Mongod:
        """Wait until there is a primary, and return it."""
        return _until(
            lambda: next((m for m in self.members if role(m) == "primary"), None), "a primary"
        )

    def wait_until_whole(self) -> None:
        """Wait until one member is the primary and all others have caught up with it.

        To be a secondary is not enough: one that has come back may be one for a moment, and then
        find that it has to roll back, for seconds or minutes.
        """
        roles = ["primary", *["secondary"] * (len(self.members) - 1)]

        def whole() -> bool:
            if sorted(map(role, self.members)) != roles:
                return False
            everywhere = WriteConcern(w=len(self.members), wtimeout=5000)
            with (
                contextlib.suppress(PyMongoError),
                MongoClient(self.url, serverSelectionTimeoutMS=5000) as client,
            ):
                client.get_database("tests", write_concern=everywhere).marks.insert_one({})
                return True
            return False

        _until(whole, "a whole replica set")

    def wait_until_equal(self) -> None:
        """Wait until all members have applied the same last operation."""

        def equal() -> bool:
            with MongoClient(self.primary().url) as client:
                status = client.admin.command("replSetGetStatus")
            return len({member["optime"]["ts"] for member in status["members"]}) == 1

        _until(equal, "replication to all members")

    def stop(self) -> None:
        for member in self.members:
            member.stop(signal.SIGKILL)


def role(member: Mongod) -> str:
    """Return what a member is now: primary, secondary or neither."""
    if member.process is None:
        return "neither"
    try:
        with MongoClient(member.url, timeoutMS=5000) as client:
            hello = client.admin.command("hello")
    except PyMongoError:
        return "neither"
    if hello["isWritablePrimary"]:
        return "primary"
    return "secondary" if hello["secondary"] else "neither"


def _until(condition: Callable[[], T], what: str, seconds: float = 120) -> T:
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"{what} did not come about"
        time.sleep(0.05)
    return result


def with_database(url: str, name: str) -> str:
    """Return the URL of a database of a server."""
    base, question, query = url.partition("?")
    scheme, _, hosts = base.rstrip("/").partition("://")
    return f"{scheme}://{hosts}/{name}{question}{query}"
