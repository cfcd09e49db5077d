"""Processes that are forked while clients are open."""

import subprocess
import sys

import pytest

from tests.support.mongod import with_database

pytestmark = pytest.mark.turns("driver")

FORKING = """
import asyncio, multiprocessing, os, sys, traceback
from langchain_core.messages import HumanMessage
from langchain_zepstore import Memory, Message, ZepChatMessageHistory, ZepClient

url, driver, way = sys.argv[1:]
client = ZepClient(url, async_driver=driver)
session_id = "forked"

def said(content):
    return Memory(messages=[Message(role="user", content=content)])

async def turn(content):
    await client.memory.aadd_memory(session_id, said(content))
    return [message.content for message in (await client.memory.aget_memory(session_id)).messages]

def history():
    return ZepChatMessageHistory(session_id, url)

def child():
    assert [m.content for m in client.memory.get_memory(session_id).messages] == ["a", "b", "c"]
    client.memory.add_memory(session_id, said("d"))
    assert asyncio.run(turn("e")) == ["a", "b", "c", "d", "e"]
    history().add_messages([HumanMessage("f")])
    client.close()

client.memory.add_memory(session_id, said("a"))
asyncio.run(turn("b"))
history().add_messages([HumanMessage("c")])
if way == "os.fork":
    pid = os.fork()
    if not pid:
        try:
            child()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
else:
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    assert process.exitcode == 0
client.memory.add_memory(session_id, said("g"))
print(*asyncio.run(turn("h")))
print(*[message.content for message in history().messages])
asyncio.run(client.aclose())
"""


@pytest.mark.promise("one event loop after another, many threads, a fork")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
@pytest.mark.parametrize("driver", ["motor", "pymongo"])
@pytest.mark.parametrize("way", ["os.fork", "multiprocessing"])
def test_parent_and_child_both_work_after_a_fork(way, driver, mongo_url, database_name):
    url = with_database(mongo_url, database_name)
    # Python's own advice against forking a process with threads is not what is tested here.
    warnings = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]
    done = subprocess.run(
        [sys.executable, *warnings, "-c", FORKING, url, driver, way],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "a b c d e f g h\n" * 2, done.stderr
    assert "Warning" not in done.stderr, done.stderr
