"""``zepstore``: what the package does, from a shell."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version

from langchain_zepstore.errors import ZepStoreError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, or 1 if something went wrong."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except ZepStoreError as error:
        print(f"zepstore: {error}", file=sys.stderr)  # noqa: T201 - a command speaks
        return 1
    except ImportError as missing:
        print(f"zepstore: {missing}", file=sys.stderr)  # noqa: T201 - a command speaks
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="zepstore", description="Chat sessions on MongoDB.")
    parser.add_argument("--version", action="version", version=version("langchain-zepstore"))
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_serve(commands)
    return parser


def _add_serve(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "serve",
        help="run Zep's server on a store",
        description="Run Zep's REST server on a store; without a URL, on the embedded mongod.",
    )
    add = parser.add_argument
    add("--url", help="the store, as for ZepClient; $ZEPSTORE_URL, else embedded:")
    add("--database", help="the database's name")
    add("--host", default="127.0.0.1", help="the address to listen on (%(default)s)")
    add("--port", type=_port, default=8000, help="the port; 0 takes a free one (%(default)s)")
    add("--workers", type=_at_least_one, default=1, help="how many processes (%(default)s)")
    add("--timeout", type=float, default=10.0, help="seconds for a database call (%(default)s)")
    add("--embeddings", metavar="MODULE:NAME", help="LangChain's, to search by meaning")
    add("--language", help="what messages are searched in by words, such as german")
    add("--api-keys", metavar="FILE", help="keys as JSON; without it $ZEPSTORE_API_KEYS")
    add("--max-body", type=_at_least_one, metavar="BYTES", help="the size of a request's body")
    add("--insecure", action="store_true", help="serve others without keys")
    add("--cors-origin", action="append", default=[], help="a web page's origin that may ask")
    parser.set_defaults(run=_serve)


def _serve(options: argparse.Namespace) -> None:
    from langchain_zepstore.server.run import Serving, serve  # noqa: PLC0415

    serving = Serving(
        url=options.url,
        database=options.database,
        timeout=options.timeout,
        embeddings=options.embeddings,
        language=options.language,
        api_keys=options.api_keys,
        cors_origins=tuple(options.cors_origin),
        max_body=options.max_body,
    )
    serve(
        serving,
        host=options.host,
        port=options.port,
        workers=options.workers,
        insecure=options.insecure,
    )


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port < 2**16:
        raise argparse.ArgumentTypeError(f"{port} is no port")
    return port


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number
