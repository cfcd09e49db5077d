"""The README's code runs, and its commands are the ones that CI runs."""

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = (
    'pip install ".[embedded]" && python examples/quickstart.py',
    'pip install ".[embedded,test]" && pytest',
)
BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]+) -->\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
BLOCKS = list(BLOCK.finditer(README))
PYTHON = [block for block in BLOCKS if block["language"] == "python"]
RUN = [block for block in PYTHON if not block["reason"]]


def line(block: re.Match[str]) -> str:
    return f"line {README[: block.start('code')].count(chr(10))}"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose store is a directory of these tests' own."""
    store = tmp_path_factory.mktemp("readme")
    return {**os.environ, "ZEPSTORE_URL": f"embedded://{quote(str(store))}"}


@pytest.mark.promise(
    "the README's code runs, its commands are the ones of the continuous integration"
)
@pytest.mark.parametrize("block", RUN, ids=line)
def test_a_block_runs_by_itself(
    block: re.Match[str], environment: dict[str, str], tmp_path: Path
) -> None:
    script = tmp_path / "block.py"
    script.write_text(block["code"], encoding="utf-8")
    result = subprocess.run(
        [sys.executable, str(script)],
        env=environment,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    assert "Error in " not in result.stderr  # what LangChain says when it swallows an exception


@pytest.mark.parametrize("block", PYTHON, ids=line)
def test_a_block_is_valid_and_imports_only_what_there_is(block: re.Match[str]) -> None:
    imports = [
        statement
        for statement in block["code"].split("\n")
        if statement.startswith(("from langchain_zepstore", "import langchain_zepstore"))
    ]
    assert imports
    compile(block["code"], "README.md", "exec")
    for statement in imports:
        if block["reason"] and "langchain_zepstore.adapters" in statement:
            assert extra_missing_for(statement) in {None, True}
        else:
            exec(statement, {})


def extra_missing_for(statement: str) -> bool | None:
    """Whether an adapter that cannot be imported says which extra it needs; ``None``: it can be."""
    try:
        exec(statement, {})
    except ImportError as missing:
        return 'pip install "langchain-zepstore[' in str(missing)
    return None


def test_no_block_is_overlooked() -> None:
    fences = re.findall(r"^ *[`~]{3,}.*$", README, re.MULTILINE)
    assert len(fences) == 2 * len(BLOCKS), "a fence that is none of ```python, ```bash"
    assert {block["language"] for block in BLOCKS} <= {"python", "bash"}
    assert README.count("<!-- not run") == sum(bool(block["reason"]) for block in PYTHON)
    assert RUN


def test_the_readme_begins_with_the_two_commands() -> None:
    assert [block["code"].strip() for block in BLOCKS[:2]] == list(COMMANDS)
    assert {block["language"] for block in BLOCKS[:2]} == {"bash"}


@pytest.mark.promise(
    "the README's code runs, its commands are the ones of the continuous integration"
)
@pytest.mark.parametrize("command", COMMANDS)
def test_ci_runs_the_commands_as_they_stand(command: str) -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert f"step '{command}'\n" in script


@pytest.mark.parametrize("example", re.findall(r"examples/\w+\.py", README))
def test_an_example_that_is_named_is_there(example: str) -> None:
    assert (ROOT / example).is_file()
