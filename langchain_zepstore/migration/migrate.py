"""Migration of the conversations that a reader yields."""

from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from langchain_zepstore.core.record_models import read_record
from langchain_zepstore.core.records import Record
from langchain_zepstore.errors import BadRequestError, NotFoundError
from langchain_zepstore.migration.ahead import ahead
from langchain_zepstore.migration.conversation import (
    Conversation,
    Item,
    Reader,
    Unreadable,
    chunks,
)
from langchain_zepstore.migration.lines import MAX_ERRORS, LineError, Report, checked_client
from langchain_zepstore.migration.verify import differences
from langchain_zepstore.models import (
    CreateUserRequest,
    Memory,
    Message,
    Session,
    UpdateUserRequest,
    User,
)
from langchain_zepstore.store_client import StoreClient

_BATCH_RECORDS = 1000
_BATCH_CHARACTERS = 4_000_000

UserOf = Callable[[Session], str | None]
"""Returns the user of a session."""


class MigrationReport(Report):
    """The outcome of a migration; lines are the users and sessions of the source, as they come.

    Attributes:
        different: The number of messages that differ from their source, where that was compared.
        differences: The first 1,000 of these.
    """

    different: int = 0
    differences: list[LineError] = Field(default_factory=list)

    def differ(self, number: int, reason: str) -> None:
        """Count a difference between a source and the store."""
        self.different += 1
        if len(self.differences) < MAX_ERRORS:
            self.differences.append(LineError(number=number, reason=reason))


@dataclass(slots=True)
class _Entry:
    number: int
    item: Item
    record: Any  # a record, or Unreadable


def migrate(
    reader: Reader,
    client: StoreClient,
    *,
    source: str | None = None,
    user: str | UserOf | None = None,
    dry_run: bool = False,
    verify: bool = False,
    on_refused: Callable[[int, Any], object] | None = None,
    on_progress: Callable[[int], object] | None = None,
) -> MigrationReport:
    """Copy users, sessions and messages from a reader; run again, it copies what is new.

    Messages have the same ids each time, so nothing is doubled, also after a call that was killed.
    A session that was continued in the store gets what is new at its end.

    Args:
        reader: Yields users, conversations, and what cannot be read.
        client: Where to store it.
        source: The source's name, part of the ids of messages that have none; ``reader.source``
            if not given.
        user: The user of the sessions, or a function from a session to its user.
        dry_run: Read and check everything, and store nothing.
        verify: Compare what is stored with the source at the end, message by message.
        on_refused: Is called with the number of each session of which something was refused, and
            what the reader keeps of it.
        on_progress: Is called with the number of messages so far.

    Returns:
        How many of the source's users, sessions and messages are there now, what was refused, and
        with ``verify`` what differs.

    Raises:
        BadRequestError: ``client`` is no client, or the source cannot be read.
        StoreUnavailableError: The store cannot be reached; repeating the call completes it.
    """
    migration = _Migration(
        checked_client(client),
        source or str(getattr(reader, "source", "source")),
        (lambda _: user) if isinstance(user, str) else user,
        on_refused or (lambda *_: None),
        on_progress or (lambda _: None),
        dry_run=dry_run,
    )
    migration.copy(reader)
    if verify and not dry_run:
        migration.compare(reader)
    return migration.report


@dataclass
class _Migration:
    client: StoreClient
    source: str
    user_of: UserOf | None
    on_refused: Callable[[int, Any], object]
    on_progress: Callable[[int], object]
    dry_run: bool
    report: MigrationReport = field(default_factory=MigrationReport)
    _last_session: int = 0
    _last_refused: int = 0

    def copy(self, reader: Reader) -> None:
        for batch in ahead(self._batches(reader)):
            self._store(batch)
            self.on_progress(self.report.messages + self.report.refused)

    def compare(self, reader: Reader) -> None:
        for number, item in self._items(reader):
            if isinstance(item, Conversation):
                for difference in differences(self.client, item, self.source):
                    self.report.differ(number, difference)

    def _items(self, reader: Reader) -> Iterator[tuple[int, Item]]:
        for number, item in enumerate(reader, 1):
            if isinstance(item, Conversation) and self.user_of is not None:
                item.session.user_id = self.user_of(item.session)
            yield number, item

    def _batches(self, reader: Reader) -> Generator[list[_Entry], None, None]:
        batch: list[_Entry] = []
        size = 0
        for number, item in self._items(reader):
            for record in self._records(item):
                batch.append(_Entry(number, item, record))
                if not isinstance(record, Unreadable):
                    size += len(record.get("content", ""))
                if len(batch) >= _BATCH_RECORDS or size >= _BATCH_CHARACTERS:
                    yield batch
                    batch, size = [], 0
        if batch:
            yield batch

    def _records(self, item: Item) -> Iterator[Record | Unreadable]:
        if isinstance(item, Unreadable):
            yield item
        elif isinstance(item, User):
            fields = item.model_dump(exclude={"uuid", "id", "deleted_at"}, exclude_none=True)
            yield {"type": "user", **fields}
        else:
            for chunk in chunks(item, self.source):
                yield from chunk

    def _store(self, batch: list[_Entry]) -> None:
        readable = [entry for entry in batch if not isinstance(entry.record, Unreadable)]
        reasons = self._load([entry.record for entry in readable])
        refused: dict[int, list[tuple[_Entry, str]]] = {}
        for entry, reason in zip(readable, reasons, strict=True):
            if reason is None:
                self._count(entry)
                self._refresh(entry)
            else:
                refused.setdefault(entry.number, []).append((entry, reason))
        for entry in batch:
            if isinstance(entry.record, Unreadable):
                self._refuse(entry, entry.record.reason)
            elif own := refused.pop(entry.number, None):
                self._refuse_all(self._append(own))

    def _refuse_all(self, refused: list[tuple[_Entry, str]]) -> None:
        """Report what is refused of a session; if that is all of it, only once."""
        for index, (entry, reason) in enumerate(refused):
            if index and refused[0][0].record["type"] == "session":
                self.report.refused += 1
            else:
                self._refuse(entry, reason)

    def _load(self, records: list[Record]) -> list[str | None]:
        if self.dry_run:
            return [_fault(record) for record in records]
        return self.client.run(lambda store: store.transfer.load(records))

    def _append(self, refused: list[tuple[_Entry, str]]) -> list[tuple[_Entry, str]]:
        """Add messages to a session that exists already; return what stays refused."""
        item = refused[0][0].item
        if self.dry_run or not isinstance(item, Conversation) or item.has_branches:
            return refused
        session_id = item.session.session_id
        try:
            session = self.client.memory.get_session(session_id)
        except (NotFoundError, BadRequestError):  # it is deleted, or cannot be one
            return refused
        if session.user_id != item.session.user_id:
            return refused
        left = []
        for entry, reason in refused:
            try:
                self._add(entry.record)
            except BadRequestError:
                left.append((entry, reason))
            else:
                self._count(entry)
        return left

    def _add(self, record: Record) -> None:
        if record["type"] != "message":
            return
        message = Message.model_validate(record)
        try:
            self.client.message.get_session_message(record["session_id"], record["uuid"])
        except NotFoundError:
            self.client.memory.add_memory(record["session_id"], Memory(messages=[message]))

    def _count(self, entry: _Entry) -> None:
        if entry.record["type"] == "session":
            if entry.number == self._last_session:
                return
            self._last_session = entry.number
        self.report.count(entry.record)

    def _refresh(self, entry: _Entry) -> None:
        """Change what was there already, if it was changed in the source since."""
        item = entry.item
        if self.dry_run:
            return
        if isinstance(item, User):
            stored = self.client.user.get(item.user_id)
            changes = _changes(item, stored, *CreateUserRequest.model_fields)
            if changes:
                changes["user_id"] = item.user_id
                self.client.user.update(UpdateUserRequest(**changes))
        elif (
            isinstance(item, Conversation)
            and entry.record["type"] == "session"
            and item.session.updated_at is not None
        ):
            session_id = item.session.session_id
            with suppress(NotFoundError):  # it was deleted here
                session = self.client.memory.get_session(session_id)
                if changes := _changes(item.session, session, "title", "metadata"):
                    self.client.memory.organize_session(session_id, **changes)

    def _refuse(self, entry: _Entry, reason: str) -> None:
        item, record = entry.item, entry.record
        if isinstance(item, Conversation):
            reason = f"session {item.session.session_id!r}: {reason}"
        elif isinstance(item, User):
            reason = f"user {item.user_id!r}: {reason}"
        self.report.refuse(entry.number, reason)
        if entry.number != self._last_refused and not isinstance(item, User):
            self._last_refused = entry.number
            self.on_refused(entry.number, getattr(record, "data", None) or item.data)


def _fault(record: Record) -> str | None:
    try:
        read_record(record)
    except BadRequestError as error:
        return str(error)
    return None


def _changes(given: User | Session, stored: User | Session, *names: str) -> dict[str, Any]:
    """Return the fields with other values than those stored, if these are older."""
    if not given.updated_at or not stored.updated_at or given.updated_at <= stored.updated_at:
        return {}
    return {
        name: value
        for name in names
        if (value := getattr(given, name)) not in (None, getattr(stored, name))
    }
