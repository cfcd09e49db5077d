"""The example of a chat's backend, driven over HTTP by two users."""

import asyncio
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fastapi.testclient import TestClient
from langchain_core.language_models import FakeListChatModel
from pymongo import MongoClient

EXAMPLE = Path(__file__).parents[2] / "examples" / "chat_backend.py"
ADA, BOB = {"X-User": "ada"}, {"X-User": "bob"}
ANSWER = "Take the Hikari."


@pytest.fixture
def example(mongo_url: str, database_name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The example's module, in a database of the test's own."""
    monkeypatch.setenv("ZEPSTORE_URL", mongo_url)
    spec = importlib.util.spec_from_file_location("chat_backend", EXAMPLE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "DATABASE", database_name)
    monkeypatch.setattr(module, "model", FakeListChatModel(responses=[ANSWER]))
    return module


@pytest.fixture
def http(example: ModuleType) -> Iterator[TestClient]:
    with TestClient(example.app) as http:
        yield http


def create(http: TestClient, user: dict[str, str] = ADA) -> str:
    response = http.post("/chats", headers=user)
    assert response.status_code == 201
    return response.json()["session_id"]


def ask(http: TestClient, chat: str, question: str, user: dict[str, str] = ADA) -> str:
    response = http.post(f"/chats/{chat}/messages", json={"content": question}, headers=user)
    assert response.status_code == 200, response.text
    return response.text


def change(http: TestClient, chat: str, **changes: Any) -> dict[str, Any]:
    response = http.patch(f"/chats/{chat}", json=changes, headers=ADA)
    assert response.status_code == 200, response.text
    return response.json()


def get(http: TestClient, path: str, user: dict[str, str] = ADA) -> Any:
    response = http.get(path, headers=user)
    assert response.status_code == 200, response.text
    return response.json()


def listed(http: TestClient, path: str, user: dict[str, str] = ADA) -> list[str]:
    return [session["session_id"] for session in get(http, path, user)["sessions"]]


def said(http: TestClient, chat: str) -> list[tuple[str, str]]:
    messages = get(http, f"/chats/{chat}/messages")
    return [(message["role"], message["content"]) for message in messages]


def test_an_answer_is_streamed_and_stored_and_the_question_is_the_title(http: TestClient) -> None:
    chat = create(http)
    body = {"content": "Which train goes to Kyoto?"}
    with http.stream("POST", f"/chats/{chat}/messages", json=body, headers=ADA) as response:
        assert response.status_code == 200
        assert "".join(response.iter_text()) == ANSWER
    assert said(http, chat) == [("human", "Which train goes to Kyoto?"), ("ai", ANSWER)]
    ask(http, chat, "And back?")
    assert len(said(http, chat)) == 4
    [session] = get(http, "/chats")["sessions"]
    assert session["title"] == "Which train goes to Kyoto?"
    assert session["message_count"] == 4
    assert session["last_message"]["content"] == ANSWER


def test_the_sidebar_has_pages_pins_and_an_archive(http: TestClient) -> None:
    chats = [create(http) for _ in range(22)]
    first = get(http, "/chats")
    assert [each["session_id"] for each in first["sessions"]] == chats[:1:-1]
    rest = http.get("/chats", params={"cursor": first["next_cursor"]}, headers=ADA).json()
    assert [each["session_id"] for each in rest["sessions"]] == [chats[1], chats[0]]
    assert rest["next_cursor"] is None

    assert change(http, chats[0], title="Trains")["title"] == "Trains"
    session = change(http, chats[0], pinned=True)
    assert (session["title"], session["pinned"]) == ("Trains", True)
    assert listed(http, "/chats?pinned=true") == [chats[0]]
    change(http, chats[0], archived=True)
    assert listed(http, "/chats?archived=true") == [chats[0]]
    assert listed(http, "/chats?pinned=true") == []


def test_a_deleted_chat_is_in_the_trash_and_can_be_restored(http: TestClient) -> None:
    chat = create(http)
    ask(http, chat, "Which train goes to Kyoto?")
    assert http.delete(f"/chats/{chat}", headers=ADA).status_code == 204
    assert listed(http, "/chats") == []
    assert listed(http, "/trash") == [chat]
    assert http.get(f"/chats/{chat}/messages", headers=ADA).status_code == 404
    question = {"content": "Still there?"}
    asked = http.post(f"/chats/{chat}/messages", json=question, headers=ADA)
    assert asked.status_code == 404
    assert http.post(f"/chats/{chat}/restore", headers=ADA).status_code == 200
    assert listed(http, "/trash") == []
    assert said(http, chat) == [("human", "Which train goes to Kyoto?"), ("ai", ANSWER)]


def test_messages_are_searched_and_deleted(http: TestClient) -> None:
    chat = create(http)
    ask(http, chat, "Which train goes to Kyoto?")
    [hit] = get(http, "/search?q=kyoto")
    assert (hit["session_id"], hit["message"]["role"]) == (chat, "human")
    path = f"/chats/{chat}/messages/{hit['message']['uuid']}"
    assert http.delete(path, headers=ADA).status_code == 204
    assert http.delete(path, headers=ADA).status_code == 404
    assert said(http, chat) == [("ai", ANSWER)]
    assert get(http, "/search?q=kyoto") == []


@pytest.mark.promise("a chat's backend in 200 lines, in which users never see each other")
def test_two_users_never_see_each_others_chats(http: TestClient) -> None:
    kept, deleted, bobs = create(http), create(http), create(http, BOB)
    for chat in (kept, deleted):
        ask(http, chat, "Which train goes to Kyoto?")
    ask(http, bobs, "Which ferry goes to Oslo?", BOB)
    http.delete(f"/chats/{deleted}", headers=ADA)
    message = get(http, f"/chats/{kept}/messages")[0]["uuid"]

    assert listed(http, "/chats", BOB) == [bobs]
    assert listed(http, "/trash", BOB) == []
    assert get(http, "/search?q=train", BOB) == []
    assert listed(http, "/chats") == [kept]
    assert get(http, "/search?q=ferry") == []
    for method, path, body in (
        ("GET", f"/chats/{kept}/messages", None),
        ("POST", f"/chats/{kept}/messages", {"content": "I am Ada."}),
        ("PATCH", f"/chats/{kept}", {"title": "Bob's"}),
        ("DELETE", f"/chats/{kept}/messages/{message}", None),
        ("DELETE", f"/chats/{kept}", None),
        ("POST", f"/chats/{deleted}/restore", None),
    ):
        response = http.request(method, path, json=body, headers=BOB)
        assert response.status_code == 404, (method, path, response.text)
    assert said(http, kept) == [("human", "Which train goes to Kyoto?"), ("ai", ANSWER)]
    assert listed(http, "/trash") == [deleted]
    assert get(http, "/chats")["sessions"][0]["title"] == "Which train goes to Kyoto?"


def test_a_missing_user_is_a_401_and_invalid_input_a_400_or_422(http: TestClient) -> None:
    routes = [
        (method.upper(), path.format(chat_id="a", message_id="b"))
        for path, methods in http.get("/openapi.json").json()["paths"].items()
        for method in methods
    ]
    assert len(routes) == 10
    for method, path in routes:
        body = {"content": "?"} if path.endswith("messages") else {}
        response = http.request(method, path, params={"q": "?"}, json=body)
        assert response.status_code == 401, (method, path)
    assert http.get("/chats?cursor=nonsense", headers=ADA).status_code == 400
    chat = create(http)
    empty = http.post(f"/chats/{chat}/messages", json={"content": ""}, headers=ADA)
    assert empty.status_code == 422


async def leave(app: Any, chat: str, meanwhile: Any = None) -> None:
    """Ask a question. After the first piece of the answer, go away or do something else."""
    left, pieces = asyncio.Event(), []
    requests = [{"type": "http.request", "body": b'{"content": "Which train?"}'}]

    async def receive() -> dict[str, Any]:
        if requests:
            return requests.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(event: dict[str, Any]) -> None:
        if event.get("body"):
            pieces.append(event["body"])
            if not meanwhile:
                left.set()
            elif len(pieces) == 1:
                await meanwhile()

    headers = [(b"x-user", b"ada"), (b"content-type", b"application/json")]
    path = f"/chats/{chat}/messages"
    scope = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "method": "POST"}
    await app({**scope, "path": path, "query_string": b"", "headers": headers}, receive, send)


def test_a_partial_answer_is_stored_when_the_client_disconnects(
    http: TestClient, example: ModuleType
) -> None:
    example.model = FakeListChatModel(responses=[ANSWER], sleep=0.2)
    chat = create(http)
    http.portal.call(leave, example.app, chat)
    question, (role, content) = said(http, chat)
    assert question == ("human", "Which train?")
    assert role == "ai"
    assert content
    assert ANSWER.startswith(content)
    assert content != ANSWER


def test_an_answer_does_not_restore_a_chat_deleted_during_streaming(
    http: TestClient, example: ModuleType
) -> None:
    chat = create(http)

    async def delete() -> None:
        await example.app.state.client.memory.adelete_memory(chat)

    http.portal.call(leave, example.app, chat, delete)
    assert listed(http, "/chats") == []
    assert listed(http, "/trash") == [chat]


def test_the_example_is_short_and_uses_its_own_database(
    example: ModuleType, mongo_url: str, database_name: str
) -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) <= 200
    with TestClient(example.app) as http:
        create(http)
    with MongoClient(mongo_url) as client:
        assert client[database_name]["sessions"].count_documents({}) == 1
