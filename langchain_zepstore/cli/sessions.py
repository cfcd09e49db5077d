"""``zepstore sessions``."""

from typing import Annotated

import typer

from langchain_zepstore.cli.context import context_of

app = typer.Typer(help="List, show, delete and restore sessions.", no_args_is_help=True)

_COLUMNS = ("session_id", "user_id", "updated_at", "metadata")

Ids = Annotated[list[str], typer.Argument(metavar="ID…", help="The sessions' ids.")]
User = Annotated[str | None, typer.Option("--user", help="Only this user's.")]


@app.command("list", epilog="Example: zepstore sessions list --user ada --limit 50")
def list_sessions(
    context: typer.Context,
    user: User = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    deleted: Annotated[bool, typer.Option("--deleted", help="Also those in the trash.")] = False,
) -> None:
    """List sessions in the order of their creation."""
    command = context_of(context)
    columns = (*_COLUMNS, "deleted_at") if deleted else _COLUMNS
    with command.client() as client:
        if limit is not None:
            listed = client.memory.list_sessions(limit, user_id=user, include_deleted=deleted)
            command.table(columns, listed)
            return
        pages = client.memory.list_all_sessions(1000, user_id=user, include_deleted=deleted)
        command.table(columns, (session for page in pages for session in page))


@app.command(epilog="Example: zepstore sessions recent --user ada")
def recent(
    context: typer.Context,
    user: User = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
) -> None:
    """List the most recently active sessions."""
    command = context_of(context)
    with command.client() as client:
        page = client.memory.recent_sessions(limit, user_id=user)
    command.table(_COLUMNS, page.sessions)


@app.command(epilog="Example: zepstore sessions show 3f2a --json")
def show(context: typer.Context, session_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Show a session."""
    command = context_of(context)
    with command.client() as client:
        command.object(client.memory.get_session(session_id))


@app.command(epilog="Example: zepstore sessions delete 3f2a 9c1b")
def delete(context: typer.Context, session_ids: Ids) -> None:
    """Move sessions with their messages to the trash."""
    command = context_of(context)
    with command.client() as client:
        for session_id in session_ids:
            client.memory.delete_memory(session_id)
            command.note(f"deleted {session_id}")


@app.command(epilog="Example: zepstore sessions undelete 3f2a")
def undelete(context: typer.Context, session_ids: Ids) -> None:
    """Restore sessions with the messages that their last deletion took."""
    command = context_of(context)
    with command.client() as client:
        for session_id in session_ids:
            client.memory.undelete_session(session_id)
            command.note(f"restored {session_id}")
