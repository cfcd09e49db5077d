"""Growing a database to a size that ordinary calls would need hours for.

The documents are built by the package's own functions where it has such (``all_from_zep``,
``numbered``), and otherwise as its updates leave them; ``twins`` shows that they are the same as
what calls leave. They are inserted in bulk: hundreds of sessions at once, whose turns stand in the
order of their times, as they would had they come one by one.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from multiprocessing import get_context
from multiprocessing.util import Finalize
from typing import Any
from uuid import uuid4

from bson import Int64
from pymongo import MongoClient, ReturnDocument
from pymongo.database import Database

from benchmarks.scale.plan import YEAR, Plan, user
from langchain_zepstore import CreateUserRequest, Memory, ZepClient
from langchain_zepstore.messages.parts import all_from_zep
from langchain_zepstore.mongo import codecs

Document = dict[str, Any]

_CHUNK = 500  # sessions
_TWINS = 50


def grow(url: str, name: str, plan: Plan, have: int, want: int) -> Iterator[tuple[int, int]]:
    """Fill a database, in which the package has made its indexes, from so many sessions to more.

    Yields:
        How many sessions and messages have come now.
    """
    with MongoClient[Document](url, w=1) as client:
        database = client[name]
        _grow_users(database, plan, have, want)
        first_id = _numbers(database, "sessions", want - have)
        chunks = [
            (start, min(start + _CHUNK, want), first_id + start - have)
            for start in range(have, want, _CHUNK)
        ]
        if len(chunks) == 1:
            yield fill(database, plan, *chunks[0])
            return
        with ProcessPoolExecutor(
            2, get_context("spawn"), initializer=_open, initargs=(url, name, plan)
        ) as pool:
            for future in as_completed([pool.submit(_fill_chunk, *chunk) for chunk in chunks]):
                yield future.result()


def _grow_users(database: Database[Document], plan: Plan, have: int, want: int) -> None:
    there = plan.users_at(have) if have else 0
    added = range(there, plan.users_at(want))
    if added:
        first_id = _numbers(database, "users", len(added))
        begun = plan.end - YEAR * (1 - have / plan.sessions)
        database.users.insert_many(
            _user_document(user(number), number_id, begun)
            for number_id, number in enumerate(added, first_id)
        )


def _numbers(database: Database[Document], kind: str, count: int) -> int:
    """Take numbers as the package does, but many at once; return the first."""
    counter = database.counters.find_one_and_update(
        {"_id": kind},
        {"$inc": {"last": count}},
        upsert=True,
        return_document=ReturnDocument.AFTER,
    )
    assert counter
    return int(counter["last"]) - count + 1


def _user_document(request: CreateUserRequest, number: int, begun: datetime) -> Document:
    return {
        "_id": request.user_id,
        "uuid": str(uuid4()),
        "id": number,
        "created_at": begun,
        **request.model_dump(exclude={"user_id"}),
        "updated_at": begun,
    }


_fill: Callable[[int, int, int], tuple[int, int]]


def _open(url: str, name: str, plan: Plan) -> None:
    global _fill  # noqa: PLW0603 - what a worker process keeps between its chunks
    client = MongoClient[Document](url, w=1)
    Finalize(None, client.close, exitpriority=1)
    database = client[name]
    _fill = lambda first, last, first_id: fill(database, plan, first, last, first_id)  # noqa: E731


def _fill_chunk(first: int, last: int, first_id: int) -> tuple[int, int]:
    return _fill(first, last, first_id)


def fill(
    database: Database[Document], plan: Plan, first: int, last: int, first_id: int
) -> tuple[int, int]:
    """Insert the sessions of these numbers, with their messages; return how many of each."""
    sessions, said_then = [], []
    for number_id, number in enumerate(range(first, last), first_id):
        planned, begun, turns = plan.conversation(number)
        session: Document = {
            "_id": planned.session_id,
            "uuid": str(uuid4()),
            "id": number_id,
            "seq": Int64(0),
            "created_at": begun,
            "updated_at": begun,
            "active_at": begun,
            "user_id": planned.user_id,
            "metadata": planned.metadata,
        }
        for when, messages in turns:
            session["seq"] = Int64(session["seq"] + len(messages))
            session["active_at"] = when
            bodies = [body for body, _ in codecs.with_sizes(all_from_zep(messages))]
            said_then.append((when, codecs.with_sequence_numbers(session, bodies)))
        sessions.append(session)
    said_then.sort(key=lambda one: one[0])
    added = [message for _, messages in said_then for message in messages]
    database.sessions.insert_many(sessions, ordered=False)
    database.messages.insert_many(added, ordered=False)
    return len(sessions), len(added)


def twins(url: str, name: str) -> int:
    """Make some sessions both ways, and compare all documents and what the client reads.

    Returns:
        How many documents have a twin.
    """
    plan = Plan(_TWINS, 5, 10, 1, datetime.now(UTC))
    with MongoClient[Document](url) as raw:
        filled, called = raw[f"{name}_filled"], raw[f"{name}_called"]
        try:
            with (
                ZepClient(url, database=filled.name) as fillers,
                ZepClient(url, database=called.name) as callers,
            ):
                fillers.memory.list_sessions(limit=1)  # makes the indexes
                list(grow(url, filled.name, plan, 0, plan.sessions))
                _call(callers, plan)
                for number in range(plan.sessions):
                    session_id = plan.session(number).session_id
                    read = [one.memory.get_memory(session_id) for one in (fillers, callers)]
                    ours, theirs = (_lasting(memory.model_dump()) for memory in read)
                    assert ours == theirs, (ours, theirs)
            return _compare(filled, called)
        finally:
            raw.drop_database(filled)
            raw.drop_database(called)


def _call(client: ZepClient, plan: Plan) -> None:
    for number in range(plan.users_at(plan.sessions)):
        client.user.add(user(number))
    for number in range(plan.sessions):
        session, _, turns = plan.conversation(number)
        client.memory.add_session(session)
        for _, messages in turns:
            client.memory.add_memory(session.session_id, Memory(messages=messages))


def _compare(filled: Database[Document], called: Database[Document]) -> int:
    compared = 0
    for kind in ("users", "sessions", "messages", "counters"):
        order = ["session_id", "seq"] if kind == "messages" else ["_id"]
        ours, theirs = (list(one[kind].find().sort(order)) for one in (filled, called))
        for one, other in zip(ours, theirs, strict=True):
            assert _shape(one) == _shape(other), (one, other)
            assert _lasting(one) == _lasting(other), (one, other)
            compared += 1
    return compared


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return [(name, _shape(item)) for name, item in value.items()]
    return type(value).__name__


def _lasting(value: Any) -> Any:
    """Leave out what is new every time."""
    if isinstance(value, dict):
        gone = {"uuid", "s", "created_at", "updated_at", "active_at"}
        return {name: _lasting(item) for name, item in value.items() if name not in gone}
    return [_lasting(item) for item in value] if isinstance(value, list) else value
