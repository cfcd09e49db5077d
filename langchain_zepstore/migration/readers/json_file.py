"""Files of many JSON objects: an array, or one object after the other; also within a zip."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO
from zipfile import BadZipFile, ZipFile, is_zipfile

from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.migration.conversation import Unreadable

_READ_CHARACTERS = 256 * 1024
_LONGEST_CUT = 16  # characters of a literal or an escape that the end of what was read may cut
_SHOWN_CHARACTERS = 1000
_decoder = json.JSONDecoder()

Progress = Callable[[int], object]


def objects(path: Path, on_bytes: Progress = lambda _: None) -> Iterator[Any]:
    """Yield the objects of a file one by one; ``Unreadable`` at the end if one is no JSON.

    Args:
        path: A file of JSON, or a zip with ``conversations.json`` (or with
            ``conversations-….json``).
        on_bytes: Is called with the number of bytes read so far.

    Raises:
        BadRequestError: The file cannot be opened, is no text, or has no conversations.
    """
    try:
        with ExitStack() as stack:
            for file in _texts(path, stack):
                yield from _Objects(file, on_bytes)
    except (OSError, BadZipFile, UnicodeDecodeError) as error:
        raise BadRequestError(f"{path} cannot be read: {error}") from error


def format_of(path: Path) -> str:
    """Return whether a file is an export of ``zepstore``, ``chatgpt`` or ``claude``.

    Raises:
        BadRequestError: It is none of these, or cannot be read.
    """
    first = next(objects(path), None)
    keys = first.keys() if isinstance(first, dict) else ()
    for key, name in (("mapping", "chatgpt"), ("chat_messages", "claude"), ("type", "zepstore")):
        if key in keys:
            return name
    if path.suffix == ".jsonl":  # whose first line may be a bad one
        return "zepstore"
    raise BadRequestError(f"{path} is no export that is known; say which with --format")


def size_of(path: Path) -> int:
    """Return how many bytes ``objects`` will read."""
    if not is_zipfile(path):
        return path.stat().st_size
    with ZipFile(path) as archive:
        return sum(archive.getinfo(name).file_size for name in _names(archive))


def _texts(path: Path, stack: ExitStack) -> Iterator[TextIO]:
    if not is_zipfile(path):
        yield stack.enter_context(path.open(encoding="utf-8-sig"))
        return
    archive = stack.enter_context(ZipFile(path))
    names = _names(archive)
    if not names:
        raise BadRequestError(f"{path} has no conversations.json")
    for name in names:
        yield io.TextIOWrapper(stack.enter_context(archive.open(name)), encoding="utf-8-sig")


def _names(archive: ZipFile) -> list[str]:
    return sorted(
        name
        for name in archive.namelist()
        if (last := name.rpartition("/")[2]).startswith("conversations") and last.endswith(".json")
    )


class _Objects:
    """Reads objects, with no more of the file in memory than the largest of them."""

    def __init__(self, file: TextIO, on_bytes: Progress) -> None:
        self._file = file
        self._on_bytes = on_bytes
        self._bytes = 0
        self._text = ""
        self._start = 0
        self._is_at_end = False

    def __iter__(self) -> Iterator[Any]:
        while self._skip():
            try:
                yield self._next()
            except json.JSONDecodeError as error:
                shown = self._text[self._start : self._start + _SHOWN_CHARACTERS]
                yield Unreadable(f"it is no JSON, nor what follows it: {error.msg}", shown)
                return

    def _read(self) -> bool:
        # As much again as there is: so a large object is not tried too often.
        more = self._file.read(max(_READ_CHARACTERS, len(self._text) - self._start))
        self._text = self._text[self._start :] + more
        self._start = 0
        self._is_at_end = not more
        self._bytes += len(more.encode("utf-8", "surrogatepass"))
        self._on_bytes(self._bytes)
        return bool(more)

    def _skip(self) -> bool:
        """Go to the next object; return whether there is one."""
        while True:
            while self._start < len(self._text) and self._text[self._start] in " \t\r\n[],":
                self._start += 1
            if self._start < len(self._text):
                return True
            if not self._read():
                return False

    def _next(self) -> Any:
        while True:
            try:
                value, end = _decoder.raw_decode(self._text, self._start)
            except json.JSONDecodeError as error:
                is_cut = error.pos >= len(self._text) - _LONGEST_CUT or error.msg.startswith(
                    "Unterminated string"
                )
                if not is_cut or not self._read():
                    raise
                continue
            except RecursionError:
                raise json.JSONDecodeError("nested too deeply", self._text, self._start) from None
            self._start = end
            return value
