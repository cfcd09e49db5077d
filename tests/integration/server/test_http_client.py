"""The client of a server: what it does when the server is slow, away, busy, or something else."""

import asyncio
import contextlib
import importlib
import json
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from langchain_zepstore import (
    AlreadyExistsError,
    APIError,
    AuthError,
    BadRequestError,
    Memory,
    Message,
    NotFoundError,
    Session,
    StoreUnavailableError,
    ZepChatMessageHistory,
    ZepClient,
)
from langchain_zepstore.messages.wire import EXACT
from tests.support.facade import Facade
from tests.support.mongod import free_port

TIMEOUT = 2.0
SAID = Memory(messages=[Message(role="user", content="hello")])
EMPTY = {"messages": [], "summary": None}


class Script:
    """A server that answers as it is told, request by request; then it answers ``then``.

    Attributes:
        url: Where it is.
        asked: The requests that came: method, path and body.
    """

    def __init__(self, *answers: Any, then: Any = (200, {}, b"{}")) -> None:
        self.asked: list[tuple[str, str, bytes]] = []
        self._answers = list(answers)
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                script.asked.append((self.command, self.path, body))
                answer = script._answers.pop(0) if script._answers else then
                if answer == "cut":
                    self.close_connection = True
                    return
                if answer == "hang":
                    time.sleep(TIMEOUT * 2)
                    self.close_connection = True
                    return
                status, headers, content = answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - names of the library

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def script() -> Iterator[Callable[..., Script]]:
    with contextlib.ExitStack() as stack:

        def scripted(*answers: Any, **options: Any) -> Script:
            made = Script(*answers, **options)
            stack.callback(made.stop)
            return made

        yield scripted


@contextlib.asynccontextmanager
async def connected(url: str, *, asynchronous: bool, **options: Any):
    options.setdefault("timeout", TIMEOUT)
    async with ZepClient(url, **options) as client:
        yield Facade(client, asynchronous=asynchronous)


pytestmark = pytest.mark.turns("asynchronous")
both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


def answer(value: Any, status: int = 200) -> tuple[int, dict[str, str], bytes]:
    return status, {"content-type": "application/json"}, json.dumps(value).encode()


def failure(status: int, text: str = "no", **headers: str) -> tuple[int, dict[str, str], bytes]:
    return status, {name.replace("_", "-"): v for name, v in headers.items()}, text.encode()


@pytest.mark.promise("errors are ours")
@both
async def test_an_unreachable_server_is_reported_with_advice(asynchronous) -> None:
    importlib.import_module("langchain_zepstore.http.backend")  # takes long on a busy machine
    async with connected(f"http://127.0.0.1:{free_port()}", asynchronous=asynchronous) as zep:
        start = time.monotonic()
        with pytest.raises(StoreUnavailableError, match="zepstore serve"):
            await zep.memory.get_memory("s")
        assert time.monotonic() - start < TIMEOUT + 30


@both
async def test_a_server_that_does_not_respond_times_out(asynchronous, script) -> None:
    server = script(then="hang")
    async with connected(server.url, asynchronous=asynchronous) as zep:
        start = time.monotonic()
        with pytest.raises(StoreUnavailableError, match="in time"):
            await zep.memory.get_memory("s")
        assert TIMEOUT <= time.monotonic() - start < TIMEOUT + 30
    assert len(server.asked) == 1


@pytest.mark.promise("harmless calls are retried, other failures raised")
@both
async def test_the_client_waits_for_a_starting_server(asynchronous, script) -> None:
    busy = failure(503, "starting")
    server = script(busy, busy, answer(EMPTY))
    async with connected(server.url, asynchronous=asynchronous) as zep:
        assert await zep.memory.get_memory("s") == Memory()
    assert len(server.asked) == 3


@pytest.mark.promise("harmless calls are retried, other failures raised")
@both
async def test_an_add_with_a_lost_response_is_retried_with_the_same_ids(
    asynchronous, script
) -> None:
    server = script("cut", failure(502), then=(200, {}, b"OK"))
    async with connected(server.url, asynchronous=asynchronous) as zep:
        assert await zep.memory.add_memory("s", SAID) == "OK"
    bodies = [json.loads(body) for _, _, body in server.asked]
    assert len(bodies) == 3
    assert bodies[0] == bodies[1] == bodies[2]
    assert bodies[0]["messages"][0]["uuid"]


@pytest.mark.promise("harmless calls are retried, other failures raised")
@both
@pytest.mark.parametrize("lost", ["cut", failure(503)], ids=["lost", "busy"])
async def test_requests_that_are_not_idempotent_are_not_retried(asynchronous, lost, script) -> None:
    calls = {
        "add_session": Session(session_id="s"),
        "delete_memory": "s",
        "undelete_session": "s",
    }
    for name, argument in calls.items():
        server = script(lost)
        async with connected(server.url, asynchronous=asynchronous) as zep:
            with pytest.raises(StoreUnavailableError):
                await getattr(zep.memory, name)(argument)
        assert len(server.asked) == 1, name


@both
async def test_retries_are_limited(asynchronous, script) -> None:
    server = script(then=failure(503, "busy"))
    async with connected(server.url, asynchronous=asynchronous) as zep:
        with pytest.raises(StoreUnavailableError, match="503: busy"):
            await zep.memory.get_memory("s")
    assert 2 <= len(server.asked) <= 5


FAILURES = [
    (failure(400, "wrong"), BadRequestError, "^wrong$"),
    (failure(400, "session already exists"), AlreadyExistsError, "exists"),
    (failure(400, "x", x_zepstore_error="AlreadyExistsError"), AlreadyExistsError, "x"),
    (failure(401), AuthError, "api_key"),
    (failure(403), AuthError, "api_key"),
    (failure(404, "none such"), NotFoundError, "none such"),
    (failure(413, "too much"), BadRequestError, "too much"),
    (failure(429), StoreUnavailableError, "429"),
    (failure(500), APIError, "500"),
    (failure(302, location="/elsewhere"), APIError, "302"),
    (failure(418), APIError, "418"),
    (failure(400, "x", x_zepstore_error="SystemExit"), BadRequestError, "x"),
]


@pytest.mark.promise("errors are ours")
@both
@pytest.mark.parametrize(("said", "kind", "words"), FAILURES, ids=lambda value: str(value)[:40])
async def test_a_status_code_becomes_our_error(asynchronous, script, said, kind, words) -> None:
    server = script(then=said)
    async with connected(server.url, asynchronous=asynchronous) as zep:
        with pytest.raises(kind, match=words) as caught:
            await zep.memory.get_session("s")
    assert type(caught.value) is kind


NONSENSE = [
    (200, {}, b"<html>a proxy's page</html>"),
    (200, {}, b""),
    answer([]),
    answer({"session_id": 5}),
    answer({"session_id": "s", "created_at": "yesterday"}),
    (200, {"content-encoding": "gzip"}, b"no gzip"),
    (200, {"content-type": EXACT}, b'{"session_id": "s", "metadata": {"$bytes": 5}}'),
]


@pytest.mark.promise("errors are ours")
@both
@pytest.mark.parametrize("said", NONSENSE, ids=lambda said: repr(said[2][:30]))
async def test_an_invalid_response_is_an_api_error(asynchronous, script, said) -> None:
    async with connected(script(then=said).url, asynchronous=asynchronous) as zep:
        with pytest.raises(APIError):
            await zep.memory.get_session("s")


@both
async def test_responses_of_a_zep_server_are_read(asynchronous, script) -> None:
    zero = "00000000-0000-0000-0000-000000000000"
    message = {
        "uuid": zero, "created_at": "2024-01-01T00:00:00.123456789Z", "updated_at": None,
        "role": "ai", "content": "hi", "metadata": {"$bytes": "as it is"}, "token_count": 3,
        "role_type": "assistant",
    }  # fmt: skip
    summary = {
        "uuid": zero, "created_at": "0001-01-01T00:00:00Z", "content": "",
        "recent_message_uuid": zero, "token_count": 0,
    }  # fmt: skip
    server = script(answer({"messages": [message], "summary": summary}), answer(None))
    async with connected(server.url, asynchronous=asynchronous, api_key="z") as zep:
        memory = await zep.memory.get_memory("s")
        assert memory.summary is None
        assert memory.messages[0].metadata == {"$bytes": "as it is"}
        assert await zep.memory.list_sessions() == []


ROLE = {"role": "user", "content": ""}
ODD = [
    ("search", {"text": "x", "session_id": "s"}, [{"message": ROLE, "score": "much"}]),
    ("search", {"text": "x", "session_id": "s"}, [{"message": 5}]),
    ("search", {"text": "x", "session_id": "s"}, {"message": None}),
    ("recent_sessions", {}, {"sessions": [], "next_cursor": 5}),
]  # fmt: skip


@both
@pytest.mark.parametrize(("name", "options", "said"), ODD, ids=range(4))
async def test_invalid_values_in_a_response_are_an_api_error(
    asynchronous, script, name, options, said
) -> None:
    async with connected(script(then=answer(said)).url, asynchronous=asynchronous) as zep:
        with pytest.raises(APIError):
            await getattr(zep.memory, name)(**options)


@both
@pytest.mark.parametrize("count", [-1, "5", None, True], ids=repr)
async def test_an_invalid_count_is_an_api_error(asynchronous, script, count) -> None:
    said = answer({"total_count": count, "messages": count, "sessions": 0, "users": 0})
    async with connected(script(then=said).url, asynchronous=asynchronous) as zep:
        for call in (zep.message.count("s"), zep.purge()):
            with pytest.raises(APIError):
                await call


def test_using_a_client_closed_by_its_owner_is_reported() -> None:
    with httpx.Client() as passed, ZepClient("http://h", client=passed) as client:
        passed.close()
        with pytest.raises(BadRequestError, match="any more"):
            client.memory.get_memory("s")


async def test_using_an_async_client_closed_by_its_owner_is_reported() -> None:
    async with httpx.AsyncClient() as apassed:
        await apassed.aclose()
        async with ZepClient("http://h", async_client=apassed) as client:
            with pytest.raises(BadRequestError, match="any more"):
                await client.memory.aget_memory("s")


@pytest.mark.promise("ids with any characters work end to end")
def test_the_key_is_sent_and_ids_are_url_encoded(script) -> None:
    asked: list[httpx.Request] = []

    def transport(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json=EMPTY)

    with (
        httpx.Client(transport=httpx.MockTransport(transport)) as passed,
        ZepClient("http://h/zep", api_key="secret", client=passed) as client,
    ):
        for session_id in ("a/b?c#d e%2Fé🚣", "..", ".", "+"):
            client.memory.get_memory(session_id)
    assert [request.url.raw_path for request in asked] == [
        b"/zep/api/v1/sessions/a%2Fb%3Fc%23d%20e%252F%C3%A9%F0%9F%9A%A3/memory",
        b"/zep/api/v1/sessions/%2E%2E/memory",
        b"/zep/api/v1/sessions/%2E/memory",
        b"/zep/api/v1/sessions/%2B/memory",
    ]
    assert {request.headers["authorization"] for request in asked} == {"Bearer secret"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "http://"}, "no URL"),
        ({"url": "http://h?a=b"}, "no URL"),
        ({"url": "http://h:port"}, "no URL"),
        ({"url": "http://h", "database": "d"}, "database"),
        ({"url": "http://h", "api_key": "é"}, "api_key"),
        ({"url": "http://h", "api_key": "a\nb"}, "api_key"),
        ({"url": "http://h", "client": "none"}, "httpx.Client"),
        ({"url": "http://h", "async_client": httpx.Client}, "httpx.AsyncClient"),
    ],
    ids=str,
)
def test_invalid_urls_and_clients_are_refused(options, words) -> None:
    with pytest.raises(BadRequestError, match=words), ZepClient(**options) as client:
        client.memory.get_memory("s")


@pytest.mark.promise("building one asks nothing; loops, threads and forks")
def test_constructing_a_client_sends_no_request(script) -> None:
    server = script()
    ZepClient(server.url).close()
    ZepChatMessageHistory("s", client=ZepClient(server.url))
    assert server.asked == []


def test_credentials_are_not_shown() -> None:
    url = f"http://user:secret@127.0.0.1:{free_port()}"
    with ZepClient(url, timeout=0.2) as client:
        assert "secret" not in repr(client)
        with pytest.raises(StoreUnavailableError) as caught:
            client.memory.get_memory("s")
    assert "secret" not in str(caught.value)


@pytest.mark.promise("building one asks nothing; loops, threads and forks")
def test_successive_event_loops_and_threads_share_a_client(server_url, session_id) -> None:
    with ZepClient(f"{server_url}/loops") as client:
        for number in range(3):
            asyncio.run(client.memory.aadd_memory(session_id, SAID))
            client.memory.add_memory(session_id, SAID)
            assert client.message.count(session_id) == 2 * (number + 1)
        threads = [
            threading.Thread(target=client.memory.add_memory, args=(session_id, SAID))
            for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.message.count(session_id) == 26


@pytest.mark.promise("building one asks nothing; loops, threads and forks")
def test_a_forked_child_opens_its_own_connections(server_url, session_id) -> None:
    with ZepClient(f"{server_url}/forks") as client:
        client.memory.add_memory(session_id, SAID)
        child = multiprocessing.get_context("fork").Process(
            target=client.memory.add_memory, args=(session_id, SAID)
        )
        child.start()
        client.memory.add_memory(session_id, SAID)
        child.join(30)
        assert child.exitcode == 0
        assert client.message.count(session_id) == 3


async def test_a_cancelled_add_is_stored_before_it_returns_or_never(server_url, session_id) -> None:
    async with ZepClient(f"{server_url}/cancelled") as client:
        await client.memory.aadd_memory(session_id, SAID)
        for _ in range(20):
            task = asyncio.create_task(client.memory.aadd_memory(session_id, SAID))
            await asyncio.sleep(0.001)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            count = await client.message.acount(session_id)
            await asyncio.sleep(0.02)
            assert await client.message.acount(session_id) == count


@both
async def test_a_long_history_is_read_page_by_page(asynchronous, server_url, session_id) -> None:
    url = f"{server_url}/long"
    async with connected(url, asynchronous=asynchronous, timeout=20) as zep:
        several = [Message(role="user", content=str(number)) for number in range(2500)]
        await zep.memory.add_memory(session_id, Memory(messages=several))
        read = [each.content async for each in zep.message.each("iter_messages", session_id, 700)]
    assert read == [str(number) for number in range(2500)]


@both
async def test_using_a_closed_client_is_refused(asynchronous, server_url) -> None:
    async with connected(server_url, asynchronous=asynchronous) as zep:
        pass
    with pytest.raises(BadRequestError, match="closed"):
        await zep.memory.get_memory("s")
