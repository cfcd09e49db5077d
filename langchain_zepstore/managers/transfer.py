"""Exports, line by line."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from langchain_zepstore.core.operation import Page, apages, pages
from langchain_zepstore.core.records import HEADER, Record, times_as_text
from langchain_zepstore.core.store import Call
from langchain_zepstore.core.validation import checked_id
from langchain_zepstore.managers.base import Runner
from langchain_zepstore.messages.marks import JSON


def export(runner: Runner, user_id: str | None, session_id: str | None) -> Iterator[Record]:
    """Return the lines of an export, the header first."""
    fetch = _fetching(user_id, session_id)
    return _lines(runner, fetch)


def aexport(runner: Runner, user_id: str | None, session_id: str | None) -> AsyncIterator[Record]:
    """Return the lines of an export, the header first."""
    fetch = _fetching(user_id, session_id)
    return _alines(runner, fetch)


Fetch = Callable[[Any], Call[Page[Record]]]


def _lines(runner: Runner, fetch: Fetch) -> Iterator[Record]:
    yield dict(HEADER)
    for records in pages(lambda cursor: runner.run(fetch(cursor))):
        yield from map(_line, records)


async def _alines(runner: Runner, fetch: Fetch) -> AsyncIterator[Record]:
    yield dict(HEADER)
    async for records in apages(lambda cursor: runner.arun(fetch(cursor))):
        for record in records:
            yield _line(record)


def _line(record: Record) -> Record:
    line: Record = JSON.mark(times_as_text(record))
    return line


def _fetching(user_id: str | None, session_id: str | None) -> Fetch:
    if user_id is not None:
        user_id = checked_id(user_id, "user_id")
    if session_id is not None:
        session_id = checked_id(session_id, "session_id")
    return lambda cursor: lambda store: store.transfer.page(user_id, session_id, cursor)
