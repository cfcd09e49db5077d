"""Load months of conversations, read them back, and check them message by message.

    python examples/load_conversations.py DIR [--url URL]

DIR holds files of the shape of LoCoMo (ACL 2024), one conversation a file:

    {"speaker_a": "Ann", "speaker_b": "Ben",
     "sessions": [{"session": 1, "date_time": "1:56 pm on 8 May, 2023",
                   "turns": [{"dia_id": "D1:1", "speaker": "Ann", "text": "Hello!"}]}]}

A conversation becomes a user with dated sessions, a turn a message. All ids are derived from the
file, so a second run changes nothing. Without --url the database is the example's own.
"""

import argparse
import json
import reprlib
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from langchain_zepstore import (
    AlreadyExistsError,
    CreateUserRequest,
    Memory,
    Message,
    Session,
    ZepClient,
    ZepStoreError,
)

try:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.table import Table
except ImportError:
    sys.exit("error: this example draws with rich: pip install rich")

DATABASE = "zepstore_conversations"
COMPARED = ("uuid", "role", "content", "created_at", "metadata")


class MalformedFileError(Exception):
    """A file is not of the expected shape; the message names the file and the field."""


class DifferenceError(Exception):
    """A user or a session did not come back as it went in."""


@dataclass
class Conversation:
    """A file: a user with dated sessions, and their messages."""

    name: str
    user: CreateUserRequest
    sessions: dict[str, Session] = field(default_factory=dict)
    memories: dict[str, Memory] = field(default_factory=dict)
    add_seconds: float = 0.0
    read_seconds: float = 0.0

    @property
    def size(self) -> int:
        """The number of messages."""
        return sum(len(memory.messages) for memory in self.memories.values())


class Reader:
    """Reads one file and says where it is malformed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def conversation(self) -> Conversation:
        """Return the conversation that the file holds."""
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise MalformedFileError(f"{self.path}: not readable as JSON: {error}") from error
        if not isinstance(data, dict):
            raise self.malformed("the file", "an object", data)
        name = self.path.stem
        roles = {
            self.field(data, "speaker_a", str, ""): "user",
            self.field(data, "speaker_b", str, ""): "assistant",
        }
        user_id = f"locomo/{name}"
        user = CreateUserRequest(user_id=user_id, metadata={"speakers": list(roles)})
        conversation = Conversation(name, user)
        seen: set[str] = set()
        for index, session in enumerate(self.field(data, "sessions", list, "")):
            at = f"sessions[{index}]"
            number = self.field(session, "session", int, at)
            session_id = f"{user_id}/session-{number}"
            if session_id in conversation.sessions:
                raise MalformedFileError(f"{self.path}: {at}.session: {number} is there twice")
            date = self.field(session, "date_time", str, at)
            conversation.sessions[session_id] = Session(
                session_id=session_id, user_id=user_id, metadata={"date": date}
            )
            conversation.memories[session_id] = Memory(
                messages=list(self.messages(session, at, date, roles, seen))
            )
        return conversation

    def messages(
        self, session: Any, at: str, date: str, roles: dict[str, str], seen: set[str]
    ) -> Iterator[Message]:
        """Yield the turns of a session as messages, a second apart: turns have no times."""
        try:
            start = datetime.strptime(date, "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC)
        except ValueError:
            expected = "a date such as '1:56 pm on 8 May, 2023'"
            raise self.malformed(f"{at}.date_time", expected, date) from None
        for index, turn in enumerate(self.field(session, "turns", list, at)):
            place = f"{at}.turns[{index}]"
            dia_id = self.field(turn, "dia_id", str, place)
            if dia_id in seen:
                raise MalformedFileError(f"{self.path}: {place}.dia_id: {dia_id!r} is there twice")
            seen.add(dia_id)
            speaker = self.field(turn, "speaker", str, place)
            if speaker not in roles:
                expected = f"speaker_a or speaker_b ({' or '.join(roles)})"
                raise self.malformed(f"{place}.speaker", expected, speaker)
            metadata = {"speaker": speaker, "dia_id": dia_id}
            if "image_caption" in turn:
                metadata["image_caption"] = self.field(turn, "image_caption", str, place)
            yield Message(
                uuid=f"{self.path.stem}/{dia_id}",
                role=roles[speaker],
                content=self.field(turn, "text", str, place),
                created_at=start + timedelta(seconds=index),
                metadata=metadata,
            )

    def field(self, parent: Any, name: str, type_: type, at: str) -> Any:
        """Return a field of an object, checked for its type."""
        if not isinstance(parent, dict):
            raise self.malformed(at, "an object", parent)
        where = f"{at}.{name}" if at else name
        if name not in parent:
            raise MalformedFileError(f"{self.path}: {where} is missing")
        if not isinstance(parent[name], type_) or isinstance(parent[name], bool):
            names = {str: "a string", int: "a number", list: "a list"}
            raise self.malformed(where, names[type_], parent[name])
        return parent[name]

    def malformed(self, where: str, expected: str, found: Any) -> MalformedFileError:
        """Return the error that names the field and its value."""
        return MalformedFileError(
            f"{self.path}: {where} must be {expected}, not {reprlib.repr(found)}"
        )


def read_directory(directory: Path) -> list[Conversation]:
    """Read all conversations before anything is stored, so that a bad file changes nothing."""
    paths = sorted(directory.glob("*.json"))
    if not paths:
        raise MalformedFileError(f"{directory}: no *.json files there")
    return [Reader(path).conversation() for path in paths]


def load(client: ZepClient, conversation: Conversation, progress: Progress) -> None:
    """Store the user, then the sessions, the messages of each with one call."""
    bar = progress.add_task(f"{conversation.name}: adding", total=conversation.size)
    with suppress(AlreadyExistsError):
        client.user.add(conversation.user)
    for session_id, memory in conversation.memories.items():
        with suppress(AlreadyExistsError):
            client.memory.add_session(conversation.sessions[session_id])
        started = time.perf_counter()
        client.memory.add_memory(session_id, memory)
        conversation.add_seconds += time.perf_counter() - started
        progress.advance(bar, len(memory.messages))


def check(client: ZepClient, conversation: Conversation, progress: Progress) -> None:
    """Read everything back and compare it with the file."""
    bar = progress.add_task(f"{conversation.name}: checking", total=conversation.size)
    check_user(client, conversation)
    for session_id, memory in conversation.memories.items():
        started = time.perf_counter()
        found = client.memory.get_memory(session_id).messages
        conversation.read_seconds += time.perf_counter() - started
        compare(session_id, memory.messages, found)
        progress.advance(bar, len(memory.messages))


def check_user(client: ZepClient, conversation: Conversation) -> None:
    """Raise a ``DifferenceError`` unless the user has the sessions of the file, and no others."""
    user_id = conversation.user.user_id
    found = {session.session_id: session for session in client.user.get_sessions(user_id)}
    for session_id in sorted(conversation.sessions.keys() ^ found.keys()):
        where = "store" if session_id in found else "file"
        raise DifferenceError(f"{user_id}: session {session_id} is only in the {where}")
    for session_id, session in conversation.sessions.items():
        if session.metadata != found[session_id].metadata:
            raise DifferenceError(
                f"{session_id}, metadata:\n"
                f"  in the file:  {session.metadata!r}\n"
                f"  in the store: {found[session_id].metadata!r}"
            )


def compare(session_id: str, expected: list[Message], found: list[Message]) -> None:
    """Raise a ``DifferenceError`` that shows the first difference, if there is one."""
    for index, (one, other) in enumerate(zip(expected, found, strict=False)):
        for name in COMPARED:
            if getattr(one, name) != getattr(other, name):
                raise DifferenceError(
                    f"{session_id}, message {index}, {name}:\n"
                    f"  in the file:  {getattr(one, name)!r}\n"
                    f"  in the store: {getattr(other, name)!r}"
                )
    if len(expected) != len(found):
        raise DifferenceError(
            f"{session_id}: {len(expected)} messages in the file, {len(found)} in the store"
        )


def table(conversations: list[Conversation]) -> Table:
    """Return a table of the conversations, with a line for the sum."""
    table = Table(title="Every message came back equal")
    table.add_column("conversation")
    for title in ("sessions", "messages", "added/s", "read/s"):
        table.add_column(title, justify="right")
    total = Conversation("total", CreateUserRequest(user_id="all of them"))
    for conversation in conversations:
        total.sessions |= conversation.sessions
        total.memories |= conversation.memories
        total.add_seconds += conversation.add_seconds
        total.read_seconds += conversation.read_seconds
        table.add_row(*row(conversation))
    table.add_section()
    table.add_row(*row(total), style="bold")
    return table


def row(conversation: Conversation) -> tuple[str, ...]:
    """Return a line of the table."""
    size = conversation.size
    numbers = (
        len(conversation.sessions),
        size,
        size / (conversation.add_seconds or 1),
        size / (conversation.read_seconds or 1),
    )
    return (escape(conversation.name), *(f"{number:,.0f}" for number in numbers))


def main() -> None:
    """Load the conversations, check them and print a table."""
    parser = argparse.ArgumentParser(description="Load conversations and check them.")
    parser.add_argument("directory", metavar="DIR", type=Path, help="where the *.json files are")
    parser.add_argument("--url", help="the store; $ZEPSTORE_URL, else embedded:")
    arguments = parser.parse_args()
    conversations = read_directory(arguments.directory)
    console = Console()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    database = None if arguments.url else DATABASE
    client = ZepClient(arguments.url, database=database)
    with client, Progress(*columns, console=console) as progress:
        client.message.count("warm-up")  # connects, so that the rates are those of the store
        for conversation in conversations:
            load(client, conversation, progress)
        for conversation in conversations:
            check(client, conversation, progress)
    console.print(table(conversations))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except DifferenceError as error:
        sys.exit(f"error: not equal: {error}")
    except (MalformedFileError, ZepStoreError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
