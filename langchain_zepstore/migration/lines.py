"""Import of exported lines."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pydantic import BaseModel, Field

from langchain_zepstore.core.records import HEADER, Record
from langchain_zepstore.core.store import Call
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.messages.marks import JSON
from langchain_zepstore.store_client import StoreClient

_BATCH_LINES = 500
_BATCH_CHARACTERS = 4_000_000
MAX_ERRORS = 1000


class LineError(BaseModel):
    """A line that was refused.

    Attributes:
        number: Its number, from 1.
        reason: Why.
    """

    number: int
    reason: str


class Report(BaseModel):
    """The outcome of an import.

    Attributes:
        users: The number of users that are there now, imported or there before.
        sessions: The same of sessions.
        messages: The same of messages.
        refused: The number of lines that were refused.
        errors: The first 1,000 of these.
    """

    users: int = 0
    sessions: int = 0
    messages: int = 0
    refused: int = 0
    errors: list[LineError] = Field(default_factory=list)

    def count(self, record: Record) -> None:
        """Count a record that is there now."""
        name = f"{record['type']}s"
        setattr(self, name, getattr(self, name) + 1)

    def refuse(self, number: int, reason: str) -> None:
        """Count a line that was refused."""
        self.refused += 1
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(LineError(number=number, reason=reason))


Line = str | bytes | Record
"""A line of an export, as a text or a dict."""

OnRefused = Callable[[int, Line], object]
"""Takes the number of a line that was refused, and the line."""


def import_lines(
    client: StoreClient, lines: Iterable[Line], *, on_refused: OnRefused | None = None
) -> Report:
    """Store what was exported; what is there already stays, so a repeat is harmless.

    Users, sessions and messages come back equal, with ids, times, order, branches and trash.
    Sessions get a new ``uuid`` and ``id``. Memory stays flat, however many lines there are.

    Args:
        client: Where to store it.
        lines: The lines of ``client.export``, as texts or dicts.
        on_refused: Is called with the number of each line that is refused, and the line.

    Returns:
        How many of each there are, and the lines that were refused; the others are stored.

    Raises:
        BadRequestError: ``client`` is no client, or ``lines`` cannot be iterated over.
        StoreUnavailableError: The store cannot be reached; repeating the call completes it.
    """
    loading, client = _Loading(on_refused), checked_client(client)
    for batch in loading.batches(_checked(lines)):
        loading.note(batch, client.run(_load(batch)))
    return loading.report


async def aimport_lines(
    client: StoreClient, lines: Iterable[Line], *, on_refused: OnRefused | None = None
) -> Report:
    """Store what was exported; see ``import_lines``."""
    loading, client = _Loading(on_refused), checked_client(client)
    for batch in loading.batches(_checked(lines)):
        loading.note(batch, await client.arun(_load(batch)))
    return loading.report


_Batch = list[tuple[int, Line, Record]]


def checked_client(client: Any) -> StoreClient:
    """Return a client.

    Raises:
        BadRequestError: It is none.
    """
    if not isinstance(client, StoreClient):
        raise BadRequestError(f"client must be a ZepClient, not {type(client).__name__}")
    return client


def _checked(lines: Any) -> Iterable[Any]:
    if isinstance(lines, str | bytes | dict) or not isinstance(lines, Iterable):
        raise BadRequestError(f"lines must be lines, not {type(lines).__name__}")
    return lines


def _load(batch: _Batch) -> Call[list[str | None]]:
    return lambda store: store.transfer.load([record for *_, record in batch])


class _Loading:
    """An import under way: lines in batches, and what became of them."""

    def __init__(self, on_refused: OnRefused | None) -> None:
        self.report = Report()
        self._on_refused = on_refused

    def batches(self, lines: Iterable[Line]) -> Iterator[_Batch]:
        batch: _Batch = []
        size = 0
        for number, line in enumerate(lines, 1):
            try:
                record, characters = _read(line)
            except (ValueError, RecursionError, OverflowError) as error:
                self._refuse(number, line, str(error))
                continue
            if record is None:
                continue
            if batch and (len(batch) == _BATCH_LINES or size + characters > _BATCH_CHARACTERS):
                yield batch
                batch, size = [], 0
            batch.append((number, line, record))
            size += characters
        if batch:
            yield batch

    def note(self, batch: _Batch, reasons: list[str | None]) -> None:
        for (number, line, record), reason in zip(batch, reasons, strict=True):
            if reason is None:
                self.report.count(record)
            else:
                self._refuse(number, line, reason)

    def _refuse(self, number: int, line: Line, reason: str) -> None:
        self.report.refuse(number, reason)
        if self._on_refused is not None:
            self._on_refused(number, line)


def _read(line: Any) -> tuple[Record | None, int]:
    """Return a line's record, ``None`` for a header or an empty line, and about how large it is."""
    if isinstance(line, str | bytes):
        if not line.strip():
            return None, 0
        characters = len(line)
        line = json.loads(line)
    else:
        characters = len(str(line.get("content", ""))) if isinstance(line, dict) else 0
    if not isinstance(line, dict):
        raise BadRequestError(f"a line must be an object, not {type(line).__name__}")
    if line.get("type") == HEADER["type"]:
        if line.get("version") != HEADER["version"]:
            raise BadRequestError(f"version {line.get('version')!r} of the export is not known")
        return None, 0
    if line.get("type") not in {"user", "session", "message"}:
        raise BadRequestError("a line must have a type: user, session or message")
    record: Record = JSON.unmark(line)
    return record, characters
