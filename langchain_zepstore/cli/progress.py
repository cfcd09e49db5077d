"""Progress of long commands, on a terminal only."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from langchain_zepstore.cli.context import Context


@contextmanager
def progress(
    command: Context, label: str, unit: str, total: Callable[[], int | None] | None = None
) -> Iterator[Callable[[int], None]]:
    """Show progress on stderr with rate and remaining time, if that is a terminal.

    Args:
        command: The global options; nothing is shown with ``--quiet``.
        label: What is being done.
        unit: What is counted.
        total: Returns how many there are, where that is known.

    Yields:
        A function that takes how many are done.
    """
    if command.quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415 - takes long to import
    from rich.progress import BarColumn, Progress, Task, TextColumn, TimeRemainingColumn  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    class Rate(TextColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.completed:,.0f} {unit}, {task.speed or 0:,.0f}/s")

    columns = (TextColumn("{task.description}"), BarColumn(), Rate(""), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as shown:
        task = shown.add_task(label, total=total() if total else None)
        yield lambda done: shown.update(task, completed=done)
