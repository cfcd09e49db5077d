"""The context of a command: the store, and how to print."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import typer

from langchain_zepstore.cli.escape import one_line, visible
from langchain_zepstore.cli.main import WRONG_USAGE

if TYPE_CHECKING:
    from langchain_zepstore.client import ZepClient

_ID_WIDTH, _TIME_WIDTH, _TEXT_WIDTH, _GAP = 36, 16, 6, 2
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Context:
    """The global options of a command.

    Attributes:
        url: The store, as for ``ZepClient``.
        database: As for ``ZepClient``.
        api_key: As for ``ZepClient``.
        json: Whether JSON is printed instead of tables.
        quiet: Whether notes are left out.
    """

    url: str | None = None
    database: str | None = None
    api_key: str | None = None
    json: bool = False
    quiet: bool = False

    def client(self) -> "ZepClient":
        """Return a client on the store."""
        from langchain_zepstore.client import ZepClient  # noqa: PLC0415 - takes long to import

        return ZepClient(self.url, database=self.database, api_key=self.api_key)

    def note(self, text: str) -> None:
        """Print a line for the reader to stderr, unless it should be quiet."""
        if not self.quiet:
            print(one_line(text), file=sys.stderr)

    def text(self, text: str) -> None:
        """Print stored text to stdout."""
        print(visible(text), flush=True)

    def object(self, value: Any) -> None:
        """Print a model or a map: a line of JSON, or a line for each field that is set."""
        if self.json:
            self._json(value)
            return
        fields = value if isinstance(value, dict) else dict(value)
        width = max((len(name) for name in fields), default=0)
        for name, field in fields.items():
            if field is not None:
                print(f"{one_line(name):{width}}  {cell(field)}")

    def table(self, columns: Sequence[str], models: Iterable[Any]) -> None:
        """Print models: a line of JSON each, or the rows of a table.

        Args:
            columns: The fields that the table shows. Ids are shown whole, the rest is cut.
            models: The models.
        """
        if self.json:
            for model in models:
                self._json(model)
            return
        from rich.console import Console  # noqa: PLC0415 - takes long to import
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        console = Console(highlight=False)
        table = Table(box=None, pad_edge=False, header_style="bold")
        rows = [[cell(_field(model, name)) for name in columns] for model in models]
        for name, width in zip(columns, _widths(columns, rows, console.width), strict=True):
            is_id = name.endswith("id")
            overflow: Literal["fold", "ellipsis"] = "fold" if is_id else "ellipsis"
            table.add_column(_title(name), overflow=overflow, no_wrap=not is_id, width=width)
        for row in rows:
            table.add_row(*map(Text, row))
        if rows:
            console.print(table)

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask before something is destroyed for good; without a terminal, want ``--yes``."""
        if yes:
            return
        if not sys.stdin.isatty():
            print("zepstore: this cannot be undone; say --yes", file=sys.stderr)
            raise typer.Exit(WRONG_USAGE)
        typer.confirm(one_line(question), abort=True, err=True)

    def _json(self, value: Any) -> None:
        from langchain_zepstore.messages.wire import to_json  # noqa: PLC0415 - imports the models

        print(to_json(value).decode(), flush=True)


def context_of(context: typer.Context) -> Context:
    """Return the global options."""
    found: Context = context.obj
    return found


def cell(value: Any) -> str:
    """Return a value as a line of text."""
    match value:
        case None:
            return ""
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}"
        case dict() | list():
            return one_line(json.dumps(value, ensure_ascii=False, default=str))
    return one_line(str(value))


def _title(name: str) -> str:
    return name.rpartition(".")[2].upper()


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]], total: int) -> list[int]:
    """Return the columns' widths: ids and times first, and the rest of the line for texts."""
    longest = [
        max(len(_title(name)), *(len(row[index]) for row in rows)) if rows else 0
        for index, name in enumerate(columns)
    ]
    id_width = _ID_WIDTH // max(1, sum(name.endswith("id") for name in columns))
    widths = [
        min(length, id_width if name.endswith("id") else _width_of(name))
        for name, length in zip(columns, longest, strict=True)
    ]
    free = total - sum(widths) - _GAP * (len(columns) - 1)
    for index, length in enumerate(longest):
        more = max(0, min(length - widths[index], free))
        widths[index] += more
        free -= more
    return widths


def _width_of(name: str) -> int:
    return _TIME_WIDTH if name.endswith("_at") else _TEXT_WIDTH


def _field(model: Any, path: str) -> Any:
    for name in path.split("."):
        model = getattr(model, name, None)
    return model


def period(text: str) -> timedelta:
    """Return a period such as ``30d``, ``12h`` or ``45m``."""
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not number.isdecimal() or not number.isascii() or len(number) > 6:  # noqa: PLR2004
        raise typer.BadParameter("must be a number and s, m, h, d or w, such as 30d")
    return timedelta(**{_UNITS[unit]: int(number)})
