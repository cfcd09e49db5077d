"""How much of the evidence for a question a search finds among its first results."""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from langchain_core.embeddings import Embeddings

from langchain_zepstore import CreateUserRequest, Memory, Message, Session, ZepClient

_DEPTHS = (1, 5, 10)
_DEEPEST = max(_DEPTHS)
_UNANSWERABLE = 5  # a category of questions
_ALL = "all"  # the user who said everything
_CHUNK = 1000

Find = Callable[[str, str, int], Sequence[str | None]]
"""Called with a user, a question and how many results; returns the ids of the turns found."""


@dataclass(frozen=True)
class _Question:
    user: str
    text: str
    evidence: frozenset[str]


def recall(
    url: str, directory: Path, embeddings: Embeddings | None, weights: Sequence[float] = ()
) -> str:
    """Return a table of the recall of each search type.

    Args:
        url: A mongod's, with nothing in it.
        directory: Conversations with questions.
        embeddings: A model of meaning; without one only words are searched.
        weights: What similarity is worth in further hybrid searches.
    """
    with ZepClient(url, embeddings=embeddings, timeout=300) as client:
        questions = list(_questions(client, directory))
        if not questions:
            return f"No questions in {directory}.\n"
        client.memory.index()
        search_types = ["text"]
        if embeddings:
            client.memory.embed()
            search_types += ["similarity", "mmr", "hybrid"]
        finds = {search_type: _ours(client, search_type) for search_type in search_types}
        if embeddings:
            finds |= {f"hybrid, {each:g}": _ours(client, "hybrid", each) for each in weights}
        lines = [
            f"{len(questions):,} questions.\n",
            "| recall at | " + " | ".join(map(str, _DEPTHS)) + " |",
            "|---|" + "---:|" * len(_DEPTHS),
        ]
        for name, find in finds.items():
            shares = _shares(find, questions, is_nested=name != "mmr")
            lines.append(f"| {name} | " + " | ".join(f"{share:.3f}" for share in shares) + " |")
    return "\n".join(lines) + "\n"


def recall_among(url: str, directory: Path, number: int) -> str:
    """Return the recall of searches by words where all conversations are one user's, among others.

    Args:
        url: A mongod's, with nothing in it.
        directory: Conversations with questions.
        number: How many other messages the user has: halves of messages, put together.
    """
    with ZepClient(url, timeout=300) as client:
        questions = list(_questions(client, directory, user=_ALL))
        said = [
            message.content
            for session in client.user.get_sessions(_ALL)
            for message in client.memory.get_memory(session.session_id).messages
        ]
        chance = random.Random(0)  # noqa: S311 - no secret
        for start in range(0, number, _CHUNK):
            session_id = f"{_ALL}/others {start}"
            client.memory.add_session(Session(session_id=session_id, user_id=_ALL))
            several = [
                Message(role="user", content=_mixed(said, chance))
                for _ in range(min(_CHUNK, number - start))
            ]
            client.memory.add_memory(session_id, Memory(messages=several))
        client.memory.index()
        shares = _shares(_ours(client, "text"), questions, is_nested=True)
    return (
        f"{len(questions):,} questions among {number:,} other messages of the user.\n\n"
        f"| recall at | {' | '.join(map(str, _DEPTHS))} |\n"
        f"|---|{'---:|' * len(_DEPTHS)}\n"
        f"| text | {' | '.join(f'{share:.3f}' for share in shares)} |\n"
    )


def _mixed(said: Sequence[str], chance: random.Random) -> str:
    one, other = (chance.choice(said).split() for _ in range(2))
    return " ".join(one[: max(1, len(one) // 2)] + other[len(other) // 2 :])


def _shares(find: Find, questions: Sequence[_Question], *, is_nested: bool) -> list[float]:
    """Return the recall at each depth.

    Args:
        find: What searches.
        questions: What is looked for.
        is_nested: Whether fewer results are the first of more; otherwise each depth is a search.
    """
    totals = dict.fromkeys(_DEPTHS, 0.0)
    for asked in questions:
        found = find(asked.user, asked.text, _DEEPEST)
        for depth in _DEPTHS:
            several = found if is_nested else find(asked.user, asked.text, depth)
            totals[depth] += len(asked.evidence.intersection(several[:depth])) / len(asked.evidence)
    return [total / len(questions) for total in totals.values()]


def _ours(client: ZepClient, search_type: str, weight: float | None = None) -> Find:
    def find(user: str, text: str, limit: int) -> Sequence[str | None]:
        results = client.memory.search(
            text, user_id=user, limit=limit, search_type=search_type, similarity_weight=weight
        )
        return [result.message.uuid for result in results if result.message]

    return find


def _questions(client: ZepClient, directory: Path, user: str | None = None) -> Iterator[_Question]:
    """Store the conversations, each as a user's or all as one's, and yield what is asked."""
    if user:
        client.user.add(CreateUserRequest(user_id=user))
    for path in sorted(directory.glob("*.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        name = path.stem
        owner = user or name
        if not user:
            client.user.add(CreateUserRequest(user_id=owner))
        for session in data["sessions"]:
            session_id = f"{name}/{session['session']}"
            client.memory.add_session(Session(session_id=session_id, user_id=owner))
            turns = [
                Message(role=turn["speaker"], content=turn["text"], uuid=f"{name} {turn['dia_id']}")
                for turn in session["turns"]
            ]
            client.memory.add_memory(session_id, Memory(messages=turns))
        for asked in data["qa"]:
            if asked["category"] != _UNANSWERABLE and asked["evidence"]:
                evidence = frozenset(f"{name} {each}" for each in asked["evidence"])
                yield _Question(owner, asked["question"], evidence)
