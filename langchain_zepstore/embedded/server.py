"""One mongod per data directory, shared by every process that has it open.

Every user of the directory holds a shared lock on ``run/users.lock``; while it is held, the
supervisor stays. The process that starts the server takes ``run/server.lock`` and hands it over to
the supervisor, which keeps it for life; while it is held, a server runs or is about to.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
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

_START_SECONDS = 60.0
_MAX_SOCKET_BYTES = 100  # Linux takes 107, macOS 103


class EmbeddedServer:
    """A mongod on a data directory: started by its first user, stopped after its last.

    An instance may be used by many threads and after a fork. It may be dropped without ``close``.

    Args:
        directory: The data directory; by default ``zepstore`` in the user's. Nothing is touched
            before ``open``.
        linger: How many seconds the server stays after its last user, if this starts it.

    Attributes:
        directory: The data directory, as an absolute path.
    """

    def __init__(
        self, directory: str | os.PathLike[str] | None = None, *, linger: float = 2.0
    ) -> None:
        if directory is None:
            from platformdirs import user_data_path  # noqa: PLC0415

            try:
                directory = user_data_path("zepstore", appauthor=False)
            except RuntimeError as error:
                raise StoreUnavailableError(
                    "this user has no home directory; pass embedded:///some/dir"
                ) from error
        self.directory = Path(directory).expanduser().absolute()
        self._linger = linger
        self._mutex = threading.Lock()
        self._users: locks.LockFile | None = None
        self._uri: str | None = None
        self._is_awaited = False
        self._failure: StoreUnavailableError | None = None
        _instances.add(self)

    def open_soon(self) -> None:
        """Begin with ``open`` in a thread; the next call of ``open`` waits for it."""
        self._is_awaited = True
        threading.Thread(target=self._open_first, daemon=True).start()

    def _open_first(self) -> None:
        with self._mutex:
            if self._is_awaited:  # ``open`` was not faster
                try:
                    self._open()
                except StoreUnavailableError as error:
                    self._failure = error

    def open(self) -> str:
        """Become a user of the server, and start it if it does not run.

        Returns:
            The server's URI, without a database or options. Called again, it returns that without
            asking the server; ``ensure`` asks.

        Raises:
            StoreUnavailableError: The server cannot be started, or the directory cannot be used.
        """
        with self._mutex:
            self._is_awaited = False
            failure, self._failure = self._failure, None
            if failure:
                raise failure
            return self._open()

    def _open(self) -> str:
        users = self._users
        if self._uri is None or users is None or not users.is_at(self._run / "users.lock"):
            try:
                self._uri = self._ensure()
            except BaseException:
                self._leave()
                raise
        return self._uri

    def ensure(self) -> str:
        """Start the server again if it is gone, after a lost connection.

        Returns:
            The server's URI, which may have changed.

        Raises:
            StoreUnavailableError: The server cannot be started, or the directory cannot be used.
        """
        with self._mutex:
            self._uri = self._ensure()
            return self._uri

    def close(self) -> None:
        """Stop using the server. It lingers a little and then stops after its last user."""
        with self._mutex:
            self._leave()

    def keep(self) -> str:
        """Start the server, if need be, to stay after its last user.

        Returns:
            The server's URI.

        Raises:
            StoreUnavailableError: The server cannot be started, or the directory cannot be used.
        """
        uri = self.open()
        self._keep_file.touch(mode=0o600)
        self.close()
        return uri

    def release(self) -> None:
        """Let the server stop after its last user again."""
        self._keep_file.unlink(missing_ok=True)

    @property
    def is_kept(self) -> bool:
        """Whether the server stays after its last user."""
        return self._keep_file.exists()

    @property
    def uri(self) -> str | None:
        """The server's URI; ``None`` if it does not run."""
        address = _read(self._run / "address")
        return _uri(address) if address and supervisor.ask(address) else None

    @property
    def _keep_file(self) -> Path:
        return self._run / "keep"

    @property
    def _run(self) -> Path:
        return self.directory / "run"

    def _leave(self) -> None:
        if self._users is not None:
            self._users.close()
        self._users = self._uri = None

    def _ensure(self) -> str:
        if sys.platform == "win32":
            raise StoreUnavailableError(
                "the embedded MongoDB does not run on Windows; set $ZEPSTORE_URL to the URL of a "
                "MongoDB or of a zepstore server, or pass it"
            )
        try:
            _prepare(self.directory)
            self._enter()
            deadline = time.monotonic() + _START_SECONDS
            while time.monotonic() < deadline:
                with locks.passing(self._run / "server.lock") as lock:
                    # If it is free, there is no supervisor, even if a server answers.
                    if locks.try_lock(lock.fd, exclusive=True):
                        return _uri(_start(self.directory, lock.fd, self._linger))
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
            f"not answer after {_START_SECONDS:.0f} seconds. Its log: {_log(self.directory)}"
        )

    def _enter(self) -> None:
        """Take the users' lock on the present file: the directory may have been replaced."""
        path = self._run / "users.lock"
        while self._users is None or not self._users.is_at(path):
            self._leave()
            users = locks.LockFile(path)
            if not locks.wait_lock(users.fd, exclusive=False, seconds=2 * _START_SECONDS):
                raise StoreUnavailableError(
                    f"The embedded MongoDB on {self.directory} is stopping, and has not done so "
                    f"after {2 * _START_SECONDS:.0f} seconds. Its log: {_log(self.directory)}"
                )
            self._users = users


_instances: weakref.WeakSet[EmbeddedServer] = weakref.WeakSet()


def _after_fork() -> None:
    for server in _instances:  # the thread that held it is not in the child
        server._mutex = threading.Lock()  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _prepare(directory: Path) -> None:
    """Create the directory and its folders, or refuse it if another user owns it."""
    if directory.exists() and not directory.is_dir():
        raise StoreUnavailableError(f"{directory} is a file; a data directory is needed.")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = directory.stat().st_uid
    if owner != os.geteuid():
        raise StoreUnavailableError(
            f"The data directory {directory} belongs to {_user(owner)}, and this process runs as "
            f"{_user(os.geteuid())}: use a directory of its own, or run as its owner."
        )
    _make_private(directory / "run")
    (directory / "db").mkdir(mode=0o700, exist_ok=True)


def _make_private(directory: Path) -> None:
    directory.mkdir(mode=0o700, exist_ok=True)
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise StoreUnavailableError(
            f"{directory} should be a directory of {_user(os.geteuid())}, and is something else "
            f"or belongs to {_user(status.st_uid)}: remove it."
        )
    if stat.S_IMODE(status.st_mode) != 0o700:  # noqa: PLR2004
        directory.chmod(0o700)


def _user(uid: int) -> str:
    import pwd  # noqa: PLC0415 - there is none on Windows

    with contextlib.suppress(KeyError):
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    return f"uid {uid}"


def _start(directory: Path, lock: int, linger: float) -> str:
    """Start the server as the holder of its lock. Returns its address."""
    address = _choose_address(directory)
    mongod = find_mongod(scratch=Path(address).parent / "lib")
    unfinished = directory / "run" / "address.new"
    unfinished.write_text(address, encoding="utf-8", errors="surrogateescape")
    unfinished.replace(directory / "run" / "address")
    options: dict[str, object] = {
        "address": address,
        "command": mongod.command(address, directory / "db", _log(directory)),
        "environment": {"LC_ALL": "C", **mongod.environment},
        "users": str(directory / "run" / "users.lock"),
        "keep": str(directory / "run" / "keep"),
        "data": str(directory / "db"),
        "log": str(_log(directory)),
        "lock": lock,
        "linger": linger,
    }
    report = _spawn(options, lock)
    if not report.get("ready"):
        raise StoreUnavailableError(_failure(report, mongod, directory))
    return address


def _spawn(options: dict[str, object], inherited: int) -> dict[str, object]:
    with locks.no_forks:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", supervisor.__file__, json.dumps(options)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=[inherited],
            start_new_session=True,
        )
    with process.stdout as pipe:  # type: ignore[union-attr]
        line = pipe.readline()  # ends when it reports or dies
    process.wait()  # it has forked the supervisor and left
    if not line:
        return {"error": "its supervisor ended without a report", "status": None}
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
    """Return a socket's path in the directory, or in a private one where it is not valid."""
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
    """Whether mongod and pymongo accept it as a socket's path."""
    has_syntax = set(address) & set(",:[]") or not address.isprintable()
    return not has_syntax and len(os.fsencode(address)) <= _MAX_SOCKET_BYTES


def _uri(address: str) -> str:
    return f"mongodb://{quote(address, safe='')}"


def _log(directory: Path) -> Path:
    return directory / "mongod.log"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""
