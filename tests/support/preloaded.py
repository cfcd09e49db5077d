"""Processes of Python that begin with their libraries imported, which else takes a second.

``Popen`` is that of ``subprocess``, for commands that begin with an interpreter. Its process is
forked by one that has imported the libraries, ``python preloaded.py SOCKET``, which has no threads,
is started when its interpreter is first needed, and ends with the tests.
"""

import atexit
import contextlib
import gc
import json
import os
import runpy
import signal
import socket
import struct
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

CLIENT = (
    "langchain_zepstore.client",
    "langchain_zepstore.embedded.server",
    "langchain_zepstore.mongo.backend",
    "motor.core",
)
COMMAND = (*CLIENT, "langchain_zepstore.server.run")
EXAMPLES = (*COMMAND, "langchain.agents", "langchain_zepstore.middleware", "rich.table")
"""The imports of programs that have a client, of the command, and of examples."""

_SIZE = 2**18  # of a request: arguments and environment
_NUMBER = struct.Struct("i")  # a process id, and then its exit status


class Popen(subprocess.Popen[Any]):
    """A process of Python that is forked with modules imported."""

    def __init__(self, args: Any, *, imported: tuple[str, ...] = COMMAND, **options: Any) -> None:
        self._imported = imported
        super().__init__(args, **options)

    def _execute_child(self, args: Any, *others: Any) -> None:
        _, _, _, pass_fds, cwd, env, _, _, shell, *pipes = others
        assert not pass_fds
        assert not shell
        interpreter, *arguments = args
        request = {
            "arguments": [os.fspath(each) for each in arguments],
            "directory": os.fspath(cwd or Path.cwd()),
            "environment": dict(os.environ if env is None else env),
            "imported": self._imported,
        }
        self._process, theirs = socket.socketpair()
        with theirs:
            streams = (pipes[0], pipes[3], pipes[5])
            given = [usual if fd == -1 else fd for usual, fd in enumerate(streams)]
            fds = [*given, theirs.fileno()]
            socket.send_fds(_forking(interpreter), [json.dumps(request).encode()], fds)
        [self.pid] = _NUMBER.unpack(self._process.recv(_NUMBER.size))
        self._child_created = True
        self._close_pipe_fds(*pipes[:6])

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        """Return what ``os.waitpid`` would, if the process were a child of this one."""
        flags = socket.MSG_DONTWAIT if wait_flags & os.WNOHANG else 0
        with contextlib.suppress(BlockingIOError):
            status = self._process.recv(_NUMBER.size, flags)
            self._process.close()
            return self.pid, _NUMBER.unpack(status)[0]
        return 0, 0

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        if self.returncode is None and self._waitpid_lock.acquire(blocking=False):
            try:
                pid, status = self._try_wait(os.WNOHANG)
                if pid:
                    self._handle_exitstatus(status)
            finally:
                self._waitpid_lock.release()
        return self.returncode


def run(
    args: Any, *, timeout: float, given: str | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a process to its end, with a text as its input; return its output."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
    if given is not None:
        pipes["stdin"] = subprocess.PIPE
    with Popen(args, **pipes, **options) as process:
        try:
            out, err = process.communicate(given, timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return subprocess.CompletedProcess(args, process.returncode, out, err)


def clean_environment() -> dict[str, str]:
    """An environment in which nothing leads back to the packages of this process."""
    names = {"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "PIP_USER", "PIP_TARGET"}
    kept = {name: value for name, value in os.environ.items() if name not in names}
    return {**kept, "PYTHONNOUSERSITE": "1", "PYTHONIOENCODING": "utf-8"}


@cache
def _forking(interpreter: str | Path) -> socket.socket:
    """The socket of the process that forks."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [interpreter, __file__, str(theirs.fileno())],
            env=dict(os.environ) if interpreter == sys.executable else clean_environment(),
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )

    @atexit.register
    def end() -> None:
        ours.close()
        process.wait()

    return ours


# The process that forks.


def serve(requests: socket.socket) -> dict[str, Any]:
    """Fork at each request and return it in the new process; end with the tests."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: reap())
    while True:
        received, fds, _, _ = socket.recv_fds(requests, _SIZE, 4)
        if not received:
            sys.exit()
        request = json.loads(received)
        sys.path[0] = request["directory"]
        for name in request["imported"]:
            with contextlib.suppress(ImportError):  # whoever needs it will say so
                __import__(name)
        gc.freeze()  # what is in memory is the same for all, and stays
        if not os.fork():
            requests.close()
            watch(fds)
            return request
        for fd in fds:
            os.close(fd)


def reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def watch(fds: list[int]) -> None:
    """Fork once more: return in the new process; wait in this one and pass on its exit status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *streams, ending = fds
    if pid := os.fork():
        for fd in {*streams, 0, 1, 2}:  # a pipe ends when the program closes it
            os.close(fd)
        os.write(ending, _NUMBER.pack(pid))
        status = os.waitpid(pid, 0)[1]
        with contextlib.suppress(OSError):
            os.write(ending, _NUMBER.pack(status))
        os._exit(0)
    for number, fd in enumerate(streams):
        os.dup2(fd, number)
    for fd in fds:
        os.close(fd)


def become(request: dict[str, Any]) -> None:
    """Be the program of a request."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    encoding = os.environ.get("PYTHONIOENCODING", "utf-8")
    lines = 1 if "PYTHONUNBUFFERED" in os.environ else -1
    sys.stdin = os.fdopen(0, encoding=encoding, closefd=False)
    sys.stdout = os.fdopen(1, "w", lines, encoding=encoding, closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding=encoding, errors="backslashreplace", closefd=False)
    first, *others = request["arguments"]
    if first == "-m":
        sys.argv = others
        runpy._run_module_as_main(others[0])
    elif first == "-c":
        sys.path[0] = ""
        sys.argv = ["-c", *others[1:]]
        exec(compile(others[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.path[0] = str(Path(first).parent)
        sys.argv = [first, *others]
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    become(serve(socket.socket(fileno=int(sys.argv[1]))))
