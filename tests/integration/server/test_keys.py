"""API keys: who is let in, and what of the store a key opens."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pymongo import MongoClient

from langchain_zepstore import BadRequestError, ZepClient
from langchain_zepstore.models import CreateUserRequest, Memory, Message, Session
from langchain_zepstore.server import ApiKey, create_app
from tests.support.raw_http import Answer, ask, in_path, raw_data

KEY, ALICE, READER, ALICES_READER = "whole-key", "alice-key", "reader-key", "alices-reader-key"
SECRET = "the-secret-of-others"
OTHERS = ["bob lives", "bob deleted", "nobody lives", "nobody deleted"]
SOME_OTHERS = [
    OTHERS[0],
    *(pytest.param(each, marks=pytest.mark.long("each takes every route")) for each in OTHERS[1:3]),
    OTHERS[3],
]
OPEN = ["/healthz", "/readyz", "/docs", "/openapi.json"]


class Scoped:
    """An application with keys of every kind, on a database with sessions of others."""

    def __init__(self, url: str, database: str, client: ZepClient) -> None:
        self.client = client
        self.mongo: MongoClient[Any] = MongoClient(url, tz_aware=True)
        self.database = self.mongo[database]
        self.app = create_app(
            client,
            api_keys=[
                KEY,
                ApiKey(ALICE, user_id="alice"),
                ApiKey(READER, read_only=True),
                ApiKey(ALICES_READER, user_id="alice", read_only=True),
            ],
        )

    async def ask(self, method: str, path: str, body: Any = None, key: str = ALICE) -> Answer:
        return await ask(self.app, method, path, body, key=key)

    @property
    def raw(self) -> str:
        return raw_data(self.database)

    @property
    def hashes(self) -> dict[str, str]:
        """Equal hashes, equal data: one command, where ``raw`` reads all documents."""
        hashes: dict[str, str] = self.database.command("dbHash")["collections"]
        return hashes


@pytest.fixture
async def scoped(mongo_url: str, database_name: str) -> AsyncIterator[Scoped]:
    async with ZepClient(mongo_url, database=database_name) as client:
        await client.user.aadd(CreateUserRequest(user_id="bob", first_name=SECRET))
        for session_id in OTHERS:
            user_id = "bob" if session_id.startswith("bob") else None
            session = Session(session_id=session_id, user_id=user_id, metadata={"of": SECRET})
            await client.memory.aadd_session(session)
            said = [Message(role="user", content=SECRET, uuid=each) for each in ("one", "two")]
            await client.memory.aadd_memory(session_id, Memory(messages=said))
            await client.message.adelete_message(session_id, "two")
            if session_id.endswith("deleted"):
                await client.memory.adelete_memory(session_id)
        scoped = Scoped(mongo_url, database_name, client)
        yield scoped
        scoped.mongo.close()


MESSAGES = {"messages": [{"role": "user", "content": "mine", "uuid": "mine"}]}
SUMMARY = {
    "uuid": "mine",
    "created_at": "2026-01-01T00:00:00Z",
    "content": "mine",
    "recent_message_uuid": "one",
    "token_count": 1,
}
SESSION, MEMORY = "/sessions/{session_id}", "/sessions/{session_id}/memory"
MESSAGE = "/sessions/{session_id}/messages/{message_id}"
SEARCH = {"text": SECRET, "search_type": "text"}

# Routes of Zep's interface that are about one session: what to send, and what another's answers.
OF_A_SESSION: list[tuple[str, str, Any, set[int]]] = [
    ("GET", SESSION, None, {404}),
    ("GET", SESSION + "?include_deleted=true", None, {404}),
    ("PATCH", SESSION, {"metadata": {"mine": True}}, {404}),
    ("PATCH", SESSION, {"user_id": "alice"}, {404}),
    ("PATCH", SESSION, {"unset": [["of"]]}, {404}),
    ("PATCH", SESSION, {"user_id": "bob"}, {400}),
    ("POST", MEMORY, MESSAGES, {400}),
    ("POST", MEMORY, {"metadata": {"mine": True}}, {400}),
    ("POST", MEMORY, {**MESSAGES, "user_id": "alice"}, {400}),
    ("POST", MEMORY, {**MESSAGES, "user_id": "bob"}, {400}),
    ("POST", MEMORY, {**MESSAGES, "session_metadata": {"mine": True}}, {400}),
    ("GET", MEMORY, None, {200}),
    ("GET", MEMORY + "?lastn=5", None, {200}),
    ("DELETE", MEMORY, None, {404}),
    ("GET", "/sessions/{session_id}/messages", None, {200}),
    ("GET", "/sessions/{session_id}/messages?limit=1&cursor=1", None, {200}),
    ("GET", MESSAGE, None, {404}),
    ("PATCH", MESSAGE, {"metadata": {"mine": True}}, {404}),
    ("PATCH", MESSAGE, {"content": "mine"}, {404}),
    ("POST", "/sessions/{session_id}/search", SEARCH, {200, 404}),
    ("POST", "/sessions/{session_id}/classify", {"classes": []}, {501}),
    ("GET", "/sessions/{session_id}/synthesize_question", None, {501}),
]
OF_A_SESSION_OURS: list[tuple[str, str, Any, set[int]]] = [
    ("DELETE", MESSAGE, None, {404}),
    ("GET", MESSAGE + "/around", None, {404}),
    ("POST", MESSAGE + "/undelete", None, {404}),
    ("GET", "/sessions/{session_id}/window", None, {200}),
    ("GET", "/sessions/{session_id}/window?include_deleted=true&content_limit=9", None, {200}),
    ("GET", "/sessions/{session_id}/window?around=one&include_deleted=true", None, {404}),
    ("GET", "/sessions/{session_id}/messages.ndjson", None, {200}),
    ("GET", "/sessions/{session_id}/messages.ndjson?limit=1", None, {200}),
    ("GET", "/sessions/{session_id}/messages.ndjson?include_deleted=true", None, {200}),
    ("GET", MEMORY + "?include_deleted=true&lastn=9", None, {200}),
    ("POST", "/sessions/{session_id}/organize", {"title": "mine"}, {404}),
    ("POST", "/sessions/{session_id}/undelete", None, {404}),
    ("POST", "/sessions/{session_id}/erase", {}, {200}),
    ("POST", "/sessions/{session_id}/erase", {"dry_run": True}, {200}),
    ("POST", "/sessions/{session_id}/resume", {"lastn": 5, "given": []}, {200}),
    ("POST", "/sessions/{session_id}/rewind", {"before": "one"}, {404}),
    ("POST", "/sessions/{session_id}/switch-branch", {"message_id": "one"}, {404}),
    ("POST", "/sessions/{session_id}/fork", {}, {404}),
    ("POST", "/sessions/{session_id}/fork", {"at": "one", "new_session_id": "mine"}, {404}),
    ("GET", "/sessions/{session_id}/branches", None, {200}),
    ("GET", MESSAGE + "/alternatives", None, {404}),
    ("POST", MEMORY, {**MESSAGES, "before": "one"}, {404}),
    ("GET", "/unsummarized?session_id={session_id}", None, {404}),
]
# Those that are about many, or about users.
LISTINGS: list[tuple[str, str, Any, set[int]]] = [
    ("GET", "/sessions", None, {200}),
    ("GET", "/sessions?include_deleted=true", None, {200}),
    ("GET", "/sessions?limit=100&cursor=0&user_id=", None, {200}),
    ("GET", "/sessions?user_id=bob", None, {200}),
    ("GET", f"/sessions?metadata=%7B%22of%22:%22{SECRET}%22%7D", None, {200}),
]
LISTINGS_OURS: list[tuple[str, str, Any, set[int]]] = [
    ("GET", "/recent-sessions", None, {200}),
    ("GET", "/recent-sessions?user_id=bob", None, {200}),
    ("POST", "/recent-sessions", {"preview": True}, {200}),
    ("POST", "/recent-sessions", {"deleted": True, "preview": True}, {200}),
    ("POST", "/recent-sessions", {"user_id": "bob"}, {200}),
    ("POST", "/list-sessions", {}, {200}),
    ("POST", "/list-sessions", {"include_deleted": True, "metadata": {"of": SECRET}}, {200}),
    ("POST", "/list-sessions", {"user_id": "bob"}, {200}),
    ("POST", "/list-sessions", {"user_id": ""}, {400}),
    ("POST", "/search", SEARCH, {200, 404}),
    ("POST", "/search", {**SEARCH, "user_id": "bob"}, {200, 403, 404}),
    ("POST", "/embed", {}, {400}),
    ("POST", "/embed", {"user_id": "bob"}, {400}),
    ("POST", "/index", {}, {200}),
    ("POST", "/index", {"user_id": "bob"}, {200}),
    *(("POST", "/index", {"session_id": each}, {200}) for each in OTHERS),
    ("POST", "/user/{user_id}/erase", {}, {200}),
    ("POST", "/user/{user_id}/erase", {"dry_run": True}, {200}),
    ("GET", "/activity", None, {200}),
    ("GET", "/activity?user_id=bob", None, {200}),
    ("GET", "/stats", None, {403}),
    ("GET", "/diagnosis", None, {403}),
    ("POST", "/diagnosis", {}, {403}),
    ("POST", "/export", {}, {200}),
    ("POST", "/export", {"user_id": "bob"}, {200}),
    *(("POST", "/export", {"session_id": each}, {200}) for each in OTHERS),
    ("POST", "/import", {"records": [{"type": "user", "user_id": "bob"}]}, {200}),
    ("POST", "/purge", {}, {200}),
    ("POST", "/purge", {"user_id": "bob"}, {200}),
    *(("POST", "/purge", {"session_id": each}, {200}) for each in OTHERS),
    *(
        ("POST", "/summary", {"session_id": each, "summary": SUMMARY, "state": "0:0"}, {200})
        for each in OTHERS
    ),
]
CREATIONS: list[tuple[str, str, Any, set[int]]] = [
    ("POST", "/sessions", {"session_id": "new", "user_id": "bob"}, {400}),
]


def of_users(noun: str) -> list[tuple[str, str, Any, set[int]]]:
    return [
        ("GET", noun, None, {200}),
        ("GET", f"{noun}?limit=10&cursor=0", None, {200}),
        ("POST", noun, {"user_id": "bob"}, {400}),
        ("POST", noun, {"user_id": "carol"}, {400}),
        ("GET", noun + "/{user_id}", None, {404}),
        ("PATCH", noun + "/{user_id}", {"first_name": "mine"}, {404}),
        ("DELETE", noun + "/{user_id}", None, {404}),
        ("GET", noun + "/{user_id}/sessions", None, {200, 404}),
    ]


def all_requests() -> list[tuple[str, str, Any, set[int]]]:
    first = [*OF_A_SESSION, *OF_A_SESSION_OURS, *LISTINGS, *LISTINGS_OURS, *CREATIONS]
    second = [*OF_A_SESSION, *LISTINGS, *CREATIONS]
    return [
        (method, prefix + path, body, statuses)
        for prefix, requests in (
            ("/api/v1", [*first, *of_users("/user")]),
            ("/api/v2", [*second, *of_users("/users")]),
        )
        for method, path, body, statuses in requests
    ]


def filled(path: str, session_id: str, message_id: str = "one") -> str:
    return path.format(
        session_id=in_path(session_id), message_id=message_id, user_id="bob", rest="x"
    )


async def test_the_requests_cover_all_routes(scoped: Scoped) -> None:
    described = scoped.app.openapi()["paths"]
    routes = {
        (method.upper(), path)
        for path, methods in described.items()
        for method in methods
        if path.startswith("/api/")
    }
    tried = {(method, path.partition("?")[0]) for method, path, *_ in all_requests()}
    assert routes - tried == set()


# Who is let in.


@pytest.mark.promise("keys, from the environment or a file, kept as hashes; both schemes")
async def test_only_health_and_documentation_are_open_without_a_key(scoped: Scoped) -> None:
    for path in OPEN:
        assert (await ask(scoped.app, "GET", path)).status == 200, path
    before = scoped.raw
    for method, path, body, _ in [*all_requests(), ("GET", "/metrics", None, set[int]())]:
        answer = await ask(scoped.app, method, filled(path, OTHERS[0]), body)
        assert answer.status == 401, (method, path)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.text == "unauthorized\n"
    assert scoped.raw == before


async def test_a_path_that_resembles_an_open_one_needs_a_key(scoped: Scoped) -> None:
    for path in (
        *("/healthz/", "//healthz", "/%68ealthz", "/docs/../metrics"),
        *("/healthz/../api/v1/sessions", "/healthz%2F..%2Fmetrics", "/metrics?/healthz"),
    ):
        assert (await ask(scoped.app, "GET", path)).status == 401, path


@pytest.mark.promise("keys, from the environment or a file, kept as hashes; both schemes")
async def test_a_key_is_accepted_with_either_scheme_in_any_case(scoped: Scoped) -> None:
    for scheme in ("Bearer", "bearer", "BEARER", "Api-Key", "api-key", "API-KEY"):
        for path in ("/api/v1/sessions", "/metrics"):
            headers = [("authorization", f"{scheme} {KEY}")]
            answer = await ask(scoped.app, "GET", path, headers=headers)
            assert answer.status == 200, (scheme, path)


async def test_invalid_keys_are_refused(scoped: Scoped) -> None:
    for authorization in (
        "",
        "Bearer",
        "Bearer ",
        KEY,
        f"Basic {KEY}",
        f"Bearer{KEY}",
        "Bearer wrong",
        f"Bearer {KEY}x",
        f"Bearer {KEY[:-1]}",
        f"Bearer {KEY.upper()}",
        f"Bearer {KEY},{KEY}",
        f"Bearer Bearer {KEY}",
        "Bearer sha256:" + hashlib.sha256(KEY.encode()).hexdigest(),
        "Bearer " + hashlib.sha256(KEY.encode()).hexdigest(),
        "Bearer \xff\xfe",
        "Bearer " + "x" * 20_000,
    ):
        headers = [("authorization", authorization)]
        answer = await ask(scoped.app, "GET", "/api/v1/sessions", headers=headers)
        assert (answer.status, answer.text) == (401, "unauthorized\n"), authorization


async def test_a_key_outside_its_header_is_ignored(scoped: Scoped) -> None:
    for path in (f"?api_key={KEY}", f"?authorization=Bearer%20{KEY}"):
        answer = await ask(
            scoped.app,
            "GET",
            "/api/v1/sessions" + path,
            headers=[("cookie", f"authorization={KEY}"), ("x-api-key", KEY)],
        )
        assert answer.status == 401


async def test_a_server_without_keys_is_open(mongo_url: str, database_name: str) -> None:
    async with ZepClient(mongo_url, database=database_name) as client:
        app = create_app(client, api_keys=())
        assert (await ask(app, "GET", "/api/v1/sessions")).status == 200
        assert (await ask(app, "GET", "/api/v1/sessions", key="any")).status == 200


@pytest.mark.promise("keys, from the environment or a file, kept as hashes; both schemes")
def test_an_api_key_is_kept_only_as_a_digest() -> None:
    key = ApiKey("a-very-secret-key", user_id="alice", read_only=True)
    kept = [repr(key), str(key), *map(repr, vars(key).values()), *vars(key)]
    assert not [each for each in kept if "secret" in each]
    assert b"secret" not in b"".join(v for v in vars(key).values() if isinstance(v, bytes))
    assert "read_only" in vars(key)  # so vars does show what there is


@pytest.mark.parametrize(
    "key", ["", " ", " s3cret", "s3cret\n", "ß3cret", "s3cret\0", "sha256:3cret", b"3cret", None]
)
def test_an_unusable_key_is_refused_and_not_shown(key: Any) -> None:
    with pytest.raises(BadRequestError) as caught:
        ApiKey(key)
    assert "3cret" not in str(caught.value)


# A key for one user.


@pytest.mark.promise("a key for one user sees and changes that user's sessions only")
@pytest.mark.parametrize("session_id", SOME_OTHERS)
async def test_a_users_key_neither_reads_nor_changes_other_users_sessions(
    scoped: Scoped, session_id: str
) -> None:
    for message_ids in (["never"], ["one", "two"]):
        if "one" in message_ids:
            await scoped.client.user.aadd(CreateUserRequest(user_id="alice"))
        before = scoped.hashes
        for method, path, body, statuses in all_requests():
            for message_id in message_ids if "{message_id}" in path else message_ids[:1]:
                answer = await scoped.ask(method, filled(path, session_id, message_id), body)
                # What fails may be gone with what the others have, and their ids were asked for.
                assert answer.status in statuses, (method, path, body, answer)
                assert SECRET.encode() not in answer.body, (method, path, body, answer)
                if answer.status == 200 and "sessions/" in path:
                    assert b"one" not in answer.body.replace(b"none", b""), (method, path, answer)
            assert scoped.hashes == before, (method, path, body)


@pytest.mark.promise("a key for one user sees and changes that user's sessions only")
@pytest.mark.parametrize("session_id", OTHERS)
async def test_a_users_key_cannot_take_over_another_users_session_id(
    scoped: Scoped, session_id: str
) -> None:
    await scoped.client.user.aadd(CreateUserRequest(user_id="alice"))
    before = scoped.raw
    for version in ("v1", "v2"):
        for body in ({}, {"user_id": "alice"}, {"metadata": {"mine": True}}):
            answer = await scoped.ask(
                "POST", f"/api/{version}/sessions", {"session_id": session_id, **body}
            )
            assert answer.status == 400, answer
    assert scoped.raw == before


@pytest.mark.parametrize("exists", [True, False], ids=["a user", "no user yet"])
async def test_an_add_with_a_users_key_creates_a_session_of_that_user(
    scoped: Scoped, exists: bool
) -> None:
    if exists:
        await scoped.client.user.aadd(CreateUserRequest(user_id="alice"))
    for number, body in enumerate(
        (MESSAGES, {**MESSAGES, "user_id": "alice", "session_metadata": {"name": "n"}})
    ):
        path = f"/api/v1/sessions/mine-{number}/memory"
        assert (await scoped.ask("POST", path, body)).status == 200
        assert [m["uuid"] for m in (await scoped.ask("GET", path)).data["messages"]] == ["mine"]
        session = await scoped.client.memory.aget_session(f"mine-{number}")
        assert session.user_id == "alice"
        assert session.metadata == body.get("session_metadata")
    assert (await scoped.client.user.aget("alice")).user_id == "alice"


@pytest.mark.promise("a key for one user sees and changes that user's sessions only")
async def test_concurrent_first_adds_of_two_users_keep_messages_separate(
    scoped: Scoped,
) -> None:
    bob = ApiKey("bob-key", user_id="bob")
    app = create_app(scoped.client, api_keys=[ApiKey(ALICE, user_id="alice"), bob])
    outcomes = set()
    for number in range(30):
        path = f"/api/v1/sessions/race-{number}/memory"
        of_alice = {"messages": [{"role": "user", "content": "alice", "uuid": "alice"}]}
        of_bob = {"messages": [{"role": "user", "content": "bob", "uuid": "bob"}]}
        answers = await asyncio.gather(
            ask(app, "POST", path, of_alice, key=ALICE),
            ask(app, "POST", path, of_bob, key="bob-key"),
        )
        assert sorted(answer.status for answer in answers) == [200, 400]
        session = await scoped.client.memory.aget_session(f"race-{number}")
        memory = await scoped.client.memory.aget_memory(f"race-{number}")
        assert [message.uuid for message in memory.messages] == [session.user_id]
        outcomes.add(session.user_id)
    assert outcomes <= {"alice", "bob"}


async def test_a_refused_add_with_a_users_key_creates_no_session(scoped: Scoped) -> None:
    before = json.loads(scoped.raw)["sessions"]
    for number, wrong in enumerate(
        (
            {"messages": [{"role": "user", "content": "x", "metadata": {"\0": 1}}]},
            {"messages": [{"role": "user", "content": "x", "uuid": ""}]},
            {"messages": [{"role": "user", "content": "x"}], "metadata": {"\0": 1}},
        )
    ):
        answer = await scoped.ask("POST", f"/api/v1/sessions/refused-{number}/memory", wrong)
        assert answer.status == 400, answer
    assert json.loads(scoped.raw)["sessions"] == before


@pytest.mark.promise("a key for one user sees and changes that user's sessions only")
async def test_a_users_key_has_full_access_to_its_own_sessions(scoped: Scoped) -> None:
    body = {"session_id": "mine", "metadata": {"name": "mine"}}
    assert (await scoped.ask("POST", "/api/v1/sessions", body)).data["user_id"] == "alice"
    mine = "/api/v1/sessions/mine"
    assert (await scoped.ask("POST", f"{mine}/memory", MESSAGES)).status == 200
    for listing in ("sessions", "sessions?user_id=alice", "sessions?include_deleted=true"):
        listed = (await scoped.ask("GET", f"/api/v1/{listing}")).data
        assert [each["session_id"] for each in listed] == ["mine"]
    recent = (await scoped.ask("GET", "/api/v1/recent-sessions")).data["sessions"]
    assert [each["session_id"] for each in recent] == ["mine"]
    listed = (await scoped.ask("POST", "/api/v1/list-sessions", {"user_id": "alice"})).data
    assert [each["session_id"] for each in listed] == ["mine"]
    users = (await scoped.ask("GET", "/api/v1/user")).data
    assert [each["user_id"] for each in users] == ["alice"]
    for method, path, content in (
        ("PATCH", mine, {"metadata": {"name": "ours"}}),
        ("GET", f"{mine}/messages/mine", None),
        ("PATCH", f"{mine}/messages/mine", {"metadata": {"x": 1}}),
        ("DELETE", f"{mine}/messages/mine", None),
        ("POST", f"{mine}/messages/mine/undelete", None),
        ("GET", f"{mine}/messages.ndjson", None),
        ("DELETE", f"{mine}/memory", None),
        ("GET", f"{mine}?include_deleted=true", None),
        ("POST", f"{mine}/undelete", None),
        ("PATCH", "/api/v1/user/alice", {"first_name": "Alice"}),
        ("GET", "/api/v1/user/alice/sessions", None),
        ("DELETE", "/api/v1/user/alice", None),
    ):
        answer = await scoped.ask(method, path, content)
        assert answer.status == 200, (method, path, answer)
    assert (await scoped.ask("GET", "/metrics")).status == 403


async def test_a_users_key_cannot_reassign_its_session(scoped: Scoped) -> None:
    await scoped.ask("POST", "/api/v1/sessions", {"session_id": "mine"})
    answer = await scoped.ask("PATCH", "/api/v1/sessions/mine", {"user_id": "bob"})
    assert answer.status == 400
    answer = await scoped.ask(
        "POST", "/api/v1/sessions/mine/memory", {**MESSAGES, "user_id": "bob"}
    )
    assert answer.status == 400
    assert (await scoped.client.memory.aget_session("mine")).user_id == "alice"


# The header of a user.


async def as_user(scoped: Scoped, user: str, key: str = KEY, path: str = "sessions") -> Answer:
    headers = [("authorization", f"Bearer {key}"), ("x-zepstore-user", user)]
    return await ask(scoped.app, "GET", f"/api/v1/{path}", headers=headers)


@pytest.mark.promise("X-Zepstore-User narrows a request to one user's sessions")
async def test_a_request_can_name_its_user_in_a_header(scoped: Scoped) -> None:
    answer = await as_user(scoped, "bob")
    assert {each["session_id"] for each in answer.data} == {"bob lives"}
    assert answer.headers["x-zepstore-user"] == "bob"
    assert (await as_user(scoped, "c%C3%A4rol")).data == []
    assert (await as_user(scoped, "carol", path="sessions/bob%20lives")).status == 404
    assert "x-zepstore-user" not in (await scoped.ask("GET", "/api/v1/sessions", key=KEY)).headers


async def test_a_users_key_opens_no_other_users_view(scoped: Scoped) -> None:
    assert (await as_user(scoped, "alice", ALICE)).status == 200
    refused = await as_user(scoped, "bob", ALICE)
    assert (refused.status, refused.text) == (403, "this API key is for another user\n")
    assert "x-zepstore-user" not in refused.headers


@pytest.mark.parametrize("user", ["", "%00", "x" * 2000, "\xff"])
async def test_an_invalid_user_header_is_refused(scoped: Scoped, user: str) -> None:
    answer = await as_user(scoped, user)
    assert answer.status == 400
    assert "X-Zepstore-User" in answer.text


async def test_a_request_with_more_than_one_user_header_is_refused(scoped: Scoped) -> None:
    headers = [("authorization", f"Bearer {KEY}")]
    headers += [("x-zepstore-user", "alice"), ("x-zepstore-user", "bob")]
    answer = await ask(scoped.app, "GET", "/api/v1/sessions", headers=headers)
    assert answer.status == 400


# A key for reading only.

READING = {"/export", "/list-sessions", "/recent-sessions", "/search"}


@pytest.mark.promise("a key for reading changes nothing")
@pytest.mark.parametrize("key", [READER, ALICES_READER])
async def test_a_read_only_key_reads_everything_and_changes_nothing(
    scoped: Scoped, key: str, long: bool
) -> None:
    await scoped.client.memory.aindex()  # a search would do it
    before, seen = scoped.raw, set()
    for session_id in OTHERS if long else OTHERS[::3]:
        for method, path, body, _ in all_requests():
            answer = await scoped.ask(method, filled(path, session_id), body, key)
            seen.add(answer.status)
            route = path.partition("?")[0]
            if method == "GET" or any(route.endswith(each) for each in READING):
                is_closed = key == ALICES_READER and route.endswith(("/stats", "/diagnosis"))
                assert (answer.status == 403) == is_closed, (method, path, answer)
            else:
                assert answer.status == 403, (method, path, answer)
    assert scoped.raw == before
    assert {200, 403, 404} <= seen
    shown = await scoped.ask("GET", "/api/v1/sessions/bob%20lives/memory", None, key)
    assert (SECRET.encode() in shown.body) == (key == READER)


@pytest.mark.parametrize("path", ["/api/v1/sessions/search", "/api/v1/sessions/list-sessions"])
async def test_a_session_named_search_is_not_writable_with_a_read_only_key(
    scoped: Scoped, path: str
) -> None:
    for method, end in (("PATCH", ""), ("POST", "/memory"), ("DELETE", "/memory")):
        assert (await scoped.ask(method, path + end, {}, READER)).status == 403
    for end in ("/messages/search", "/messages/list-sessions"):
        assert (await scoped.ask("PATCH", path + end, {}, READER)).status == 403
        assert (await scoped.ask("DELETE", path + end, None, READER)).status == 403
