"""``zepstore trash`` and ``zepstore purge``."""

from datetime import timedelta
from typing import Annotated

import typer

from langchain_zepstore.cli.context import context_of, period
from langchain_zepstore.cli.sessions import recent_sessions

app = typer.Typer(help="List the trash, or empty it for good.", no_args_is_help=True)


User = Annotated[str | None, typer.Option("--user", help="Only this user's.")]


@app.command("list", epilog="Example: zepstore trash list --user ada")
def list_deleted(context: typer.Context, user: User = None) -> None:
    """List the deleted sessions, the last deleted first."""
    command = context_of(context)
    with command.client() as client:
        columns = ("session_id", "title", "user_id", "deleted_at")
        command.table(columns, recent_sessions(client, user_id=user, deleted=True))


@app.command(epilog="Example: zepstore trash empty --older-than 30d --yes")
def empty(
    context: typer.Context,
    older_than: Annotated[
        timedelta | None,
        typer.Option(parser=period, metavar="PERIOD", help="Only what was deleted so long ago."),
    ] = None,
    user: User = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove deleted data for good."""
    command = context_of(context)
    with command.client() as client:
        whose = "" if user is None else f"{user}'s sessions in "
        command.confirm(f"Remove the trash of {whose}{client.location} for good?", yes=yes)
        command.object(client.purge(older_than, user_id=user))
