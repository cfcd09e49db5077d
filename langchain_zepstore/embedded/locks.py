"""Advisory locks on whole files, which the kernel drops however their holder dies.

On POSIX a lock belongs to the open file description: every process that inherited the descriptor
holds it, until the last of them closes it. So it is never unlocked by somebody who only leaves.
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

if sys.platform == "win32":  # untested
    import ctypes
    import msvcrt
    from ctypes import wintypes

    class _Overlapped(ctypes.Structure):
        _fields_ = (
            ("Internal", ctypes.c_void_p),
            ("InternalHigh", ctypes.c_void_p),
            ("Offset", wintypes.DWORD),
            ("OffsetHigh", wintypes.DWORD),
            ("hEvent", wintypes.HANDLE),
        )

    def try_lock(fd: int, *, exclusive: bool) -> bool:
        """Take the lock if it is free now; say whether it was."""
        fail_immediately, exclusively, everything = 1, 2, 0xFFFFFFFF
        return bool(
            ctypes.windll.kernel32.LockFileEx(
                wintypes.HANDLE(msvcrt.get_osfhandle(fd)),
                fail_immediately | (exclusively if exclusive else 0),
                0,
                everything,
                everything,
                ctypes.byref(_Overlapped()),
            )
        )

    def unlock(fd: int) -> None:
        """Drop the lock, whoever else has inherited it."""
        everything = 0xFFFFFFFF
        ctypes.windll.kernel32.UnlockFileEx(
            wintypes.HANDLE(msvcrt.get_osfhandle(fd)),
            0,
            everything,
            everything,
            ctypes.byref(_Overlapped()),
        )

else:
    import fcntl

    def try_lock(fd: int, *, exclusive: bool) -> bool:
        """Take the lock if it is free now; say whether it was."""
        mode = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        try:
            fcntl.flock(fd, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(fd: int) -> None:
        """Drop the lock, whoever else has inherited it."""
        fcntl.flock(fd, fcntl.LOCK_UN)


def wait_lock(fd: int, *, exclusive: bool, seconds: float) -> bool:
    """Take the lock as soon as it is free; say whether that was within the time given."""
    deadline = time.monotonic() + seconds
    while not try_lock(fd, exclusive=exclusive):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


class LockFile:
    """An open file to lock. It closes with its object, and only while the descriptor is its own.

    Args:
        path: Made when it is not there.

    Attributes:
        fd: The descriptor.
        close: Closes it, once.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._status = os.fstat(self.fd)
        self.close = weakref.finalize(self, _close, self.fd, self._status)

    def is_at(self, path: str | os.PathLike[str]) -> bool:
        """Whether the descriptor is still open, and on the file that the path leads to."""
        try:
            now = os.fstat(self.fd)
            there = os.stat(path)  # noqa: PTH116
        except OSError:
            return False
        return os.path.samestat(now, self._status) and os.path.samestat(now, there)


def _close(fd: int, status: os.stat_result) -> None:
    # A process that made itself a daemon has closed it, and may use the number for something else.
    with contextlib.suppress(OSError):
        if os.path.samestat(os.fstat(fd), status):
            os.close(fd)


_passing: set[LockFile] = set()


@contextlib.contextmanager
def passing(path: str | os.PathLike[str]) -> Iterator[LockFile]:
    """A lock file that children forked meanwhile do not keep; only who is handed it does."""
    file = LockFile(path)
    _passing.add(file)
    try:
        yield file
    finally:
        _passing.discard(file)
        file.close()


# Held while a process is started: a child that another thread forks just then would inherit the
# pipes meant for the new process, and keep whoever reads them waiting for as long as it lives.
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
