"""What was measured, as Markdown tables; and how far it is."""

import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median

from rich.console import Console
from rich.progress import Progress

_EVERY = 5.0


class Report:
    """Tables with a row per measure and a column per size.

    Attributes:
        notes: Lines that stand above the tables.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self.notes: list[str] = []
        self._sizes: list[str] = []
        self._tables: dict[str, dict[str, dict[str, str]]] = {}

    def begin(self, size: int) -> None:
        """Let what is put from now on stand in this size's column."""
        self._sizes.append(f"{size:,}")

    def put(self, table: str, row: str, value: str) -> None:
        """Enter a figure."""
        self._tables.setdefault(table, {}).setdefault(row, {})[self._sizes[-1]] = value
        say(f"  {row}: {value}")

    def __str__(self) -> str:
        lines = [f"# {self._title}", ""]
        lines += [f"- {note}" for note in self.notes]
        for title, rows in self._tables.items():
            lines += ["", f"## {title}", "", _row("sessions", self._sizes)]
            lines.append("|:--|" + "--:|" * len(self._sizes))
            lines += [
                _row(name, [values.get(size, "-") for size in self._sizes])
                for name, values in rows.items()
            ]
        return "\n".join(lines)


def _row(name: str, cells: Sequence[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


def timed(works: Iterable[Callable[[], object]]) -> list[float]:
    """Do one piece of work after another and return how many milliseconds each took."""
    taken = []
    for work in works:
        begun = time.perf_counter()
        work()
        taken.append((time.perf_counter() - begun) * 1000)
    return taken


def latency(taken: Sequence[float]) -> str:
    """Return the median and, where there are a hundred, the 99th percentile, in ms."""
    if not taken:
        return "-"
    most = sorted(taken)[math.ceil(len(taken) * 0.99) - 1]
    enough = len(taken) >= 100
    return f"{median(taken):.2f} / {most:.2f}" if enough else f"{median(taken):.2f}"


def megabytes(size: float) -> str:
    """Return a size in MB."""
    return f"{size / 1e6:,.2f}"


def say(line: str) -> None:
    """Print a line about how far it is."""
    print(f"[{time.strftime('%H:%M:%S')}] {line}", file=sys.stderr, flush=True)


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how far something is, by a bar on a terminal and by a line now and then elsewhere."""
    begun = last = time.monotonic()
    done = 0

    def advance(count: int) -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        if now - last > _EVERY:
            last = now
            say(f"{label}: {done:,} of {total:,}, {done / (now - begun):,.0f} a second")

    if not sys.stderr.isatty():
        yield advance
        return
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=total)
        yield lambda count: bar.advance(task, count)
