"""A mongod of the tests' own: started, killed and started again on one data directory."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import OperationFailure

from langchain_zepstore.embedded.binary import find_mongod


class Mongod:
    """A mongod on loopback TCP; with ``replica_set``, one that can be a member of a set."""

    def __init__(
        self, directory: Path, *, replica_set: str | None = None, options: tuple[str, ...] = ()
    ) -> None:
        self.directory = directory
        self.replica_set = replica_set
        self.options = options
        self.port = free_port()
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
