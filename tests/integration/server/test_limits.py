"""The server's limits: large and slow requests, many connections, a lost store, its shutdown.

The server ``hasty`` has a time limit of two seconds instead of thirty.
"""

import asyncio
import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.client import HTTPResponse
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from pymongo import MongoClient

from langchain_zepstore import Memory, Message, ZepClient, ZepStoreError
from langchain_zepstore.messages.wire import EXACT
from langchain_zepstore.server import create_app
from langchain_zepstore.server.asgi.limits import Limits
from tests.support.mongod import Mongod, lasting_port
from tests.support.raw_http import Pouring, Serve, answers, ask, note, request, serve, to_json

LIMIT = 5 * 1024 * 1024
EXACT_LIMIT = 17 * 1024 * 1024
TIMEOUT = 2.0
SLOW = 60.0  # seconds that a loaded machine may take
IDLE = 1_000
ADDS = 150

Report = Callable[[str], None]


@pytest.fixture
def figure(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Report:
    return partial(note, request, capsys)


@pytest.fixture(scope="module")
def served(mongo_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    database = f"limits_{uuid4().hex}"
    options = ("--url", mongo_url, "--database", database)
    with serve(tmp_path_factory.mktemp("serve"), *options) as process:
        yield process
    with MongoClient(mongo_url) as client:
        client.drop_database(database)


@pytest.fixture(scope="module")
def hasty(mongo_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """A server with a short time limit, and a session "large" that no socket's buffers hold."""
    database = f"limits_{uuid4().hex}"
    options = ("--url", mongo_url, "--database", database)
    with ZepClient(mongo_url, database=database) as client:
        for number in range(8):
            said = [Message(role="user", content="x" * 100_000) for _ in range(50)]
            client.memory.add_memory("large", Memory(messages=said))
            assert client.message.count("large") == 50 * (number + 1)
    with serve(tmp_path_factory.mktemp("hasty"), *options, timeout=TIMEOUT) as process:
        yield process
    with MongoClient(mongo_url) as client:
        client.drop_database(database)


@pytest.fixture(autouse=True)
def still_serves(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each of these tests its server answers, and nothing has gone wrong inside."""
    yield
    for name in ("served", "hasty"):
        if name in request.fixturenames:
            process: Serve = request.getfixturevalue(name)
            assert process.ask(get("/healthz"))[0].body == b"."


def read_dot(connection: socket.socket) -> None:
    """Read the answer to a request for the server's health."""
    received = b""
    while not received.endswith(b"\r\n\r\n."):
        part = connection.recv(1000)
        assert part, received
        received += part


def get(path: str) -> bytes:
    return request("GET", path)


def under_way(served: Serve) -> int:
    """Return how many requests the server works on, the one that asks for it left out."""
    (answer,) = served.ask(get("/metrics"))
    found = re.search(r"^zepstore_requests_under_way (\d+)", answer.text, re.MULTILINE)
    assert found, answer
    return int(found[1]) - 1


def wait_until_idle(served: Serve) -> float:
    """Return how long it took until the server worked on nothing."""
    begun = time.monotonic()
    while number := under_way(served):
        assert time.monotonic() - begun < SLOW, f"{number} requests are under way"
        time.sleep(0.05)
    return time.monotonic() - begun


def add(size: int) -> bytes:
    """Return the body of an add that has this size."""
    empty = to_json({"messages": [{"role": "user", "content": "", "uuid": "one"}]})
    body = to_json(
        {"messages": [{"role": "user", "content": "x" * (size - len(empty)), "uuid": "one"}]}
    )
    assert len(body) == size
    return body


def chunked(path: str, body: bytes, part: int = 2**16) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    ).encode()
    parts = [body[start : start + part] for start in range(0, len(body), part)]
    return head + b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in parts) + b"0\r\n\r\n"


MEMORY = "/api/v1/sessions/limits/memory"

# Bodies.


@pytest.mark.promise("bodies, heads and paths have limits")
@pytest.mark.parametrize("form", ["with its length", "in chunks"])
@pytest.mark.parametrize(("size", "status"), [(LIMIT, 200), (LIMIT + 1, 413), (16 * 2**20, 413)])
def test_a_body_of_5_megabytes_is_accepted_and_a_larger_one_gets_a_413(
    served: Serve, form: str, size: int, status: int
) -> None:
    body = add(size)
    sent = request("POST", MEMORY, body) if form == "with its length" else chunked(MEMORY, body)
    (answer,) = served.ask(sent)
    assert answer.status == status
    if status == 413:
        assert answer.text == "the body is larger than 5,242,880 bytes\n"


@pytest.mark.promise("bodies up to a document's size pass over HTTP; --max-body sets another limit")
@pytest.mark.parametrize(
    ("size", "status"), [(LIMIT + 1, 200), (16 * 10**6, 200), (EXACT_LIMIT + 1, 413)]
)
def test_a_body_in_our_media_type_may_have_17_megabytes(
    served: Serve, size: int, status: int
) -> None:
    sent = request("POST", MEMORY, add(size), f"Content-Type: {EXACT}")
    (answer,) = served.ask(sent)
    assert answer.status == status
    if status == 413:
        assert answer.text == "the body is larger than 17,825,792 bytes\n"


@pytest.mark.promise("bodies up to a document's size pass over HTTP; --max-body sets another limit")
@pytest.mark.parametrize("media_type", ["application/json", EXACT])
async def test_the_body_limit_can_be_configured(client: ZepClient, media_type: str) -> None:
    app = create_app(client, api_keys=(), max_body_bytes=1000)
    for size, status in ((1000, 200), (1001, 413)):
        headers = [("content-type", media_type)]
        answer = await ask(app, "POST", MEMORY, add(size), headers=headers)
        assert answer.status == status


async def test_our_client_reports_that_its_body_is_too_large(served: Serve) -> None:
    async with ZepClient(served.url) as client:
        with pytest.raises(ZepStoreError, match="larger than"):
            await client.memory.aadd_memory(
                "large", Memory(messages=[Message(role="user", content="x" * 18 * 2**20)])
            )


def test_an_enormous_content_length_is_refused(served: Serve) -> None:
    for length in ("99999999999999", "9" * 18, "9" * 20, "9" * 400):
        with served.connect() as connection:
            connection.sendall(
                f"POST {MEMORY} HTTP/1.1\r\nHost: [::]\r\nContent-Length: {length}\r\n\r\n".encode()
            )
            connection.shutdown(socket.SHUT_WR)
            assert [each.status for each in answers(connection)][:1] in ([413], [400], [])


def test_a_large_body_with_expect_100_continue_gets_an_immediate_413(
    served: Serve,
) -> None:
    with served.connect() as connection:
        connection.sendall(
            f"POST {MEMORY} HTTP/1.1\r\nHost: [::]\r\nContent-Length: {LIMIT + 1}\r\n"
            "Expect: 100-continue\r\n\r\n".encode()
        )
        connection.settimeout(SLOW)
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


@pytest.mark.promise("slow clients are cut off; a thousand idle ones harm no others")
def test_an_endless_body_gets_a_408(hasty: Serve) -> None:
    with hasty.connect() as connection, hasty.connect() as dripping:
        begun = time.monotonic()
        connection.sendall(
            f"POST {MEMORY} HTTP/1.1\r\nHost: [::]\r\nContent-Length: 9\r\n\r\n{{".encode()
        )
        dripping.sendall(
            f"POST {MEMORY} HTTP/1.1\r\nHost: [::]\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        stop = threading.Event()

        def drip() -> None:
            with contextlib.suppress(OSError):
                while not stop.wait(0.1):
                    dripping.sendall(b"1\r\n \r\n")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            for each in (connection, dripping):
                answer = HTTPResponse(each)
                answer.begin()
                assert (answer.status, answer.read()) == (408, b"the body is too slow\n")
                assert TIMEOUT * 0.8 < time.monotonic() - begun < SLOW
        finally:
            stop.set()
            thread.join()


async def test_a_408_ends_after_the_body_of_its_client() -> None:
    sent: list[dict] = []

    async def app(_scope: dict, receive: Callable, _send: Callable) -> None:
        while True:
            await receive()

    async def receive() -> dict:
        if not sent:
            await asyncio.sleep(0.001)
            return {"type": "http.request", "more_body": True}
        sent.append({"received": "the end"})
        return {"type": "http.request"}

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "path": "/",
        "query_string": b"",
        "headers": [(b"content-length", b"9")],
    }
    await Limits(app, max_body=None, seconds=0.01)(scope, receive, send)
    start, *others = sent
    assert (start["type"], start["status"]) == ("http.response.start", 408)
    answer = {"type": "http.response.body", "body": b"the body is too slow\n", "more_body": True}
    assert others == [answer, {"received": "the end"}, {"type": "http.response.body"}]


def test_a_client_that_disconnects_within_its_body_leaves_no_trace(hasty: Serve) -> None:
    for how in ("closed", "reset"):
        with hasty.connect() as connection:
            connection.sendall(
                f"POST {MEMORY} HTTP/1.1\r\nHost: [::]\r\nContent-Length: 9\r\n\r\n{{".encode()
            )
            time.sleep(0.1)
            if how == "reset":
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    hasty.wait_for_connections(0, SLOW)
    wait_until_idle(hasty)
    assert "Traceback" not in hasty.log
    assert "ERROR" not in hasty.log


# Heads.

HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
LARGE_HEADS = {
    "many headers": HEAD
    + b"".join(b"X-%d: %s\r\n" % (n, b"y" * 30) for n in range(1200))
    + b"\r\n",
    "one header": HEAD + b"X-Large: " + b"y" * 40_000 + b"\r\n\r\n",
    "a header's name": HEAD + b"x" * 40_000 + b": y\r\n\r\n",
    "a path": b"GET /" + b"y" * 40_000 + b" HTTP/1.1\r\nHost: [::]\r\nConnection: close\r\n\r\n",
    "a query": b"GET /?" + b"y" * 40_000 + b" HTTP/1.1\r\nHost: [::]\r\nConnection: close\r\n\r\n",
    "unended": HEAD + b"X-Large: " + b"y" * 40_000,
    "a path, unended": b"GET /" + b"y" * 40_000,
}


@pytest.mark.promise("bodies, heads and paths have limits")
@pytest.mark.parametrize("head", LARGE_HEADS.values(), ids=LARGE_HEADS)
def test_headers_over_32_kilobytes_are_refused(served: Serve, head: bytes) -> None:
    for before in (b"", request("GET", "/healthz", close=False)):
        with served.connect() as connection:
            connection.sendall(before)
            if before:
                read_dot(connection)
            with contextlib.suppress(ConnectionError):  # closed with a part unread
                connection.sendall(head)
                (answer,) = answers(connection)
                # 400 where not all of it was there to be read.
                assert answer.status in {400, 431}


def test_headers_just_below_32_kilobytes_are_accepted(served: Serve) -> None:
    head = HEAD + b"".join(b"X-%d: %s\r\n" % (n, b"y" * 3000) for n in range(10)) + b"\r\n"
    assert served.ask(head)[0].status == 200
    # A body that comes together with its head is none.
    assert served.ask(request("POST", MEMORY, add(200_000)))[0].status == 200


ENDLESS = {
    "a header": (HEAD + b"X-Large: ", b"y" * 2**16),
    "headers": (HEAD, b"X-Large: y\r\n" * 2**12),
    "a path": (b"GET /", b"y" * 2**16),
    "blank lines": (b"", b"\r\n" * 2**15),
    "a chunk's extension": (
        b"POST /api/v1/sessions HTTP/1.1\r\nHost: [::]\r\nTransfer-Encoding: chunked\r\n\r\n1;",
        b"y" * 2**16,
    ),
    "a trailer": (
        b"POST /api/v1/sessions HTTP/1.1\r\nHost: [::]\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX",
        b"y" * 2**16,
    ),
    "trailers": (
        b"POST /api/v1/sessions HTTP/1.1\r\nHost: [::]\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        b"X-Large: y\r\n" * 2**12,
    ),
}


@pytest.mark.promise("bodies, heads and paths have limits")
@pytest.mark.parametrize(("begin", "part"), ENDLESS.values(), ids=ENDLESS)
def test_endless_requests_are_cut_off_and_not_buffered(
    hasty: Serve, begin: bytes, part: bytes, figure: Report, request: pytest.FixtureRequest
) -> None:
    before, most = hasty.megabytes, 0.0
    with hasty.connect() as connection:
        connection.sendall(begin)
        pouring = Pouring(connection, part)
        begun = time.monotonic()
        while pouring.is_alive() and time.monotonic() - begun < SLOW:
            most = max(most, hasty.megabytes - before)
            pouring.join(0.02)
        assert not pouring.is_alive()
    figure(f"{pouring.sent / 2**20:.1f} MB sent, {most:.1f} MB kept at most")
    assert most < 16


# Readers.


@pytest.mark.promise("slow clients are cut off; a thousand idle ones harm no others")
def test_a_response_that_is_never_read_is_abandoned(hasty: Serve, figure: Report) -> None:
    paths = ("messages.ndjson", "messages.ndjson?limit=400", "memory", "messages?limit=400")
    with contextlib.ExitStack() as opened:
        for path in paths:
            connection = opened.enter_context(hasty.connect())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**14)
            connection.sendall(get(f"/api/v1/sessions/large/{path}"))
        begun = time.monotonic()
        while under_way(hasty) < len(paths):
            assert time.monotonic() - begun < SLOW
        seconds = wait_until_idle(hasty)
    figure(f"given up after {seconds:.1f} s")


def test_a_slow_reader_receives_everything(hasty: Serve) -> None:
    with hasty.connect() as connection:
        connection.sendall(get("/api/v1/sessions/large/messages.ndjson"))
        received, begun = bytearray(), time.monotonic()
        while part := connection.recv(2**17):
            received += part
            time.sleep(0.05 if time.monotonic() - begun < 2 * TIMEOUT else 0)
        assert time.monotonic() - begun > TIMEOUT * 1.5
    assert received.count(b'"uuid"') == 400
    assert received.endswith(b"0\r\n\r\n")


# Many.


@pytest.mark.promise("slow clients are cut off; a thousand idle ones harm no others")
def test_a_thousand_idle_connections_do_not_block_others(served: Serve, figure: Report) -> None:
    path = "/api/v1/sessions/limits/messages?limit=1"
    served.ask(get(path))
    before = served.megabytes
    with contextlib.ExitStack() as opened, httpx.Client(base_url=served.url) as client:
        idle = [opened.enter_context(served.connect()) for _ in range(IDLE)]
        for each in idle[: IDLE // 2]:
            each.sendall(request("GET", "/healthz", close=False))
        for each in idle[IDLE // 2 :]:
            each.sendall(b"GET /healthz HTTP/1.1\r\nHost:")
        for each in idle[: IDLE // 2]:
            read_dot(each)
        deadline = time.monotonic() + SLOW
        while served.connections < IDLE:
            assert time.monotonic() < deadline, served.connections
            time.sleep(0.02)
        times = []
        for number in range(100):
            begun = time.perf_counter()
            body = {"messages": [{"role": "user", "content": str(number)}]}
            assert client.post("/api/v1/sessions/busy/memory", json=body).status_code == 200
            assert client.get(path).status_code == 200
            times.append(time.perf_counter() - begun)
        grown = served.megabytes - before
        assert served.connections >= IDLE
    median = sorted(times)[50] * 1000
    figure(
        f"{IDLE} idle connections take {grown:.1f} MB ({before:.0f} MB before); "
        f"an add and a read {median:.1f} ms (median)"
    )
    assert grown < 50
    assert median < 500


# A store that is gone.


@pytest.mark.promise("no response shows internal errors")
def test_every_response_without_mongod_is_503_and_reveals_nothing(tmp_path: Path) -> None:
    mongod = Mongod(tmp_path, port=lasting_port()).start()
    options = ("--url", mongod.url, "--timeout", "1")
    try:
        with serve(tmp_path / "serve", *options) as served:
            body = to_json({"messages": [{"role": "user", "content": "unheard", "uuid": "one"}]})
            asked = [
                request("POST", MEMORY, body),
                get(MEMORY),
                get("/api/v1/sessions"),
                get("/api/v1/sessions/x/messages.ndjson"),
                request("PATCH", "/api/v1/sessions/x", b"{}"),
                request("DELETE", MEMORY),
                request("POST", "/api/v1/purge", b"{}"),
                get("/api/v1/user/x"),
                get("/readyz"),
            ]
            assert served.ask(asked[0])[0].status == 200
            mongod.stop()
            with ThreadPoolExecutor(len(asked)) as threads:
                found = list(threads.map(served.ask, asked))
            for (answer,), each in zip(found, asked, strict=True):
                # A stream has begun with its status before the store is asked.
                is_stream = b"ndjson" in each
                assert answer.status == 503 or is_stream, (each, answer)
                assert answer.text == "the store cannot be reached\n", (each, answer)
                if b"readyz" not in each:
                    assert answer.headers["retry-after"] == "1"
            assert served.ask(get("/healthz"))[0].status == 200
            assert "unheard" not in served.log
            assert "Traceback" not in served.log, served.log
            mongod.start()
            assert served.ask(get(MEMORY))[0].data["messages"][0]["uuid"] == "one"
            assert served.ask(get("/readyz"))[0].status == 200
    finally:
        mongod.stop()


async def test_requests_to_an_unresponsive_store_get_a_503(mongo_url: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"mongodb://127.0.0.1:{silent.getsockname()[1]}"
        async with ZepClient(url, timeout=2) as client:
            app = create_app(client, api_keys=(), timeout=0.5)
            begun = time.monotonic()
            answer = await ask(app, "GET", "/api/v1/sessions")
            assert (answer.status, answer.text) == (503, "the answer took too long\n")
            assert time.monotonic() - begun < SLOW  # the driver's call is waited for


# The end.


@pytest.mark.promise("on SIGTERM under load it loses no acknowledged write")
def test_a_shutdown_under_load_loses_no_acknowledged_add(
    mongo_url: str, database_name: str, tmp_path: Path, figure: Report
) -> None:
    acknowledged: list[str] = []
    broken: list[str] = []
    statuses: set[int] = set()
    with serve(tmp_path, "--url", mongo_url, "--database", database_name) as served:

        def write(writer: int) -> None:
            with httpx.Client(base_url=served.url, timeout=SLOW) as client:
                for number in range(10_000):
                    uuid = f"{writer}-{number}"
                    body = {"messages": [{"role": "user", "content": uuid, "uuid": uuid}]}
                    try:
                        answer = client.post(f"/api/v1/sessions/w{writer}/memory", json=body)
                    except httpx.ConnectError:
                        return
                    except httpx.HTTPError as error:
                        broken.append(f"{uuid}: {error!r}")
                        return
                    statuses.add(answer.status_code)
                    if answer.status_code == 200:
                        acknowledged.append(uuid)

        with ThreadPoolExecutor(16) as threads:
            writers = [threads.submit(write, writer) for writer in range(16)]
            begun = time.monotonic()
            while len(acknowledged) < ADDS:
                assert time.monotonic() - begun < SLOW, (broken, statuses)
                time.sleep(0.01)
            begun = time.monotonic()
            status = served.stop()
            seconds = time.monotonic() - begun
            for each in writers:
                each.result()
        log = served.log
    with MongoClient(mongo_url) as client:
        found = {each["uuid"] for each in client[database_name].messages.find()}
    figure(
        f"{len(acknowledged)} adds acknowledged, {len(broken)} connections ended without an answer,"
        f" status {status} after {seconds:.2f} s"
    )
    assert len(acknowledged) >= ADDS
    assert set(acknowledged) <= found
    assert statuses == {200}
    assert status in {0, -15}
    assert seconds < 30  # the time that requests in flight have
    assert "Traceback" not in log
    assert "ERROR" not in log
    # A request that had begun was answered: nothing else is stored but what was acknowledged.
    assert found <= set(acknowledged), broken


def test_a_shutdown_does_not_wait_forever_for_idle_clients(
    mongo_url: str, database_name: str, tmp_path: Path
) -> None:
    with ZepClient(mongo_url, database=database_name) as client:
        for _ in range(4):
            said = [Message(role="user", content="x" * 100_000) for _ in range(50)]
            client.memory.add_memory("large", Memory(messages=said))
    options = ("--url", mongo_url, "--database", database_name)
    with serve(tmp_path, *options, timeout=TIMEOUT) as served, contextlib.ExitStack() as opened:
        for sent in (
            get("/api/v1/sessions/large/messages.ndjson"),
            get("/api/v1/sessions/large/memory"),
            b"GET /healthz HTTP",
            f"POST {MEMORY} HTTP/1.1\r\nHost: [::]\r\nContent-Length: 9\r\n\r\n{{".encode(),
        ):
            connection = opened.enter_context(served.connect())
            connection.sendall(sent)
        time.sleep(0.3)
        begun = time.monotonic()
        assert served.stop() in {0, -15}
        assert time.monotonic() - begun < SLOW
        assert "Traceback" not in served.log
