"""``zepstore users``."""

from typing import Annotated

import typer

from langchain_zepstore.cli.context import context_of
from langchain_zepstore.cli.transfer import Output, write_lines

app = typer.Typer(help="List, show, export and delete users.", no_args_is_help=True)

User = Annotated[str, typer.Argument(metavar="ID", help="The user's id.")]


@app.command("list", epilog="Example: zepstore users list --limit 50")
def list_users(
    context: typer.Context,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
) -> None:
    """List users in the order of their creation."""
    command = context_of(context)
    columns = ("user_id", "email", "first_name", "last_name", "created_at")
    with command.client() as client:
        if limit is not None:
            command.table(columns, client.user.list(limit))
            return
        pages = client.user.list_chunked(1000)
        command.table(columns, (user for page in pages for user in page))


@app.command(epilog="Example: zepstore users show ada")
def show(context: typer.Context, user_id: User) -> None:
    """Show a user."""
    command = context_of(context)
    with command.client() as client:
        command.object(client.user.get(user_id))


@app.command(epilog="Example: zepstore users export ada -o ada.jsonl")
def export(context: typer.Context, user_id: User, output: Output = None) -> None:
    """Write all that is a user's as lines of JSON, trash and branches included."""
    command = context_of(context)
    with command.client() as client:
        client.user.get(user_id)
        write_lines(command, client.user.export(user_id), output)


@app.command(epilog="Example: zepstore users delete ada")
def delete(context: typer.Context, user_id: User) -> None:
    """Move a user with all sessions to the trash."""
    command = context_of(context)
    with command.client() as client:
        client.user.delete(user_id)
    command.note(f"deleted {user_id}")


@app.command(epilog="Example: zepstore users erase ada --dry-run")
def erase(
    context: typer.Context,
    user_id: User,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove a user at once and for good, with all that the user ever said."""
    command = context_of(context)
    command.confirm(f"Erase the user {user_id} for good?", yes=yes or dry_run)
    with command.client() as client:
        command.object(client.user.erase(user_id, dry_run=dry_run))
