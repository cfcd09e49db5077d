"""Each source, filled by its own package, comes over whole."""

import asyncio
import json
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from pymongo import MongoClient

from benchmarks import servers
from langchain_zepstore import BadRequestError, ZepClient
from langchain_zepstore.migration import migrate
from langchain_zepstore.migration.readers import reader_of

CALL = {"name": "look", "args": {"q": "red", "n": 1.5}, "id": "call_1", "type": "tool_call"}
SAID: list[BaseMessage] = [
    SystemMessage("Be kind"),
    HumanMessage("Which boat?", id="h1", name="ada"),
    AIMessage(
        "",
        tool_calls=[CALL],
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
    ),
    ToolMessage([{"type": "text", "text": "The red one"}], tool_call_id="call_1"),
    AIMessage("The red one", id="a1", response_metadata={"model": "m"}),
    AIMessage("The red one, again", id="a1"),
]
MANY = [HumanMessage(f"{number}") for number in range(510)]
PROMISE = pytest.mark.promise(
    "migration takes times, order, ids and tool calls from each source's own package"
)


@pytest.fixture
def store(mongo_url: str, database_name: str) -> Iterator[ZepClient]:
    with ZepClient(mongo_url, database=f"{database_name}_to") as client:
        yield client
    with MongoClient[Any](mongo_url) as client:
        client.drop_database(f"{database_name}_to")


def plain(messages: list[BaseMessage]) -> list[dict[str, Any]]:
    return [message.model_dump(exclude={"id"}) for message in messages]


def come_over(store: ZepClient, source: str, location: str, **options: Any) -> None:
    """Migrate, twice, with a comparison; check that the sessions ``one`` and ``many`` are there."""
    for _ in range(2):
        report = migrate(reader_of(source, location, **options), store, verify=True)
        assert (report.refused, report.different, report.errors) == (0, 0, [])
        assert (report.sessions, report.messages) == (2, len(SAID) + len(MANY))
    found = store.chat_history(ONE).messages
    assert plain(found) == plain(SAID)
    assert (found[1].id, found[4].id) == ("h1", "a1")
    assert len({message.id for message in found}) == len(SAID)
    assert [each.content for each in store.chat_history(TWO).messages] == [
        each.content for each in MANY
    ]


ONE, TWO = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


def are_recent(store: ZepClient) -> bool:
    since = datetime.now(UTC) - timedelta(minutes=10)
    messages = store.memory.get_memory(ONE).messages
    return all(message.created_at and message.created_at >= since for message in messages)


@PROMISE
@pytest.mark.parametrize("has_index", [True, False])
def test_langchain_mongodb_is_migrated(
    mongo_url: str, database_name: str, store: ZepClient, has_index: bool
) -> None:
    module = pytest.importorskip("langchain_mongodb")
    fields = {"session_id_key": "sid", "history_key": "said"} if has_index else {}
    driver = MongoClient[Any](mongo_url)
    for session_id, messages in ((TWO, MANY[:1]), (ONE, SAID)):
        history = module.MongoDBChatMessageHistory(
            None,
            session_id,
            database_name,
            "histories",
            create_index=has_index,
            client=driver,
            **fields,
        )
        for message in messages:
            history.add_message(message)
    names = [fields.get(name, name) for name in ("session_id_key", "history_key")]
    names = names if has_index else ["SessionId", "History"]
    template = history.collection.find_one({names[0]: TWO}, {"_id": 0})
    rest = [
        template | {names[1]: template[names[1]].replace('"0"', f'"{message.content}"')}
        for message in MANY[1:]
    ]
    history.collection.insert_many(rest)
    before = list(history.collection.find())
    options = {"session_field": "sid", "history_field": "said"} if has_index else {}
    come_over(
        store,
        "langchain-mongodb",
        mongo_url,
        database=database_name,
        collection="histories",
        **options,
    )
    assert list(history.collection.find()) == before
    assert are_recent(store)
    first = TWO if has_index else ONE  # by time where that costs nothing
    assert store.memory.list_sessions()[0].session_id == first
    history.collection.insert_one({names[0]: "bad", names[1]: '{"type": "none"}'})
    driver.close()
    reader = reader_of(
        "langchain-mongodb",
        mongo_url,
        database=database_name,
        collection="histories",
        **options,
    )
    report = migrate(reader, store)
    assert report.refused == 1
    assert "session 'bad': message " in report.errors[0].reason


@PROMISE
def test_langchain_sql_is_migrated(tmp_path: Path, store: ZepClient) -> None:
    community = pytest.importorskip("langchain_community.chat_message_histories")
    url = f"sqlite:///{tmp_path}/chats.db"
    for session_id, messages in ((TWO, MANY), (ONE, SAID)):
        history = community.SQLChatMessageHistory(session_id, "said", connection=url)
        history.add_messages(messages)
        history.engine.dispose()
    come_over(store, "langchain-sql", url, collection="said")
    come_over(store, "langchain-sql", str(tmp_path / "chats.db"), collection="said")
    assert store.memory.list_sessions()[0].session_id == TWO
    with pytest.raises(BadRequestError, match="no column 'none'"):
        migrate(reader_of("langchain-sql", url, collection="said", session_field="none"), store)
    with pytest.raises(BadRequestError, match="langchain-sql cannot be read"):
        migrate(reader_of("langchain-sql", url, collection="absent"), store)


@contextmanager
def server(start: Any) -> Iterator[str]:
    try:
        with start as url:
            yield url
    except servers.MissingServerError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    # Not below pytest's own directory: another run of pytest would take it away from its user.
    with tempfile.TemporaryDirectory(prefix="zs-") as name:
        directory = Path(name) / "postgres"
        directory.mkdir()
        with server(servers.postgres(directory)) as url:
            yield url


@PROMISE
def test_langchain_postgres_is_migrated(postgres: str, store: ZepClient) -> None:
    module = pytest.importorskip("langchain_postgres")
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(postgres) as connection:
        module.PostgresChatMessageHistory.create_tables(connection, "said")
        for session_id, messages in ((TWO, MANY), (ONE, SAID)):
            history = module.PostgresChatMessageHistory(
                "said", session_id, sync_connection=connection
            )
            history.add_messages(messages)
    come_over(store, "langchain-postgres", postgres, collection="said")
    assert are_recent(store)


@PROMISE
def test_community_redis_is_migrated(tmp_path: Path, store: ZepClient) -> None:
    community = pytest.importorskip("langchain_community.chat_message_histories")
    with server(servers.redis(tmp_path, durable=False)) as url:
        for session_id, messages in ((TWO, MANY), (ONE, SAID)):
            history = community.RedisChatMessageHistory(session_id, url, "chat*:")
            history.add_messages(messages)
        history.redis_client.set("chat*:other", "no list")
        come_over(store, "community-redis", url, collection="chat*:")
        history.redis_client.close()


def fill(saver: Any) -> None:
    """Run a graph that says what was said in the threads of a checkpointer."""
    from langgraph.graph import MessagesState, StateGraph

    graph = StateGraph(MessagesState)
    graph.add_node("answer", lambda state: {"messages": []})
    graph.set_entry_point("answer")
    compiled = graph.compile(checkpointer=saver)
    distinct = [*SAID[:-1], SAID[-1].model_copy(update={"id": "a2"})]
    for thread, messages in ((ONE, distinct), (TWO, MANY)):
        config = {"configurable": {"thread_id": thread, "user_id": "ada"}}
        compiled.invoke({"messages": messages[:1]}, config)
        compiled.invoke({"messages": messages[1:]}, config)


@PROMISE
def test_langgraph_mongodb_is_migrated(
    mongo_url: str, database_name: str, store: ZepClient
) -> None:
    module = pytest.importorskip("langgraph.checkpoint.mongodb")
    with MongoClient[Any](mongo_url) as client:
        saver = module.MongoDBSaver(client, database_name)
        fill(saver)
        before = list(client[database_name]["checkpoints"].find())
        come_over(store, "langgraph-mongodb", mongo_url, database=database_name)
        assert list(client[database_name]["checkpoints"].find()) == before
    assert are_recent(store)
    session = store.memory.get_session(ONE)
    assert session.metadata == {"user_id": "ada"}
    first, second = (each.created_at for each in store.memory.get_memory(ONE).messages[:2])
    assert first
    assert second
    assert first < second


@PROMISE
def test_langgraph_postgres_is_migrated(postgres: str, store: ZepClient) -> None:
    module = pytest.importorskip("langgraph.checkpoint.postgres")
    with module.PostgresSaver.from_conn_string(postgres) as saver:
        saver.setup()
        fill(saver)
    come_over(store, "langgraph-postgres", postgres)


ITEMS: list[dict[str, Any]] = [
    {"role": "user", "content": "Which boat?"},
    {"type": "function_call", "call_id": "c", "name": "look", "arguments": '{"q": 1}', "id": "f"},
    {"type": "function_call_output", "call_id": "c", "output": "red"},
    {"role": "assistant", "type": "message", "content": [{"type": "output_text", "text": "Red"}]},
]


def items_come_over(store: ZepClient, source: str, location: str, **options: Any) -> None:
    """Migrate, twice, and read the items as the SDK's adapter does."""
    from langchain_zepstore.adapters._items import unpacked
    from langchain_zepstore.adapters._openai_items import KEY

    for _ in range(2):
        report = migrate(reader_of(source, location, **options), store, verify=True)
        assert (report.sessions, report.messages) == (1, len(ITEMS))
        assert (report.refused, report.different) == (0, 0)
    messages = store.memory.get_memory("s").messages
    assert [unpacked(message, KEY) for message in messages] == ITEMS
    assert store.chat_history("s").messages[1].tool_calls[0]["args"] == {"q": 1}  # type: ignore[attr-defined]


@PROMISE
def test_openai_agents_sqlite_is_migrated(tmp_path: Path, store: ZepClient) -> None:
    path = tmp_path / "agents.db"
    try:
        from agents import SQLiteSession
    except ImportError:  # the tables that it makes
        with sqlite3.connect(path) as database:
            database.execute(
                "CREATE TABLE agent_messages (id INTEGER PRIMARY KEY AUTOINCREMENT, "
                "session_id TEXT NOT NULL, message_data TEXT NOT NULL, "
                "created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)"
            )
            for item in ITEMS:
                row = ("s", json.dumps(item))
                database.execute(
                    "INSERT INTO agent_messages (session_id, message_data) VALUES (?, ?)", row
                )
        database.close()
    else:
        session = SQLiteSession("s", path)
        asyncio.run(session.add_items(ITEMS))  # type: ignore[arg-type]
        session.close()
    items_come_over(store, "openai-agents-sqlite", str(path))
    [first, *_] = store.memory.get_memory("s").messages
    assert first.created_at
    assert abs(datetime.now(UTC) - first.created_at) < timedelta(minutes=10)


@PROMISE
def test_openai_agents_mongodb_is_migrated(
    mongo_url: str, database_name: str, store: ZepClient
) -> None:
    try:
        from agents.extensions.memory import MongoDBSession
    except ImportError:  # the documents that it makes
        with MongoClient[Any](mongo_url) as client:
            database = client[database_name]
            database["agent_sessions"].insert_one({"session_id": "s", "_seq": 6, "_generation": 1})
            texts = [json.dumps(item) for item in ITEMS]
            database["agent_messages"].insert_many(
                [
                    {"session_id": "s", "seq": 1, "message_data": json.dumps(ITEMS[0])},
                    {"session_id": "s", "seq": 5, "generation": 1, "message_data": texts[:3]},
                    {"session_id": "s", "seq": 6, "generation": 1, "message_data": texts[3]},
                ]
            )
    else:

        async def run() -> None:
            session = MongoDBSession.from_uri("s", uri=mongo_url, database=database_name)
            await session.add_items(ITEMS[:1])  # type: ignore[arg-type]
            await session.clear_session()
            await session.add_items(ITEMS[:3])  # type: ignore[arg-type]
            await session.add_items(ITEMS[3:])  # type: ignore[arg-type]
            await session.close()

        asyncio.run(run())
    items_come_over(store, "openai-agents-mongodb", mongo_url, database=database_name)


def test_a_missing_source_is_named(tmp_path: Path, store: ZepClient) -> None:
    url = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50"
    for source, location in (
        ("langchain-mongodb", url),
        ("openai-agents-sqlite", str(tmp_path / "none.db")),
        ("zep-dump", str(tmp_path / "none.sql")),
        ("langgraph-postgres", "postgresql://127.0.0.1:1/x"),
    ):
        with pytest.raises(BadRequestError, match=r"cannot be read|needs a package"):
            migrate(reader_of(source, location), store)
    with pytest.raises(BadRequestError, match="is no source"):
        reader_of("none", "x")
    with pytest.raises(BadRequestError, match="has no option session field"):
        reader_of("zep", "http://h", session_field="x")


@pytest.mark.parametrize("read", ["count", "items"])
def test_an_unreachable_mongodb_raises_our_error(read: str) -> None:
    nobody = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200"
    reader: Any = reader_of("langchain-mongodb", nobody)
    with pytest.raises(BadRequestError, match="langchain-mongodb cannot be read"):
        reader.count() if read == "count" else list(reader)
