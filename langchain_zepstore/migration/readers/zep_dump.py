"""A plain dump of the PostgreSQL database of a Zep server."""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.migration.conversation import Conversation, Item
from langchain_zepstore.migration.readers.source import Source
from langchain_zepstore.models import Message, Session, User

_TABLES = ("users", "session", "message")
_COPY = re.compile(r'COPY (?:"?\w+"?\.)?"?(\w+)"? \((.*)\) FROM stdin;\n')
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(.))", re.DOTALL)
_MEANT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class ZepDump(Source):
    """The users and sessions in a dump, without its soft-deleted ones.

    pg_dump writes the rows of a table as they lie on the disk, and messages before sessions, so
    they go through a temporary file that sorts them.

    Args:
        path: The dump, in plain format.
    """

    source = "zep"  # a dump of a server continues a copy of it

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def items(self) -> Iterator[Item]:
        """Yield users and conversations in the order of their ids."""
        with closing(sqlite3.connect("")) as rows:  # on disk where it grows, gone at the end
            for table in _TABLES:
                rows.execute(f"CREATE TABLE {table} (key TEXT, id INTEGER, row TEXT)")
            self._read(rows)
            for table in _TABLES:
                rows.execute(f"CREATE INDEX {table}_by_key ON {table} (key, id)")
            for row in _find(rows, "users", "ORDER BY id"):
                yield User(**row)
            for row in _find(rows, "session", "ORDER BY id"):
                session = Session(**row)
                said = _find(rows, "message", "WHERE key = ? ORDER BY id", session.session_id)
                yield Conversation(session, (Message(**message) for message in said))

    def _read(self, rows: sqlite3.Connection) -> None:
        seen = set()
        with self._path.open(encoding="utf-8") as lines, rows:
            try:
                for line in lines:
                    if not (found := _COPY.fullmatch(line)):
                        continue
                    table, columns = found[1], re.split(r",\s*", found[2].replace('"', ""))
                    seen.add(table)
                    if table in _TABLES:
                        self._keep(rows, table, columns, lines)
                    else:
                        self._skip(lines)
            except UnicodeDecodeError:
                raise BadRequestError(
                    f"{self._path} is no text in UTF-8; a dump in pg_dump's custom format becomes "
                    "one with: pg_restore -f zep.sql zep.dump"
                ) from None
        if missing := [table for table in _TABLES if table not in seen]:
            raise BadRequestError(
                f"{self._path} has no COPY of the table {missing[0]}; make it with pg_dump, "
                "without --inserts"
            )

    def _keep(
        self, rows: sqlite3.Connection, table: str, columns: list[str], lines: Iterator[str]
    ) -> None:
        key = "user_id" if table == "users" else "session_id"
        if absent := {key, "id", "deleted_at"} - set(columns):
            raise BadRequestError(f"{self._path}: the table {table} has no {absent.pop()}")
        for line in self._block(table, lines):
            values = line.split("\t")
            if len(values) != len(columns):
                raise BadRequestError(
                    f"{self._path}: a row of the table {table} has {len(values)} fields, "
                    f"not {len(columns)}"
                )
            row: dict[str, Any] = dict(zip(columns, map(_text, values), strict=True))
            if row.pop("deleted_at", None) is not None:
                continue
            for name in ("created_at", "updated_at"):
                if row.get(name) is not None:
                    row[name] = datetime.fromisoformat(row[name]).isoformat()
            if row.get("metadata") is not None:
                row["metadata"] = json.loads(row["metadata"])
            rows.execute(
                f"INSERT INTO {table} VALUES (?, ?, ?)",  # noqa: S608 - one of three names
                (row[key], int(row["id"]), json.dumps(row)),
            )

    def _skip(self, lines: Iterator[str]) -> None:
        for _ in self._block("another", lines):
            pass

    def _block(self, table: str, lines: Iterator[str]) -> Iterator[str]:
        for line in lines:
            if line == "\\.\n":
                return
            yield line.removesuffix("\n")
        raise BadRequestError(f"{self._path} ends within the rows of the table {table}")


def _find(
    rows: sqlite3.Connection, table: str, which: str, *values: Any
) -> Iterator[dict[str, Any]]:
    query = f"SELECT row FROM {table} {which}"  # noqa: S608 - no part of it is from outside
    return (json.loads(row) for (row,) in rows.execute(query, values))


def _text(value: str) -> str | None:
    return None if value == r"\N" else _ESCAPE.sub(_character, value)


def _character(found: re.Match[str]) -> str:
    octal, hexadecimal, other = found.groups()
    if other is None:
        return chr(int(octal, 8) if octal else int(hexadecimal, 16))
    return _MEANT.get(other, other)
