"""``zepstore serve``, as a user runs it: on the embedded server, on MongoDB, until told to stop."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from langchain_zepstore import BadRequestError, Memory, Message, ZepClient
from langchain_zepstore.cli.main import main
from langchain_zepstore.server.run import Serving
from tests.support.commands import ran, serving
from tests.support.mongod import Mongod, lasting_port

METRICS = "PROMETHEUS_MULTIPROC_DIR"
SAID = Memory(messages=[Message(role="user", content="hello")])


def tree(pid: int) -> list[psutil.Process]:
    """A process and what it has started."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


@pytest.mark.promise("without a URL it is a whole Zep in one process tree")
def test_the_server_without_a_url_runs_an_embedded_mongod(tmp_path: Path) -> None:
    environment = {"XDG_DATA_HOME": str(tmp_path), "ZEPSTORE_URL": ""}
    with serving(environment=environment, start=subprocess.Popen) as server:
        assert httpx.get(f"{server.url}/healthz").text == "."
        assert httpx.get(f"{server.url}/readyz").text == "ready"
        with ZepClient(server.url) as client:
            client.memory.add_memory("a session", SAID)
        family = tree(server.process.pid)
        assert server.stop() in (0, -signal.SIGTERM)
        _, alive = psutil.wait_procs(family, timeout=30)
        assert alive == []
        assert "Traceback" not in server.log
    with ZepClient(f"embedded://{tmp_path / 'zepstore'}") as client:
        assert client.memory.get_memory("a session").messages[0].content == "hello"


@pytest.mark.promise("it ends on a signal; processes share the address")
@pytest.mark.promise("serve prints its address, database, keys and documentation")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_the_server_logs_its_settings_and_stops_cleanly(
    mongo_url: str, number: signal.Signals
) -> None:
    options = ("--url", mongo_url, "--database", "command", "--max-body", "1000")
    with serving(*options) as server:
        with ZepClient(server.url) as client:
            client.memory.add_memory("ends", SAID)
            with pytest.raises(BadRequestError, match="larger than 1,000 bytes"):
                client.memory.add_memory(
                    "ends", Memory(messages=[Message(role="user", content="x" * 1000)])
                )
            status = server.stop(number)
        first = [line.split(maxsplit=1) for line in server.log.splitlines()[:6]]
        said = dict(first)
        assert said["zepstore"].endswith(f"running on {server.url}")
        assert said["store"] == f"{mongo_url.partition('?')[0]}: it answers"
        assert said["keys"].startswith("none: whoever reaches this address may read and change")
        for name, path in (("page", "/ui"), ("docs", "/docs"), ("metrics", "/metrics")):
            assert said[name] == f"{server.url}{path}"
        assert status in (0, 130, -number)
        assert "Traceback" not in server.log, server.log


@pytest.mark.promise("serve says at once whether it reaches its database, and when it does later")
def test_the_server_logs_whether_its_database_is_reachable(tmp_path: Path) -> None:
    mongod = Mongod(tmp_path, port=lasting_port())
    address = mongod.url.partition("?")[0]
    with serving("--url", mongod.url, "--timeout", "1") as server:
        server.wait_for(f"{address} is not reachable yet")
        assert httpx.get(f"{server.url}/readyz").status_code == 503
        mongod.start()
        try:
            server.wait_for(f"{address} is reachable")
            assert httpx.get(f"{server.url}/readyz").text == "ready"
        finally:
            server.stop()
            mongod.stop()


def in_process(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost")


async def test_the_root_redirects_to_the_ui_without_a_key(mongo_url: str, monkeypatch) -> None:
    monkeypatch.setenv("ZEPSTORE_API_KEYS", "a-key")
    async with in_process(Serving(url=mongo_url).app()) as http:
        answer = await http.get("/")
        assert (answer.status_code, answer.headers["location"]) == (307, "/ui")
        assert (await http.get("/api/v1/sessions")).status_code == 401


@pytest.mark.promise("it ends on a signal; processes share the address")
def test_two_workers_share_one_address(mongo_url: str) -> None:
    options = ("--url", mongo_url, "--database", "workers", "--workers", "2")
    with serving(*options) as server:
        server.wait_for("Application startup complete", times=2)
        with ZepClient(server.url) as client:
            for _ in range(20):
                client.memory.add_memory("workers", SAID)
            assert client.message.count("workers") == 20
        assert posts(server.url) == 20
        directory = Path(worker(server.process.pid).environ()[METRICS])
        worker(server.process.pid).kill()  # another one is started
        server.wait_for("died")
        assert posts(server.url) == 20, "what a dead worker counted is lost"
        family = tree(server.process.pid)
        server.stop()
        assert psutil.wait_procs(family, timeout=30)[1] == []
        assert not directory.exists()


def posts(url: str) -> int:
    """How many messages' additions all workers have counted, whichever answers."""
    metrics = httpx.get(f"{url}/metrics", timeout=60).text
    assert re.search(r"^zepstore_requests_under_way 1.0$", metrics, re.MULTILINE), metrics
    counted = re.findall(r'seconds_count{method="POST",.*} ([\d.]+)', metrics)
    return int(sum(map(float, counted)))


def worker(pid: int) -> psutil.Process:
    """The worker of a server that answers next to nothing: the last one started."""
    return psutil.Process(pid).children()[-1]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], monkeypatch) -> Callable[..., str]:
    """Return the one line that it says when it cannot serve."""
    monkeypatch.delenv("ZEPSTORE_API_KEYS", raising=False)

    def refused(*options: str) -> str:
        assert main(["serve", *options]) == 1
        [line] = capsys.readouterr().err.splitlines()
        assert line.startswith("zepstore: ")
        return line

    return refused


@pytest.mark.promise("unsupported requests fail with one line")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_in_use_is_reported(mongo_url: str, refused, host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as taken:
        port = str(taken.getsockname()[1])
        line = refused("--url", mongo_url, "--host", host, "--port", port)
    assert f"cannot listen on {host}, port {port}: address already in use" in line


@pytest.mark.promise("unsupported requests fail with one line")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--url", "nonsense://x"], "scheme"),
        (["--host", "0.0.0.0"], "--insecure"),
        (["--host", "::"], "--insecure"),
        (["--api-keys", "/nowhere/keys.json"], "cannot read the API keys"),
        (["--timeout", "0"], "timeout"),
        *(
            (["--embeddings", name], "there are no embeddings")
            for name in ("nowhere:x", "json:nothing", "json", ":")
        ),
        (["--embeddings", "json:dumps"], "there are no embeddings"),
    ],
    ids=str,
)
def test_invalid_settings_are_reported_in_one_line(refused, options, words) -> None:
    assert words in refused("--port", "0", *options)


@pytest.mark.promise("unsupported requests fail with one line")
def test_a_missing_extra_names_its_pip_command() -> None:
    code = (
        "import sys; sys.modules['fastapi'] = None\n"
        "from langchain_zepstore.cli.main import main; sys.exit(main(['serve']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 1
    assert 'pip install "langchain-zepstore[server]"' in done.stderr
    assert "Traceback" not in done.stderr


def test_the_version_option_prints_the_version() -> None:
    assert ran("--version").stdout.strip() == version("langchain-zepstore")


async def test_the_server_searches_with_custom_embeddings(
    mongo_url: str, database_name: str, tmp_path: Path, monkeypatch
) -> None:
    (tmp_path / "my_embeddings.py").write_text(
        "from langchain_core.embeddings import DeterministicFakeEmbedding\n"
        "def embeddings():\n    return DeterministicFakeEmbedding(size=8)\n"
        "ready = embeddings()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("my_embeddings:embeddings", "my_embeddings:ready"):
        serving = Serving(url=mongo_url, database=database_name, embeddings=name, language="german")
        async with (
            in_process(serving.app()) as http,
            ZepClient("http://localhost", async_client=http) as client,
        ):
            await client.memory.aadd_memory(name, SAID)
            [found] = await client.memory.asearch(
                "hello", session_id=name, search_type="similarity"
            )
            assert found.score == pytest.approx(1)
