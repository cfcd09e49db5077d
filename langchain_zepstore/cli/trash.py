"""``zepstore trash`` and ``zepstore purge``."""

from datetime import timedelta
from typing import Annotated

import typer

from langchain_zepstore.cli.context import context_of, period

app = typer.Typer(help="List the trash, or empty it for good.", no_args_is_help=True)


@app.command("list", epilog="Example: zepstore trash list --user ada")
def list_deleted(
    context: typer.Context,
    user: Annotated[str | None, typer.Option("--user", help="Only this user's.")] = None,
) -> None:
    """List the deleted sessions in the order of their creation."""
    command = context_of(context)
    with command.client() as client:
        pages = client.memory.list_all_sessions(1000, user_id=user, include_deleted=True)
        deleted = (each for page in pages for each in page if each.deleted_at is not None)
        command.table(("session_id", "user_id", "deleted_at", "metadata"), deleted)


@app.command(epilog="Example: zepstore trash empty --older-than 30d --yes")
def empty(
    context: typer.Context,
    older_than: Annotated[
        timedelta | None,
        typer.Option(parser=period, metavar="PERIOD", help="Only what was deleted so long ago."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove for good what is deleted."""
    command = context_of(context)
    with command.client() as client:
        command.confirm(f"Remove the trash of {client.location} for good?", yes=yes)
        command.object(client.purge(older_than))
