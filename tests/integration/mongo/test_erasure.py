"""Erasures in the raw documents: nothing stays, whatever is killed and whoever adds meanwhile."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import bson
import pytest
from bson.json_util import dumps
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.mongodb import MongoDBSaver
from pymongo import MongoClient, WriteConcern

from langchain_zepstore import CreateUserRequest, Memory, Message, Session, ZepClient
from langchain_zepstore.core.results import ErasurePage
from tests.support.messages import parts_of
from tests.support.stepping import Drive, store_of

pytestmark = pytest.mark.turns("zep")

USER, SESSION = "ada-lovelace", "diary-of-ada"
WORDS = ("analytical", "bernoulli", "punch-cards")
SECRETS = (USER, SESSION, *WORDS)
FENCE_FIELDS = {"_id", "superseded", "deleted_at", "expires_at", "placeholder"}


def said(*texts: str) -> Memory:
    return Memory(
        messages=[Message(role="user", content=text, uuid=f"id {text}") for text in texts]
    )


@pytest.fixture(params=["mongo_url", "replica_set_url"])
def zep(request: pytest.FixtureRequest) -> Iterator[ZepClient]:
    """A client on a database of the test's own."""
    url = request.getfixturevalue(request.param)
    name = f"test_{bson.ObjectId()}"
    with ZepClient(url, database=name) as client:
        yield client
    with MongoClient(url) as raw:
        raw.drop_database(name)


@pytest.fixture
def begin(zep: ZepClient) -> Callable[[], None]:
    """Begins a life, again and again: the first one's documents are put in place of all others."""
    begin_life(zep)
    # Nothing waits for the disk here.
    database = collections(zep).with_options(write_concern=WriteConcern(1))
    names = database.list_collection_names()
    life = {name: list(database[name].find()) for name in names}

    def again() -> None:
        for name in database.list_collection_names():
            database[name].delete_many({})
            if life.get(name):
                database[name].insert_many(life[name])

    return again


def collections(zep: ZepClient) -> Any:
    return store_of(zep).messages._messages._raw.database


def everything(zep: ZepClient) -> str:
    database = collections(zep)
    names = database.list_collection_names()
    return "\n".join(dumps(list(database[name].find())) for name in names)


def found(zep: ZepClient) -> list[str]:
    """Return the secrets that the raw documents hold."""
    text = everything(zep)
    return [secret for secret in SECRETS if secret in text]


def begin_life(zep: ZepClient) -> None:
    """Say things; delete some, purge some, replace some, delete and revive the session."""
    zep.user.add(CreateUserRequest(user_id=USER))
    zep.memory.add_session(Session(session_id=SESSION, user_id=USER, metadata={"about": WORDS[0]}))
    zep.memory.organize_session(SESSION, title=WORDS[1], tags=[WORDS[2]])
    zep.memory.add_memory(SESSION, said("one", *WORDS))
    zep.message.delete_message(SESSION, f"id {WORDS[0]}")
    zep.memory.add_memory(SESSION, said(WORDS[0]))
    zep.memory.delete_memory(SESSION)
    zep.memory.add_memory(SESSION, said(f"again {WORDS[1]}", WORDS[2]))
    zep.message.delete_message(SESSION, f"id {WORDS[2]}")
    zep.purge()
    zep.memory.add_memory(SESSION, said(*(f"{word} last" for word in WORDS)))
    zep.memory.search(WORDS[0], session_id=SESSION)


def erasing(store: Any, which: str) -> Any:
    if which == "user":
        return store.deletion.erase_user(USER, None)
    return store.deletion.erase_session(SESSION, None)


@pytest.mark.promise("an erasure leaves an incarnation and a number for an hour, nothing else")
def test_raw_documents_keep_no_content_or_id_of_an_erased_user(zep: ZepClient) -> None:
    begin_life(zep)
    assert found(zep) == list(SECRETS)
    session_uuid = zep.memory.get_session(SESSION).uuid
    zep.user.erase(USER)
    assert found(zep) == []
    left = list(collections(zep)["messages"].find())
    assert left
    assert {name for document in left for name in document} == FENCE_FIELDS
    assert {document["_id"]["s"] for document in left} == {session_uuid}


@pytest.mark.turns("is_view")
@pytest.mark.promise("a killed erasure is completed by its repeat")
@pytest.mark.parametrize("is_view", [False, True], ids=["by a client", "by a view"])
@pytest.mark.parametrize("which", ["user", "session"])
def test_a_retry_completes_an_erasure_killed_after_any_step(
    zep: ZepClient, begin: Callable[[], None], which: str, is_view: bool
) -> None:
    zep = zep.for_user(USER) if is_view else zep
    store = store_of(zep)
    kills = 0
    while True:
        begin()
        operation = erasing(store, which)
        drive = Drive(operation)
        try:
            drive.step(kills + 1)
        except StopIteration:
            break
        operation.close()
        kills += 1
        if which == "user":
            zep.user.erase(USER)
            assert found(zep) == []
        else:
            zep.memory.erase_session(SESSION)
            assert [each for each in found(zep) if each != USER] == []
            zep.user.erase(USER)
        assert zep.user.erase(USER) == {"users": 0, "sessions": 0, "messages": 0}
    assert kills > 5


@pytest.mark.promise("a killed erasure is completed by its repeat")
def test_a_retry_completes_the_erasure_of_a_killed_process(
    zep: ZepClient, begin: Callable[[], None]
) -> None:
    url, name = zep.url, collections(zep).name
    for steps in (1, 4, 7):
        begin()
        pid = os.fork()
        if not pid:
            with ZepClient(url, database=name) as child:
                Drive(erasing(store_of(child), "user")).step(steps)
                os.kill(os.getpid(), 9)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -9
        zep.user.erase(USER)
        assert found(zep) == []


@pytest.mark.turns("is_view")
@pytest.mark.parametrize("is_view", [False, True], ids=["by a client", "by a view"])
def test_an_add_paused_at_any_step_is_whole_in_the_new_session(
    zep: ZepClient, begin: Callable[[], None], is_view: bool
) -> None:
    zep = zep.for_user(USER) if is_view else zep
    store = store_of(zep)
    pauses = 0
    while True:
        begin()
        new = [f"id {word} new" for word in ("x", "y")]
        adding = Drive(store.messages.add(SESSION, parts_of(said("x new", "y new"))))
        try:
            adding.step(pauses)
        except StopIteration:
            break
        zep.memory.erase_session(SESSION)
        adding.finish()
        pauses += 1
        there = [message.uuid for message in zep.memory.get_memory(SESSION).messages]
        assert there in ([], new)
        assert [each for each in found(zep) if each in WORDS] == []
    assert pauses > 1


@pytest.mark.turns("is_view")
@pytest.mark.parametrize("is_view", [False, True], ids=["by a client", "by a view"])
def test_an_erasure_paused_at_any_step_keeps_messages_added_since(
    zep: ZepClient, begin: Callable[[], None], is_view: bool
) -> None:
    zep = zep.for_user(USER) if is_view else zep
    store = store_of(zep)
    pauses, spared = 1, 0
    while True:
        begin()
        operation = Drive(erasing(store, "user"))
        try:
            operation.step(pauses)
        except StopIteration:
            break
        zep.chat_history(SESSION, user_id=USER).add_user_message("hello")
        zep.memory.add_memory(SESSION, said("again"))
        page = operation.finish()
        assert isinstance(page, ErasurePage)
        there = [message.content for message in zep.memory.get_memory(SESSION).messages]
        if there:
            spared += 1
            assert there == ["hello", "again"]
            assert zep.memory.get_session(SESSION).user_id == USER
            assert zep.user.get(USER)
        assert [each for each in found(zep) if each in WORDS] == []
        pauses += 1
    assert spared > 3


@pytest.mark.promise("a purged session leaves nothing to an erasure")
@pytest.mark.parametrize("is_view", [False, True], ids=["by a client", "by a view"])
def test_the_remains_of_a_purge_are_erased_with_the_session(zep: ZepClient, is_view: bool) -> None:
    begin_life(zep)
    zep.memory.delete_memory(SESSION)
    zep.purge()
    assert SESSION in found(zep)
    (zep.for_user(USER) if is_view else zep).memory.erase_session(SESSION)
    assert [each for each in found(zep) if each != USER] == []


def test_an_unfinished_erasure_is_not_listed(zep: ZepClient) -> None:
    begin_life(zep)
    drive = Drive(erasing(store_of(zep), "session"))
    while not collections(zep)["sessions"].find_one({"erasing": {"$exists": True}}):
        drive.step()
    assert zep.memory.list_sessions(include_deleted=True) == []
    assert zep.memory.recent_sessions().sessions == []
    assert zep.memory.recent_sessions(deleted=True).sessions == []
    zep.purge()
    assert zep.user.erase(USER)["sessions"] == 1
    assert found(zep) == []


@pytest.mark.promise("an erasure takes the threads of MongoDBSaver along")
def test_erasing_deletes_the_threads_of_a_mongodb_checkpointer(
    zep: ZepClient, mongo_url: str
) -> None:
    begin_life(zep)
    name = collections(zep).name
    with MongoClient(mongo_url) as raw:
        saver = MongoDBSaver(raw, db_name=name)
        for thread in (SESSION, "another"):
            config: Any = {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}
            saver.put(config, empty_checkpoint(), {}, {})
        counts = zep.user.erase(USER, checkpointer=saver)
        assert counts["threads"] == 1
        left = [each.config["configurable"]["thread_id"] for each in saver.list(None)]
        assert left == ["another"]
        assert SESSION not in dumps(list(raw[name]["checkpoints"].find()))
        raw.drop_database(name)
