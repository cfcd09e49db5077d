"""``zepstore sessions``."""

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langchain_zepstore.cli.context import context_of

if TYPE_CHECKING:
    from langchain_zepstore.client import ZepClient
    from langchain_zepstore.models import Session

app = typer.Typer(help="List, organize, fork, delete and restore sessions.", no_args_is_help=True)

_COLUMNS = ("session_id", "title", "user_id", "active_at")
_PAGE_SIZE = 500

Id = Annotated[str, typer.Argument(metavar="ID", help="The session's id.")]
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
    columns = (*_COLUMNS[:3], "deleted_at") if deleted else _COLUMNS
    with command.client() as client:
        if limit is not None:
            listed = client.memory.list_sessions(limit, user_id=user, include_deleted=deleted)
            command.table(columns, listed)
            return
        pages = client.memory.list_all_sessions(1000, user_id=user, include_deleted=deleted)
        command.table(columns, (session for page in pages for session in page))


@app.command(epilog="Example: zepstore sessions recent --user ada --tag work")
def recent(
    context: typer.Context,
    user: User = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    pinned: Annotated[bool | None, typer.Option("--pinned/--not-pinned")] = None,
    archived: Annotated[bool | None, typer.Option("--archived/--not-archived")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only with this tag; repeatable.")] = None,
) -> None:
    """List the most recently active sessions."""
    command = context_of(context)
    with command.client() as client:
        filters = {"user_id": user, "pinned": pinned, "archived": archived, "tags": tag or None}
        command.table(_COLUMNS, islice(recent_sessions(client, limit, **filters), limit))


def recent_sessions(
    client: "ZepClient", limit: int = _PAGE_SIZE, **filters: Any
) -> "Iterator[Session]":
    """Yield sessions page by page, as ``client.memory.recent_sessions`` orders them."""
    cursor = None
    while True:
        page = client.memory.recent_sessions(min(limit, _PAGE_SIZE), cursor, **filters)
        yield from page.sessions
        if (cursor := page.next_cursor) is None:
            return


@app.command(epilog="Example: zepstore sessions show 3f2a --json")
def show(context: typer.Context, session_id: Id) -> None:
    """Show a session."""
    command = context_of(context)
    with command.client() as client:
        command.object(client.memory.get_session(session_id))


@app.command(epilog='Example: zepstore sessions rename 3f2a "The red boat"')
def rename(
    context: typer.Context,
    session_id: Id,
    title: Annotated[str, typer.Argument(metavar="TITLE", help="An empty one clears it.")],
) -> None:
    """Give a session a title."""
    _organize(context, session_id, title=title or None)


@app.command(epilog="Example: zepstore sessions organize 3f2a --pin --tag work --tag boats")
def organize(
    context: typer.Context,
    session_id: Id,
    pin: Annotated[bool | None, typer.Option("--pin/--unpin")] = None,
    archive: Annotated[bool | None, typer.Option("--archive/--unarchive")] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(help='In the place of its tags; repeatable. --tag "" clears them.'),
    ] = None,
) -> None:
    """Pin, archive and tag a session; options not given change nothing."""
    changes = {"pinned": pin, "archived": archive, "tags": tag and [each for each in tag if each]}
    changes = {name: value for name, value in changes.items() if value is not None}
    if not changes:
        raise typer.BadParameter("one is needed", param_hint="--pin, --archive or --tag")
    _organize(context, session_id, **changes)


def _organize(context: typer.Context, session_id: str, **changes: Any) -> None:
    command = context_of(context)
    with command.client() as client:
        session = client.memory.organize_session(session_id, **changes)
    if command.json:
        command.object(session)
    else:
        command.note(f"changed {session_id}")


@app.command(epilog="Example: zepstore sessions branches 3f2a")
def branches(context: typer.Context, session_id: Id) -> None:
    """List a session's branches in the order of their making."""
    command = context_of(context)
    with command.client() as client:
        client.memory.get_session(session_id)
        columns = ("last_message_id", "message_count", "created_at", "is_active")
        command.table(columns, client.memory.branches(session_id))


@app.command(epilog="Example: zepstore sessions fork 3f2a --at 77e0")
def fork(
    context: typer.Context,
    session_id: Id,
    at: Annotated[
        str | None, typer.Option(metavar="MESSAGE", help="The last message to copy.")
    ] = None,
) -> None:
    """Copy a session's active branch into a new session of the same user."""
    command = context_of(context)
    with command.client() as client:
        session = client.memory.fork_session(session_id, at=at)
    if command.json:
        command.object(session)
    else:
        print(session.session_id)


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


@app.command(epilog="Example: zepstore sessions erase 3f2a --yes")
def erase(
    context: typer.Context,
    session_ids: Ids,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove sessions at once and for good, with all that was said in them."""
    command = context_of(context)
    command.confirm(f"Erase {', '.join(session_ids)} for good?", yes=yes or dry_run)
    with command.client() as client:
        for session_id in session_ids:
            command.object(client.memory.erase_session(session_id, dry_run=dry_run))
