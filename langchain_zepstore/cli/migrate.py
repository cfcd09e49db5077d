"""``zepstore migrate``."""

from typing import Annotated

import typer

from langchain_zepstore.cli.context import context_of
from langchain_zepstore.cli.main import FAILED
from langchain_zepstore.cli.progress import progress

EXAMPLE = "Example: zepstore migrate langchain-mongodb --from mongodb://localhost/chat_history"


def migrate(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="langchain-mongodb, langchain-postgres, langchain-sql, community-redis, "
            "langgraph-mongodb, langgraph-postgres, openai-agents-mongodb, openai-agents-sqlite, "
            "zep or zep-dump.",
        ),
    ],
    location: Annotated[str, typer.Option("--from", metavar="URL-OR-PATH", help="Where it is.")],
    database: Annotated[
        str | None, typer.Option("--from-database", metavar="D", help="Its database.")
    ] = None,
    from_key: Annotated[
        str | None, typer.Option(envvar="ZEP_FROM_KEY", help="The API key of a Zep server.")
    ] = None,
    collection: Annotated[
        str | None, typer.Option(help="Its collection or table; on Redis, how keys begin.")
    ] = None,
    session_field: Annotated[
        str | None, typer.Option(help="The field with the session's id.")
    ] = None,
    history_field: Annotated[str | None, typer.Option(help="The field with the message.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="Whose sessions they become.")] = None,
    user_from: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX-OR-KEY",
            help="Whose: the first group of a regular expression on the session's id, or a key of "
            "the session's metadata.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only read and check.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare both sides, message by message.")
    ] = False,
) -> None:
    """Copy all sessions of another store, which is only read. Run again, it copies new ones."""
    from langchain_zepstore.migration import migrate as copied  # noqa: PLC0415 - imports the models
    from langchain_zepstore.migration.readers import reader_of  # noqa: PLC0415
    from langchain_zepstore.migration.users import user_from as of  # noqa: PLC0415

    if user is not None and user_from is not None:
        raise typer.BadParameter("only one of the two", param_hint="--user or --user-from")
    command = context_of(context)
    reader = reader_of(
        source,
        location,
        database=database,
        collection=collection,
        session_field=session_field,
        history_field=history_field,
        api_key=from_key,
    )
    total = getattr(reader, "count", None)
    with command.client() as client, progress(command, source, "messages", total) as show:
        report = copied(
            reader,
            client,
            user=user if user_from is None else of(user_from),
            dry_run=dry_run,
            verify=verify,
            on_progress=show,
        )
    counted = report.model_dump(exclude={"errors", "differences"})
    command.object(report if command.json else counted)
    for number, reason in ((each.number, each.reason) for each in report.errors):
        command.note(f"{number}: {reason}")
    for each in report.differences:
        command.note(f"{each.number}: {each.reason}")
    if report.refused or report.different:
        raise typer.Exit(FAILED)
