"""The code of the README and of docs/ runs, and CI runs the README's commands."""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from langchain_zepstore import ZepClient
from tests.support import preloaded

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = (
    'pip install ".[embedded]" && python examples/quickstart.py',
    'pip install ".[embedded,test]" && pytest',
)
LANGUAGES = {"bash", "javascript", "json", "nginx", "python", "text", "toml"}
FENCE = re.compile(r"^ *[`~]{3,}.*$", re.MULTILINE)
BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]+) -->\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
# Each block in a namespace of its own, as if it were a file; the failures and stderr of each page.
RUNNER = """
import contextlib, io, json, sys, traceback
ends = {}
for page, blocks in json.load(sys.stdin).items():
    failed, said = [], io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        for name, code in blocks:
            print("block", name, file=sys.stderr)
            try:
                exec(compile(code, name, "exec"), {"__name__": "__main__"})
            except BaseException:
                traceback.print_exc()
                failed.append(name)
    ends[page] = failed, said.getvalue()
print(json.dumps(ends))
"""
End = tuple[list[str], str]  # the blocks that failed, and what was written to stderr


def blocks(page: Path) -> list[re.Match[str]]:
    return list(BLOCK.finditer(page.read_text(encoding="utf-8")))


def python(page: Path, *, run: bool) -> list[tuple[str, str]]:
    """Return the blocks of Python that run, or those that do not, with their places."""
    return [
        (f"{page.name}:{block.string[: block.start('code')].count(chr(10)) + 1}", block["code"])
        for block in blocks(page)
        if block["language"] == "python" and run is not bool(block["reason"])
    ]


def name(page: Path) -> str:
    return page.name


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An environment whose store is a directory of these tests' own; one server for all pages."""
    url = f"embedded://{quote(str(tmp_path_factory.mktemp('pages')))}"
    with ZepClient(url) as client:
        client.message.count("a session")  # starts the server, and keeps it running
        yield {**os.environ, "ZEPSTORE_URL": url, "PYTHONIOENCODING": "utf-8"}


@pytest.fixture(scope="module")
def ends(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, End]:
    """How the blocks of each page ended, all in one process."""
    code = {page.name: python(page, run=True) for page in PAGES}
    result = preloaded.run(
        [sys.executable, "-c", RUNNER],
        imported=preloaded.EXAMPLES,
        given=json.dumps(code),
        env=environment,
        cwd=tmp_path_factory.mktemp("pages"),
        timeout=600,
    )
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr  # of the end of the process, which is no page's
    ends: dict[str, End] = json.loads(result.stdout)
    return ends


@pytest.mark.promise("the code of the README and of docs/ runs, and CI runs its commands")
@pytest.mark.parametrize("page", [page for page in PAGES if python(page, run=True)], ids=name)
def test_each_code_block_of_a_page_runs_on_its_own(page: Path, ends: dict[str, End]) -> None:
    failed, said = ends[page.name]
    assert not failed, said
    assert "Traceback" not in said
    assert "Error in " not in said  # what LangChain says when it swallows an exception


def own_imports(code: str) -> list[str]:
    statements = [ast.unparse(node) for node in ast.parse(code).body]
    return [s for s in statements if s.startswith(("from langchain_zepstore", "import langchain_"))]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_blocks_are_valid_and_their_imports_exist(page: Path) -> None:
    for place, code in python(page, run=True) + python(page, run=False):
        assert own_imports(code), place
        for statement in own_imports(code):
            assert import_failure(statement) in {None, "an extra is missing"}, place


def import_failure(statement: str) -> str | None:
    """Return why an import fails; the adapter of a framework that is not installed says so."""
    try:
        exec(statement, {})
    except ImportError as missing:
        is_extra = 'pip install "langchain-zepstore[' in str(missing)
        return "an extra is missing" if is_extra and ".adapters" in statement else str(missing)
    return None


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_code_block_is_found(page: Path) -> None:
    text, found = page.read_text(encoding="utf-8"), blocks(page)
    assert len(FENCE.findall(text)) == 2 * len(found), f"a fence that is none of {LANGUAGES}"
    assert {block["language"] for block in found} <= LANGUAGES
    assert text.count("<!-- not run") == len(python(page, run=False))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_named_and_linked_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for example in re.findall(r"examples/\w+\.\w+", text):
        assert (ROOT / example).is_file(), example
    for link in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text):
        assert (page.parent / link).exists(), link


def test_the_readme_is_short_and_has_the_two_commands() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 230
    commands = [block["code"].strip() for block in blocks(README) if block["language"] == "bash"]
    assert commands == list(COMMANDS)


@pytest.mark.promise("the code of the README and of docs/ runs, and CI runs its commands")
@pytest.mark.parametrize("command", COMMANDS)
def test_ci_runs_the_documented_commands(command: str) -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert f"step '{command}'\n" in script


def test_the_readme_shows_the_output_of_the_quickstart(tmp_path: Path) -> None:
    [shown] = [block["code"] for block in blocks(README) if block["language"] == "text"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "quickstart.py")],
        env={**os.environ, "ZEPSTORE_URL": f"embedded://{quote(str(tmp_path / 'store'))}"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=True,
    )

    def comparable(text: str) -> str:
        text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME", text)
        return re.sub(r"lives in \S+", "lives in DIRECTORY.", text)

    assert comparable(done.stdout) == comparable(shown)
