"""``zepstore export`` and ``zepstore import``."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langchain_zepstore.cli.context import Context, context_of
from langchain_zepstore.cli.main import FAILED
from langchain_zepstore.cli.output import Rejected, whole_file
from langchain_zepstore.cli.progress import progress
from langchain_zepstore.errors import NotFoundError

if TYPE_CHECKING:
    from langchain_zepstore.client import ZepClient

IMPORT_EXAMPLE = "Example: zepstore import chatgpt.zip --user ada"
EXPORT_EXAMPLE = "Example: zepstore export --user ada -o ada.jsonl"

_HEADER_AND_ONE = 2

Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="FILE", help="Without it, to standard output."),
]


def export(
    context: typer.Context,
    user: Annotated[str | None, typer.Option("--user", help="Only this user's.")] = None,
    session: Annotated[str | None, typer.Option("--session", help="Only this session.")] = None,
    output: Output = None,
) -> None:
    """Write everything, or a part, as lines of JSON, trash and branches included."""
    if user is not None and session is not None:
        raise typer.BadParameter("only one of the two", param_hint="--user or --session")
    command = context_of(context)
    with command.client() as client:
        is_part = user is not None or session is not None
        lines = client.export(user_id=user, session_id=session)
        write_lines(command, lines, output, None if is_part else lambda: _total(client))


def write_lines(
    command: Context,
    lines: Iterable[dict[str, Any]],
    output: Path | None,
    total: Callable[[], int] | None = None,
) -> None:
    """Write the lines of an export to a file that appears whole, or to stdout.

    Raises:
        NotFoundError: There are none, although something was asked for.
    """
    lines = iter(lines)
    first = list(islice(lines, 2))
    if len(first) < _HEADER_AND_ONE and total is None:
        raise NotFoundError("there is nothing to export")
    number = 0
    with progress(command, "Exporting", "lines", total) as show, whole_file(output) as file:
        for number, line in enumerate(chain(first, lines), 1):
            file.write(json.dumps(line, ensure_ascii=file.isatty()) + "\n")
            show(number)
    if output is not None:
        command.note(f"wrote {number:,} lines to {output}")


def _total(client: "ZepClient") -> int:
    stats = client.stats()
    live = stats.users + stats.sessions + stats.messages
    return live + stats.deleted_users + stats.deleted_sessions + stats.deleted_messages


class Format(StrEnum):
    """Formats of files to import."""

    auto = "auto"
    zepstore = "zepstore"
    chatgpt = "chatgpt"
    claude = "claude"


@dataclass
class FileReport:
    """The outcome of a file's import.

    Attributes:
        file: The file.
        users: The number of its users that are there now.
        sessions: The same of its sessions.
        messages: The same of its messages.
        refused: The number of lines, conversations and messages that were refused.
        rejected: The file that keeps what was refused.
    """

    file: str
    users: int
    sessions: int
    messages: int
    refused: int
    rejected: str | None


def import_files(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", exists=True, dir_okay=False)],
    format_: Annotated[
        Format, typer.Option("--format", help="Of the files; auto looks into each.")
    ] = Format.auto,
    user: Annotated[str | None, typer.Option("--user", help="Whose sessions they become.")] = None,
) -> None:
    """Store exports: of zepstore, of ChatGPT or of Claude (JSON, or the zip).

    What is there already stays, so it does no harm to import a file twice. What cannot be read is
    kept in FILE.rejected.jsonl.
    """
    command = context_of(context)
    with command.client() as client:
        reports = [_import(command, client, file, format_, user) for file in files]
    command.table(("file", "users", "sessions", "messages", "refused"), reports)
    if any(report.refused for report in reports):
        raise typer.Exit(FAILED)


def _import(
    command: Context, client: "ZepClient", file: Path, format_: Format, user: str | None
) -> Any:
    from langchain_zepstore.migration import import_lines, migrate  # noqa: PLC0415
    from langchain_zepstore.migration.readers import chatgpt, claude, json_file  # noqa: PLC0415

    name = json_file.format_of(file) if format_ is Format.auto else format_.value
    with (
        progress(command, file.name, "bytes", lambda: json_file.size_of(file)) as show,
        Rejected(file) as rejected,
    ):
        if name == "zepstore":
            with file.open("rb") as lines:
                read = _owned(_shown(lines, show), user)
                report = import_lines(client, read, on_refused=rejected.keep)
        else:
            reader = (chatgpt.ChatGPTExport if name == "chatgpt" else claude.ClaudeExport)(
                file, show
            )
            report = migrate(reader, client, user=user, on_refused=rejected.keep)
    for error in report.errors:
        command.note(f"{file}, {error.number}: {error.reason}")
    if report.refused > len(report.errors):
        command.note(f"{file}: {report.refused - len(report.errors):,} more were refused")
    return FileReport(
        str(file), report.users, report.sessions, report.messages, report.refused, rejected.path
    )


def _shown(lines: Iterable[bytes], show: Callable[[int], None]) -> Iterator[bytes]:
    done = 0
    for line in lines:
        yield line
        done += len(line)
        show(done)


def _owned(lines: Iterable[bytes], user: str | None) -> Iterator[bytes | dict[str, Any]]:
    """Yield the lines of an export with all sessions as one user's, if one is given."""
    for line in lines:
        record = None
        if user is not None:
            with suppress(ValueError, RecursionError):
                record = json.loads(line)
        if not isinstance(record, dict):
            yield line
        elif record.get("type") == "session":
            yield {**record, "user_id": user}
        elif record.get("type") != "user":
            yield record
