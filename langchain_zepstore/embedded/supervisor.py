"""The process that owns an embedded mongod: starts it, restarts it, stops it after its last user.

It is run by file path with ``python -I -S``, so it uses the standard library only, and little of
it. Its argument is a JSON object; on standard output it writes one JSON line to its starter:
``{"ready": true}``, or the error.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING or __package__:
    from typing import Any

    from langchain_zepstore.embedded import locks
else:
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    import locks

POLL_SECONDS = 0.25
START_SECONDS = 60.0
STOP_SECONDS = 60.0
QUICK_CRASH_SECONDS = 10.0
MAX_QUICK_CRASHES = 5
MAX_LOG_BYTES = 16 << 20


def ask(address: str, command: str = "hello", timeout: float = 5.0) -> bool:
    """Whether the mongod at an address answers a command that needs no arguments."""
    fields = b"\x10" + command.encode() + b"\0" + struct.pack("<i", 1)
    fields += b"\x02$db\0" + struct.pack("<i", 6) + b"admin\0"
    document = struct.pack("<i", len(fields) + 5) + fields + b"\0"
    op_msg = struct.pack("<iiiiiB", 21 + len(document), 1, 0, 2013, 0, 0) + document
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(address)
            connection.sendall(op_msg)
            return bool(connection.recv(1))
    except OSError:
        return False


class Supervisor:
    """Runs one mongod until nobody uses it, a crash cannot be mended, or SIGTERM."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.address: str = options["address"]
        self.users = locks.LockFile(options["users"])
        self.leaving = False
        self.reported = False
        self.idle_since: float | None = None
        self.log_start = 0
        self.woken, self._waker = socket.socketpair()
        self.woken.settimeout(0)
        self._waker.settimeout(0)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._leave)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler, so that it wakes us

    def _leave(self, *_: object) -> None:
        self.leaving = True

    def supervise(self) -> None:
        """Run mongod until it is gone for good."""
        quick_crashes = 0
        try:
            self._await_predecessor_exit()
            while True:
                started = time.monotonic()
                self._launch()
                try:
                    if self._watch(started):
                        return
                finally:
                    self._kill_child()
                quick_crashes = (
                    quick_crashes + 1 if time.monotonic() - started < QUICK_CRASH_SECONDS else 0
                )
                # A first start that fails would fail again: its starter raises the error.
                if not self.reported or quick_crashes == MAX_QUICK_CRASHES:
                    self._report(error=self._reason(), status=self.child.returncode)
                    return
                self._pause(0.2 * quick_crashes)
        except OSError as error:  # such as a deleted data directory
            self._report(error=str(error), status=None)

    def _await_predecessor_exit(self) -> None:
        """Wait until the mongod of a killed supervisor is gone."""
        ask(self.address, "shutdown")  # only Linux kills it with its supervisor
        try:
            lock = os.open(os.path.join(self.options["data"], "mongod.lock"), os.O_RDWR)  # noqa: PTH118
        except OSError:
            return
        try:
            locks.wait_lock(lock, exclusive=True, seconds=10)
        finally:
            os.close(lock)

    def _launch(self) -> None:
        log = self.options["log"]
        if os.path.exists(log) and os.path.getsize(log) > MAX_LOG_BYTES:  # noqa: PTH110, PTH202
            os.replace(log, log + ".old")  # noqa: PTH105
        with open(log, "ab") as output:  # noqa: PTH123
            self.log_start = output.seek(0, os.SEEK_END)
            # preexec_fn is safe here: this process has no threads.
            self.child = subprocess.Popen(  # noqa: S603
                self.options["command"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **self.options["environment"]},
                preexec_fn=_die_with_parent(),  # noqa: PLW1509
            )

    def _watch(self, started: float) -> bool:
        """Watch the child. Returns whether the work is done; otherwise it has to start again."""
        ready = False
        while True:
            self._pause(POLL_SECONDS if ready else 0.02)
            if self.child.poll() is not None:
                return False
            if self.leaving:
                self._stop()
                return True
            if not self.users.is_at(self.options["users"]):  # deleted or moved
                return True  # killed, not stopped: that would remove a successor's socket
            if not ready:
                ready = ask(self.address, timeout=1)
                if ready:
                    self._report(ready=True)
                elif time.monotonic() - started > START_SECONDS:
                    self._report(error=f"not ready after {START_SECONDS:.0f} seconds", status=None)
            elif not os.path.exists(self.address):  # noqa: PTH110
                self._stop()
                return False
            elif self._unused():
                self._stop()
                return True

    def _unused(self) -> bool:
        """Whether nobody has used the server for a while; if so, new users wait for the lock."""
        if not locks.try_lock(self.users.fd, exclusive=True):
            self.idle_since = None
            return False
        now = time.monotonic()
        if os.path.exists(self.options["keep"]):  # noqa: PTH110
            self.idle_since = now
        if self.idle_since is not None and now - self.idle_since >= self.options["linger"]:
            return True
        locks.unlock(self.users.fd)
        self.idle_since = self.idle_since or now
        return False

    def _stop(self) -> None:
        self.child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.child.wait(STOP_SECONDS)

    def _kill_child(self) -> None:
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()

    def _pause(self, seconds: float) -> None:
        if select.select([self.woken], [], [], seconds)[0]:
            self.woken.recv(4096)

    def _report(self, **message: object) -> None:
        if self.reported:
            return
        self.reported = True
        with contextlib.suppress(OSError):  # the starter may be dead
            os.write(1, json.dumps(message).encode() + b"\n")
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, 1)
        os.close(nowhere)

    def _reason(self) -> str:
        """Return the cause of mongod's end: the first error of this run in its log."""
        text = ""
        with open(self.options["log"], "rb") as log:  # noqa: PTH123
            log.seek(self.log_start)
            for line in log:
                try:
                    entry = json.loads(line)
                except ValueError:  # written before it has opened its log
                    text = text or line.decode(errors="replace").strip()
                    continue
                if isinstance(entry, dict) and entry.get("s") in {"F", "E"}:
                    return _summary(entry)
        status = self.child.returncode
        if not os.statvfs(self.options["log"]).f_bavail:
            return os.strerror(errno.ENOSPC)  # for its own log, too
        return text or (f"killed by signal {-status}" if status < 0 else f"exit status {status}")


def _summary(entry: dict[str, Any]) -> str:
    parts = [entry.get("msg", "").strip()]
    attributes = entry.get("attr", {})
    for name in ("message", "error", "reason"):
        detail = attributes.get(name)
        if isinstance(detail, dict):
            parts += [detail[key] for key in ("msg", "error_str", "errmsg") if key in detail]
        elif isinstance(detail, str):
            parts.append(detail.strip())
    return ": ".join(part for part in parts if part)


def _die_with_parent() -> Any:
    """Return a function for the child that makes it die with this process, where Linux can."""
    if sys.platform != "linux":
        return None
    parent, libc, set_death_signal = os.getpid(), ctypes.CDLL(None), 1

    def prepare() -> None:
        libc.prctl(set_death_signal, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def _raise_file_limit() -> None:
    import resource  # noqa: PLC0415 - there is none on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 64000 if hard == resource.RLIM_INFINITY else min(hard, 64000)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main() -> None:
    """Become the supervisor that the JSON on the command line describes."""
    options = json.loads(sys.argv[1])
    if os.fork():
        os._exit(0)  # the starter reaps this process now and never has to again
    os.umask(0o077)
    os.chdir("/")
    _raise_file_limit()
    supervisor = Supervisor(options)
    supervisor.supervise()
    # In this order: a new user must find the server's lock free.
    os.close(options["lock"])
    supervisor.users.close()


if __name__ == "__main__":
    main()
