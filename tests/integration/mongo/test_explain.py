"""Every query that the package sends is served by an index, as the server itself explains it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.runnables import RunnableLambda
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.monitoring import CommandListener

from langchain_zepstore import (
    CreateUserRequest,
    Memory,
    Message,
    Session,
    UpdateUserRequest,
    ZepClient,
)
from langchain_zepstore.mongo.indexes import MESSAGE_INDEXES, sharding_commands
from tests.support.embeddings import Subjects

EXPLAINABLE = {"find", "aggregate", "count", "update", "delete", "findAndModify"}
UNEXPLAINED = {"lsid", "txnNumber", "$db", "$clusterTime", "$readPreference", "writeConcern"}
BY_INDEX = {"IXSCAN", "IDHACK", "COUNT_SCAN", "EXPRESS_IXSCAN", "EXPRESS_CLUSTERED_IXSCAN"}
LIVE = DEAD = 2000
BIG = "a long session"


class Commands(CommandListener):
    """What the package sends, in order."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def started(self, event) -> None:
        self.sent.append(dict(event.command))

    def succeeded(self, event) -> None: ...

    def failed(self, event) -> None: ...


class Watched:
    """A client with what it sends, and the database to explain it."""

    def __init__(self, client: ZepClient, raw: Database, commands: Commands) -> None:
        self.client = client
        self.raw = raw
        self._commands = commands
        self._sent: dict[str, list[dict[str, Any]]] = {}

    def sent_by_name(self, name: str) -> list[dict[str, Any]]:
        """The commands of one of the calls below, which is made once."""
        if name not in self._sent:
            self._sent[name] = self.sent_by(lambda: CALLS[name](self.client))
        return self._sent[name]

    def sent_by(self, call) -> list[dict[str, Any]]:
        """The commands of one call that have a plan."""
        self._commands.sent.clear()
        call()
        return [
            command
            for command in self._commands.sent
            if next(iter(command)) in EXPLAINABLE and "$listSearchIndexes" not in str(command)
        ]

    def explain(self, command: dict[str, Any], verbosity: str = "executionStats") -> dict[str, Any]:
        told = {name: value for name, value in command.items() if name not in UNEXPLAINED}
        for statements in ("updates", "deletes"):
            if statements in told:
                told[statements] = told[statements][:1]
        return self.raw.command("explain", told, verbosity=verbosity)


def said(*contents: str, start: str = "") -> Memory:
    return Memory(
        messages=[Message(role="user", content=c, uuid=f"{start}{c}" or None) for c in contents]
    )


@pytest.fixture(scope="module")
def watched(mongo_url: str) -> Iterator[Watched]:
    commands, name = Commands(), f"explain_{uuid4().hex}"
    with (
        MongoClient(mongo_url, event_listeners=[commands]) as driver,
        MongoClient(mongo_url) as raw,
    ):
        client = ZepClient(client=driver, database=name, embeddings=Subjects())
        # The dead stand before the living, where a scan in order would meet them first.
        client.memory.add_memory(BIG, said(*map(str, range(DEAD)), start="dead "))
        client.memory.delete_memory(BIG)
        client.memory.add_memory(BIG, said(*map(str, range(LIVE)), start="live "))
        for number in range(20):
            client.user.add(CreateUserRequest(user_id=f"user {number}"))
        for number in range(300):
            client.memory.add_session(
                Session(
                    session_id=f"session {number}",
                    user_id=f"user {number % 20}",
                    metadata={"kind": number % 10},
                    pinned=number % 10 == 1,
                    archived=number % 10 == 2,
                    tags=["b", "c"] if number % 4 == 1 else [],
                )
            )
        for number in range(0, 300, 3):
            client.memory.delete_memory(f"session {number}")
        client.memory.add_memory("session 4", said("a boat"))
        yield Watched(client, raw[name], commands)
        raw.drop_database(name)


def stages(plan: Any) -> list[str]:
    """The names of the stages of a winning plan, the outermost first."""
    if isinstance(plan, list):
        return [stage for item in plan for stage in stages(item)]
    if not isinstance(plan, dict):
        return []
    own = [plan["stage"]] if isinstance(plan.get("stage"), str) else []
    return own + [
        stage
        for name, value in plan.items()
        if name not in ("rejectedPlans", "parsedQuery")
        for stage in stages(value)
    ]


def winning(explained: Any) -> list[dict[str, Any]]:
    """Each winning plan, wherever the command's answer carries it."""
    if isinstance(explained, list):
        return [plan for item in explained for plan in winning(item)]
    if not isinstance(explained, dict):
        return []
    here = [explained["winningPlan"]] if "winningPlan" in explained else []
    return here + [plan for value in explained.values() for plan in winning(value)]


def figures(explained: Any) -> dict[str, int]:
    """The examined keys and documents, and what was returned."""
    if isinstance(explained, dict):
        if "totalDocsExamined" in explained:
            return explained
        explained = list(explained.values())
    if isinstance(explained, list):
        for item in explained:
            if found := figures(item):
                return found
    return {}


def index_names(plan: Any) -> set[str]:
    if isinstance(plan, list):
        return {name for item in plan for name in index_names(item)}
    if not isinstance(plan, dict):
        return set()
    own = {plan["indexName"]} if "indexName" in plan else set()
    return own.union(*(index_names(value) for value in plan.values()))


def last_id(client: ZepClient) -> str:
    return client.memory.get_memory(BIG, 1).messages[0].uuid


def each(generator) -> list:
    return list(generator)


def second_page_of_recent(client: ZepClient, **options) -> None:
    page = client.memory.recent_sessions(20, **options)
    client.memory.recent_sessions(5, cursor=page.next_cursor, **options)


CALLS = {
    "add": lambda c: c.memory.add_memory("session 1", said("a", "b")),
    "re-add": lambda c: c.memory.add_memory("session 1", said("a", "b")),
    "add to a new session": lambda c: c.memory.add_memory("new", said("a")),
    "read the last": lambda c: c.memory.get_memory(BIG, 20),
    "read the last of a user's": lambda c: c.chat_history(BIG, user_id="u", lastn=20).messages,
    "read all of a user's": lambda c: c.chat_history(BIG, user_id="u").messages,
    "reach back": lambda c: c.chat_history(BIG, lastn=20, start_on="human").messages,
    "look back for nothing": lambda c: c.chat_history(BIG, lastn=20, start_on="system").messages,
    "read all": lambda c: c.memory.get_memory(BIG),
    "count": lambda c: c.message.count(BIG),
    "page": lambda c: c.message.get_session_messages(BIG, 20, 2),
    "iterate": lambda c: each(c.message.iter_messages(BIG, 500)),
    "show the last": lambda c: c.message.window(BIG, 20, content_limit=100),
    "show before": lambda c: c.message.window(BIG, 20, before="live 1000", content_limit=100),
    "show around": lambda c: c.message.window(BIG, 20, around="live 1000"),
    "sessions by words": lambda c: c.memory.search("boat", search_scope="sessions"),
    "get a message": lambda c: c.message.get_session_message(BIG, "live 1000"),
    "update a message": lambda c: c.message.update_message_metadata(BIG, "live 1000", {"a": 1}),
    "delete a message": lambda c: c.message.delete_message(BIG, "live 1500"),
    "undelete a message": lambda c: c.message.undelete_message(BIG, "live 1500"),
    "create a session": lambda c: c.memory.add_session(Session(session_id="created")),
    "revive a session": lambda c: c.memory.add_session(Session(session_id="session 3")),
    "get a session": lambda c: c.memory.get_session("session 1"),
    "update a session": lambda c: c.memory.update_session(
        Session(session_id="session 1", metadata={"a": 1})
    ),
    "give a session its user": lambda c: c.memory.update_session(
        Session(session_id="created", user_id="user 1", metadata={"a": 1})
    ),
    "list": lambda c: c.memory.list_sessions(50, 100),
    "list all at once": lambda c: c.memory.list_sessions(),
    "list of a user": lambda c: c.memory.list_sessions(5, 1, user_id="user 1"),
    "list by metadata": lambda c: c.memory.list_sessions(5, 1, metadata={"kind": 1}),
    "list with the deleted": lambda c: c.memory.list_sessions(50, 100, include_deleted=True),
    "list with the deleted of a user": lambda c: c.memory.list_sessions(
        5, 1, user_id="user 1", include_deleted=True
    ),
    "list in chunks": lambda c: each(c.memory.list_all_sessions(50)),
    "recent": second_page_of_recent,
    "recent of a user": lambda c: second_page_of_recent(c, user_id="user 1"),
    "organize a session": lambda c: c.memory.organize_session("session 1", title="a", pinned=True),
    "recent pinned": lambda c: second_page_of_recent(c, pinned=True),
    "recent pinned of a user": lambda c: second_page_of_recent(c, pinned=True, user_id="user 1"),
    "recent archived": lambda c: second_page_of_recent(c, archived=True),
    "recent of a user not archived": lambda c: second_page_of_recent(
        c, archived=False, user_id="user 1"
    ),
    "recent by tags": lambda c: second_page_of_recent(c, tags=["b", "c"]),
    "recent by tags of a user": lambda c: second_page_of_recent(c, tags=["b"], user_id="user 1"),
    "recent since": lambda c: second_page_of_recent(c, since=datetime(2020, 1, 1, tzinfo=UTC)),
    "recent deleted": lambda c: second_page_of_recent(c, deleted=True),
    "recent deleted of a user": lambda c: second_page_of_recent(c, deleted=True, user_id="user 3"),
    "recent with previews": lambda c: second_page_of_recent(c, preview=True),
    "delete a session": lambda c: c.memory.delete_memory("session 2"),
    "undelete a session": lambda c: c.memory.undelete_session("session 2"),
    "add a user": lambda c: c.user.add(CreateUserRequest(user_id="new")),
    "get a user": lambda c: c.user.get("user 1"),
    "update a user": lambda c: c.user.update(UpdateUserRequest(user_id="user 1", email="a@b.c")),
    "list users": lambda c: c.user.list(5, 2),
    "list users in chunks": lambda c: each(c.user.list_chunked(5)),
    "sessions of a user": lambda c: c.user.get_sessions("user 1"),
    "delete a user": lambda c: c.user.delete("user 2"),
    "summary of a session": lambda c: c.memory.get_memory("session 4", 0),
    "sum up a session": lambda c: c.memory.summarize(
        "session 4", RunnableLambda(lambda _: "short")
    ),
    "search summaries of a user": lambda c: c.memory.search(
        "short", user_id="user 1", search_scope="summary"
    ),
    "search the sessions of a user": lambda c: c.memory.search(
        "short", user_id="user 1", search_scope="sessions"
    ),
    "search a session by its date": lambda c: c.memory.search(
        session_id="session 4", start_date=datetime(2020, 1, 1, tzinfo=UTC)
    ),
    "search a user's sessions by their date": lambda c: c.memory.search(
        user_id="user 1", start_date=datetime(2020, 1, 1, tzinfo=UTC), limit=3
    ),
    "search a session by meaning": lambda c: c.memory.search(
        "x", session_id="session 4", search_type="similarity"
    ),
    "search a user's sessions by meaning": lambda c: c.memory.search(
        "x", user_id="user 1", search_type="mmr"
    ),
    "make all vectors": lambda c: c.memory.embed(),
    "activity": lambda c: c.activity(),
    "activity of a user": lambda c: c.activity(user_id="user 1"),
    "purge": lambda c: c.purge(),
}

# Each of them through the view of a user, whose sessions 1 and 21 are.
IN_A_VIEW = (
    *("get a session", "update a session", "organize a session", "list", "list all at once"),
    *("list by metadata", "list with the deleted", "list in chunks", "recent", "recent pinned"),
    *("recent archived", "recent by tags", "recent since", "recent deleted"),
    *("activity", "activity of a user", "recent with previews", "search the sessions of a user"),
    *("search a user's sessions by their date", "search a user's sessions by meaning"),
)
CALLS |= {
    f"{name} in a view": lambda c, call=CALLS[name]: call(c.for_user("user 1"))
    for name in IN_A_VIEW
} | {
    "read the last in a view": lambda c: c.for_user("user 4").memory.get_memory("session 4", 20),
    "count in a view": lambda c: c.for_user("user 4").message.count("session 4"),
    "iterate in a view": lambda c: each(c.for_user("user 4").message.iter_messages("session 4")),
}


def test_the_last_messages_are_read_without_examining_deleted_ones(watched):
    history = watched.client.chat_history(BIG, lastn=20)
    (find,) = watched.sent_by(lambda: history.messages)
    assert watched.raw.messages.count_documents({"session_id": BIG}) >= LIVE + DEAD
    assert figures(watched.explain(find))["totalDocsExamined"] <= 21


NARROW = {  # how many documents each may look at, whatever else there is
    "get a message": 1,
    "update a message": 1,
    "delete a message": 1,
    "undelete a message": 2,
    "page": 41,
    "show the last": 21,
    "show before": 21,
    "show around": 21,
    "get a session": 1,
    "update a session": 1,
    "list of a user": 15,
    "list with the deleted of a user": 6,
    "recent": 21,
    "recent of a user": 21,
    "recent pinned": 21,
    "recent pinned of a user": 21,
    "recent archived": 21,
    "recent by tags": 21,
    "recent by tags of a user": 21,
    "recent deleted": 21,
    "recent deleted of a user": 21,
    "organize a session": 1,
    "list": 51,
    "list users": 6,
    "get a user": 1,
}
NARROW |= {f"{name} in a view": NARROW[name] for name in IN_A_VIEW if name in NARROW}


@pytest.mark.parametrize("name", NARROW)
def test_a_call_examines_no_more_documents_than_needed(name, watched):
    for command in watched.sent_by(lambda: CALLS[name](watched.client)):
        examined = figures(watched.explain(command)).get("totalDocsExamined", 0)
        assert examined <= NARROW[name], command


def test_a_metadata_filter_scans_in_id_order(watched):
    client = watched.client
    (find,) = watched.sent_by(lambda: client.memory.list_sessions(5, metadata={"kind": 1}))
    (plan,) = winning(watched.explain(find))
    assert index_names(plan) <= {"live_by_id", "by_id"}
    assert index_names(plan)


# What asks every shard of a cluster: listings, and what lists.
EVERYWHERE = {name for name in CALLS if name.startswith(("list", "recent", "sessions"))} | {
    "delete a user",
    "purge",
    "make all vectors",
    *(name for name in CALLS if name.startswith("search") and "user" in name),
    *(name for name in CALLS if name.startswith("activity")),
}


def asked(command: dict[str, Any]) -> dict[str, Any]:
    """The query of a command, of whichever kind."""
    for name in ("filter", "query"):
        if name in command:
            return command[name]
    if "pipeline" in command:
        return command["pipeline"][0]["$match"]
    # Of several statements, each is as the first.
    ((statement, *_),) = [command[name] for name in ("updates", "deletes") if name in command]
    return statement["q"]


@pytest.mark.parametrize("name", [name for name in CALLS if name not in EVERYWHERE])
def test_every_command_contains_its_shard_key(name, watched):
    keys = {"messages": "session_id", "sessions": "_id"}
    for command in watched.sent_by_name(name):
        key = keys.get(next(iter(command.values())))
        if key and command.get("hint") != "_id_":  # a delete counts numbers in the index alone
            value = asked(command)[key]
            assert isinstance(value, str) or list(value) == ["$in"], command


def test_unique_indexes_start_with_the_shard_key():
    for command in sharding_commands("zep")[1:]:
        ((key, _),) = command["key"].items()
        unique = {"sessions": [[("_id", 1)]], "messages": []}[command["shardCollection"][4:]]
        if not unique:
            unique = [
                list(index.document["key"].items())
                for index in MESSAGE_INDEXES
                if index.document.get("unique")
            ]
        assert [index[0][0] for index in unique] == [key]


# The last of the file: it purges what the others want to find in the way.
@pytest.mark.promise("every query is served by an index and sorts nothing")
@pytest.mark.parametrize("name", CALLS)
def test_every_command_uses_an_index_and_no_in_memory_sort(name, watched):
    commands = watched.sent_by_name(name)
    assert commands
    for command in commands:
        explained = watched.explain(command, "queryPlanner")
        plans = winning(explained)
        assert plans, explained
        for plan in plans:
            names = stages(plan)
            if names == ["EOF"] or next(iter(command.values())) == "counters":
                continue
            told = f"{command} is served by {names}"
            assert BY_INDEX & set(names), told
            assert "COLLSCAN" not in names, told
            assert "SORT" not in names, told


def test_a_purge_does_not_scan_all_deleted_documents_for_each_chunk(watched):
    seen = 0
    for command in watched.sent_by_name("purge"):
        if next(iter(command)) in ("update", "delete") and "$in" in asked(command).get("_id", ()):
            for plan in winning(watched.explain(command, "queryPlanner")):
                assert index_names(plan) <= {"_id_"}, command
                seen += 1
    assert seen
