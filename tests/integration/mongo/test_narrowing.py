"""A view narrows every query, and nothing shows through while a session changes hands."""

import inspect
import pickle
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from pymongo import MongoClient

from langchain_zepstore import CreateUserRequest, Memory, Message, Session, ZepClient, ZepStoreError
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.store import Store
from langchain_zepstore.mongo.driver.collection import Collection
from tests.support.messages import contents_in, parts_of, said
from tests.support.stepping import Drive, store_of

ADAS, BOBS = "what ada said", "what bob said"


def either(operation: Operation[tuple[int, bool]]) -> Operation[bool]:
    """Whether an operation changes or sees anything."""
    return any((yield from operation))


# How each method of a collection is called to meet another user's session.
CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "aggregate": lambda sessions, query: sessions.aggregate([{"$match": query}]),
    "count": lambda sessions, query: sessions.count(query),
    "delete": lambda sessions, query: sessions.delete(query),
    "find": lambda sessions, query: sessions.find(query),
    "find_one": lambda sessions, query: sessions.find_one(query),
    "find_one_and_update": lambda sessions, query: sessions.find_one_and_update(
        query, {"$set": {"x": 1}}
    ),
    "find_raw": lambda sessions, query: sessions.find_raw(
        query, sort={"_id": 1}, batch_size=9, fields={"_id": 1}
    ),
    "replace": lambda sessions, query: sessions.replace(query, {"x": 1}),
    "update": lambda sessions, query: sessions.update(query, {"$set": {"x": 1}}, many=True),
    "update_and_look": lambda sessions, query: either(
        sessions.update_and_look(query, {"$set": {"x": 1}}, query)
    ),
    "update_each": lambda sessions, query: sessions.update_each([(query, {"$set": {"x": 1}})]),
}
WITHOUT_QUERY = {
    *("create_indexes", "drop_index", "index_information", "set_expiry"),
    *("insert", "narrowed"),
}


@pytest.fixture
def client(mongo_url: str) -> Iterator[ZepClient]:
    name = f"views_{uuid4().hex}"
    with ZepClient(mongo_url, database=name) as client:
        for user_id in ("ada", "bob"):
            client.user.add(CreateUserRequest(user_id=user_id))
        yield client
    with MongoClient(mongo_url) as raw:
        raw.drop_database(name)


def test_the_calls_cover_every_collection_method() -> None:
    methods = {name for name, _ in inspect.getmembers(Collection, inspect.isfunction)}
    public = {name for name in methods if not name.startswith("_")}
    assert public == CALLS.keys() | WITHOUT_QUERY


@pytest.mark.promise("a view narrows every query that reaches the database")
@pytest.mark.parametrize("name", CALLS)
def test_every_query_of_a_view_finds_only_the_users_documents(client: ZepClient, name: str) -> None:
    client.for_user("ada").memory.add_memory("ada's", said(ADAS))
    before = client.memory.get_session("ada's")

    def call(query: dict[str, Any]) -> Any:
        def operation(store: Any) -> Operation[Any]:
            return (yield from CALLS[name](store.sessions._database.sessions, query))

        return client.for_user("bob").run(operation)

    for query in (
        {},
        {"_id": "ada's"},
        {"user_id": "ada"},
        {"_id": "ada's", "user_id": "ada"},
        {"$or": [{"_id": "ada's"}, {"user_id": "ada"}]},
        {"_id": "ada's", "$expr": {"$eq": ["$user_id", "ada"]}},
        {"_id": "ada's", "$and": [{"user_id": {"$in": [None, "ada"]}}]},
    ):
        assert not call(query), query
    assert client.memory.get_session("ada's") == before


def shown(client: ZepClient, user_id: str) -> str:
    """Return all that a view shows of a session."""
    view = client.for_user(user_id)
    found: list[Any] = [
        view.memory.list_sessions(include_deleted=True),
        view.memory.recent_sessions(preview=True),
        view.memory.recent_sessions(deleted=True, preview=True),
        view.memory.get_memory("s"),
        view.memory.get_memory("s", include_deleted=True),
        list(view.message.iter_messages("s", include_deleted=True)),
        list(view.message.iter_messages("s", all_branches=True)),
        view.memory.search("said"),
        view.memory.search("said", session_id="s"),
    ]
    return repr(found)


def with_id(text: str) -> Memory:
    return Memory(messages=[Message(role="user", content=text, uuid="one")])


Change = Callable[[Store], Operation[Any]]
CHANGES: dict[str, tuple[list[Callable[[ZepClient], Any]], Change]] = {
    "nobody's becomes Ada's": (
        [lambda c: c.memory.add_memory("s", with_id(ADAS))],
        lambda store: store.sessions.update(Session(session_id="s", user_id="ada"), []),
    ),
    "Ada's is deleted": (
        [lambda c: c.for_user("ada").memory.add_memory("s", with_id(ADAS))],
        lambda store: store.deletion.delete_session("s"),
    ),
    "Ada's comes back": (
        [
            lambda c: c.for_user("ada").memory.add_memory("s", with_id(ADAS)),
            lambda c: c.memory.delete_memory("s"),
        ],
        lambda store: store.deletion.undelete_session("s"),
    ),
    "Ada's becomes Bob's": (
        [
            lambda c: c.for_user("ada").memory.add_memory("s", with_id(ADAS)),
            lambda c: c.memory.delete_memory("s"),
        ],
        lambda store: store.sessions.create(Session(session_id="s", user_id="bob")),
    ),
    "Bob says something under an id of Ada's": (
        [
            lambda c: c.for_user("ada").memory.add_memory("s", with_id(ADAS)),
            lambda c: c.memory.delete_memory("s"),
            lambda c: c.memory.add_session(Session(session_id="s", user_id="bob")),
        ],
        lambda store: store.for_user("bob").messages.add("s", parts(BOBS)),
    ),
    "Ada's is purged": (
        [
            lambda c: c.for_user("ada").memory.add_memory("s", with_id(ADAS)),
            lambda c: c.memory.delete_memory("s"),
            lambda c: c.memory.add_session(Session(session_id="s", user_id="bob")),
            lambda c: c.for_user("bob").memory.add_memory("s", said(BOBS)),
        ],
        lambda store: store.for_user("ada").deletion.purge(None),
    ),
}


def parts(text: str) -> Any:
    return parts_of(with_id(text))


@pytest.mark.promise("messages under an id never become those of its next owner")
@pytest.mark.parametrize("name", CHANGES)
def test_a_view_shows_no_foreign_data_at_any_step_of_a_change(client: ZepClient, name: str) -> None:
    before, change = CHANGES[name]
    for each in before:
        each(client)
    drive, steps = Drive(change(store_of(client))), 0
    while True:
        assert ADAS not in shown(client, "bob"), steps
        assert BOBS not in shown(client, "ada"), steps
        try:
            drive.step()
        except StopIteration:
            break
        steps += 1
    assert steps
    assert ADAS not in shown(client, "bob")


def test_an_add_in_a_view_that_lost_its_session_is_refused(client: ZepClient) -> None:
    ada = client.for_user("ada")
    ada.memory.add_memory("s", with_id(ADAS))
    adding = Drive(store_of(client).for_user("ada").messages.add("s", parts(ADAS + " late")))
    adding.step()  # the numbers are reserved
    client.memory.delete_memory("s")
    client.memory.add_session(Session(session_id="s", user_id="bob"))
    with pytest.raises(ZepStoreError):
        adding.finish()
    assert contents_in(client, "s") == []
    assert ADAS not in shown(client, "bob")


def test_a_view_is_pickled_like_its_client(client: ZepClient) -> None:
    client.for_user("ada").memory.add_memory("s", said(ADAS))
    copy = pickle.loads(pickle.dumps(client.for_user("ada")))
    assert copy.user_id == "ada"
    assert contents_in(copy, "s") == [ADAS]
    assert contents_in(pickle.loads(pickle.dumps(client.for_user("bob"))), "s") == []
