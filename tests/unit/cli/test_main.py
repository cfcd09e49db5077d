"""Global options, exit codes, and what is imported when."""

import subprocess
import sys
from datetime import timedelta

import pytest
import typer

from langchain_zepstore import AuthError, BadRequestError, NotFoundError, StoreUnavailableError
from langchain_zepstore.cli.context import period
from langchain_zepstore.cli.main import exit_code, global_first, main


@pytest.mark.parametrize(
    ("given", "ordered"),
    [
        (["users", "list", "--json"], ["--json", "users", "list"]),
        (["users", "list", "--url", "x"], ["--url", "x", "users", "list"]),
        (["users", "list", "--url=x", "--quiet"], ["--url=x", "--quiet", "users", "list"]),
        (["--json", "search", "--user", "a"], ["--json", "search", "--user", "a"]),
        (["messages", "add", "--", "--json"], ["messages", "add", "--", "--json"]),
        (["migrate", "--from-database", "d"], ["migrate", "--from-database", "d"]),
        (["users", "--url"], ["--url", "users"]),
    ],
    ids=" ".join,
)
def test_global_options_may_come_after_the_command(given: list[str], ordered: list[str]) -> None:
    assert global_first(given) == ordered


@pytest.mark.promise("exit codes: 1 an error, 2 wrong usage, 3 not found, 4 unreachable")
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFoundError("x"), 3),
        (StoreUnavailableError("x"), 4),
        (BadRequestError("x"), 1),
        (AuthError("x"), 1),
        (ImportError("x"), 1),
    ],
    ids=repr,
)
def test_an_error_has_its_exit_code(error: Exception, code: int) -> None:
    assert exit_code(error) == code


@pytest.mark.promise("exit codes: 1 an error, 2 wrong usage, 3 not found, 4 unreachable")
@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["sessions", "show"],
        ["sessions", "list", "--limit", "0"],
        ["search", "x"],
        ["search", "x", "--user", "a", "--session", "b"],
        ["purge", "--older-than", "soon", "--yes"],
        ["mongod", "path", "--url", "mongodb://x"],
        ["users", "--url"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "d", "3", "3y", "-3d", "1.5h", "³d", "9999999d"])
def test_invalid_periods_are_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        period(text)


def test_periods_are_parsed() -> None:
    assert period("30d") == timedelta(days=30)
    assert period("2w") == timedelta(weeks=2)
    assert period("45m") == timedelta(minutes=45)


@pytest.mark.promise("zepstore --help needs no LangChain, no driver, no rich")
def test_help_imports_no_heavy_modules() -> None:
    code = (
        "import sys; from langchain_zepstore.cli.main import main; assert main(['--help']) == 0\n"
        "heavy = {'httpx', 'langchain_core', 'motor', 'pydantic', 'pymongo', 'rich', 'fastapi'}\n"
        "print(heavy & sys.modules.keys(), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, encoding="utf-8"
    )
    assert "sessions" in done.stdout
    assert done.stderr.strip() == "set()"
