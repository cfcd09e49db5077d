"""Zep's own clients, unmodified, each on a server of ours, in environments of their own.

The checks are in ``clients``: programs that run in those environments. What is called
``zep_python_1`` there is zep-python 1.5.0, ``zep_python_2`` is 2.0.0rc6, ``community`` the classes
that langchain-community has for Zep.
"""

import ast
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import certifi
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from pymongo import MongoClient

from langchain_zepstore import ZepClient
from tests.support.environments import make_environment, run, versions_in
from tests.support.preloaded import Popen

CLIENTS = Path(__file__).parent / "clients"
KEY, CLOUD_KEY = "a key for clients", "z_a-key-as-the-cloud-has-them"

# The arguments of one pip after the other. zep-python 1.5.0 asks for an older httpx than today's.
ENVIRONMENTS = {
    "1.5.0": [
        ["langchain-community>=0.4,<0.5", "packaging"],
        ["--no-deps", "zep-python==1.5.0"],
    ],
    "2.0.0rc6": [["zep-python==2.0.0rc6", "langchain-core", "packaging"]],
}
VERSIONS = {"zep_python_1": "1.5.0", "zep_python_2": "2.0.0rc6", "community": "1.5.0"}
KEYS = {
    "zep_python_1": [KEY],
    "zep_python_2": [KEY, CLOUD_KEY],
    "community": [KEY],
}
WAYS = {"both_ways": ["sync", "async"], "once": ["once"]}

Results = dict[str, str | None]  # what went wrong in each check


@dataclass(frozen=True)
class Run:
    """A run of a program.

    Attributes:
        database: Where the server had its data.
        results: What came of the checks.
        versions: What was installed.
    """

    database: str
    results: Results
    versions: dict[str, str]


def checks_of(program: str) -> list[str]:
    """The checks of a program, which cannot be imported here."""
    return [
        f"{node.name}-{way}"
        for node in ast.parse((CLIENTS / f"{program}.py").read_text("utf-8")).body
        if isinstance(node, ast.AsyncFunctionDef)
        for decorator in node.decorator_list
        for way in WAYS[ast.unparse(decorator)]
    ]


CHECKS = [(program, check) for program in VERSIONS for check in checks_of(program)]


@contextmanager
def serving(mongo_url: str, database: str, log: Path) -> Iterator[str]:
    """Run ``zepstore serve`` and yield its URL."""
    command = [sys.executable, "-m", "langchain_zepstore.cli", "serve", "--port", "0"]
    with log.open("w", encoding="utf-8") as output:
        process = Popen(
            [*command, "--url", mongo_url, "--database", database],
            env={**os.environ, "ZEPSTORE_API_KEYS": f"{KEY}, {CLOUD_KEY}"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 60
        while not (found := re.search(r"running on (http://\S+)", log.read_text("utf-8"))):
            assert process.poll() is None, log.read_text("utf-8")
            assert time.monotonic() < deadline, log.read_text("utf-8")
            time.sleep(0.02)
        yield found[1]
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def one_authority(path: Path) -> Path:
    """Write down one certificate authority of all that are trusted.

    Each of the hundred clients reads those it trusts, though it then speaks plain HTTP: with all of
    them that is up to half of what a program takes.
    """
    first, end, _ = Path(certifi.where()).read_text("utf-8").partition("-----END CERTIFICATE-----")
    path.write_text(first + end + "\n", encoding="utf-8")
    return path


def run_program(
    program: str, environment: Future[Path], mongo_url: str, database: str, directory: Path
) -> Run:
    """Run a program in an environment, on a server and a database of its own."""
    interpreter = environment.result()
    with ZepClient(mongo_url, database=database) as client:
        history = client.chat_history("written by the package")
        history.add_messages([HumanMessage("Grüße! 🚆"), AIMessage("Hello, Ada.")])
    with serving(mongo_url, database, directory / f"{program}.log") as url:
        command = [interpreter, CLIENTS / f"{program}.py", url, *KEYS[program]]
        authority = str(one_authority(directory / f"{program}.pem"))
        results: Results = json.loads(run(command, timeout=120, SSL_CERT_FILE=authority))
    return Run(database, results, versions_in(interpreter))


@pytest.fixture(scope="module")
def runs(
    mongo_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Run]]]:
    """The runs of all programs, at the same time."""
    directory = tmp_path_factory.mktemp("clients")
    databases = {program: f"test_{uuid4().hex}" for program in VERSIONS}
    with ThreadPoolExecutor(len(ENVIRONMENTS) + len(databases)) as pool:
        environments = {
            version: pool.submit(make_environment, directory / version, requirements)
            for version, requirements in ENVIRONMENTS.items()
        }
        yield {
            program: pool.submit(
                run_program,
                program,
                environments[version],
                mongo_url,
                databases[program],
                directory,
            )
            for program, version in VERSIONS.items()
        }
    with MongoClient(mongo_url) as client:
        for database in databases.values():
            client.drop_database(database)


def run_of(runs: dict[str, Future[Run]], program: str) -> Run:
    try:
        return runs[program].result()
    except (AssertionError, subprocess.TimeoutExpired) as error:
        pytest.fail(f"{program} did not run: {error}", pytrace=False)


@pytest.mark.promise("zep-python 1.5 and 2.0rc and LangChain's Zep classes work unmodified")
@pytest.mark.parametrize(("program", "check"), CHECKS)
def test_an_unmodified_zep_client_works(
    runs: dict[str, Future[Run]], program: str, check: str
) -> None:
    if failure := run_of(runs, program).results[check]:
        pytest.fail(failure, pytrace=False)


@pytest.mark.parametrize("program", VERSIONS)
def test_a_program_runs_all_its_checks(runs: dict[str, Future[Run]], program: str) -> None:
    assert list(run_of(runs, program).results) == checks_of(program)


@pytest.mark.promise("zep-python 1.5 and 2.0rc and LangChain's Zep classes work unmodified")
@pytest.mark.parametrize("program", VERSIONS)
def test_langchain_reads_the_messages_of_a_zep_client(
    runs: dict[str, Future[Run]], mongo_url: str, program: str
) -> None:
    with ZepClient(mongo_url, database=run_of(runs, program).database) as client:
        human, ai = client.chat_history("left by a client").messages
        assert (type(human), human.content) == (HumanMessage, "Left by a client. Ü 🚆")
        assert (type(ai), ai.content) == (AIMessage, "Seen.")
        first, _ = client.memory.get_memory("left by a client").messages
        assert first.metadata == {"a": [1]}


@pytest.mark.promise("zep-python 1.5 and 2.0rc and LangChain's Zep classes work unmodified")
@pytest.mark.parametrize("program", VERSIONS)
def test_an_environment_has_zeps_client_and_not_this_package(
    runs: dict[str, Future[Run]], program: str
) -> None:
    versions = run_of(runs, program).versions
    assert versions["zep-python"] == VERSIONS[program]
    assert versions.get("langchain-community", "0.4.").startswith("0.4.")
    assert not any("zepstore" in name for name in versions)
