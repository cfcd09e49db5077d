"""What a client is built from, and that building one does nothing yet."""

import subprocess
import sys

import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import MongoClient

from langchain_zepstore import BadRequestError, ZepChatMessageHistory, ZepClient
from langchain_zepstore.store_client import shared_client

URL = "mongodb://host/db"

BUILDING = """
import sys
from langchain_zepstore import ZepChatMessageHistory, ZepClient

seen, watching = [], False
sys.addaudithook(lambda event, arguments: watching and seen.append(event))
watching = True
client = ZepClient()
ZepClient("embedded:///some/dir")
ZepClient("mongodb+srv://nowhere.example/db?tls=true", async_driver="pymongo", timeout=1)
ZepChatMessageHistory("s", "mongodb://nowhere.example", lastn=5, start_on="human", user_id="u")
ZepChatMessageHistory("s", client=client, session_metadata={"a": 1})
client.chat_history("s")
repr(client)
watching = False
print(sorted(set(seen) - {"object.__getattr__", "object.__setattr__"}))
open(__import__("os").devnull).close()
"""


@pytest.fixture(autouse=True)
def no_url_in_the_environment(monkeypatch) -> None:
    monkeypatch.delenv("ZEPSTORE_URL", raising=False)


@pytest.mark.promise("constructors do no I/O; the event loop is never blocked")
def test_constructing_clients_and_histories_has_no_side_effects() -> None:
    """No file, socket, process, thread or import: Python's audit events would tell."""
    command = [sys.executable, "-X", "frozen_modules=on", "-c", BUILDING]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_url_argument_has_three_names() -> None:
    clients = [ZepClient(URL), ZepClient(base_url=URL), ZepClient(api_url=URL)]
    assert {client.url for client in clients} == {URL}
    assert ZepClient(URL, base_url=URL, api_url=URL).url == URL


def test_two_different_urls_are_refused() -> None:
    with pytest.raises(BadRequestError, match="pass one"):
        ZepClient(URL, base_url="mongodb://other")


def test_the_url_defaults_to_the_environment_then_to_embedded(monkeypatch) -> None:
    assert ZepClient().url == "embedded:"
    monkeypatch.setenv("ZEPSTORE_URL", "")
    assert ZepClient().url == "embedded:"
    monkeypatch.setenv("ZEPSTORE_URL", URL)
    assert ZepClient().url == URL
    assert ZepClient("embedded:").url == "embedded:"
    monkeypatch.setenv("ZEPSTORE_URL", "redis://host")
    with pytest.raises(BadRequestError, match="'redis' is not known"):
        ZepClient()


@pytest.mark.promise("any directory, found by its URL; building a client touches nothing")
@pytest.mark.parametrize("url", ["embedded:", "embedded:///", "embedded:///a/b%20c"])
def test_an_embedded_url_has_an_absolute_path_or_none(url) -> None:
    assert ZepClient(url).url == url


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis://host", "'redis' is not known; use mongodb://"),
        ("host:27017", "is not known"),
        ("embedded", "is not known"),
        ("", "is not known"),
        ("/some/dir", "is not known"),
        ("embedded:relative", "names no directory; use embedded:///some/dir"),
        ("embedded:./relative", "names no directory"),
        ("embedded://host/dir", "names no directory"),
        ("embedded:///dir?a=b", "names no directory"),
        ("embedded:///dir#1", "names no directory"),
        ("embedded:///a%00b", "embedded:///some/dir"),
        ("embedded://[x", "embedded"),
        ("redis://[x", "redis"),
        (5, "url must be a str, not int"),
        (b"mongodb://host", "url must be a str, not bytes"),
        ({"host": 1}, "url must be a str, not dict"),
        (["mongodb://host"], "url must be a str, not list"),
    ],
    ids=repr,
)
def test_an_invalid_url_is_refused(url, reason) -> None:
    with pytest.raises(BadRequestError, match=reason):
        ZepClient(url)


@pytest.mark.parametrize("url", [{"host": 1}, ["mongodb://host"], [], 0], ids=repr)
def test_a_history_refuses_an_invalid_url(url) -> None:
    with pytest.raises(BadRequestError, match="url must be a str"):
        ZepChatMessageHistory("s", url)


@pytest.mark.parametrize("driver", ["asyncio", "", None, 5, ["motor"]])
def test_an_async_driver_must_be_motor_or_pymongo(driver) -> None:
    with pytest.raises(BadRequestError, match="async_driver must be 'motor' or 'pymongo'"):
        ZepClient(URL, async_driver=driver)


@pytest.mark.parametrize(
    "timeout", [0, -1, True, None, "10", float("nan"), float("inf"), 1e300, -0.5], ids=repr
)
def test_a_timeout_must_be_a_positive_number_of_seconds(timeout) -> None:
    with pytest.raises(BadRequestError, match="timeout must be a number of seconds"):
        ZepClient(URL, timeout=timeout)


@pytest.mark.parametrize("database", [5, b"db", ["db"], "a b", "a.b", "$a", "a/b"], ids=repr)
def test_an_invalid_database_name_is_refused(database) -> None:
    with pytest.raises(BadRequestError, match="database"):
        ZepClient(URL, database=database)


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://ada:S3CRET@host/db",
        "mongodb+srv://ada:S3CRET@host/db",
        "mongodb://ada:S3CRET@a:1,b:2/db?replicaSet=r",
        "mongodb://ada:S3CRET@S3CRET@host/db",
        "mongodb://ada:S3CRET/S3CRET@host/db",
        "mongodb://ada:S3CRET?S3CRET@host/db",
        "mongodb://ada:S3CRET#S3CRET@host/db",
        "mongodb://host/db?tls=true&tlsCertificateKeyFilePassword=S3CRET",
        "mongodb://host/?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:S3CRET",
    ],
)
def test_the_repr_shows_the_host_and_hides_secrets(url) -> None:
    shown = repr(ZepClient(url))
    assert "S3CRET" not in shown
    assert "host" in shown or "a:1,b:2" in shown


def test_the_repr_of_an_invalid_url_hides_it() -> None:
    assert repr(ZepClient("mongodb://ada:S3CRET@[host")) == "ZepClient('mongodb://…')"


def test_the_repr_of_an_embedded_client_is_its_url() -> None:
    assert repr(ZepClient("embedded:///some/dir")) == "ZepClient('embedded:///some/dir')"


def test_histories_built_from_a_url_share_one_client(monkeypatch) -> None:
    first, second = (ZepChatMessageHistory(session, URL) for session in ("a", "b"))
    assert first._client is second._client
    assert first._client is shared_client(URL)
    assert ZepChatMessageHistory("a", "mongodb://other")._client is not first._client
    assert ZepChatMessageHistory("a", URL, "key")._client is not first._client
    monkeypatch.setenv("ZEPSTORE_URL", URL)
    assert ZepChatMessageHistory("a")._client is first._client


def test_a_history_of_a_client_uses_that_client() -> None:
    client = ZepClient(URL)
    history = client.chat_history("s")
    assert isinstance(history, ZepChatMessageHistory)
    assert history.session_id == "s"
    assert history._client is client
    assert ZepChatMessageHistory("s", client=client)._client is client


def test_a_history_takes_a_url_or_a_client_but_not_both() -> None:
    with pytest.raises(BadRequestError, match="url or client, not both"):
        ZepChatMessageHistory("s", URL, client=ZepClient(URL))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"client": "mongodb://host"}, "client must be a ZepClient, not str"),
        ({"lastn": -1}, "lastn must be at least 0"),
        ({"lastn": "5"}, "lastn must be an int"),
        ({"user_id": ""}, "user_id must not be empty"),
        ({"start_on": 5}, "start_on must be"),
        ({"start_on": int}, "start_on must be"),
        ({"start_on": ["human", 5]}, "start_on must be"),
        ({"start_on": [["human"]]}, "start_on must be"),
        ({"session_metadata": "a"}, "session_metadata must be a dict"),
    ],
    ids=str,
)
def test_a_history_refuses_invalid_arguments(options, reason) -> None:
    with pytest.raises(BadRequestError, match=reason):
        ZepChatMessageHistory("s", **({} if "client" in options else {"url": URL}), **options)


@pytest.mark.parametrize("session_id", [None, 5, "", {"$ne": ""}, "a\0", "x" * 1025], ids=repr)
def test_a_history_refuses_an_invalid_session_id(session_id) -> None:
    with pytest.raises(BadRequestError, match=r"^session_id "):
        ZepClient(URL).chat_history(session_id)


@pytest.fixture
def pymongo_client():
    with MongoClient("mongodb://127.0.0.1:9", connect=False) as client:
        yield client


@pytest.fixture
def motor_client():
    client = AsyncIOMotorClient("mongodb://127.0.0.1:9", connect=False)
    yield client
    client.close()


def test_a_client_of_another_type_is_refused(motor_client) -> None:
    for thing in ("mongodb://host", object(), motor_client, ZepClient(URL)):
        with pytest.raises(BadRequestError, match=r"client must be a pymongo\.MongoClient, not"):
            ZepClient(client=thing).message.count("s")


async def test_an_async_client_of_another_type_is_refused(pymongo_client) -> None:
    for thing in ("mongodb://host", object(), pymongo_client, ZepClient(URL)):
        with pytest.raises(BadRequestError, match=r"async_client must be a motor"):
            await ZepClient(async_client=thing).message.acount("s")


async def test_a_call_without_the_client_it_needs_names_the_argument(
    pymongo_client, motor_client
) -> None:
    with pytest.raises(BadRequestError, match="needs the argument async_client"):
        await ZepClient(client=pymongo_client).message.acount("s")
    with pytest.raises(BadRequestError, match="needs the argument client"):
        ZepClient(async_client=motor_client).message.count("s")


def test_a_client_can_be_closed_twice_and_not_used_afterwards() -> None:
    client = ZepClient(URL)
    client.close()
    client.close()
    with pytest.raises(BadRequestError, match="is closed"):
        client.message.count("s")


async def test_a_client_can_be_closed_twice_on_a_loop_and_not_used_afterwards() -> None:
    async with ZepClient(URL) as client:
        await client.aclose()
    with pytest.raises(BadRequestError, match="is closed"):
        await client.message.acount("s")


@pytest.mark.parametrize("start_on", ["hman", "user", ["human", "critic"]], ids=repr)
def test_an_unknown_start_on_type_is_refused(start_on) -> None:
    with pytest.raises(BadRequestError, match=r"start_on must be .* the types are .*human"):
        ZepChatMessageHistory("session", URL, start_on=start_on)
