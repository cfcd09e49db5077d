"""docs/cli.md: the help of each command. ``python -m tests.support.command_help`` writes it."""

from collections.abc import Iterator
from pathlib import Path

import typer
from typer.core import TyperGroup

from langchain_zepstore.cli.app import app

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
_INTRODUCTION = """# The command line

`zepstore`, or `python -m langchain_zepstore`, comes with the extra `cli`:
`pip install "langchain-zepstore[cli]"`. Global options may come before or after the command;
after `--` nothing is an option. Exit codes: 0 done, 1 an error, 2 wrong usage, 3 not found, 4 the
store cannot be reached, 130 interrupted. With `--json`, stdout has one JSON object, or for lists
one per line. What destroys data for good asks first; without a terminal it wants `--yes`.
"""


def page() -> str:
    """Return the page."""
    group = typer.main.get_command(app)
    return "\n".join([_INTRODUCTION, *_sections(group, None, "zepstore")])


def _sections(command: object, parent: object, name: str) -> Iterator[str]:
    context = command.make_context(name, [], parent=parent, resilient_parsing=True)  # type: ignore[attr-defined]
    context.terminal_width = 90
    lines = (line.rstrip() for line in context.get_help().splitlines())
    yield "\n".join([f"## {context.command_path}", "", "```text", *lines, "```", ""])
    if isinstance(command, TyperGroup):
        for each in command.list_commands(context):
            yield from _sections(command.get_command(context, each), context, each)


if __name__ == "__main__":
    PAGE.write_text(page())
