"""docs/cli.md has the help of each command as it is."""

from tests.support.command_help import PAGE, page


def test_the_docs_show_the_help_of_each_command() -> None:
    assert PAGE.read_text() == page(), "run python -m tests.support.command_help"
