"""Agent frameworks, as they are released, on our adapters, away from this repository.

The tests are in ``frameworks``: files for pytest that run in an environment with all frameworks,
each file where no other framework can be imported. With ``--long`` each has an environment of its
own, in which its extra alone is installed. The tests here show which of them passed.
"""

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4
from xml.etree import ElementTree

import pytest
from pymongo import MongoClient

from tests.support import preloaded
from tests.support.environments import make_environment, run
from tests.support.preloaded import clean_environment

REPOSITORY = Path(__file__).parents[2]
TESTS = Path(__file__).parent / "frameworks"

# By adapter and file of tests: its extra, and the framework's package.
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
# What runs an example, twice, in the process of the framework's tests.
EXAMPLE_TEST = """
import runpy

def test_the_example(monkeypatch, capfd):
    monkeypatch.setenv("ZEPSTORE_URL", {url!r})
    for _ in range(2):
        runpy.run_path({path!r}, run_name="__main__")
    out, err = capfd.readouterr()
    assert not err
    assert out
    assert "After undeleting: 0" not in out
"""
IMPORTED = ("pytest", "langchain_core.messages", "langchain_zepstore.client", "motor.motor_asyncio")
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
    *((framework, "test_the_example") for framework in EXAMPLES),
]


def make_wheel(directory: Path) -> Path:
    """Build the package as it stands here."""
    uv = ["-m", "uv", "build", "--quiet", "--wheel", "--out-dir", directory]
    pip = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", directory]
    try:
        run([sys.executable, *uv, REPOSITORY], timeout=120)
    except (AssertionError, subprocess.TimeoutExpired):
        run([sys.executable, *pip, REPOSITORY], timeout=300)
    [wheel] = directory.glob("*.whl")
    return wheel


def environment_with(extras: Iterable[str], wheel: Path, directory: Path) -> Path:
    """Install the package and what its tests need, and return the interpreter."""
    package = f"langchain-zepstore[{','.join(extras)}] @ {wheel.as_uri()}"
    return make_environment(directory, [[package, "pytest", "pytest-asyncio"]])


def run_tests(
    framework: str, environment: Future[Path], mongo_url: str, database: str, directory: Path
) -> Failures:
    """Run a file of tests and an example on a database of their own."""
    interpreter = environment.result()
    # Away from this repository, whose package and settings are not to be found.
    file = directory / f"test_{framework}.py"
    file.write_bytes((TESTS / f"{framework}.py").read_bytes())
    server, _, url_options = mongo_url.partition("?")
    example = EXAMPLE_TEST.format(
        url=f"{server.rstrip('/')}/{database}_example?{url_options}",
        path=str(REPOSITORY / "examples" / EXAMPLES[framework]),
    )
    example_file = directory / "test_the_example.py"
    example_file.write_text(example, "utf-8")
    others = [module for other, (_, module) in FRAMEWORKS.items() if other != framework]
    hidden = f"import sys\nsys.modules.update(dict.fromkeys({others}))\n"
    (directory / "conftest.py").write_text(hidden, "utf-8")
    report = directory / "report.xml"
    options = [part for option in OPTIONS for part in ("-o", option)]
    options += ["-p", "no:unraisableexception"]  # it collects all garbage ten times at the end
    done = preloaded.run(
        [interpreter, "-m", "pytest", "-q", *options, f"--junit-xml={report}", file, example_file],
        imported=IMPORTED,
        cwd=directory,
        env={
            **clean_environment(),
            "ZEPSTORE_TEST_URL": mongo_url,
            "ZEPSTORE_TEST_DATABASE": database,
            "PYTEST_ADDOPTS": "",
        },
        stdin=subprocess.DEVNULL,
        timeout=600,
    )
    assert report.exists(), done.stdout + done.stderr
    failures: Failures = {}
    for case in ElementTree.parse(report).iter("testcase"):  # it is our own
        name = case.attrib["name"].partition("[")[0]
        told = [f"{case.attrib['name']}:\n{problem.text}" for problem in case if problem.text]
        failures[name] = failures.get(name) or "\n".join(told) or None
    return failures


@pytest.fixture(scope="module")
def runs(
    mongo_url: str, tmp_path_factory: pytest.TempPathFactory, long: bool
) -> Iterator[dict[str, Future[Failures]]]:
    """The runs of all files: at the same time where they share nothing."""
    databases = {framework: f"test_{uuid4().hex}" for framework in FRAMEWORKS}
    together = [extra for extra, _ in FRAMEWORKS.values()]
    # In one environment the first run compiles for the others what they import too.
    with ThreadPoolExecutor(2 * len(FRAMEWORKS) if long else 1) as pool:
        wheel = make_wheel(tmp_path_factory.mktemp("wheel"))

        def install(*extras: str) -> Future[Path]:
            directory = tmp_path_factory.mktemp("environment")
            return pool.submit(environment_with, extras, wheel, directory)

        if long:
            environments = {each: install(extra) for each, (extra, _) in FRAMEWORKS.items()}
        else:
            environments = dict.fromkeys(FRAMEWORKS, install(*together))
        yield {
            framework: pool.submit(
                run_tests,
                framework,
                environments[framework],
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
    "released, run on our adapters; the examples run there"
)
@pytest.mark.parametrize(("framework", "name"), EACH)
def test_the_checks_of_each_framework_pass(
    runs: dict[str, Future[Failures]], framework: str, name: str
) -> None:
    failures = failures_of(runs, framework)
    assert name in failures, "it did not run"
    if failure := failures[name]:
        pytest.fail(failure, pytrace=False)


@pytest.mark.promise("a missing extra names its pip command")
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_an_adapter_without_its_framework_names_the_pip_command(framework: str) -> None:
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
