"""docs/cli.md has the help of each command as it is."""

from tests.support.command_help import PAGE, page


def test_the_page_has_each_commands_help() -> None:
    assert PAGE.read_text() == page(), "run python -m tests.support.command_help"
