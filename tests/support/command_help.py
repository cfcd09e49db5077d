"""docs/cli.md: the help of each command. ``python -m tests.support.command_help`` writes it."""

from collections.abc import Iterator
from pathlib import Path

import typer
from typer.core import TyperGroup

from langchain_zepstore.cli.app import app

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
_FIRST = "## zepstore\n"


def page() -> str:
    """Return the page: what is written above the first command, and the help of each."""
    introduction = PAGE.read_text().partition(_FIRST)[0]
    group = typer.main.get_command(app)
    return introduction + "\n".join([*_sections(group, None, "zepstore")])


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
