"""One mongod per data directory, shared by every process that has it open.

Whoever uses the directory holds a shared lock on ``run/users.lock``. Whoever starts the server
takes ``run/server.lock`` and hands it over to the supervisor, which keeps it for life: while it
is held, a server runs or is about to, and while the first is held, the supervisor stays.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from pathlib import Path
from urllib.parse import quote

from langchain_zepstore.embedded import locks, supervisor
from langchain_zepstore.embedded.binary import Mongod, find_mongod
from langchain_zepstore.errors import StoreUnavailableError

_PATIENCE = 60.0
_LONGEST_SOCKET = 100  # bytes: Linux takes 107, macOS 103


class EmbeddedServer:
    """A mongod on a data directory: started by its first user, stopped after its last.

    An instance may be used by many threads and after a fork. It may be dropped without ``close``.

    Args:
        directory: Where the data lives; the user's data directory when None. Nothing is touched
            before ``open``.

    Attributes:
        directory: The data directory, as an absolute path.
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None) -> None:
        if directory is None:
            from platformdirs import user_data_path  # noqa: PLC0415

            try:
                directory = user_data_path("zepstore", appauthor=False)
            except RuntimeError as error:
                raise StoreUnavailableError(
                    "this user has no home directory; pass embedded:///some/dir"
                ) from error
        self.directory = Path(directory).expanduser().absolute()
        self._mutex = threading.Lock()
        self._users: locks.LockFile | None = None
        self._uri: str | None = None
        _instances.add(self)

    def open(self) -> str:
        """Become a user of the server, and start it if nobody has.

        Returns:
            The server's URI, without a database or options. Called again, it returns that without
            asking the server; ``ensure`` asks.

        Raises:
            StoreUnavailableError: The server cannot be started, or the directory not be used.
        """
        with self._mutex:
            users = self._users
            if self._uri is None or users is None or not users.is_at(self._run / "users.lock"):
                try:
                    self._uri = self._ensure()
                except BaseException:
                    self._leave()
                    raise
            return self._uri

    def ensure(self) -> str:
        """Make sure, after a lost connection, that the server runs again.

        Returns:
            The server's URI, which may have changed.

        Raises:
            StoreUnavailableError: The server cannot be started, or the directory not be used.
        """
        with self._mutex:
            self._uri = self._ensure()
            return self._uri

    def close(self) -> None:
        """Stop using the server. It stops two seconds after its last user."""
        with self._mutex:
            self._leave()

    @property
    def _run(self) -> Path:
        return self.directory / "run"

    def _leave(self) -> None:
        if self._users is not None:
            self._users.close()
        self._users = self._uri = None

    def _ensure(self) -> str:
        try:
            _prepare(self.directory)
            self._enter()
            deadline = time.monotonic() + _PATIENCE
            while time.monotonic() < deadline:
                with locks.passing(self._run / "server.lock") as lock:
                    # Where nobody holds it, nobody looks after a server, even if one answers.
                    if locks.try_lock(lock.fd, exclusive=True):
                        return _uri(_start(self.directory, lock.fd))
                address = _read(self._run / "address")
                if address and supervisor.ask(address):
                    return _uri(address)
                time.sleep(0.02)
        except OSError as error:
            if isinstance(error, StoreUnavailableError):
                raise
            raise StoreUnavailableError(
                f"Cannot use {self.directory} as a data directory: {error}."
            ) from error
        raise StoreUnavailableError(
            f"The embedded MongoDB on {self.directory} was started by another process, and does "
            f"not answer after {_PATIENCE:.0f} seconds. Its log: {_log(self.directory)}"
        )

    def _enter(self) -> None:
        """Hold the users' lock, on the file that is there now: the directory may be a new one."""
        path = self._run / "users.lock"
        while self._users is None or not self._users.is_at(path):
            self._leave()
            users = locks.LockFile(path)
            if not locks.wait_lock(users.fd, exclusive=False, seconds=2 * _PATIENCE):
                raise StoreUnavailableError(
                    f"The embedded MongoDB on {self.directory} is stopping, and has not done so "
                    f"after {2 * _PATIENCE:.0f} seconds. Its log: {_log(self.directory)}"
                )
            self._users = users


_instances: weakref.WeakSet[EmbeddedServer] = weakref.WeakSet()


def _after_fork() -> None:
    for server in _instances:  # a thread that held it is not there to release it
        server._mutex = threading.Lock()  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _prepare(directory: Path) -> None:
    """Make the directory and ours in it, and refuse it when it is somebody else's."""
    if directory.exists() and not directory.is_dir():
        raise StoreUnavailableError(f"{directory} is a file; a data directory is needed.")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = directory.stat().st_uid
    if sys.platform != "win32" and owner != os.geteuid():
        raise StoreUnavailableError(
            f"The data directory {directory} belongs to {_user(owner)}, and this process runs as "
            f"{_user(os.geteuid())}: use a directory of its own, or run as its owner."
        )
    _make_private(directory / "run")
    (directory / "db").mkdir(mode=0o700, exist_ok=True)


def _make_private(directory: Path) -> None:
    directory.mkdir(mode=0o700, exist_ok=True)
    if sys.platform == "win32":
        return
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise StoreUnavailableError(
            f"{directory} should be a directory of {_user(os.geteuid())}, and is something else "
            f"or belongs to {_user(status.st_uid)}: remove it."
        )
    if stat.S_IMODE(status.st_mode) != 0o700:  # noqa: PLR2004
        directory.chmod(0o700)


def _user(uid: int) -> str:
    if sys.platform != "win32":
        import pwd  # noqa: PLC0415

        with contextlib.suppress(KeyError):
            return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    return f"uid {uid}"


def _start(directory: Path, lock: int) -> str:
    """Start the server, as the holder of its lock; return its address."""
    address = _choose_address(directory)
    private = Path(address).parent if address.startswith("/") else directory / "run"
    mongod = find_mongod(scratch=private / "lib")
    unfinished = directory / "run" / "address.new"
    unfinished.write_text(address, encoding="utf-8", errors="surrogateescape")
    unfinished.replace(directory / "run" / "address")
    inherits = sys.platform != "win32"
    options: dict[str, object] = {
        "address": address,
        "command": mongod.command(address, directory / "db", _log(directory)),
        "environment": {"LC_ALL": "C", **mongod.environment},
        "users": str(directory / "run" / "users.lock"),
        "server": str(directory / "run" / "server.lock"),
        "data": str(directory / "db"),
        "log": str(_log(directory)),
        "lock": lock if inherits else None,
    }
    if not inherits:
        locks.unlock(lock)
    report = _spawn(options, [lock] if inherits else [])
    if not report.get("ready"):
        raise StoreUnavailableError(_failure(report, mongod, directory))
    return address


def _spawn(options: dict[str, object], inherited: list[int]) -> dict[str, object]:
    detached = 0x208  # Windows: DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP
    with locks.no_forks:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", supervisor.__file__, json.dumps(options)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=inherited,
            start_new_session=True,
            creationflags=detached if sys.platform == "win32" else 0,
        )
    with process.stdout as pipe:  # type: ignore[union-attr]
        line = pipe.readline()  # it reports, or dies: this ends
    if sys.platform == "win32":
        process.returncode = 0  # it lives on, and is nobody's to wait for
    else:
        process.wait()  # the one that was started has forked the supervisor and left
    if not line:
        return {"error": "its supervisor ended without a word", "status": None}
    return dict(json.loads(line))


def _failure(report: dict[str, object], mongod: Mongod, directory: Path) -> str:
    error, log = str(report["error"]), _log(directory)
    written = re.search(r'featureCompatibilityVersion.*version: "(\d+)\.', error)
    newer = written and int(written[1]) > int(mongod.version.split(".")[0])
    if newer or "unsupported WiredTiger" in error:
        return (
            f"The data in {directory} was written by a newer MongoDB than {mongod.path} "
            f"({mongod.version}): set ZEPSTORE_MONGOD to that version or a later one. "
            f"It says: {error}. Its log: {log}"
        )
    return (
        f"The embedded MongoDB cannot start on the data directory {directory}: {error}. "
        f"Its log: {log}"
    )


def _choose_address(directory: Path) -> str:
    """A socket in the directory; where that cannot be, one in a private directory with a hash."""
    if sys.platform == "win32":
        with socket.create_server(("127.0.0.1", 0)) as probe:
            return f"127.0.0.1:{probe.getsockname()[1]}"
    address = str(directory / "run" / "mongod.sock")
    if _fits(address):
        return address
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    # Not platformdirs' runtime directory: asking for it can warn, and falls back to one of these.
    for parent in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):  # noqa: S108
        if not parent or not os.path.isabs(parent) or not os.path.isdir(parent):  # noqa: PTH112, PTH117
            continue
        private = Path(parent) / f"zepstore-{os.geteuid()}-{digest}"
        address = str(private / "mongod.sock")
        if _fits(address):
            _make_private(private)
            return address
    raise StoreUnavailableError(f"There is no directory with a path short enough for {address}.")


def _fits(address: str) -> bool:
    """Whether mongod and pymongo take it as a socket's path: some characters are syntax."""
    odd = set(address) & set(",:[]") or not address.isprintable()
    return not odd and len(os.fsencode(address)) <= _LONGEST_SOCKET


def _uri(address: str) -> str:
    return f"mongodb://{quote(address, safe=':')}"


def _log(directory: Path) -> Path:
    return directory / "mongod.log"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""
