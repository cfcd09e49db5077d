"""Copy everything from Zep's open-source server, or from a dump of its database.

    python examples/moving_from_zep.py --from http://old:8000 --to http://new:8001
    python examples/moving_from_zep.py --dump zep.sql --to mongodb://localhost/chats

``--to`` is any URL that ZepClient takes. Run it as often as you like, also after it was killed and
while the old server is still in use: it copies new data. $ZEP_FROM_KEY and $ZEP_TO_KEY have the
API keys, if the servers want any. docs/moving-from-zep.md has the rest.
"""

import argparse
import json
import os
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from langchain_zepstore import (
    AlreadyExistsError,
    BadRequestError,
    CreateUserRequest,
    Memory,
    Message,
    NotFoundError,
    Session,
    UpdateUserRequest,
    User,
    ZepClient,
    ZepStoreError,
)

PAGE = 200  # users, sessions, messages that are asked for at once
CALL_BYTES = 1_000_000  # of messages that are added at once; servers take 5 MB


class Old(Protocol):
    """The source of the copy, without its soft-deleted data."""

    def users(self) -> Iterator[User]:
        """Yield the users in the order of their ids."""

    def user(self, user_id: str) -> User:
        """Return one user."""

    def sessions(self) -> Iterator[Session]:
        """Yield the sessions in the order of their ids."""

    def messages(self, session_id: str) -> Iterator[Message]:
        """Yield the messages of a session in the order of their ids."""

    def count(self, session_id: str) -> int:
        """Return how many messages a session has."""

    def message_at(self, session_id: str, place: int) -> Message | None:
        """Return a session's message at a place, from 1."""


class OldServer:
    """A Zep server that is running. Only Zep's own routes are used."""

    def __init__(self, client: ZepClient) -> None:
        self._client = client

    def users(self) -> Iterator[User]:
        """Yield the users: GET /api/v1/user?limit&cursor."""
        return chain.from_iterable(self._client.user.list_chunked(PAGE))

    def user(self, user_id: str) -> User:
        """Return one user: GET /api/v1/user/{id}."""
        return self._client.user.get(user_id)

    def sessions(self) -> Iterator[Session]:
        """Yield the sessions: GET /api/v1/sessions?limit&cursor."""
        return chain.from_iterable(self._client.memory.list_all_sessions(PAGE))

    def messages(self, session_id: str) -> Iterator[Message]:
        """Yield the messages: GET …/messages?limit&cursor, whose cursor is a page's number."""
        number = 1
        while page := self._page(session_id, PAGE, number):
            yield from page
            number += 1

    def count(self, session_id: str) -> int:
        """Return the total that comes with a page."""
        with suppress(NotFoundError):  # it was deleted since it was listed
            return self._client.message.count(session_id)
        return 0

    def message_at(self, session_id: str, place: int) -> Message | None:
        """Return the only message of a page."""
        return next(iter(self._page(session_id, 1, place)), None)

    def _page(self, session_id: str, limit: int, number: int) -> list[Message]:
        with suppress(NotFoundError):
            return self._client.message.get_session_messages(session_id, limit, number)
        return []


class MalformedDumpError(Exception):
    """The file is no plain dump of Zep's database."""


class OldDump:
    """A plain dump of Zep's database. Its rows go through a temporary file that sorts them.

    pg_dump writes the rows of a table as they lie on the disk, and messages before sessions.
    """

    TABLES = ("users", "session", "message")
    COPY = re.compile(r'COPY (?:"?\w+"?\.)?"?(\w+)"? \((.*)\) FROM stdin;\n')
    ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(.))", re.DOTALL)
    MEANT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}  # noqa: RUF012

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows = sqlite3.connect("")  # on disk where it grows, gone at the end
        for table in self.TABLES:
            self._rows.execute(f"CREATE TABLE {table} (key TEXT, id INTEGER, row TEXT)")
        self._read()
        for table in self.TABLES:
            self._rows.execute(f"CREATE INDEX {table}_by_key ON {table} (key, id)")

    def users(self) -> Iterator[User]:
        """Yield the rows of the table users."""
        return (User(**row) for row in self._find("users", "ORDER BY id"))

    def user(self, user_id: str) -> User:
        """Return a row of the table users."""
        for row in self._find("users", "WHERE key = ?", user_id):
            return User(**row)
        raise NotFoundError(f"the dump has no user {user_id!r}")

    def sessions(self) -> Iterator[Session]:
        """Yield the rows of the table session."""
        return (Session(**row) for row in self._find("session", "ORDER BY id"))

    def messages(self, session_id: str) -> Iterator[Message]:
        """Yield rows of the table message."""
        rows = self._find("message", "WHERE key = ? ORDER BY id", session_id)
        return (Message(**row) for row in rows)

    def count(self, session_id: str) -> int:
        """Count rows of the table message."""
        found = self._rows.execute("SELECT count(*) FROM message WHERE key = ?", (session_id,))
        return int(found.fetchone()[0])

    def message_at(self, session_id: str, place: int) -> Message | None:
        """Return a row of the table message."""
        which = "WHERE key = ? ORDER BY id LIMIT 1 OFFSET ?"
        rows = self._find("message", which, session_id, place - 1)
        return next((Message(**row) for row in rows), None)

    def _find(self, table: str, which: str, *values: Any) -> Iterator[dict[str, Any]]:
        query = f"SELECT row FROM {table} {which}"  # noqa: S608 - no part of it is from outside
        return (json.loads(row) for (row,) in self._rows.execute(query, values))

    def _read(self) -> None:
        seen = set()
        with self._path.open(encoding="utf-8") as lines, self._rows:
            try:
                for line in lines:
                    if not (found := self.COPY.fullmatch(line)):
                        continue
                    table, columns = found[1], re.split(r",\s*", found[2].replace('"', ""))
                    seen.add(table)
                    if table in self.TABLES:
                        self._keep(table, columns, lines)
                    else:
                        self._skip(lines)
            except UnicodeDecodeError:
                raise MalformedDumpError(
                    f"{self._path} is no text in UTF-8; a dump in pg_dump's custom format becomes "
                    "one with: pg_restore -f zep.sql zep.dump"
                ) from None
        if missing := [table for table in self.TABLES if table not in seen]:
            raise MalformedDumpError(
                f"{self._path} has no COPY of the table {missing[0]}; make it with pg_dump, "
                "without --inserts"
            )

    def _keep(self, table: str, columns: list[str], lines: Iterator[str]) -> None:
        key = "user_id" if table == "users" else "session_id"
        if absent := {key, "id", "deleted_at"} - set(columns):
            raise MalformedDumpError(f"{self._path}: the table {table} has no {absent.pop()}")
        for line in self._block(table, lines):
            values = line.split("\t")
            if len(values) != len(columns):
                raise MalformedDumpError(
                    f"{self._path}: a row of the table {table} has {len(values)} fields, "
                    f"not {len(columns)}"
                )
            row: dict[str, Any] = dict(zip(columns, map(self._text, values), strict=True))
            if row.pop("deleted_at", None) is not None:
                continue
            for name in ("created_at", "updated_at"):
                if row.get(name) is not None:
                    row[name] = datetime.fromisoformat(row[name]).isoformat()
            if row.get("metadata") is not None:
                row["metadata"] = json.loads(row["metadata"])
            self._rows.execute(
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
        raise MalformedDumpError(f"{self._path} ends within the rows of the table {table}")

    def _text(self, value: str) -> str | None:
        return None if value == r"\N" else self.ESCAPE.sub(self._character, value)

    def _character(self, found: re.Match[str]) -> str:
        octal, hexadecimal, other = found.groups()
        if other is None:
            return chr(int(octal, 8) if octal else int(hexadecimal, 16))
        return self.MEANT.get(other, other)


class Copier:
    """Copies new data, and counts.

    Args:
        old: Where everything comes from.
        new: Where it goes to.
    """

    def __init__(self, old: Old, new: ZepClient) -> None:
        self._old = old
        self._new = new
        self._said = time.monotonic()
        self.users = self.sessions = self.messages = 0  # that the old one has
        self.copied = 0
        self.different: list[str] = []

    def copy(self) -> None:
        """Copy users, then sessions, each with its messages, in the order of their ids."""
        for user in self._old.users():
            self._attempt(f"user {user.user_id!r}", lambda user=user: self._copy_user(user))
            self.users += 1
        for session in self._old.sessions():
            name = f"session {session.session_id!r}"
            self._attempt(name, lambda session=session: self._copy_session(session))
            self.sessions += 1
            self._progress()

    def _attempt(self, name: str, copy: Callable[[], None]) -> None:
        try:
            copy()
        except BadRequestError as error:  # the others need not wait for it
            self.different.append(f"{name}: {' '.join(str(error).split())}")

    def _copy_user(self, old: User) -> None:
        fields = old.model_dump(include=set(CreateUserRequest.model_fields))
        try:
            new = self._new.user.get(old.user_id)
        except NotFoundError:
            with suppress(AlreadyExistsError):
                self._new.user.add(CreateUserRequest(**fields))
            return
        if _is_newer(old, new) and any(getattr(new, name) != fields[name] for name in fields):
            given = {name: value for name, value in fields.items() if value is not None}
            self._new.user.update(UpdateUserRequest(**given))

    def _copy_session(self, old: Session) -> None:
        self._copy_session_alone(old)
        total = self._old.count(old.session_id)
        last = self._old.message_at(old.session_id, total) if total else None
        if last is not None and not self._has(old.session_id, last):
            self._copy_messages(old.session_id)
        self.messages += total
        if (found := self._new.message.count(old.session_id)) < total:
            self.different.append(
                f"session {old.session_id!r}: {total:,} messages in the old, {found:,} in the new"
            )

    def _copy_session_alone(self, old: Session) -> None:
        session = Session(session_id=old.session_id, user_id=old.user_id, metadata=old.metadata)
        try:
            new = self._new.memory.get_session(old.session_id)
        except NotFoundError:
            if old.user_id is not None:  # it may be newer than the list of users
                with suppress(NotFoundError):
                    self._copy_user(self._old.user(old.user_id))
            with suppress(AlreadyExistsError):
                self._new.memory.add_session(session)
            return
        if _is_newer(old, new) and old.metadata != new.metadata:
            self._new.memory.update_session(session)

    def _has(self, session_id: str, message: Message) -> bool:
        # Messages are copied in their order: whoever has the last one has all before it.
        with suppress(NotFoundError):
            return bool(self._new.message.get_session_message(session_id, message.uuid or ""))
        return False

    def _copy_messages(self, session_id: str) -> None:
        there = {message.uuid for message in self._new.message.iter_messages(session_id)}
        call: list[Message] = []
        size = 0
        for message in self._old.messages(session_id):
            if message.uuid in there:
                continue
            length = len(message.model_dump_json().encode())
            if call and (size + length > CALL_BYTES or len(call) == PAGE):
                self._add(session_id, call)
                call, size = [], 0
            call.append(message)
            size += length
        self._add(session_id, call)

    def _add(self, session_id: str, messages: list[Message]) -> None:
        if messages:
            self._new.memory.add_memory(session_id, Memory(messages=messages))
            self.copied += len(messages)
            self._progress()

    def _progress(self) -> None:
        if time.monotonic() - self._said >= 1:
            self._said = time.monotonic()
            print(f"  {self.sessions:,} sessions, {self.copied:,} messages copied", flush=True)

    def compare(self) -> None:
        """Print the counts of both."""
        users = sum(map(len, self._new.user.list_chunked(PAGE)))
        sessions = messages = 0
        for page in self._new.memory.list_all_sessions(PAGE):
            sessions += len(page)
            messages += sum(self._new.message.count(session.session_id) for session in page)
        print(f"Copied {self.copied:,} messages.\n\n{'':10}{'old':>12}{'new':>12}")
        print(f"{'users':10}{self.users:12,}{users:12,}")
        print(f"{'sessions':10}{self.sessions:12,}{sessions:12,}")
        print(f"{'messages':10}{self.messages:12,}{messages:12,}")


def _is_newer(old: User | Session, new: User | Session) -> bool:
    return bool(old.updated_at and new.updated_at and old.updated_at > new.updated_at)


def main() -> None:
    """Copy, compare, and print what was refused."""
    parser = argparse.ArgumentParser(description="Copy everything from Zep.")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--from", metavar="URL", dest="old", help="the old server")
    source.add_argument("--dump", metavar="FILE", type=Path, help="a plain dump of its database")
    parser.add_argument("--to", metavar="URL", required=True, help="any URL that ZepClient takes")
    options = parser.parse_args()
    from_key, to_key = (os.environ.get(name) for name in ("ZEP_FROM_KEY", "ZEP_TO_KEY"))
    with ZepClient(options.to, api_key=to_key, timeout=60) as new:
        if options.dump:
            print(f"Reading {options.dump} ...", flush=True)
            _move(OldDump(options.dump), new)
        else:
            with ZepClient(options.old, api_key=from_key, timeout=60) as client:
                _move(OldServer(client), new)


def _move(old: Old, new: ZepClient) -> None:
    print(f"Copying to {new.location} ...", flush=True)
    copier = Copier(old, new)
    copier.copy()
    copier.compare()
    if copier.different:
        sys.exit("\n".join(["error: not everything came over; run it again", *copier.different]))
    print("The new one has everything.")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except (MalformedDumpError, OSError, ValueError, ZepStoreError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
