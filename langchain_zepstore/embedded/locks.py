"""Advisory locks on whole files, which the kernel drops however their holder dies.

A lock belongs to the open file description: every process that inherited the descriptor holds it
until the last of them closes it. So a process that leaves closes the file and does not unlock it.
Standard library only: the supervisor loads this file without the package.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import weakref
from collections.abc import Iterator

if sys.platform != "win32":
    import fcntl


def try_lock(fd: int, *, exclusive: bool) -> bool:
    """Take the lock if it is free. Returns whether it was."""
    mode = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    try:
        fcntl.flock(fd, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(fd: int) -> None:
    """Drop the lock, also if another process has inherited it."""
    fcntl.flock(fd, fcntl.LOCK_UN)


def wait_lock(fd: int, *, exclusive: bool, seconds: float) -> bool:
    """Wait for the lock. Returns whether it became free in time."""
    deadline = time.monotonic() + seconds
    while not try_lock(fd, exclusive=exclusive):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


class LockFile:
    """An open file to lock. It is closed with its object, if the descriptor is still its own.

    Args:
        path: The file, created if missing.

    Attributes:
        fd: The descriptor.
        close: Closes the file, once.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._status = os.fstat(self.fd)
        self.close = weakref.finalize(self, _close, self.fd, self._status)

    def is_at(self, path: str | os.PathLike[str]) -> bool:
        """Whether the descriptor is open, on the file that the path leads to."""
        try:
            now = os.fstat(self.fd)
            there = os.stat(path)  # noqa: PTH116
        except OSError:
            return False
        return os.path.samestat(now, self._status) and os.path.samestat(now, there)


def _close(fd: int, status: os.stat_result) -> None:
    # A process that became a daemon has closed it and may have reused the number.
    with contextlib.suppress(OSError):
        if os.path.samestat(os.fstat(fd), status):
            os.close(fd)


_passing: set[LockFile] = set()


@contextlib.contextmanager
def passing(path: str | os.PathLike[str]) -> Iterator[LockFile]:
    """Open a lock file that children forked meanwhile close; only a process given it keeps it."""
    file = LockFile(path)
    _passing.add(file)
    try:
        yield file
    finally:
        _passing.discard(file)
        file.close()


# Held while a process is started: a child that another thread forks meanwhile would inherit the
# pipes of the new process, and their reader would wait for as long as that child lives.
no_forks = threading.RLock()


def _after_fork() -> None:
    no_forks.release()
    for file in _passing:
        file.close()
    _passing.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=no_forks.acquire,
        after_in_parent=no_forks.release,
        after_in_child=_after_fork,
    )
