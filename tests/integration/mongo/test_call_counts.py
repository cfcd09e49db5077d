"""How many calls inside the package a warm operation takes."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
from langchain_core.messages import AIMessage, HumanMessage

import langchain_zepstore
from langchain_zepstore import ZepClient
from langchain_zepstore.server import create_app

PACKAGE = str(Path(langchain_zepstore.__file__).parent)


def calls_inside(operation: Callable[[], Any]) -> int:
    """Return how often functions of the package are called or resumed."""
    calls = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_code.co_filename.startswith(PACKAGE)

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        operation()
    finally:
        sys.setprofile(before)
    return calls


def test_count_makes_at_most_16_calls(mongo_url, session_id):
    with ZepClient(mongo_url) as client:
        client.message.count(session_id)
        assert 5 < calls_inside(lambda: client.message.count(session_id)) <= 16


def test_adding_two_plain_messages_makes_at_most_90_calls(mongo_url, session_id):
    with ZepClient(mongo_url) as client:
        history = client.chat_history(session_id)
        for _ in range(2):  # the second learns that the first was durable
            history.add_messages([HumanMessage("Hello"), AIMessage("Hi")])
        messages = [HumanMessage("How are you?"), AIMessage("Fine")]
        assert 20 < calls_inside(lambda: history.add_messages(messages)) <= 90


def test_adding_a_tool_call_over_http_makes_at_most_240_calls(mongo_url, session_id):
    call = {"name": "f", "args": {"a": [1, {"b": "c"}]}, "id": "c", "type": "tool_call"}
    served = ZepClient(mongo_url)
    with asyncio.Runner() as runner:
        http = httpx.AsyncClient(transport=httpx.ASGITransport(app=create_app(served, api_keys=())))
        client = ZepClient("http://in-process", async_client=http)
        history = client.chat_history(session_id)

        def add() -> None:
            runner.run(history.aadd_messages([AIMessage("", tool_calls=[call])]))

        for _ in range(2):
            add()
        assert 60 < calls_inside(add) <= 240
        runner.run(http.aclose())
        runner.run(served.aclose())
