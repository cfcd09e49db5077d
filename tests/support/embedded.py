"""Watching embedded servers from outside: their processes, and children that use them."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pymongo

import langchain_zepstore
from langchain_zepstore.embedded import supervisor

T = TypeVar("T")

LINGER = 0.3  # seconds that a server stays after its last user here, instead of two

# Only the room under test: importing the rest takes a second per process.
CHILD = """
import os, signal, subprocess, sys, time, types
package = types.ModuleType("langchain_zepstore")
package.__path__ = [sys.argv[1]]
sys.modules["langchain_zepstore"] = package
from langchain_zepstore.embedded.server import EmbeddedServer
from langchain_zepstore.errors import StoreUnavailableError
server = EmbeddedServer(sys.argv[2], linger=float(sys.argv[3]))
"""


def child(
    home: Path, body: str, *before: str, linger: float = LINGER, **options: Any
) -> subprocess.Popen[str]:
    """Start a process that has a ``server`` on a directory; ``before`` comes before its command."""
    return subprocess.Popen(
        [
            *(*before, sys.executable, "-W", "error", "-c", CHILD + body),
            *(langchain_zepstore.__path__[0], str(home), str(linger)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def ended(process: subprocess.Popen[str]) -> str:
    """Wait for a child and return what it printed."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


def until(condition: Callable[[], T], seconds: float = 60) -> T:
    """Wait for a condition and return what it is then."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "the condition did not hold in time"
        time.sleep(0.02)
    return result


def alive(process: psutil.Process) -> bool:
    """Whether a process runs."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def processes(home: Path, mark: str) -> list[psutil.Process]:
    """Return the living processes of a server: ``mark`` is an argument that only they have."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            arguments = process.cmdline()
            if mark in arguments and str(home) in " ".join(arguments) and alive(process):
                found.append(process)
    return found


def mongods(home: Path) -> list[psutil.Process]:
    """Return the living mongods on a directory."""
    return processes(home, "--dbpath")


def supervisors(home: Path) -> list[psutil.Process]:
    """Return the living supervisors of a directory."""
    return processes(home, supervisor.__file__)


def mongod(home: Path) -> psutil.Process:
    """Return the one mongod on a directory, which may be starting."""
    [process] = until(lambda: mongods(home))
    return process


def stopped(home: Path) -> None:
    """Stop the servers on a directory."""
    for process in supervisors(home):
        process.terminate()
    until(lambda: not mongods(home) and not supervisors(home))


@contextlib.contextmanager
def connected(uri: str, milliseconds: int = 5000) -> Iterator[Any]:
    """Give a collection on a server, over a driver of one's own."""
    options = {"serverSelectionTimeoutMS": milliseconds, "w": 1, "journal": True}
    with pymongo.MongoClient(uri, **options) as client:
        yield client.chat.messages
