"""``zepstore search``."""

from typing import Annotated

import typer

from langchain_zepstore.cli.context import context_of

EXAMPLE = 'Example: zepstore search "the red boat" --user ada'


def search(
    context: typer.Context,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to look for.")],
    user: Annotated[str | None, typer.Option("--user", help="In this user's sessions.")] = None,
    session: Annotated[str | None, typer.Option("--session", help="In this session.")] = None,
    search_type: Annotated[
        str | None, typer.Option("--type", help="text, similarity, mmr or hybrid.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 10,
) -> None:
    """Search a session, or all sessions of a user."""
    if (user is None) == (session is None):
        raise typer.BadParameter("one of the two is needed", param_hint="--user or --session")
    command = context_of(context)
    with command.client() as client:
        found = client.memory.search(
            text, user_id=user, session_id=session, search_type=search_type, limit=limit
        )
    columns = ("session_id", "message.created_at", "message.role", "message.content")
    command.table(columns, found)
