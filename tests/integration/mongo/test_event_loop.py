"""Asynchronous calls never block the event loop, from the first call of a fresh process on."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from langchain_core.messages import AIMessage, HumanMessage

from langchain_zepstore import Memory, Message, ZepClient

pytestmark = pytest.mark.turns("driver", "client")

BACKENDS = {
    "motor": ("mongo_url", "motor"),
    "pymongo-async": ("mongo_url", "pymongo"),
    "embedded-motor": ("embedded_url", "motor"),
    "embedded-pymongo-async": ("embedded_url", "pymongo"),
}

# What blocks is noted where it happens, since LangChain swallows errors, and so may a retry. What
# is imported on the loop's thread is noted too: blockbuster lets imports pass.
SCRIPT = """
import asyncio, sys, threading
import blockbuster.blockbuster
from langchain_core.messages import HumanMessage
from langchain_zepstore import Memory, Message, ZepClient

url, driver = sys.argv[1:]
blocked, imported = [], []
make_error = blockbuster.blockbuster.BlockingError.__init__

def noted(self, function):
    blocked.append(function)
    make_error(self, function)

def audit(event, arguments):
    name = str(arguments[0]) if event == "import" else ""
    on_loop = watching and threading.current_thread() is threading.main_thread()
    if on_loop and name.split(".")[0] in {"pymongo", "motor", "bson", "langchain_zepstore"}:
        imported.append(name)

async def main():
    client = ZepClient(url, async_driver=driver)
    history = client.chat_history("fresh process")
    await history.aadd_messages([HumanMessage("hello")])
    assert [m.content for m in await history.aget_messages()][-1] == "hello"
    assert await client.message.acount("fresh process")
    assert [m async for m in client.message.aiter_messages("fresh process", chunk_size=1)]
    await history.aclear()
    await client.aclose()

watching = False
sys.addaudithook(audit)
blockbuster.blockbuster.BlockingError.__init__ = noted
with blockbuster.blockbuster.blockbuster_ctx() as buster:
    buster.functions["os.stat"].can_block_in("pymongo/pool_options.py", "get_container_env_info")
    watching = True
    asyncio.run(main())
    watching = False
print("blocked:", blocked, "imported:", imported)
"""


@contextmanager
def nothing_may_block() -> Iterator[BlockBuster]:
    """Raise where the loop is blocked, but for one stat of pymongo's own.

    It looks for /.dockerenv when it opens its first connections, which takes microseconds.
    """
    with blockbuster_ctx() as buster:
        stat = buster.functions["os.stat"]
        stat.can_block_in("pymongo/pool_options.py", "get_container_env_info")
        yield buster


@pytest.fixture(params=BACKENDS)
async def client(request: pytest.FixtureRequest) -> AsyncIterator[ZepClient]:
    """A client that has not been used yet, of each asynchronous backend."""
    url, driver = BACKENDS[request.param]
    client = ZepClient(request.getfixturevalue(url), database="event_loop", async_driver=driver)
    yield client
    await client.aclose()


async def test_adding_and_reading_do_not_block_the_event_loop(
    client: ZepClient, session_id: str
) -> None:
    messages = [Message(role="user", content=str(number)) for number in range(300)]
    with nothing_may_block():
        await client.memory.aadd_memory(session_id, Memory(messages=messages))
        memory = await client.memory.aget_memory(session_id)
        last = await client.memory.aget_memory(session_id, lastn=1)
        assert await client.message.acount(session_id) == 300
    assert [message.content for message in memory.messages] == [str(n) for n in range(300)]
    assert last.messages == memory.messages[-1:]


async def test_replacing_does_not_block_the_event_loop(client: ZepClient, session_id: str) -> None:
    messages = [Message(role="user", content=str(n), uuid=f"id {n}") for n in range(20)]
    with nothing_may_block():
        for _ in range(2):
            await client.memory.aadd_memory(session_id, Memory(messages=messages))
        assert await client.message.acount(session_id) == 20


async def test_iterating_does_not_block_the_event_loop(client: ZepClient, session_id: str) -> None:
    messages = [Message(role="user", content=str(number)) for number in range(25)]
    with nothing_may_block():
        await client.memory.aadd_memory(session_id, Memory(messages=messages))
        each = client.message.aiter_messages(session_id, chunk_size=10)
        assert [message.content async for message in each] == [str(n) for n in range(25)]


async def test_deleting_does_not_block_the_event_loop(client: ZepClient, session_id: str) -> None:
    with nothing_may_block():
        await client.memory.aadd_memory(
            session_id, Memory(messages=[Message(role="user", content="a")])
        )
        await client.memory.adelete_memory(session_id)
        assert (await client.memory.aget_memory(session_id)).messages == []
        await client.memory.aundelete_session(session_id)
        assert await client.message.acount(session_id) == 1


@pytest.mark.promise("constructors do no I/O; the event loop is never blocked")
async def test_a_chat_history_does_not_block_the_event_loop(
    client: ZepClient, session_id: str
) -> None:
    with nothing_may_block():
        history = client.chat_history(session_id, lastn=10, start_on="human")
        await history.aadd_messages([HumanMessage("a", id="1"), AIMessage("b", id="2")])
        assert await history.aget_messages() == [
            HumanMessage("a", id="1"),
            AIMessage("b", id="2"),
        ]
        await history.aclear()
        assert await history.aget_messages() == []


async def test_closing_does_not_block_the_event_loop(mongo_url: str, session_id: str) -> None:
    with nothing_may_block():
        for driver in ("motor", "pymongo"):
            async with ZepClient(mongo_url, async_driver=driver) as client:
                assert await client.message.acount(session_id) == 0


def first_calls(url: str, driver: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, url, driver],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )


@pytest.mark.promise("constructors do no I/O; the event loop is never blocked")
@pytest.mark.parametrize("driver", ["motor", "pymongo"])
def test_the_first_calls_of_a_process_do_not_block_the_event_loop(
    mongo_url: str, driver: str
) -> None:
    with_database = mongo_url.replace("/?", f"/fresh_{uuid4().hex}?")
    finished = first_calls(with_database, driver)
    assert finished.stdout == "blocked: [] imported: []\n", finished.stderr


@pytest.mark.parametrize("driver", ["motor", "pymongo"])
def test_starting_the_embedded_server_does_not_block_the_event_loop(
    tmp_path: Path, driver: str
) -> None:
    finished = first_calls(f"embedded://{tmp_path}", driver)
    assert finished.stdout == "blocked: [] imported: []\n", finished.stderr


@pytest.mark.promise("an event loop goes on after its generators were closed")
@pytest.mark.filterwarnings("ignore:asynchronous generator .* was scheduled after")
@pytest.mark.parametrize("driver", ["motor", "pymongo", "http"])
def test_a_loop_with_closed_async_generators_still_works(
    mongo_url: str, server_url: str, session_id: str, driver: str
) -> None:
    url = f"{server_url}/loops" if driver == "http" else mongo_url
    options = {} if driver == "http" else {"async_driver": driver}
    loop = asyncio.new_event_loop()
    with ZepClient(url, **options) as client:
        for _ in range(3):
            assert loop.run_until_complete(client.message.acount(session_id)) == 0
            loop.run_until_complete(loop.shutdown_asyncgens())  # as the Agents SDK's run_sync
        loop.run_until_complete(client.aclose())
    loop.close()
