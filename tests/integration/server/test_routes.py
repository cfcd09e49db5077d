"""Zep's interface, route by route: status, shape and text; and what stands beside it."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from langchain_zepstore import Memory, Message, Session, ZepClient
from langchain_zepstore.server import create_app

S = {"uuid", "id", "created_at", "updated_at", "deleted_at", "session_id", "metadata", "user_id"}
M = {"uuid", "created_at", "updated_at", "role", "content", "token_count"}
U = S - {"session_id"} | {"email", "first_name", "last_name"}
ZERO = {
    "uuid": "00000000-0000-0000-0000-000000000000",
    "created_at": "0001-01-01T00:00:00Z",
    "content": "",
    "recent_message_uuid": "00000000-0000-0000-0000-000000000000",
    "token_count": 0,
}
TWO = {"messages": [{"role": "human", "content": "hi"}, {"role": "ai", "content": "ho"}]}
VERSIONS = {"v1": ("/api/v1", "/user"), "v2": ("/api/v2", "/users")}


@pytest.fixture
async def store(mongo_url: str, database_name: str) -> AsyncIterator[ZepClient]:
    async with ZepClient(mongo_url, database=database_name) as client:
        yield client


@pytest.fixture
async def http(store: ZepClient) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=create_app(store, api_keys=()))
    async with httpx.AsyncClient(transport=transport, base_url="http://in-process") as client:
        yield client


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> tuple[str, str]:
    base, noun = VERSIONS[request.param]
    return base, base + noun


def check_error(response: httpx.Response, status: int, text: str = "") -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.text.endswith("\n")
    assert text in response.text


@pytest.mark.promise(
    "every route of Zep's has its status codes, shapes and texts, in both versions"
)
async def test_sessions_are_created_read_changed_and_listed(http, version) -> None:
    base, _ = version
    created = await http.post(f"{base}/sessions", json={"session_id": "s", "metadata": {"a": 1}})
    assert created.status_code == 201
    assert set(created.json()) == S
    assert created.json()["deleted_at"] is None
    assert isinstance(created.json()["id"], int)
    check_error(await http.post(f"{base}/sessions", json={"session_id": "s"}), 400, "exists")
    check_error(await http.post(f"{base}/sessions", json={}), 400, "session_id")
    check_error(
        await http.post(f"{base}/sessions", json={"session_id": "t", "user_id": "nobody"}), 400
    )
    assert (await http.get(f"{base}/sessions/s")).json() == created.json()
    check_error(await http.get(f"{base}/sessions/none"), 404)
    changed = await http.patch(
        f"{base}/sessions/s", json={"session_id": "s", "metadata": {"b": {"c": None}}}
    )
    assert changed.status_code == 200
    assert changed.json()["metadata"] == {"a": 1, "b": {"c": None}}
    unset = {"metadata": {}, "unset": [["a"], ["b", "c"]]}
    assert (await http.patch(f"{base}/sessions/s", json=unset)).json()["metadata"] == {"b": {}}
    check_error(await http.patch(f"{base}/sessions/none", json={"metadata": {}}), 404)
    listed = await http.get(f"{base}/sessions")
    assert listed.status_code == 200
    assert [session["session_id"] for session in listed.json()] == ["s"]
    for wrong in ("limit=x", "cursor=x", "limit=-1", "cursor=-1", "limit=1.5"):
        check_error(await http.get(f"{base}/sessions?{wrong}"), 400)
    assert (await http.get(f"{base}/sessions?limit=&cursor=")).json() == listed.json()
    assert (await http.get(f"{base}/sessions?limit=0")).json() == listed.json()


@pytest.mark.promise(
    "every route of Zep's has its status codes, shapes and texts, in both versions"
)
async def test_a_memory_is_added_read_and_deleted(http, version) -> None:
    base, _ = version
    empty = {"messages": [], "summary": ZERO}
    assert (await http.get(f"{base}/sessions/s/memory")).json() == empty
    added = await http.post(f"{base}/sessions/s/memory", json=TWO)
    assert (added.status_code, added.text) == (200, "OK")
    memory = (await http.get(f"{base}/sessions/s/memory?memoryType=perpetual")).json()
    assert memory["summary"] == ZERO
    assert [message["content"] for message in memory["messages"]] == ["hi", "ho"]
    more = {"role_type"} if base.endswith("v2") else set()
    assert set(memory["messages"][0]) == M | more
    last = (await http.get(f"{base}/sessions/s/memory?lastn=1")).json()
    assert last["messages"] == memory["messages"][1:]
    for wrong in ("lastn=x", "lastn=-1"):
        check_error(await http.get(f"{base}/sessions/s/memory?{wrong}"), 400)
    deleted = await http.delete(f"{base}/sessions/s/memory")
    assert (deleted.status_code, deleted.text) == (200, "OK")
    check_error(await http.delete(f"{base}/sessions/s/memory"), 404)
    check_error(await http.get(f"{base}/sessions/s"), 404)
    assert (await http.get(f"{base}/sessions/s/memory")).json() == empty


@pytest.mark.promise(
    "every route of Zep's has its status codes, shapes and texts, in both versions"
)
async def test_messages_are_read_one_by_one_and_by_page(http, version) -> None:
    base, _ = version
    messages = [
        {"role": "user", "content": str(number), "uuid": f"m{number}", "metadata": {"n": number}}
        for number in range(5)
    ]
    await http.post(f"{base}/sessions/s/memory", json={"messages": messages})
    page = (await http.get(f"{base}/sessions/s/messages?limit=2&cursor=3")).json()
    assert [message["uuid"] for message in page["messages"]] == ["m4"]
    assert (page["total_count"], page["row_count"]) == (5, 1)
    assert (await http.get(f"{base}/sessions/s/messages")).json()["row_count"] == 5
    one = (await http.get(f"{base}/sessions/s/messages/m1")).json()
    assert one["metadata"] == {"n": 1}
    check_error(await http.get(f"{base}/sessions/s/messages/none"), 404)
    patched = await http.patch(
        f"{base}/sessions/s/messages/m1", json={"metadata": {"m": 2}, "uuid": "ignored"}
    )
    assert patched.json() == {**one, "metadata": {"n": 1, "m": 2}}
    check_error(await http.patch(f"{base}/sessions/s/messages/none", json={"metadata": {}}), 404)
    again = {**messages[0], "content": "upserted"}
    await http.post(f"{base}/sessions/s/memory", json={"messages": [again]})
    first = (await http.get(f"{base}/sessions/s/messages/m0")).json()
    assert first["content"] == "upserted"


@pytest.mark.promise(
    "every route of Zep's has its status codes, shapes and texts, in both versions"
)
async def test_users_are_created_read_changed_listed_and_deleted(http, version) -> None:
    base, users = version
    created = await http.post(users, json={"user_id": "u", "email": "u@example.org"})
    assert created.status_code == 201
    assert set(created.json()) == U
    check_error(await http.post(users, json={"user_id": "u"}), 400, "exists")
    assert (await http.get(f"{users}/u")).json() == created.json()
    changed = await http.patch(f"{users}/u", json={"first_name": "Ada", "email": None})
    assert (changed.json()["first_name"], changed.json()["email"]) == ("Ada", None)
    assert [user["user_id"] for user in (await http.get(f"{users}?limit=&cursor=")).json()] == ["u"]
    await http.post(f"{base}/sessions", json={"session_id": "s", "user_id": "u"})
    assert [s["session_id"] for s in (await http.get(f"{users}/u/sessions")).json()] == ["s"]
    deleted = await http.delete(f"{users}/u")
    assert (deleted.status_code, deleted.text) == (200, "OK")
    for answer in (
        await http.get(f"{users}/u"),
        await http.patch(f"{users}/u", json={}),
        await http.delete(f"{users}/u"),
    ):
        check_error(answer, 404)


@pytest.mark.promise(
    "every route of Zep's has its status codes, shapes and texts, in both versions"
)
async def test_a_search_is_never_null(http, version) -> None:
    base, _ = version
    nulls = {"text": "boat", "metadata": None, "search_scope": "messages", "mmr_lambda": None}
    assert (await http.post(f"{base}/sessions/none/search", json=nulls)).json() == []
    boat = {"messages": [{"role": "user", "content": "a boat"}]}
    await http.post(f"{base}/sessions/s/memory", json=boat)
    await http.post("/api/v1/sessions/s/organize", json={"title": "A harbour", "pinned": True})
    [found] = (await http.post(f"{base}/sessions/s/search?limit=3", json=nulls)).json()
    assert set(found) == {"message", "summary", "metadata", "dist", "score", "embedding"}
    assert set(found["message"]) - {"metadata", "role_type"} == M
    assert found["message"]["content"] == "a boat"
    assert found["dist"] > 0
    check_error(await http.post(f"{base}/sessions/s/search", json={}), 400)


@pytest.mark.promise("features that need a language model are refused")
async def test_routes_that_need_a_language_model_return_501(http, version) -> None:
    base, _ = version
    check_error(await http.post(f"{base}/sessions/s/classify", json={}), 501)
    check_error(await http.get(f"{base}/sessions/s/synthesize_question"), 501)
    check_error(await http.get(f"{base}/collection/c"), 501)


@pytest.mark.promise("undelete, deleting messages, recent sessions, filters, purge")
async def test_our_own_routes_are_under_v1(http) -> None:
    base = "/api/v1"
    for name in ("a", "b"):
        await http.post(f"{base}/sessions/{name}/memory", json=TWO)
    recent = (await http.get(f"{base}/recent-sessions?limit=1")).json()
    assert [session["session_id"] for session in recent["sessions"]] == ["b"]
    behind = await http.get(f"{base}/recent-sessions?cursor={recent['next_cursor']}")
    assert [session["session_id"] for session in behind.json()["sessions"]] == ["a"]
    await http.delete(f"{base}/sessions/a/memory")
    assert (await http.get(f"{base}/sessions/a?include_deleted=true")).json()["deleted_at"]
    assert len((await http.get(f"{base}/sessions?include_deleted=true")).json()) == 2
    assert (await http.post(f"{base}/sessions/a/undelete")).json()["session_id"] == "a"
    check_error(await http.post(f"{base}/sessions/a/undelete"), 404)
    [first, _] = (await http.get(f"{base}/sessions/a/memory")).json()["messages"]
    where = f"{base}/sessions/a/messages/{first['uuid']}"
    assert (await http.delete(where)).text == "OK"
    check_error(await http.delete(where), 404)
    assert (await http.post(f"{where}/undelete")).json() == first
    found = await http.get(f"{base}/sessions", params={"metadata": json.dumps({"x": 1})})
    assert found.json() == []
    check_error(await http.get(f"{base}/sessions?metadata=5"), 400, "JSON object")
    await http.delete(where)
    purged = (await http.post(f"{base}/purge", json={"older_than": 0})).json()
    assert purged == {"messages": 1, "sessions": 0, "users": 0}


@pytest.mark.promise("long histories and listings are streamed")
async def test_a_long_history_streams_line_by_line(http, store) -> None:
    several = [Message(role="user", content=str(number)) for number in range(2500)]
    await store.memory.aadd_memory("s", Memory(messages=several))
    where = "/api/v1/sessions/s/messages.ndjson"
    async with http.stream("GET", where) as answer:
        assert answer.headers["content-type"].startswith("application/x-ndjson")
        assert "content-length" not in answer.headers
        lines = [json.loads(line)["content"] async for line in answer.aiter_lines()]
    assert lines == [str(number) for number in range(2500)]
    pages: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await http.get(where, params={"limit": 1000, "after": cursor})
        pages += [json.loads(line)["content"] for line in page.text.splitlines()]
        cursor = page.headers.get("x-next-cursor")
    assert pages == lines
    assert (await http.get("/api/v1/sessions/none/messages.ndjson")).text == ""
    check_error(await http.get(where, params={"after": "x"}), 400)


@pytest.mark.promise("long histories and listings are streamed")
async def test_listings_without_a_limit_exceed_a_page(
    http, store, mongo_url, database_name
) -> None:
    await store.memory.aadd_session(Session(session_id="s0000"))
    with MongoClient(mongo_url) as raw:
        sessions = raw[database_name].sessions
        model = sessions.find_one({})
        more = [{"_id": f"s{n:04}", "id": model["id"] + n} for n in range(1, 1005)]
        sessions.insert_many(model | each for each in more)
    listed = (await http.get("/api/v1/sessions")).json()
    assert [session["session_id"] for session in listed] == [f"s{n:04}" for n in range(1005)]


@pytest.mark.promise("health, readiness, metrics, OpenAPI and its page")
async def test_health_readiness_metrics_and_documentation(http, store) -> None:
    health = await http.get("/healthz")
    assert health.text == "."
    assert health.headers["x-zep-version"].startswith("0.27.2-")
    assert (await http.get("/readyz")).text == "ready"
    await http.get("/api/v1/sessions/none")
    metrics = (await http.get("/metrics")).text
    labels = 'method="GET",route="/api/v1/sessions/{session_id}",status="404"'
    assert f"zepstore_request_seconds_count{{{labels}}} 1.0" in metrics
    described = (await http.get("/openapi.json")).json()
    paths = described["paths"]
    assert "/api/v1/sessions/{session_id}/undelete" in paths
    assert not [path for path in paths if path.startswith("/api/v2")]
    for path, operations in paths.items():
        for operation in operations.values():
            assert "422" not in operation["responses"], path
            assert len(operation["tags"]) == 1, path
            assert operation["description"], path
    text = json.dumps(described)
    for reference in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert reference in described["components"]["schemas"]


@pytest.mark.promise("the page of the documentation loads nothing from other hosts")
async def test_the_documentation_page_loads_nothing_from_other_hosts(http) -> None:
    pytest.importorskip("fastapi_offline")
    page = await http.get("/docs")
    assert page.status_code == 200
    named = re.findall(r"""(?:src|href|url)['"]?\s*[=:]\s*['"]([^'"]+)""", page.text)
    assert "openapi.json" in named
    files = [each for each in named if each.startswith("docs/")]
    assert len(files) == 3
    assert set(named) == {"openapi.json", *files}
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for file in files:
        assert (await http.get(f"/{file}")).status_code == 200
    style = (await http.get("/docs/swagger-ui.css")).text
    assert set(re.findall(r"url\([\"']?(\w+:)?", style)) <= {"data:"}
    assert (await http.get("/docs/core.py")).status_code == 404


@pytest.mark.promise("`/metrics` counts documents and connections of the pool")
async def test_metrics_report_stored_documents_and_pool_usage(http, store) -> None:
    for session_id in ("live", "gone"):
        await http.post(f"/api/v1/sessions/{session_id}/memory", json=TWO)
    await http.delete("/api/v1/sessions/gone/memory")
    metrics = (await http.get("/metrics")).text
    for noun, number in (("sessions", 1), ("messages", 2)):
        for state in ("live", "deleted"):
            assert f'zepstore_{noun}{{state="{state}"}} {number}.0' in metrics
    assert "zepstore_store_up 1.0" in metrics
    opened = re.search(r'zepstore_pool_connections{state="open"} ([\d.]+)', metrics)
    assert opened
    assert float(opened[1]) >= 1
    await http.post("/api/v1/sessions/more/memory", json=TWO)
    counted = (await http.get("/metrics")).text
    assert 'zepstore_sessions{state="live"} 1.0' in counted  # counted anew only after a while


async def test_metrics_are_served_when_the_store_is_unreachable() -> None:
    async with ZepClient("mongodb://127.0.0.1:9/", timeout=0.3) as nowhere:
        transport = httpx.ASGITransport(app=create_app(nowhere, api_keys=()))
        async with httpx.AsyncClient(transport=transport, base_url="http://h") as http:
            metrics = (await http.get("/metrics")).text
    assert "zepstore_store_up 0.0" in metrics
    assert "zepstore_sessions{" not in metrics


@pytest.mark.promise("health, readiness, metrics, OpenAPI and its page")
async def test_readiness_checks_the_database() -> None:
    async with ZepClient("mongodb://127.0.0.1:9/", timeout=0.3) as nowhere:
        transport = httpx.ASGITransport(app=create_app(nowhere, api_keys=()))
        async with httpx.AsyncClient(transport=transport, base_url="http://h") as http:
            check_error(await http.get("/readyz"), 503, "cannot be reached")
            assert (await http.get("/healthz")).text == "."


@pytest.mark.promise("cross-origin requests are refused unless allowed")
async def test_cors_is_denied_unless_configured(store) -> None:
    page = "https://chat.example.org"
    asking = {"Origin": page, "Access-Control-Request-Method": "POST"}
    for origins, allowed in (((), None), ((page,), page)):
        app = create_app(store, api_keys=["k"], cors_origins=origins)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://h") as http:
            asked = await http.options("/api/v1/sessions", headers=asking)
            assert asked.headers.get("access-control-allow-origin") == allowed
            key = {"Authorization": "Bearer k", "Origin": page}
            answer = await http.get("/api/v1/sessions", headers=key)
            assert answer.headers.get("access-control-allow-origin") == allowed


async def test_unknown_paths_and_methods_are_reported(http) -> None:
    check_error(await http.get("/api/v1/nothing"), 404)
    check_error(await http.get("/api/v3/sessions"), 404)
    check_error(await http.put("/api/v1/sessions", json={}), 405)


@pytest.mark.promise("a misspelt key in a body of our own routes is refused, not ignored")
@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("purge", {"older_then": 86_400}),
        ("purge", {"user": "ada"}),
        ("search", {"text": "boat", "session_id": "s", "meta": {}}),
        ("list-sessions", {"user": "ada"}),
        ("recent-sessions", {"tag": "work"}),
        ("embed", {"user": "ada"}),
        ("summary", {"session_id": "s", "summary": None, "state": "", "old": "x"}),
        ("sessions/s/organize", {"name": "Boats"}),
    ],
)
async def test_unknown_keys_of_our_own_bodies_are_refused(http, route, body) -> None:
    answer = await http.post(f"/api/v1/{route}", json=body)
    assert answer.status_code == 400
    assert list(body)[-1] in answer.text


async def test_a_patch_replaces_a_message_s_content(http, version) -> None:
    base, _ = version
    await http.post(f"{base}/sessions/s/memory", json=TWO)
    first = (await http.get(f"{base}/sessions/s/memory")).json()["messages"][0]
    path = f"{base}/sessions/s/messages/{first['uuid']}"
    changed = await http.patch(path, json={"content": "hello", "metadata": {"a": 1}})
    assert changed.json()["content"] == "hello"
    assert changed.json()["metadata"] == {"a": 1}
    assert (await http.get(path)).json() == changed.json()
    assert (await http.patch(path, json={"content": 5})).status_code == 400
    half = b'{"content": "\\ud800", "metadata": {"b": 2}}'
    assert (await http.patch(path, content=half)).status_code == 400
    assert (await http.patch(path, json={})).json()["metadata"] == {"a": 1}
