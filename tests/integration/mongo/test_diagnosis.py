"""Each fault that ``diagnose`` finds, made for real, and mended where that is harmless."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pymongo import MongoClient

from langchain_zepstore import ZepClient
from langchain_zepstore.models import Finding
from langchain_zepstore.server import ApiKey, create_app
from tests.support.embeddings import Subjects
from tests.support.messages import parts_of, said
from tests.support.mongod import Mongod
from tests.support.stepping import Drive, store_of

MEND = "zepstore doctor --mend"
PROMISE = "`diagnose` names findings and their cures"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    """A mongod that asks for credentials."""
    mongod = Mongod(tmp_path_factory.mktemp("auth"), options=("--auth",)).start()
    with MongoClient(mongod.url) as client:
        client.admin.command("createUser", "root", pwd="root", roles=["root"])
    yield mongod
    mongod.stop()


def url_of(guarded: Mongod, user: str) -> str:
    return f"mongodb://{user}:{user}@{guarded.address}/?directConnection=true&authSource=admin"


@pytest.fixture
def store(mongo_url: str, database_name: str) -> Iterator[ZepClient]:
    """A store with a session of two messages."""
    with ZepClient(mongo_url, database=database_name) as client:
        client.memory.add_memory("boats", said("one", "two"))
        yield client


@pytest.fixture
def raw(mongo_url: str, database_name: str) -> Iterator[Any]:
    with MongoClient(mongo_url) as client:
        yield client[database_name]


def found(client: ZepClient, name: str, **options: Any) -> Finding:
    [finding] = [each for each in client.diagnose(**options) if each.name == name]
    return finding


@pytest.mark.promise(PROMISE)
def test_a_missing_index_is_a_fault_until_repaired(
    store: ZepClient, raw: Any, mongo_url: str, database_name: str
) -> None:
    raw.messages.drop_index("by_uuid")
    raw.sessions.drop_index("expiry")
    raw.messages.drop_index("live_by_number")
    with ZepClient(mongo_url, database=database_name) as client:
        client.stats()
        finding = found(client, "indexes of messages")
        assert (finding.level, finding.cure) == ("fault", MEND)
        assert finding.message == "missing: live_by_number, by_uuid"
        assert found(client, "retention of sessions").level == "fault"
        assert found(client, "vectors").cure == MEND
        assert "by_uuid" not in raw.messages.index_information(), "looking changed something"
        assert found(client, "indexes of messages", mend=True).level == "ok"
        assert found(client, "retention of sessions").level == "ok"
    assert "by_uuid" in raw.messages.index_information()


@pytest.mark.promise(PROMISE)
def test_diagnose_creates_no_indexes_but_the_first_use_does(
    mongo_url: str, new_database: str
) -> None:
    with ZepClient(mongo_url, database=new_database) as client, MongoClient(mongo_url) as server:
        raw = server[new_database]
        assert {each.level for each in client.diagnose() if each.name != "disk"} == {"ok"}
        assert raw.list_collection_names() == []
        client.message.count("nobody")
        assert "by_uuid" in raw.messages.index_information()


@pytest.mark.promise(PROMISE)
@pytest.mark.parametrize("undoing", [False, True], ids=["deletion", "undeletion"])
def test_an_interrupted_deletion_is_completed(store: ZepClient, raw: Any, undoing: bool) -> None:
    operations = store_of(store).deletion
    if undoing:
        store.memory.delete_memory("boats")
    call = operations.undelete_session if undoing else operations.delete_session
    drive = Drive(call("boats"))
    while not raw.sessions.find_one({"undeletion" if undoing else "deletion.open": {"$exists": 1}}):
        drive.step()
    if not undoing:
        assert store.message.count("boats") == 2
    finding = found(store, "interrupted deletions")
    assert (finding.level, finding.message, finding.cure) == ("warning", "1 sessions", MEND)
    assert found(store, "interrupted deletions", mend=True).level == "ok"
    assert store.message.count("boats") == (2 if undoing else 0)


@pytest.mark.promise(PROMISE)
def test_interrupted_adds_and_erasures_are_reported(store: ZepClient, raw: Any) -> None:
    before = raw.sessions.find_one("boats")["seq"]
    drive = Drive(store_of(store).messages.add("boats", parts_of(said("three"))))
    while raw.sessions.find_one("boats")["seq"] == before:
        drive.step()
    finding = found(store, "adds that never came")
    assert (finding.level, finding.message) == ("warning", "1 messages")
    erasure = Drive(store_of(store).deletion.erase_session("boats", None))
    while not raw.sessions.find_one({"erasing": {"$exists": True}}):
        erasure.step()
    finding = found(store, "interrupted erasures")
    assert (finding.level, "erase" in str(finding.cure)) == ("warning", True)


@pytest.mark.promise(PROMISE)
def test_missing_vectors_and_another_language_are_reported(
    mongo_url: str, database_name: str, store: ZepClient
) -> None:
    assert found(store, "vectors").message == "no search by meaning has been made"
    with ZepClient(mongo_url, database=database_name, embeddings=Subjects()) as client:
        assert found(client, "vectors").message.startswith("2 of 2 recent messages have none")
        client.memory.search("boat", session_id="boats", search_type="similarity")
        assert found(client, "vectors").level == "ok"
        client.memory.add_memory("boats", said("three"))
        assert found(store, "vectors").message.startswith("1 of 3 recent messages have none")
    store.memory.search("boat", session_id="boats", search_type="text")
    assert found(store, "search by words").message == "in english"
    with ZepClient(mongo_url, database=database_name, language="german") as client:
        finding = found(client, "search by words")
        assert (finding.level, "german" in finding.message) == ("warning", True)


@pytest.mark.promise(PROMISE)
def test_a_weak_write_concern_is_a_warning(mongo_url: str, database_name: str) -> None:
    with ZepClient(f"{mongo_url}&w=1&journal=false", database=database_name) as client:
        assert found(client, "write concern").level == "warning"


@pytest.mark.promise(PROMISE)
def test_a_disabled_ttl_monitor_is_a_fault(guarded: Mongod) -> None:
    name = f"overdue_{uuid4().hex}"
    with (
        MongoClient(url_of(guarded, "root")) as root,
        ZepClient(url_of(guarded, "root"), database=name) as client,
    ):
        client.memory.add_memory("boats", said("one"))
        assert found(client, "TTL monitor").level == "ok"
        root.admin.command("setParameter", 1, ttlMonitorEnabled=False)
        try:
            client.memory.delete_memory("boats")
            assert found(client, "retention of messages").level == "ok"
            long_ago = datetime.now(UTC) - timedelta(days=40)
            root[name].messages.update_many({}, {"$set": {"deleted_at": long_ago}})
            for each in ("TTL monitor", "retention of messages"):
                finding = found(client, each)
                assert finding.level == "fault"
                assert "ttlMonitorEnabled" in str(finding.cure)
        finally:
            root.admin.command("setParameter", 1, ttlMonitorEnabled=True)


def granted(guarded: Mongod, database: str, *actions: str) -> str:
    """Make a user who may do this on a database, and anything on another; return the URL."""
    name = f"user_{uuid4().hex}"
    resource = {"db": database, "collection": ""}
    with MongoClient(url_of(guarded, "root")) as root:
        privilege = {"resource": resource, "actions": actions}
        root.admin.command("createRole", name, privileges=[privilege] if actions else [], roles=[])
        roles = [name, {"role": "readWrite", "db": "another"}]
        root.admin.command("createUser", name, pwd=name, roles=roles)
    return url_of(guarded, name)


@pytest.mark.promise(PROMISE)
@pytest.mark.parametrize(
    ("actions", "level", "lacking"),
    [
        (("find", "insert", "update", "remove"), "warning", "createIndex"),
        (("find", "createIndex"), "fault", "insert, remove, update"),
        ((), "fault", "createIndex, find, insert, remove, update"),
    ],
    ids=["no indexes", "no writing", "nothing"],
)
def test_missing_privileges_are_named_with_the_grant(
    guarded: Mongod, actions: tuple[str, ...], level: str, lacking: str
) -> None:
    database = f"rights_{uuid4().hex}"
    with ZepClient(granted(guarded, database, *actions), database=database) as client:
        finding = found(client, "rights")
        assert (finding.level, finding.message) == (level, f"these credentials lack {lacking}")
        assert 'grantRolesToUser("user_' in str(finding.cure)
        assert f'{{role: "readWrite", db: "{database}"}}' in str(finding.cure)
        assert found(client, "memory").message == "these credentials may not see it"


def test_the_read_write_role_is_sufficient(guarded: Mongod) -> None:
    name = f"enough_{uuid4().hex}"
    with MongoClient(url_of(guarded, "root")) as root:
        root.admin.command(
            "createUser", name, pwd=name, roles=[{"role": "readWrite", "db": "enough"}]
        )
    with ZepClient(url_of(guarded, name), database="enough") as client:
        assert found(client, "rights").level == "ok"
        client.memory.add_memory("boats", said("one"))
        assert [each for each in client.diagnose() if each.level == "fault"] == []


@pytest.mark.promise("over HTTP `diagnose` reports the server's answer and its findings")
async def test_diagnosis_over_http_depends_on_the_key(store: ZepClient, raw: Any) -> None:
    keys = ["whole", ApiKey("reader", read_only=True), ApiKey("hers", user_id="ada")]
    transport = httpx.ASGITransport(app=create_app(store, api_keys=keys))
    raw.messages.drop_index("by_uuid")

    async def over_http(key: str, **options: Any) -> dict[str, Finding]:
        http = httpx.AsyncClient(transport=transport)
        async with http, ZepClient("http://in-process", api_key=key, async_client=http) as client:
            return {each.name: each for each in await client.adiagnose(**options)}

    findings = await over_http("reader")
    assert findings["http server"].message.startswith("it answers, version ")
    assert findings["indexes of messages"].level == "fault"
    for key, options, word in (("hers", {}, "one user"), ("reader", {"mend": True}, "reading")):
        findings = await over_http(key, **options)
        assert set(findings) == {"http server"}
        assert (findings["http server"].level, word in findings["http server"].message) == (
            "warning",
            True,
        )
    assert (await over_http("whole", mend=True))["indexes of messages"].level == "ok"


async def test_a_server_that_cannot_check_its_store_is_a_warning() -> None:
    async def zep(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b"not found\n"})

    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(app=zep)) as http,
        ZepClient("http://in-process", async_client=http) as client,
    ):
        [finding] = await client.adiagnose()
    assert (finding.level, "pip install" in str(finding.cure)) == ("warning", True)
