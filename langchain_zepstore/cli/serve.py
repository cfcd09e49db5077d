"""``zepstore serve``."""

from typing import Annotated

import typer

from langchain_zepstore.cli.context import context_of

EXAMPLE = "Example: zepstore serve --url mongodb://localhost --port 8000"


def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=2**16 - 1, help="0 takes a free one.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="The number of processes.")] = 1,
    timeout: Annotated[float, typer.Option(help="Seconds for a database call.")] = 10.0,
    embeddings: Annotated[
        str | None,
        typer.Option(metavar="MODULE:NAME", help="LangChain's, to search by meaning."),
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="The language of searches by words, such as german.")
    ] = None,
    api_keys: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Keys as JSON; without it $ZEPSTORE_API_KEYS."),
    ] = None,
    max_body: Annotated[
        int | None,
        typer.Option(min=1, metavar="BYTES", help="The size of a request's body."),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Serve others without keys.")
    ] = False,
    cors_origin: Annotated[
        list[str] | None, typer.Option(help="An origin whose web pages may send requests.")
    ] = None,
) -> None:
    """Run Zep's REST server on a store; without a URL, on the embedded mongod."""
    from langchain_zepstore.server import run  # noqa: PLC0415 - the extra may be missing

    command = context_of(context)
    run.serve(
        run.Serving(
            url=command.url,
            database=command.database,
            timeout=timeout,
            embeddings=embeddings,
            language=language,
            api_keys=api_keys,
            cors_origins=tuple(cors_origin or ()),
            max_body=max_body,
            insecure=insecure,
        ),
        host=host,
        port=port,
        workers=workers,
    )
