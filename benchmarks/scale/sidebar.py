"""What a sidebar's page costs with and without previews, and exporting and erasing its user."""

from collections.abc import Callable
from statistics import median
from uuid import uuid4

from pymongo.database import Database

from benchmarks.scale.growing import Document
from benchmarks.scale.population import Population
from benchmarks.scale.report import Report, timed
from langchain_zepstore import Memory, Message, Session, ZepClient

_PAGES = "A page of 20 of a user's recent sessions, ms: without / with previews, and how many times"
_PERSON = "A person's data, messages a second: exported / erased"
_SESSIONS = 20
_LENGTHS = (5, 200, 1000, 20_000)
_MAX_ADDED = 1000
_MAX_ROUNDS = 200


def measure(
    client: ZepClient,
    database: Database[Document],
    population: Population,
    report: Report,
    rounds: int,
) -> None:
    """Measure with sessions of each length, as long as these hold no more than all others."""
    there = sum(population.plan.lengths[: population.count])
    for length in _LENGTHS:
        if _SESSIONS * length > there:
            continue
        user_id = f"with previews {uuid4().hex}"
        view = client.for_user(user_id)
        for _ in range(_SESSIONS):
            _fill(view, database, length)
        row = f"sessions of {length:,} messages"
        report.put(_PAGES, row, _pages(view, min(rounds, _MAX_ROUNDS)))
        memory = view.memory
        for session in memory.recent_sessions(_SESSIONS).sessions:
            last = memory.get_memory(session.session_id, 1).messages[0]
            view.message.delete_message(session.session_id, last.uuid or "")
        row = f"{row}, after one was deleted in each"
        report.put(_PAGES, row, _pages(view, min(rounds, _MAX_ROUNDS)))
        messages = _SESSIONS * length
        [export] = timed([lambda: sum(1 for _ in client.user.export(user_id))])  # noqa: B023
        [erase] = timed([lambda: client.user.erase(user_id)])  # noqa: B023
        report.put(
            _PERSON,
            f"20 sessions of {length:,} messages",
            f"{messages / export * 1000:,.0f} / {messages / erase * 1000:,.0f}",
        )
        database.messages.delete_many({"expires_at": {"$exists": True}})  # what erasing leaves


def _pages(view: ZepClient, rounds: int) -> str:
    def page() -> object:
        return view.memory.recent_sessions(_SESSIONS)

    def previews() -> object:
        return view.memory.recent_sessions(_SESSIONS, preview=True)

    previews()  # which counts
    works: list[Callable[[], object]] = [page, previews] * rounds
    taken = timed(works)
    without, with_previews = median(taken[::2]), median(taken[1::2])
    return f"{without:.2f} / {with_previews:.2f}, {with_previews / without:.1f}"


def _fill(view: ZepClient, database: Database[Document], length: int) -> None:
    """Add a session; what is more than one call adds is inserted as copies of that."""
    session_id = view.memory.add_session(Session(title="A title of some words")).session_id
    text = "Some words, about as many as people say at a time."
    added = min(length, _MAX_ADDED)
    view.memory.add_memory(
        session_id, Memory(messages=[Message(role="user", content=text) for _ in range(added)])
    )
    models = list(database.messages.find({"session_id": session_id}))
    for start in range(added, length, added):
        database.messages.insert_many(
            [
                {
                    **model,
                    "_id": {**model["_id"], "q": start + model["seq"]},
                    "seq": start + model["seq"],
                    "uuid": f"{start} {model['uuid']}",
                }
                for model in models
            ],
            ordered=False,
        )
    database.sessions.update_one({"_id": session_id}, {"$set": {"seq": length}})
