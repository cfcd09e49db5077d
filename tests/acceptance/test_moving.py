"""Moving from Zep, as its users do it: from a server that is in use, or from a dump."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import pytest
from pymongo import MongoClient

from langchain_zepstore import (
    CreateUserRequest,
    Memory,
    Message,
    Session,
    UpdateUserRequest,
    ZepClient,
)
from langchain_zepstore.cli.main import main
from tests.support.commands import Serving, serving

START = datetime(2024, 2, 29, 23, 59, 59, 123000, UTC)
AWKWARD = (
    "tab\there\nline\r\nback\\slash \\n \\N \\. ünïcode 🙂 \u2028 'quotes' \"too\" $where \x7f"
)
OF_ZEP = {"/user", "/sessions", "/sessions/{session_id}/messages"}


def in_url(mongo_url: str, database: str) -> str:
    """A URL with the name of a database in it."""
    parts = urlsplit(mongo_url)
    return urlunsplit(parts._replace(path=f"/{database}"))


Move = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def move(capsys: pytest.CaptureFixture[str]) -> Move:
    """Run ``zepstore migrate``; return exit code, report and stderr."""

    def move(source: str, old: str | Path, new: str, *more: str) -> tuple[int, dict[str, Any], str]:
        capsys.readouterr()
        code = main(["--url", new, "--json", "migrate", source, "--from", str(old), *more])
        out, err = capsys.readouterr()
        return code, json.loads(out) if out else {}, err

    return move


def counts(report: dict[str, Any]) -> tuple[int, int, int]:
    assert (report["refused"], report["different"]) == (0, 0)
    return report["users"], report["sessions"], report["messages"]


def said(number: int, **fields: Any) -> Message:
    return Message(
        role="user" if number % 2 else "assistant",
        content=f"{number}: {AWKWARD}",
        uuid=str(uuid4()),
        created_at=START - timedelta(days=number),  # against the order of adding
        token_count=1000 + number,
        metadata={"number": number, "a.b": {"$set": [1, None, "2"]}},
        **fields,
    )


def everything(client: ZepClient) -> dict[str, Any]:
    """All that is to come over, in its order; not what a store gives out by itself."""
    own = {"id", "uuid", "updated_at"}
    sessions = client.memory.list_sessions()
    return {
        "users": [user.model_dump(exclude=own) for user in client.user.list()],
        "sessions": [session.model_dump(exclude=own) for session in sessions],
        "messages": {
            session.session_id: [
                message.model_dump(exclude={"deleted_at", "parent_uuid"})
                for message in client.memory.get_memory(session.session_id).messages
            ]
            for session in sessions
        },
    }


@pytest.fixture
def databases(mongo_url: str) -> Iterator[tuple[str, str]]:
    """The names of an old and a new database."""
    names = f"old_{uuid4().hex}", f"new_{uuid4().hex}"
    yield names
    with MongoClient(mongo_url) as driver:
        for name in names:
            driver.drop_database(name)


@pytest.fixture
def servers(mongo_url: str, databases: tuple[str, str]) -> Iterator[tuple[Serving, Serving]]:
    """An old and a new server."""
    old, new = (("--url", mongo_url, "--database", name) for name in databases)
    with serving(*old) as old_one, serving(*new) as new_one:
        yield old_one, new_one


@pytest.fixture
def old(mongo_url: str, databases: tuple[str, str]) -> Iterator[ZepClient]:
    """The old store, past its server."""
    with ZepClient(mongo_url, database=databases[0]) as client:
        yield client


def fill(client: ZepClient, sessions: int, messages: int) -> None:
    client.user.add(CreateUserRequest(user_id="ada/1", first_name="Ada", metadata={"x": {"y": 1}}))
    client.user.add(CreateUserRequest(user_id="bob", email="bob@example.org"))
    for number in range(sessions):
        # Their names ascend against their ids, and hold what URLs must not.
        session_id = f"{sessions - number:03}/ünïcode ?#%+"
        user_id = ("ada/1", "bob", None)[number % 3]
        metadata = {"name": AWKWARD, "system": {"kept": True}} if number % 2 else None
        client.memory.add_session(
            Session(session_id=session_id, user_id=user_id, metadata=metadata)
        )
        memory = Memory(messages=[said(each) for each in range(messages)])
        client.memory.add_memory(session_id, memory)


def test_a_copy_is_equal_and_a_second_run_copies_new_messages_only(
    servers: tuple[Serving, Serving], old: ZepClient, move: Move
) -> None:
    old_server, new_server = servers
    way = ("zep", old_server.url, new_server.url)
    with ZepClient(new_server.url) as new:
        fill(old, 5, 30)
        old.memory.add_memory("long", Memory(messages=[said(each) for each in range(450)]))
        old.memory.add_session(Session(session_id="empty"))
        old.memory.add_memory("deleted", Memory(messages=[said(1)]))
        old.memory.delete_memory("deleted")
        code, report, _ = move(*way, "--verify")
        assert (code, counts(report)) == (0, (2, 7, 600))
        assert everything(new) == everything(old)

        before = {session.session_id: session.updated_at for session in new.memory.list_sessions()}
        assert counts(move(*way)[1]) == (2, 7, 600)
        after = {session.session_id: session.updated_at for session in new.memory.list_sessions()}
        assert after == before

        # The old one is still in use.
        old.user.add(CreateUserRequest(user_id="eve"))
        old.user.update(UpdateUserRequest(user_id="bob", first_name="Bob"))
        old.memory.add_session(Session(session_id="another", user_id="eve"))
        old.memory.update_session(Session(session_id="empty", metadata={"name": "new"}))
        for session_id, several in (("another", 3), ("long", 2), ("empty", 1)):
            memory = Memory(messages=[said(1000 + each) for each in range(several)])
            old.memory.add_memory(session_id, memory)
        assert counts(move(*way, "--verify")[1]) == (3, 8, 606)
        assert everything(new) == everything(old)
    # Its log has only the requests of the migration.
    old_server.stop()
    assert "Traceback" not in old_server.log
    routes = re.findall(r'"route":"([^"]*)"', old_server.log)
    assert {route.removeprefix("/api/v1") for route in routes} == OF_ZEP


def test_api_keys_are_read_from_the_environment(
    mongo_url: str,
    databases: tuple[str, str],
    old: ZepClient,
    move: Move,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = {"ZEPSTORE_API_KEYS": "of the old one"}
    with serving("--url", mongo_url, "--database", databases[0], environment=key) as server:
        old.memory.add_memory("s", Memory(messages=[said(1)]))
        way = ("zep", server.url, in_url(mongo_url, databases[1]))
        code, _, err = move(*way)
        assert code == 1
        assert "refused the API key" in err
        monkeypatch.setenv("ZEP_FROM_KEY", "of the old one")
        assert counts(move(*way)[1]) == (0, 1, 1)


# A dump


def copied(value: Any) -> str:
    """A value as COPY writes it."""
    if value is None:
        return r"\N"
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
    names = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\b": "\\b", "\f": "\\f"}
    return "".join(names.get(character, character) for character in text)


def block(table: str, columns: str, rows: list[list[Any]]) -> str:
    lines = ["\t".join(map(copied, row)) for row in rows]
    return "\n".join([f"COPY public.{table} ({columns}) FROM stdin;", *lines, "\\.", "", ""])


CREATED, DELETED = "2024-03-01 08:15:00.123456+00", "2024-03-02 00:00:00+00"
PROLOGUE = """--
-- PostgreSQL database dump
--

SET client_encoding = 'UTF8';
CREATE TABLE public.message (
    uuid uuid DEFAULT gen_random_uuid() NOT NULL,
    content text NOT NULL
);

"""


def dumped() -> tuple[str, dict[str, list[dict[str, Any]]]]:
    """A dump with everything that is awkward, and the messages that are to come of it."""
    rows, expected = [], {"one": [], "two/ü": []}
    for number in range(1, 241):
        session_id = "one" if number % 2 else "two/ü"
        metadata = {"q": 'say "hi"\n\t\\', "system": {"n": number}} if number % 3 else None
        is_deleted = number % 10 == 0
        seconds = f"{number % 60:02}.{number:03}456"
        row = [
            UUID(int=number),
            number,
            f"2024-03-01 08:15:{seconds}+00",
            CREATED,
            DELETED if is_deleted else None,
            session_id,
            "human" if number % 2 else "ai",
            f"{number} {AWKWARD}\b\f",
            number * 7,
            metadata,
        ]
        rows.append(row)
        if not is_deleted:
            at = datetime.fromisoformat(f"2024-03-01T08:15:{number % 60:02}.{number:03}+00:00")
            expected[session_id].append(
                {
                    "uuid": str(UUID(int=number)),
                    "role": row[6],
                    "content": row[7],
                    "created_at": at,
                    "token_count": number * 7,
                    "metadata": metadata,
                    "langchain": None,
                }
            )
    # As they lie on the disk after updates: not in the order of their ids.
    rows = rows[100:] + rows[:100][::-1]
    rows.append([UUID(int=999), 999, CREATED, CREATED, None, "gone", "ai", "x", 1, None])
    # Another order of columns than that of the tables' documentation.
    messages = block(
        "message",
        'uuid, id, created_at, updated_at, deleted_at, session_id, "role", content, token_count, '
        "metadata",
        rows,
    )
    others = block("document_collection", "uuid, name", [[UUID(int=5), "COPY public.users (id)"]])
    sessions = block(
        "session",
        "id, uuid, created_at, updated_at, deleted_at, session_id, user_id, metadata",
        [
            [3, UUID(int=13), CREATED, CREATED, DELETED, "gone", None, None],
            [2, UUID(int=12), CREATED, CREATED, None, "one", None, None],
            [1, UUID(int=11), CREATED, CREATED, None, "two/ü", "ada", {"name": AWKWARD}],
        ],
    )
    users = block(
        "users",
        "uuid, id, created_at, updated_at, deleted_at, user_id, email, first_name, last_name, "
        "metadata",
        [
            [UUID(int=22), 2, CREATED, CREATED, DELETED, "dan", None, None, None, None],
            [UUID(int=21), 1, CREATED, CREATED, None, "ada", None, "A\\d\ta", "", {"k": [1]}],
        ],
    )
    return PROLOGUE + others + messages + sessions + users + "-- end\n", expected


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    path = tmp_path / "zep.sql"
    path.write_bytes(dumped()[0].encode())
    return path


def test_a_dump_is_migrated_message_by_message_on_every_run(
    dump: Path, mongo_url: str, databases: tuple[str, str], move: Move
) -> None:
    url = in_url(mongo_url, databases[1])
    text, expected = dumped()
    for ending in ("\r\n", "\n"):
        dump.write_bytes(text.replace("\n", ending).encode())
        assert counts(move("zep-dump", dump, url, "--verify")[1]) == (1, 2, 216)
        with ZepClient(url) as new:
            found = everything(new)
        assert found["messages"] == expected
        assert found["users"] == [
            {
                "user_id": "ada",
                "email": None,
                "first_name": "A\\d\ta",
                "last_name": "",
                "metadata": {"k": [1]},
                "created_at": datetime(2024, 3, 1, 8, 15, 0, 123000, UTC),
                "deleted_at": None,
            }
        ]
        names = ("session_id", "user_id", "metadata")
        assert [{name: each[name] for name in names} for each in found["sessions"]] == [
            {
                "session_id": "two/ü",
                "user_id": "ada",
                "metadata": {"name": AWKWARD},
            },
            {"session_id": "one", "user_id": None, "metadata": None},
        ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda text: text.split("\\.\n\nCOPY public.users")[0].encode(),
            "ends within the rows of the table",
        ),
        (lambda text: text.replace("COPY public.session ", "-- ").encode(), "COPY of the table"),
        (lambda text: text.replace("\tA\\\\d", "\tA\t").encode(), "has 11 fields, not 10"),
        (lambda _: b"PGDMP\x01\x0e\xff\xfe", "pg_restore -f zep.sql zep.dump"),
    ],
    ids=["cut off", "without sessions", "a field too many", "custom format"],
)
def test_an_unsupported_dump_is_named_and_nothing_is_copied(
    change: Any,
    words: str,
    dump: Path,
    mongo_url: str,
    databases: tuple[str, str],
    move: Move,
) -> None:
    dump.write_bytes(change(dumped()[0]))
    url = in_url(mongo_url, databases[1])
    code, _, err = move("zep-dump", dump, url)
    assert code == 1
    assert words in err
    assert err.count("\n") == 1
    with ZepClient(url) as new:
        assert new.memory.list_sessions() == []
