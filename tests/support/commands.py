"""The command ``zepstore``, run as a user runs it."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.preloaded import Popen

COMMAND = [sys.executable, "-m", "langchain_zepstore.cli"]
_RUNNING = re.compile(r"running on (http://\S+)")


class Serving:
    """A ``zepstore serve`` that is running.

    Attributes:
        process: Its process.
        url: Where it is.
        log: What it has written to its log so far.
    """

    def __init__(
        self,
        *options: str,
        environment: dict[str, str] | None = None,
        start: Callable[..., subprocess.Popen[str]] = Popen,
    ) -> None:
        self.process = start(
            [*COMMAND, "serve", *options],
            env={**os.environ, "PYTHONIOENCODING": "utf-8", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        self.log = ""
        self.url = ""
        self._runs = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        assert self._runs.wait(60), self.log
        assert self.url, self.log

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.log += line
            if found := _RUNNING.search(line):
                self.url = found[1]
                self._runs.set()
        self._runs.set()

    def wait_for(self, text: str, times: int = 1) -> None:
        """Wait until the log holds a text so often."""
        deadline = time.monotonic() + 60
        while self.log.count(text) < times:
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it, and return its exit status once its log is read."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(60)
        self._reader.join()
        assert self.process.stderr
        self.process.stderr.close()
        return status


@contextmanager
def serving(*options: str, **how: Any) -> Iterator[Serving]:
    """Run a server on a free port."""
    server = Serving("--port", "0", *options, **how)
    try:
        yield server
    finally:
        server.stop()


def ran(*arguments: str, directory: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        check=False,
        cwd=directory,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
