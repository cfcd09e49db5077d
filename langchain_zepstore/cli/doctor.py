"""``zepstore stats`` and ``zepstore doctor``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from langchain_zepstore.cli.context import Context, context_of
from langchain_zepstore.cli.escape import one_line
from langchain_zepstore.cli.main import FAILED

if TYPE_CHECKING:
    from langchain_zepstore.models import Finding

STATS_EXAMPLE = "Example: zepstore stats --json"
DOCTOR_EXAMPLE = "Example: zepstore doctor --mend"

_STYLES = {"ok": "green", "warning": "yellow", "fault": "bold red"}


def stats(context: typer.Context) -> None:
    """Count sessions, messages and users, the trash, bytes, and active sessions per day."""
    from langchain_zepstore.core.units import bytes_text  # noqa: PLC0415

    command = context_of(context)
    with command.client() as client:
        found = client.stats()
    if command.json:
        command.object(found)
        return
    fields = found.model_dump()
    days = fields.pop("active_sessions_per_day")
    for name in ("data_bytes", "index_bytes"):
        fields[name] = bytes_text(fields[name])
    command.object({**fields, **{f"active on {day}": number for day, number in days.items()}})


def doctor(
    context: typer.Context,
    mend: Annotated[
        bool,
        typer.Option("--mend", help="Make missing indexes and finish interrupted deletions."),
    ] = False,
) -> None:
    """Show findings, and the command that mends each.

    Without --mend nothing is changed. Exit code 1 if anything is a fault.
    """
    command = context_of(context)
    with command.client() as client:
        findings = client.diagnose(mend=mend)
    if command.json:
        command.table((), findings)
    else:
        _print(findings, command)
    if any(each.level == "fault" for each in findings):
        raise typer.Exit(FAILED)


def _print(findings: "Sequence[Finding]", command: Context) -> None:
    from rich.console import Console  # noqa: PLC0415 - takes long to import
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, show_header=False, pad_edge=False)
    for each in findings:
        if command.quiet and each.level == "ok":
            continue
        message = Text(one_line(each.message))
        if each.cure:
            message.append(f"\n-> {one_line(each.cure)}", style="bold")
        table.add_row(Text(each.level, style=_STYLES[each.level]), Text(each.name), message)
    if table.row_count:
        Console(highlight=False).print(table)
