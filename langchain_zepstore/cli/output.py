"""Files that appear whole."""

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TextIO

from langchain_zepstore.cli.__main__ import INTERRUPTED


@contextmanager
def whole_file(path: Path | None) -> Iterator[TextIO]:
    """Open a file for writing that takes its name at the end; without a path, stdout.

    An error or Ctrl-C leaves nothing behind, and a file of that name as it was.
    """
    if path is None:
        yield sys.stdout
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with _removed_on_interrupt(partial):
        try:
            with partial.open("w", encoding="utf-8") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


class Rejected:
    """Keeps the refused lines of a file in a file beside it, which is made if need be.

    Attributes:
        path: The file beside; ``None`` if nothing was refused.
    """

    path: str | None = None

    def __init__(self, file: Path) -> None:
        self._path = file.with_name(f"{file.name}.rejected.jsonl")
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def keep(self, _number: int, data: Any) -> None:
        """Keep a line, or an object as a line."""
        if self._file is None:
            self._file = self._path.open("w", encoding="utf-8", errors="backslashreplace")
            self.path = str(self._path)
        if isinstance(data, bytes):
            data = data.decode(errors="backslashreplace")
        text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
        self._file.write(text.rstrip("\n") + "\n")


@contextmanager
def _removed_on_interrupt(path: Path) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        path.unlink(missing_ok=True)
        os._exit(INTERRUPTED)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
