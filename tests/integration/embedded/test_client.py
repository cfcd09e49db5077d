"""A client on the embedded server goes on when the server dies under it."""

import asyncio
import signal
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from langchain_zepstore import Memory, Message, ZepClient
from tests.support.embedded import mongod
from tests.support.facade import Facade

pytestmark = pytest.mark.turns("zep")

VICTIMS = {"sync": "mongod", "motor": "supervisor", "pymongo": "both"}


@pytest.fixture(params=VICTIMS)
async def zep(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Facade]:
    options = {} if request.param == "sync" else {"async_driver": request.param}
    client = ZepClient(f"embedded://{tmp_path}", **options)
    yield Facade(client, asynchronous=request.param != "sync")
    await client.aclose()


async def add(zep: Facade, session_id: str, text: str) -> None:
    await zep.memory.add_memory(session_id, Memory(messages=[Message(role="user", content=text)]))


@pytest.mark.parametrize("victim", ["mongod", "supervisor", "both"])
async def test_the_next_call_works_after_a_crash(
    zep: Facade, tmp_path: Path, victim: str, long: bool, request: pytest.FixtureRequest
) -> None:
    if not long and VICTIMS[request.node.callspec.params["zep"]] != victim:
        pytest.skip("each driver and each victim once; --long: all of them")
    await add(zep, "s", "before")
    server = mongod(tmp_path)
    supervisor = server.parent()
    assert supervisor is not None
    if victim in ("mongod", "both"):
        server.send_signal(signal.SIGKILL)
    if victim in ("supervisor", "both"):
        supervisor.send_signal(signal.SIGKILL)
    await asyncio.to_thread(psutil.wait_procs, [server], 60)  # it dies a moment after its keeper
    await add(zep, "s", "after")
    found = (await zep.memory.get_memory("s")).messages
    assert [message.content for message in found] == ["before", "after"]
    assert mongod(tmp_path).pid != server.pid


async def test_a_server_that_crashed_while_idle_is_restarted_by_the_next_call(
    zep: Facade, tmp_path: Path
) -> None:
    await add(zep, "s", "before")
    server = mongod(tmp_path)
    supervisor = server.parent()
    assert supervisor is not None
    supervisor.send_signal(signal.SIGKILL)
    await asyncio.to_thread(psutil.wait_procs, [server], 60)
    await asyncio.sleep(1.5)  # the driver's monitor finds out that there is no server
    await add(zep, "s", "after")
    assert await zep.message.count("s") == 2


def test_acknowledged_writes_are_neither_lost_nor_duplicated_by_kills(tmp_path: Path) -> None:
    stop = threading.Event()
    acknowledged: dict[str, list[str]] = {f"session {number}": [] for number in range(4)}
    failures: list[BaseException] = []

    def write(client: ZepClient, session_id: str) -> None:
        while not stop.is_set():
            turn = [Message(role="user", content="x", uuid=str(uuid4())) for _ in range(2)]
            try:
                client.memory.add_memory(session_id, Memory(messages=turn))
            except BaseException as error:
                failures.append(error)
                raise
            acknowledged[session_id] += [message.uuid or "" for message in turn]

    with ZepClient(f"embedded://{tmp_path}") as client:
        threads = [threading.Thread(target=write, args=(client, name)) for name in acknowledged]
        client.message.count("warm")
        for thread in threads:
            thread.start()
        for kill_supervisor in (False, True, False):
            time.sleep(0.5)
            server = mongod(tmp_path)
            victim = server.parent() if kill_supervisor else server
            assert victim is not None
            victim.send_signal(signal.SIGKILL)
            psutil.wait_procs([server], 60)
            deadline, before = time.monotonic() + 60, sum(map(len, acknowledged.values()))
            while sum(map(len, acknowledged.values())) < before + 8:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        stop.set()
        for thread in threads:
            thread.join()
        assert not failures
        for session_id, uuids in acknowledged.items():
            found = client.memory.get_memory(session_id).messages
            assert [message.uuid for message in found] == uuids
