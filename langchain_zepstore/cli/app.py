"""The commands of ``zepstore``."""

from typing import Annotated

import typer

from langchain_zepstore.cli import (
    doctor,
    messages,
    migrate,
    mongod,
    search,
    serve,
    sessions,
    transfer,
    trash,
    users,
)
from langchain_zepstore.cli.context import Context
from langchain_zepstore.core.version import package_version

app = typer.Typer(
    help="Chat sessions on MongoDB. Global options may come before or after the command.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(sessions.app, name="sessions")
app.add_typer(messages.app, name="messages")
app.add_typer(users.app, name="users")
app.add_typer(trash.app, name="trash")
app.command("search", epilog=search.EXAMPLE)(search.search)
app.command("export", epilog=transfer.EXPORT_EXAMPLE)(transfer.export)
app.command("import", epilog=transfer.IMPORT_EXAMPLE)(transfer.import_files)
app.command("migrate", epilog=migrate.EXAMPLE)(migrate.migrate)
app.command("purge", epilog="Example: zepstore purge --older-than 30d --yes")(trash.empty)
app.command("stats", epilog=doctor.STATS_EXAMPLE)(doctor.stats)
app.command("doctor", epilog=doctor.DOCTOR_EXAMPLE)(doctor.doctor)
app.add_typer(mongod.app, name="mongod")
app.command("serve", epilog=serve.EXAMPLE)(serve.serve)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(package_version())
        raise typer.Exit


@app.callback()
def _global_options(
    context: typer.Context,
    url: Annotated[
        str | None, typer.Option(help="The store, as for ZepClient.", envvar="ZEPSTORE_URL")
    ] = None,
    database: Annotated[str | None, typer.Option(help="The database's name.")] = None,
    api_key: Annotated[str | None, typer.Option(help="The key for an http:// store.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, for lists an object per line.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Leave out notes.")] = False,
    version: Annotated[  # noqa: ARG001 - its callback prints it
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    context.obj = Context(url or None, database, api_key, as_json, quiet)
