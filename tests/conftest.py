"""What all tests share: databases to talk to, and fresh names."""

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings

from langchain_zepstore import ZepClient
from langchain_zepstore.embedded.server import EmbeddedServer
from tests.support import databases
from tests.support.embedded import stopped
from tests.support.mongod import Mongod
from tests.support.serving import Served

# The workers, and the many programs that tests start, are to be compiled once.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

TEST_URL_VARIABLE = "ZEPSTORE_TEST_URL"
FIGURE = "figure"
ROOM_IN_MEMORY = 8 << 30  # for the workers of one run, with a margin
ROOMS_BY_LENGTH = ("acceptance", "faults", "integration", "conformance", "unit")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let tests run in their long form."""
    parser.addoption("--long", action="store_true", help="the long form of tests")
    parser.addoption("--promises", action="store_true", help="print what tests promise, run none")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the rooms whose files take long, so that the workers end together."""
    if not config.getoption("long"):
        left_out = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if not item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=left_out)
    order = {room: number for number, room in enumerate(ROOMS_BY_LENGTH)}
    items.sort(key=lambda item: order.get(item.nodeid.split("/")[1], 0))


def pytest_configure(config: pytest.Config) -> None:
    """Let property tests never fail because the machine has other work to do."""
    settings.register_profile(
        "patient",
        deadline=None,
        max_examples=200 if config.getoption("long") else 50,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("patient")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Let the garbage collector never look at modules and tests, which stay."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Print each promise with the tests that show it."""
    if not session.config.getoption("promises"):
        return
    shown: dict[str, dict[str, None]] = {}
    for item in session.items:
        for marker in item.iter_markers("promise"):
            shown.setdefault(marker.args[0], {})[item.nodeid.partition("[")[0]] = None
    lines = [f"{what}\n    " + "\n    ".join(tests) for what, tests in shown.items()]
    session.config.get_terminal_writer().line("\n".join(lines))
    pytest.exit("promises printed", returncode=0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that tests of faults have noted in other processes."""
    figures = [
        (report.nodeid, figure)
        for report in terminalreporter.stats.get("passed", ())
        for name, figure in report.user_properties
        if name == FIGURE and report.when == "call"
    ]
    if figures:
        terminalreporter.section("figures")
    for nodeid, figure in figures:
        terminalreporter.line(f"{nodeid.rpartition('::')[2]}: {figure}")


@pytest.fixture(scope="session")
def long(request: pytest.FixtureRequest) -> bool:
    """Whether the long form is wanted."""
    return bool(request.config.getoption("--long"))


@contextmanager
def quick_directory() -> Iterator[Path]:
    """A directory in memory where there is room: a new database writes its thirty files faster."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > ROOM_IN_MEMORY
    with tempfile.TemporaryDirectory(
        prefix="zepstore-tests-", dir=memory if roomy else None, ignore_cleanup_errors=True
    ) as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def mongo_url() -> Iterator[str]:
    """A standalone mongod, or what ``$ZEPSTORE_TEST_URL`` points to."""
    if url := os.environ.get(TEST_URL_VARIABLE):
        yield url
        return
    with quick_directory() as directory:
        mongod = Mongod(directory).start()
        yield mongod.url
        mongod.stop()


@pytest.fixture(scope="session")
def replica_set_url() -> Iterator[str]:
    """A replica set of one."""
    with quick_directory() as directory:
        mongod = Mongod(directory, replica_set="rs0").start()
        mongod.initiate()
        yield f"mongodb://{mongod.address}/?replicaSet=rs0"
        mongod.stop()


@pytest.fixture(scope="session")
def embedded_url() -> Iterator[str]:
    """An embedded server on a directory of its own, which stays between tests."""
    with quick_directory() as directory:
        server = EmbeddedServer(directory / "embedded")
        server.open()
        yield f"embedded://{server.directory}"
        server.close()
        stopped(directory)


@pytest.fixture(scope="session")
def server_url(mongo_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server on the standalone mongod; the name of a database comes behind it."""
    served = Served(mongo_url, tmp_path_factory.mktemp("server"))
    yield served.url
    served.stop()


@pytest.fixture
def session_id() -> str:
    """A session id that nobody has used."""
    return f"session {uuid4()}"


@pytest.fixture
def user_id() -> str:
    """A user id that nobody has used."""
    return f"user {uuid4()}"


@pytest.fixture
def database_name(mongo_url: str) -> Iterator[str]:
    """An empty database of the test's own, on the standalone mongod; it may have its indexes."""
    name = databases.take(mongo_url)
    yield name
    databases.give_back(mongo_url, name)


@pytest.fixture
def new_database(mongo_url: str) -> Iterator[str]:
    """The name of a database that there has never been, on the standalone mongod."""
    name = f"test_{uuid4().hex}"
    yield name
    databases.driver(mongo_url).drop_database(name)


@pytest.fixture
def client(mongo_url: str) -> Iterator[ZepClient]:
    """A client on the standalone mongod, in the database that tests share."""
    with ZepClient(mongo_url) as client:
        yield client


@pytest.fixture
def locomo_directory() -> Path | None:
    """Real conversations, where they are at hand."""
    directory = Path(__file__).parents[2] / "shared" / "data" / "locomo"
    return directory if directory.is_dir() else None
