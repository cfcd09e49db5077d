"""``zepstore serve``, as a user runs it: on the embedded server, on MongoDB, until told to stop."""

import re
import signal
import socket
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import httpx
import psutil
import pytest

from langchain_zepstore import BadRequestError, Memory, Message, ZepClient
from tests.support.commands import ran, serving
from tests.support.mongod import Mongod, lasting_port

METRICS = "PROMETHEUS_MULTIPROC_DIR"
SAID = Memory(messages=[Message(role="user", content="hello")])


def tree(pid: int) -> list[psutil.Process]:
    """A process and what it has started."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


@pytest.mark.promise("without a URL it is a whole Zep in one process tree")
def test_without_a_url_it_is_a_whole_zep_in_one_process_tree(tmp_path: Path) -> None:
    environment = {"XDG_DATA_HOME": str(tmp_path), "ZEPSTORE_URL": ""}
    with serving(environment=environment) as server:
        assert httpx.get(f"{server.url}/healthz").text == "."
        assert httpx.get(f"{server.url}/readyz").text == "ready"
        with ZepClient(server.url) as client:
            client.memory.add_memory("a session", SAID)
        family = tree(server.process.pid)
        assert server.stop() in (0, -signal.SIGTERM)
        _, alive = psutil.wait_procs(family, timeout=30)
        assert alive == []
        assert "Traceback" not in server.log
    with serving(environment=environment) as server, ZepClient(server.url) as client:
        assert client.memory.get_memory("a session").messages[0].content == "hello"


@pytest.mark.promise("it ends when told to; several processes share the address")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "told"])
def test_it_ends_without_a_word_of_trouble(mongo_url: str, number: signal.Signals) -> None:
    with serving("--url", mongo_url, "--database", "command") as server:
        with ZepClient(server.url) as client:
            client.memory.add_memory("ends", SAID)
            begun = time.monotonic()
            status = server.stop(number)
        assert time.monotonic() - begun < 60
        assert status in (0, 130, -number)
        assert "Traceback" not in server.log, server.log


@pytest.mark.promise("what a document holds passes over HTTP; --max-body sets another limit")
def test_the_limit_of_a_body_is_an_option(mongo_url: str) -> None:
    options = ("--url", mongo_url, "--database", "command", "--max-body", "1000")
    with serving(*options) as server, ZepClient(server.url) as client:
        client.memory.add_memory("limited", SAID)
        with pytest.raises(BadRequestError, match="larger than 1,000 bytes"):
            client.memory.add_memory(
                "limited", Memory(messages=[Message(role="user", content="x" * 1000)])
            )


@pytest.mark.promise("serve says at once whether it reaches its database, and when it does later")
def test_it_says_whether_it_reaches_its_database(tmp_path: Path) -> None:
    mongod = Mongod(tmp_path, port=lasting_port())
    address = mongod.url.partition("?")[0]
    with serving("--url", mongod.url, "--timeout", "5") as server:
        server.wait_for(f"{address} is not reachable yet")
        assert httpx.get(f"{server.url}/readyz").status_code == 503
        mongod.start()
        try:
            server.wait_for(f"{address} is reachable")
            assert httpx.get(f"{server.url}/readyz").text == "ready"
        finally:
            server.stop()
            mongod.stop()


def test_its_root_says_what_it_is_without_a_key(mongo_url: str) -> None:
    environment = {"ZEPSTORE_API_KEYS": "a-key"}
    with serving("--url", mongo_url, environment=environment) as server:
        answer = httpx.get(server.url)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain")
        assert "/docs" in answer.text


@pytest.mark.promise("it ends when told to; several processes share the address")
def test_two_workers_share_the_address(mongo_url: str) -> None:
    with serving("--url", mongo_url, "--database", "workers", "--workers", "2") as server:
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


@pytest.mark.promise("what it cannot do, it says in one line")
def test_a_port_that_is_taken_is_told(mongo_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = ran("serve", "--url", mongo_url, "--port", port)
    assert done.returncode != 0
    assert "address already in use" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.promise("what it cannot do, it says in one line")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--url", "nonsense://x"], "scheme"),
        (["--host", "0.0.0.0"], "--insecure"),
        (["--host", "::"], "--insecure"),
        (["--api-keys", "/nowhere/keys.json"], "cannot read the API keys"),
        (["--timeout", "0"], "timeout"),
    ],
    ids=str,
)
def test_what_cannot_be_served_is_told_in_one_line(options, words, monkeypatch) -> None:
    monkeypatch.delenv("ZEPSTORE_API_KEYS", raising=False)
    done = ran("serve", "--port", "0", *options)
    assert done.returncode == 1
    assert done.stderr.startswith("zepstore: ")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.promise("what it cannot do, it says in one line")
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


def test_it_says_its_version_and_what_it_can_do() -> None:
    assert ran("--version").stdout.strip() == version("langchain-zepstore")
    assert "serve" in ran("--help").stdout
    assert ran().returncode == 2


def test_it_searches_by_meaning_with_embeddings_of_ones_own(mongo_url: str, tmp_path: Path) -> None:
    module = tmp_path / "my_embeddings.py"
    module.write_text(
        "from langchain_core.embeddings import DeterministicFakeEmbedding\n"
        "def embeddings():\n    return DeterministicFakeEmbedding(size=8)\n"
        "ready = embeddings()\n"
    )
    environment = {"PYTHONPATH": str(tmp_path)}
    for name in ("my_embeddings:embeddings", "my_embeddings:ready"):
        options = ("--url", mongo_url, "--database", "meant", "--embeddings", name)
        with (
            serving(*options, "--language", "german", environment=environment) as server,
            ZepClient(server.url) as client,
        ):
            client.memory.add_memory(name, SAID)
            [found] = client.memory.search("hello", session_id=name, search_type="similarity")
            assert found.score == pytest.approx(1)


@pytest.mark.parametrize("name", ["nowhere:x", "json:nothing", "json", ":", "json:dumps"])
def test_what_are_no_embeddings_is_one_line_and_status_1(mongo_url: str, name: str) -> None:
    done = ran("serve", "--url", mongo_url, "--port", "0", "--embeddings", name)
    assert done.returncode == 1
    assert done.stderr.startswith("zepstore: ")
    assert len(done.stderr.splitlines()) == 1
