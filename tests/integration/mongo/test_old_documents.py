"""Databases that earlier versions wrote are read, restored and purged as they were."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.database import Database

from langchain_zepstore import NotFoundError, ZepClient
from tests.support.messages import contents_in, with_ids


@pytest.fixture
def raw(mongo_url: str) -> Iterator[Database]:
    with MongoClient(mongo_url, tz_aware=True) as driver:
        name = f"old_{uuid4().hex}"
        yield driver[name]
        driver.drop_database(name)


@pytest.fixture
def client(raw: Database) -> ZepClient:
    return ZepClient(client=raw.client, database=raw.name)


def delete_as_of_old(raw: Database, uuid: str) -> ObjectId:
    """Delete a message alone as it was done when ``deletion`` held two types."""
    mark = ObjectId()
    raw.messages.update_one({"uuid": uuid}, [{"$set": {"deleted_at": "$$NOW", "deletion": mark}}])
    return mark


@pytest.mark.promise("deletions of an earlier version are restored and purged")
def test_a_message_deleted_by_an_earlier_version_is_undeleted_individually(client, raw):
    client.memory.add_memory("s", with_ids("a", "b", "c"))
    delete_as_of_old(raw, "a")
    delete_as_of_old(raw, "b")
    assert contents_in(client, "s") == ["c"]
    client.message.undelete_message("s", "b")
    assert contents_in(client, "s") == ["b", "c"]
    assert not {"deletion", "own_deletion"} & set(raw.messages.find_one({"uuid": "b"}))


def test_undelete_session_keeps_messages_deleted_by_an_earlier_version_deleted(client, raw):
    client.memory.add_memory("s", with_ids("a", "b"))
    delete_as_of_old(raw, "a")
    client.memory.delete_memory("s")
    client.memory.undelete_session("s")
    assert contents_in(client, "s") == ["b"]


def test_an_undelete_claimed_by_an_earlier_version_is_completed(client, raw):
    client.memory.add_memory("s", with_ids("a", "b"))
    mark = delete_as_of_old(raw, "a")
    undeletion = {"id": mark, "message": "a", "count": 0}
    raw.sessions.update_one({"_id": "s"}, {"$set": {"undeletion": undeletion}})
    client.memory.delete_memory("s")  # finishes it first
    client.memory.undelete_session("s")
    assert contents_in(client, "s") == ["a", "b"]


def test_messages_deleted_by_an_earlier_version_can_be_readded_and_purged(client, raw):
    client.memory.add_memory("s", with_ids("a", "b"))
    delete_as_of_old(raw, "a")
    delete_as_of_old(raw, "b")
    client.memory.add_memory("s", with_ids("a"))
    assert contents_in(client, "s") == ["a"]
    assert client.purge()["messages"] == 1
    with pytest.raises(NotFoundError):
        client.message.undelete_message("s", "b")


def test_message_and_session_deletions_use_separate_fields(client, raw):
    client.memory.add_memory("s", with_ids("a", "b"))
    client.message.delete_message("s", "a")
    client.memory.delete_memory("s")
    alone, taken = (raw.messages.find_one({"uuid": uuid}) for uuid in "ab")
    assert isinstance(alone["own_deletion"], ObjectId)
    assert "deletion" not in alone
    assert taken["deletion"] == 1
    assert "own_deletion" not in taken


def test_a_message_id_that_looks_like_a_field_path_can_be_undeleted(client):
    client.memory.add_memory("s", with_ids("a", "$uuid"))
    client.memory.delete_memory("s")
    client.memory.add_memory("s", with_ids("c"))
    client.message.undelete_message("s", "$uuid")
    assert contents_in(client, "s") == ["$uuid", "c"]
