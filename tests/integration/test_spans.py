"""OpenTelemetry's spans of operations: their names and attributes, and nothing of contents."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from langchain_zepstore import Memory, Message, NotFoundError, Session, ZepClient
from langchain_zepstore.server import create_app

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
    InMemorySpanExporter,
)
from opentelemetry.trace import SpanKind, StatusCode

SECRET = "the red boat"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """The spans of this test. OpenTelemetry lets a process set its provider only once."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("opentelemetry.trace._TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


def named(spans: InMemorySpanExporter) -> dict[str, Any]:
    return {span.name: span for span in spans.get_finished_spans()}


async def used(client: ZepClient, *, asynchronous: bool) -> None:
    said = Memory(messages=[Message(role="user", content=SECRET, uuid="m")])
    if asynchronous:
        await client.memory.aadd_session(Session(session_id="boats", metadata={SECRET: SECRET}))
        await client.memory.aadd_memory("boats", said)
        await client.message.acount("boats")
        await client.memory.asearch(SECRET, session_id="boats")
        await client.memory.adelete_memory("boats")
        with pytest.raises(NotFoundError):
            await client.memory.aget_session(f"{SECRET} 2")
    else:
        client.memory.add_session(Session(session_id="boats", metadata={SECRET: SECRET}))
        client.memory.add_memory("boats", said)
        client.message.count("boats")
        client.memory.search(SECRET, session_id="boats")
        client.memory.delete_memory("boats")
        with pytest.raises(NotFoundError):
            client.memory.get_session(f"{SECRET} 2")


def check(spans: InMemorySpanExporter, system: dict[str, Any]) -> None:
    found = named(spans)
    assert list(found) == [
        "create sessions",
        "upsert_memory",
        "count messages",
        "search_memory",
        "delete_memory",
        "get sessions",
    ]
    for name, span in found.items():
        assert span.kind == SpanKind.CLIENT
        assert system.items() <= span.attributes.items()
        if name != "get sessions":
            assert span.attributes["gen_ai.conversation.id"] == "boats"
            assert SECRET not in span.to_json()
            assert span.status.status_code == StatusCode.UNSET
    added = found["upsert_memory"].attributes
    assert added["gen_ai.operation.name"] == "upsert_memory"
    assert (added["db.operation.name"], added["db.collection.name"]) == ("add", "messages")
    failed = found["get sessions"]
    assert failed.attributes["error.type"] == "NotFoundError"
    assert (failed.status.status_code, failed.status.description) == (StatusCode.ERROR, None)
    assert failed.events == ()


@pytest.mark.promise("OpenTelemetry's spans by its conventions, nothing of contents in them")
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_each_operation_is_a_span_on_mongodb(
    mongo_url: str, database_name: str, spans: InMemorySpanExporter, asynchronous: bool
) -> None:
    async with ZepClient(mongo_url, database=database_name) as client:
        await used(client, asynchronous=asynchronous)
    check(spans, {"db.system.name": "mongodb", "db.namespace": database_name})


@pytest.mark.promise("OpenTelemetry's spans by its conventions, nothing of contents in them")
async def test_each_operation_is_a_span_over_http(
    mongo_url: str, database_name: str, spans: InMemorySpanExporter
) -> None:
    async with ZepClient(mongo_url, database=database_name) as served:
        transport = httpx.ASGITransport(app=create_app(served, api_keys=()))
        async with (
            httpx.AsyncClient(transport=transport) as http,
            ZepClient("http://in-process:81", async_client=http) as client,
        ):
            await used(client, asynchronous=True)
    every = [
        span
        for span in spans.get_finished_spans()
        if span.instrumentation_scope.name == "langchain_zepstore"
    ]
    ours = [span for span in every if span.attributes["db.system.name"] == "zepstore"]
    inner = [span for span in every if span not in ours]
    spans.clear()
    spans.export(ours)
    check(spans, {"server.address": "in-process", "server.port": 81})
    # The server's own, in this process.
    assert {each.attributes["db.system.name"] for each in inner} == {"mongodb"}


async def test_a_users_view_has_spans(
    mongo_url: str, database_name: str, spans: InMemorySpanExporter
) -> None:
    with ZepClient(mongo_url, database=database_name) as client:
        client.for_user("ada").memory.add_memory("s", Memory(messages=[]))
    assert named(spans)["upsert_memory"].attributes["gen_ai.conversation.id"] == "s"


@pytest.mark.promise("without OpenTelemetry there are no spans and nothing to pay")
@pytest.mark.parametrize("before", ["", "import sys; sys.modules['opentelemetry'] = None\n"])
def test_the_store_is_not_wrapped_without_opentelemetry(before: str) -> None:
    code = (
        f"{before}from langchain_zepstore.core.telemetry import traced\n"
        "store = object(); assert traced(store) is store; assert traced(store) is store"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
