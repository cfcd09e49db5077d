"""Listing sessions: a page far down the list, and the last ones of a user with many."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from pymongo import MongoClient

from benchmarks.contenders import Zepstore
from benchmarks.timing import side_by_side
from langchain_zepstore import CreateUserRequest, Session

_PAGE = 100
_CHUNK = 5000


def listing(
    contender: Zepstore, url: str, *, sessions: int, of_user: int, rounds: int
) -> dict[str, float]:
    """Time pages of a list, in milliseconds.

    Args:
        contender: This package; nobody else lists sessions.
        url: The server's, to fill the list quickly with copies of a session that the package made.
        sessions: How many there are.
        of_user: How many of them are one user's.
        rounds: How often each page is read.
    """
    client = contender.client
    client.user.add(CreateUserRequest(user_id="a busy user"))
    client.memory.add_session(Session(session_id="the model", metadata={"name": "A session"}))
    with MongoClient(url, tz_aware=True) as raw:
        collection = raw["zepstore"]["sessions"]
        model = collection.find_one({"_id": "the model"})
        assert model
        for start in range(0, sessions, _CHUNK):
            numbers = range(start, min(start + _CHUNK, sessions))
            collection.insert_many(list(_copies(model, numbers, of_user)), ordered=False)
    first, last = model["id"], model["id"] + sessions - _PAGE
    works = {
        "page 1": lambda: client.memory.list_sessions(_PAGE, first),
        f"page {sessions // _PAGE:,}": lambda: client.memory.list_sessions(_PAGE, last),
        f"last 20 of a user's {of_user:,}": lambda: client.memory.recent_sessions(
            20, user_id="a busy user"
        ),
        f"last 20 of {sessions:,}": lambda: client.memory.recent_sessions(20),
    }
    for name, work in works.items():
        found = work()
        assert len(found if isinstance(found, list) else found.sessions) in (20, _PAGE), name
    return side_by_side({k: lambda w=w: w for k, w in works.items()}, rounds=rounds, budget=30)


def _copies(model: dict[str, object], numbers: range, of_user: int) -> Iterator[dict[str, object]]:
    now = datetime.now(UTC)
    identity = model["id"]
    assert isinstance(identity, int)
    for number in numbers:
        yield {
            **model,
            "_id": f"copy {number}",
            "uuid": f"copy {number}",
            "id": identity + 1 + number,
            "active_at": now - timedelta(seconds=number),
            "user_id": "a busy user" if number < of_user else None,
        }
