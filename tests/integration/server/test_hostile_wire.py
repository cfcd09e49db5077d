"""Over a connection: bytes that are no HTTP, and ids of any characters."""

import contextlib
import json
import random
import string
from collections.abc import Iterator

import pytest

from langchain_zepstore import Memory, Message, Session, ZepClient
from langchain_zepstore.errors import ZepStoreError
from tests.support.facade import Facade
from tests.support.raw_http import Serve, request, serve

MALFORMED = [
    *(b"\0\0\0\0\r\n\r\n", b"GET\r\n\r\n", b"nonsense\r\n\r\n"),
    *(b"GET /healthz HTTP/1.1\r\nno colon\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"),
    b"GET /\x00 HTTP/1.1\r\nHost: s\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: s\r\nX: \x00\r\n\r\n",
    b"POST /api/v1/sessions HTTP/1.1\r\nHost: s\r\nContent-Length: x\r\n\r\n",
    b"POST /api/v1/sessions HTTP/1.1\r\nHost: s\r\nContent-Length: -1\r\n\r\n",
    b"POST /api/v1/sessions HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    b"POST /api/v1/sessions HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /api/v1/sessions HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: gzip\r\n\r\n{}",
    (
        b"POST /api/v1/sessions HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Length: 4\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: s\r\n\r\n"
    ),
    b"POST /api/v1/sessions HTTP/1.1\r\nHost: s\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    *(
        line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        for line in (
            *(b"GET /healthz HTTP/9.9", b"PRI * HTTP/2.0"),
            *(b"GET http://[::1 HTTP/1.1", b"CONNECT a:1 HTTP/1.1"),
        )
    ),
]


@pytest.fixture(scope="module")
def served(mongo_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    options = ("--url", mongo_url, "--database", "hostile")
    with serve(tmp_path_factory.mktemp("serve"), *options) as process:
        yield process


def test_malformed_http_gets_a_400_and_the_connection_is_closed(served: Serve) -> None:
    found = {sent: [answer.status for answer in served.ask(sent)] for sent in MALFORMED}
    assert {sent: statuses for sent, statuses in found.items() if statuses != [400]} == {}
    assert served.ask(request("GET", "/healthz"))[0].body == b"."
    assert "Traceback" not in served.log, served.log[-3000:]


def test_an_upgrade_request_is_handled_like_any_other(served: Serve) -> None:
    for upgrade in ("websocket", "h2c"):
        headers = ("Upgrade: " + upgrade, "Connection: Upgrade")
        body = json.dumps({"session_id": upgrade + random.choice(string.ascii_letters) * 9})
        asked = request("POST", "/api/v1/sessions", body.encode(), *headers, close=False)
        with served.connect() as connection:
            connection.sendall(asked)
            assert connection.recv(1000).startswith((b"HTTP/1.1 201", b"HTTP/1.1 400"))


@pytest.mark.promise("hostile input meets no error of the server")
def test_corrupted_requests_are_handled(served: Serve) -> None:
    noise = random.Random(20)
    good = request("POST", "/api/v1/sessions/noise/memory", b'{"messages": []}')
    for _ in range(300):
        sent = bytearray(good)
        for _ in range(noise.randrange(1, 4)):
            sent[noise.randrange(len(sent))] = noise.randrange(256)
        with served.connect() as connection:
            connection.sendall(sent)
            with contextlib.suppress(OSError):
                connection.shutdown(1)
            received = b""
            with contextlib.suppress(OSError):
                while part := connection.recv(2**16):
                    received += part
        assert not received or received[9:10] in b"24", (bytes(sent), received)
    assert served.ask(request("GET", "/healthz"))[0].body == b"."
    assert "Traceback" not in served.log, served.log[-3000:]


# Ids of any characters through our client.

NAMES = [
    *(
        "a/b",
        "/",
        "//",
        "/a/",
        "a?b=c",
        "?",
        "#",
        "a#b",
        " ",
        "a b",
        "🚂",
        "..",
        ".",
        "...",
        "../x",
    ),
    *(
        "%2F",
        "%",
        "%25",
        "a+b",
        "+",
        "a&b",
        "a;b",
        "a\nb",
        "a\r\nb",
        "é",
        "e\u0301",
        '"',
        "'",
        "\\",
    ),
    *(
        "$where",
        "{}",
        "a:b",
        "@",
        "memory",
        "search",
        "messages.ndjson",
        "null",
        "\u202e",
        "x" * 1024,
    ),
]


@pytest.mark.promise("ids with any characters work end to end")
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_ids_of_any_characters_work_end_to_end(
    served: Serve, asynchronous: bool, database_name: str, long: bool
) -> None:
    end = "" if asynchronous else "!"
    zep = Facade(ZepClient(served.url), asynchronous=asynchronous)
    for name in NAMES if long else NAMES[asynchronous::2]:
        session_id = (name + end)[:1024]
        with contextlib.suppress(ZepStoreError):
            await zep.memory.delete_memory(session_id)
        await zep.purge()
        said = [
            Message(role="user", content=name, uuid=each) for each in (name, f"{name} 2"[-1024:])
        ]
        created = await zep.memory.add_session(Session(session_id=session_id))
        assert created.session_id == session_id
        await zep.memory.add_memory(session_id, Memory(messages=said))
        assert (await zep.memory.get_session(session_id)).session_id == session_id
        patch = Session(session_id=session_id, metadata={name: name})
        assert (await zep.memory.update_session(patch)).metadata == {name: name}
        found = (await zep.memory.get_memory(session_id, 5)).messages
        assert [each.uuid for each in found] == [each.uuid for each in said]
        assert (await zep.message.get_session_message(session_id, name)).content == name
        paged = await zep.message.get_session_messages(session_id, 10, 1)
        assert len(paged) == await zep.message.count(session_id) == 2
        assert len([each async for each in zep.message.each("iter_messages", session_id)]) == 2
        merged = await zep.message.update_message_metadata(session_id, name, {name: 1})
        assert merged.metadata == {name: 1}
        await zep.message.delete_message(session_id, name)
        assert await zep.message.count(session_id) == 1
        assert (await zep.message.undelete_message(session_id, name)).uuid == name
        listed = await zep.memory.list_sessions(metadata={name: name})
        assert session_id in [each.session_id for each in listed]
        recent = await zep.memory.recent_sessions(limit=1)
        assert [each.session_id for each in recent.sessions] == [session_id]
        await zep.memory.delete_memory(session_id)
        assert (await zep.memory.get_memory(session_id)).messages == []
        assert (await zep.memory.undelete_session(session_id)).session_id == session_id
        assert await zep.message.count(session_id) == 2
        await zep.memory.delete_memory(session_id)
    await zep.client.aclose()
