"""``zepstore mongod``."""

from typing import TYPE_CHECKING

import typer

from langchain_zepstore.cli.context import Context, context_of
from langchain_zepstore.errors import StoreUnavailableError

if TYPE_CHECKING:
    from langchain_zepstore.embedded.server import EmbeddedServer

app = typer.Typer(help="The embedded server, for other programs.", no_args_is_help=True)


def _server(command: Context) -> "EmbeddedServer":
    from langchain_zepstore.client import ZepClient  # noqa: PLC0415 - takes long to import
    from langchain_zepstore.embedded.server import EmbeddedServer  # noqa: PLC0415

    url = command.url or "embedded:"
    if not url.startswith("embedded:"):
        raise typer.BadParameter("must be embedded: or embedded:///some/dir", param_hint="--url")
    return EmbeddedServer(ZepClient(url).location)


@app.command(epilog="Example: zepstore mongod start")
def start(context: typer.Context) -> None:
    """Start the server, to stay after its last user until it is stopped."""
    command = context_of(context)
    print(_server(command).keep())


@app.command(epilog="Example: zepstore mongod status --json")
def status(context: typer.Context) -> None:
    """Show whether the server runs, and where."""
    command = context_of(context)
    server = _server(command)
    uri = server.uri
    command.object(
        {
            "directory": str(server.directory),
            "running": uri is not None,
            "kept": server.is_kept,
            "uri": uri,
        }
    )


@app.command(epilog='Example: mongosh "$(zepstore mongod uri)"')
def uri(context: typer.Context) -> None:
    """Print the server's URI, for mongosh, mongodump and Compass; start it before."""
    server = _server(context_of(context))
    if (found := server.uri) is None:
        raise StoreUnavailableError(
            f"the embedded MongoDB on {server.directory} does not run; zepstore mongod start"
        )
    print(found)


@app.command(epilog="Example: zepstore mongod stop")
def stop(context: typer.Context) -> None:
    """Let the server stop after its last user."""
    command = context_of(context)
    server = _server(command)
    server.release()
    command.note(f"the embedded MongoDB on {server.directory} stops after its last user")


@app.command(epilog='Example: ls "$(zepstore mongod path)"')
def path(context: typer.Context) -> None:
    """Print the data directory."""
    print(_server(context_of(context)).directory)
