"""Agent frameworks, as they are released, on our adapters: each in an environment of its own.

The tests are in ``frameworks``: files for pytest that run in those environments. What can be seen
here of each is whether it passed.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4
from xml.etree import ElementTree

import pytest
from pymongo import MongoClient

from tests.support.environments import clean_environment, make_environment, run

REPOSITORY = Path(__file__).parents[2]
TESTS = Path(__file__).parent / "frameworks"

# By adapter and file of tests: its extra, which is all that is installed, and what it imports.
FRAMEWORKS = {
    "openai_agents": ("openai-agents", "agents"),
    "pydantic_ai": ("pydantic-ai", "pydantic_ai"),
    "llama_index": ("llama-index", "llama_index"),
    "agent_framework": ("agent-framework", "agent_framework"),
}
EXAMPLES = {
    "openai_agents": "openai_agents_session.py",
    "pydantic_ai": "pydantic_ai_history.py",
    "llama_index": "llama_index_memory.py",
    "agent_framework": "agent_framework_history.py",
}
OPTIONS = ("asyncio_mode=auto", "asyncio_default_fixture_loop_scope=function")


Failures = dict[str, str | None]  # what went wrong in each test, by its name


def names_of(framework: str) -> list[str]:
    """The names of a file's tests, which cannot be imported here."""
    return [
        node.name
        for node in ast.parse((TESTS / f"{framework}.py").read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    ]


EACH = [
    *((framework, name) for framework in FRAMEWORKS for name in names_of(framework)),
    *((framework, example) for framework, example in EXAMPLES.items()),
]


def make_wheel(directory: Path) -> Path:
    """Build the package as it stands here."""
    pip = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", directory]
    run([sys.executable, *pip, REPOSITORY], timeout=300)
    [wheel] = directory.glob("*.whl")
    return wheel


def run_tests(
    framework: str, wheel: Future[Path], mongo_url: str, database: str, directory: Path
) -> Failures:
    """Run a file of tests in an environment of its own, on a database of its own."""
    package = f"langchain-zepstore[{FRAMEWORKS[framework][0]}] @ {wheel.result().as_uri()}"
    requirements = [[package, "pytest", "pytest-asyncio"]]
    interpreter = make_environment(directory / "environment", requirements)
    # Away from this repository, whose package and settings are not to be found.
    file = directory / f"test_{framework}.py"
    file.write_bytes((TESTS / f"{framework}.py").read_bytes())
    report = directory / "report.xml"
    options = [part for option in OPTIONS for part in ("-o", option)]
    done = subprocess.run(
        [interpreter, "-m", "pytest", "-q", *options, f"--junit-xml={report}", file],
        check=False,
        cwd=directory,
        env={
            **clean_environment(),
            "ZEPSTORE_TEST_URL": mongo_url,
            "ZEPSTORE_TEST_DATABASE": database,
            "PYTEST_ADDOPTS": "",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=600,
    )
    assert report.exists(), done.stdout + done.stderr
    failures: Failures = {}
    for case in ElementTree.parse(report).iter("testcase"):  # it is our own
        name = case.attrib["name"].partition("[")[0]
        told = [f"{case.attrib['name']}:\n{problem.text}" for problem in case if problem.text]
        failures[name] = failures.get(name) or "\n".join(told) or None
    if example := EXAMPLES.get(framework):
        failures[example] = run_example(interpreter, example, mongo_url, database)
    return failures


def run_example(interpreter: Path, example: str, mongo_url: str, database: str) -> str | None:
    """Run an example twice, as a user does, and return what went wrong."""
    server, _, options = mongo_url.partition("?")
    url = f"{server.rstrip('/')}/{database}_example?{options}"
    for _ in range(2):
        done = subprocess.run(
            [interpreter, REPOSITORY / "examples" / example],
            check=False,
            env={**clean_environment(), "ZEPSTORE_URL": url},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        )
        if done.returncode or done.stderr or "After undeleting: 0" in done.stdout:
            return done.stdout + done.stderr
    return None


@pytest.fixture(scope="module")
def runs(
    mongo_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Failures]]]:
    """The runs of all files, at the same time."""
    databases = {framework: f"test_{uuid4().hex}" for framework in FRAMEWORKS}
    with ThreadPoolExecutor(1 + len(FRAMEWORKS)) as pool:
        wheel = pool.submit(make_wheel, tmp_path_factory.mktemp("wheel"))
        yield {
            framework: pool.submit(
                run_tests,
                framework,
                wheel,
                mongo_url,
                database,
                tmp_path_factory.mktemp(framework),
            )
            for framework, database in databases.items()
        }
    with MongoClient(mongo_url) as client:
        for database in databases.values():
            client.drop_database(database)
            client.drop_database(f"{database}_example")


def failures_of(runs: dict[str, Future[Failures]], framework: str) -> Failures:
    try:
        return runs[framework].result()
    except (AssertionError, subprocess.TimeoutExpired) as error:
        pytest.fail(f"the tests of {framework} did not run: {error}", pytrace=False)


@pytest.mark.promise(
    "the OpenAI Agents SDK, Pydantic AI, LlamaIndex and Microsoft's Agent Framework, as "
    "released, run on our adapters, each in an environment of its own; the examples run there"
)
@pytest.mark.parametrize(("framework", "name"), EACH)
def test_a_framework_works_with_our_adapter(
    runs: dict[str, Future[Failures]], framework: str, name: str
) -> None:
    failures = failures_of(runs, framework)
    assert name in failures, "it did not run"
    if failure := failures[name]:
        pytest.fail(failure, pytrace=False)


@pytest.mark.promise("a missing extra names its pip command")
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_without_its_framework_an_adapter_names_the_pip_command(framework: str) -> None:
    extra, module = FRAMEWORKS[framework]
    code = f"import sys; sys.modules[{module!r}] = None; import langchain_zepstore.adapters."
    done = subprocess.run(
        [sys.executable, "-c", code + framework],
        check=False,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    told = done.stderr.splitlines()[-1]
    assert told.startswith("ImportError: ")
    assert told.endswith(f'pip install "langchain-zepstore[{extra}]"')
