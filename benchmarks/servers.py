"""The servers that a comparison needs, each started for it and stopped after it."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.mongod import Mongod, free_port

_NOBODY = "postgres"  # PostgreSQL refuses to run as root; its packages make this user
_PATIENCE = 30.0


class MissingServerError(Exception):
    """A server is not installed; the message says what to install."""


@contextmanager
def mongod(directory: Path, *, replica_set: bool) -> Iterator[str]:
    """Run a mongod, alone or as a replica set of one, and yield its URL."""
    server = Mongod(directory, replica_set="rs0" if replica_set else None).start()
    try:
        if replica_set:
            server.initiate()
        yield server.url
    finally:
        server.stop()


@contextmanager
def redis(directory: Path, *, durable: bool) -> Iterator[str]:
    """Run ``redis-server`` and yield its URL.

    Args:
        directory: For its file.
        durable: Write each command to disk before it is answered; Redis itself does not.
    """
    binary = shutil.which("redis-server")
    if not binary:
        raise MissingServerError("redis-server is not installed (Debian: redis-server)")
    port = free_port()
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)]
    command += ["--save", "", "--appendonly", "yes" if durable else "no"]
    command += ["--appendfsync", "always"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        _wait(lambda: subprocess.run([*_redis_cli(port), "ping"], capture_output=True, check=True))
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()


def _redis_cli(port: int) -> list[str]:
    return [shutil.which("redis-cli") or "redis-cli", "-p", str(port)]


@contextmanager
def postgres(directory: Path) -> Iterator[str]:
    """Run PostgreSQL on a cluster of its own, with its defaults, and yield its URL."""
    binaries = _postgres_binaries()
    as_user = []
    if os.geteuid() == 0:
        as_user = ["runuser", "-u", _NOBODY, "--"]
        shutil.chown(directory, _NOBODY)
        for parent in directory.parents[:2]:
            with suppress(OSError):
                parent.chmod(parent.stat().st_mode | 0o011)
    data, port = directory / "data", free_port()
    initialise = [str(binaries / "initdb"), "-D", str(data), "-A", "trust", "-U", "peer"]
    subprocess.run(as_user + initialise, check=True, capture_output=True, cwd="/")
    serve = [str(binaries / "postgres"), "-D", str(data), "-p", str(port)]
    serve += ["-h", "127.0.0.1", "-k", ""]
    with (directory.parent / "postgres.log").open("wb") as log:
        process = subprocess.Popen(as_user + serve, stdout=log, stderr=log, cwd="/")
        ready = [str(binaries / "pg_isready"), "-h", "127.0.0.1", "-p", str(port)]
        try:
            _wait(lambda: subprocess.run(ready, check=True, capture_output=True))
            yield f"postgresql://peer@127.0.0.1:{port}/postgres"
        finally:
            process.terminate()
            process.wait()


def _postgres_binaries() -> Path:
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    if not places:
        raise MissingServerError("PostgreSQL is not installed (Debian: postgresql)")
    return places[-1]


def _wait(ready: Callable[[], object]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            ready()
        except (subprocess.CalledProcessError, FileNotFoundError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
