"""Import of exported lines."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, Field

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.records import HEADER, Record
from langchain_zepstore.core.store import Store
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.messages.marks import JSON
from langchain_zepstore.store_client import StoreClient

_BATCH_LINES = 500
_BATCH_CHARACTERS = 4_000_000
_MAX_ERRORS = 1000


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


def import_lines(client: StoreClient, lines: Iterable[str | bytes | Record]) -> Report:
    """Store what was exported; what is there already stays, so a repeat is harmless.

    Users, sessions and messages come back equal, with ids, times, order, branches and trash.
    Sessions get a new ``uuid`` and ``id``. Memory stays flat, however many lines there are.

    Args:
        client: Where to store it.
        lines: The lines of ``client.export``, as texts or dicts.

    Returns:
        How many of each there are, and the lines that were refused; the others are stored.

    Raises:
        BadRequestError: ``client`` is no client, or ``lines`` cannot be iterated over.
        StoreUnavailableError: The store cannot be reached; repeating the call completes it.
    """
    report = Report()
    for batch in _batches(_checked(client, lines), report):
        reasons = client.run(lambda store, batch=batch: _loading(store, batch))  # type: ignore[misc]
        _note(report, batch, reasons)
    return report


async def aimport_lines(client: StoreClient, lines: Iterable[str | bytes | Record]) -> Report:
    """Store what was exported; see ``import_lines``."""
    report = Report()
    for batch in _batches(_checked(client, lines), report):
        reasons = await client.arun(lambda store, batch=batch: _loading(store, batch))  # type: ignore[misc]
        _note(report, batch, reasons)
    return report


_Batch = list[tuple[int, Record]]


def _checked(client: Any, lines: Any) -> Iterable[Any]:
    if not isinstance(client, StoreClient):
        raise BadRequestError(f"client must be a ZepClient, not {type(client).__name__}")
    if isinstance(lines, str | bytes | dict) or not isinstance(lines, Iterable):
        raise BadRequestError(f"lines must be lines, not {type(lines).__name__}")
    return lines


def _loading(store: Store, batch: _Batch) -> Operation[list[str | None]]:
    return store.transfer.load([record for _, record in batch])


def _note(report: Report, batch: _Batch, reasons: list[str | None]) -> None:
    for (number, record), reason in zip(batch, reasons, strict=True):
        if reason is not None:
            _refuse(report, number, reason)
            continue
        name = f"{record['type']}s"
        setattr(report, name, getattr(report, name) + 1)


def _refuse(report: Report, number: int, reason: str) -> None:
    report.refused += 1
    if len(report.errors) < _MAX_ERRORS:
        report.errors.append(LineError(number=number, reason=reason))


def _batches(lines: Iterable[Any], report: Report) -> Iterator[_Batch]:
    batch: _Batch = []
    size = 0
    for number, line in enumerate(lines, 1):
        try:
            record, characters = _read(line)
        except (ValueError, RecursionError, OverflowError) as error:
            _refuse(report, number, str(error))
            continue
        if record is None:
            continue
        if batch and (len(batch) == _BATCH_LINES or size + characters > _BATCH_CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append((number, record))
        size += characters
    if batch:
        yield batch


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
