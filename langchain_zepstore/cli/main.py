"""The entry point of ``zepstore``: global options, exit codes, interrupts.

What takes long to import is imported by the command that needs it: ``--help`` must be quick.
"""

import os
import sys
from collections.abc import Sequence

from langchain_zepstore.cli.__main__ import INTERRUPTED
from langchain_zepstore.cli.escape import one_line
from langchain_zepstore.errors import NotFoundError, StoreUnavailableError, ZepStoreError

FAILED, WRONG_USAGE, NOT_FOUND, UNREACHABLE = 1, 2, 3, 4

_FLAGS = frozenset({"--json", "--quiet", "--version"})
_VALUED = frozenset({"--url", "--database", "--api-key"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        from langchain_zepstore.cli.app import app  # noqa: PLC0415 - the extra may be missing

        app(global_first(sys.argv[1:] if arguments is None else arguments), prog_name="zepstore")
        sys.stdout.flush()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (ZepStoreError, ImportError, OSError) as error:
        print(f"zepstore: {one_line(str(error))}", file=sys.stderr)
        return exit_code(error)
    return 0


def exit_code(error: Exception) -> int:
    """Return the exit code for an error."""
    if isinstance(error, NotFoundError):
        return NOT_FOUND
    return UNREACHABLE if isinstance(error, StoreUnavailableError) else FAILED


def global_first(arguments: Sequence[str]) -> list[str]:
    """Return arguments with the global options first: they may come after the command, too."""
    first: list[str] = []
    rest: list[str] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if argument == "--":
            rest += [argument, *waiting]
            break
        if argument in _FLAGS or (argument.partition("=")[0] in _VALUED and "=" in argument):
            first.append(argument)
        elif argument in _VALUED:
            first += [argument, *waiting[:1]]
            del waiting[:1]
        else:
            rest.append(argument)
    return first + rest
