"""How well a search finds what was said, and how long it takes.

``python -m benchmarks.search [DIR]`` starts a mongod. DIR holds conversations of LoCoMo's shape
(Maharana et al., ACL 2024; see ``examples/load_conversations.py``) with questions: each
conversation becomes a user, each question a search over that user's sessions, and recall at k is
the share of a question's evidence among the first k results. Beside it the bare text index.
Latency is measured over users with more and more messages; ``--quick`` stops early.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

from pymongo import MongoClient

from benchmarks import servers
from langchain_zepstore import CreateUserRequest, Memory, Message, Session, ZepClient

_DEPTHS = (1, 5, 10)
_UNANSWERABLE = 5  # a category of questions
_SIZES = (1000, 10_000, 100_000)
_CHUNK = 1000
_WORDS = ("boat", "lake", "green", "old", "summer", "trip", "aunt", "letter", "garden", "piano")

Find = Callable[[str, str], Sequence[str | None]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0] if __doc__ else "")
    parser.add_argument("directory", type=Path, nargs="?", help="conversations with questions")
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it works")
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory() as name,
        servers.mongod(Path(name), replica_set=False) as url,
        ZepClient(url, timeout=300) as client,
        MongoClient[dict[str, Any]](url) as raw,
    ):
        if options.directory:
            print(recall(client, raw, options.directory))
        print(latency(client, _SIZES[:1] if options.quick else _SIZES))


def recall(client: ZepClient, raw: "MongoClient[dict[str, Any]]", directory: Path) -> str:
    """Return a table of the recall of the package's search, and of the bare index."""
    questions = [
        (user, question["question"], set(question["evidence"]))
        for user, data in _conversations(client, directory)
        for question in data["qa"]
        if question["category"] != _UNANSWERABLE and question["evidence"]
    ]
    client.memory.search("index", user_id=questions[0][0])

    def ours(user: str, text: str) -> Sequence[str | None]:
        results = client.memory.search(text, user_id=user, limit=max(_DEPTHS))
        return [result.message.uuid for result in results if result.message]

    def bare(user: str, text: str) -> Sequence[str | None]:
        score = {"$meta": "textScore"}
        words = text.replace('"', " ").replace("-", " ")
        found = raw["zepstore"].messages.find(
            {"scope": f"u:{user}", "$text": {"$search": words}, "deleted_at": None},
            {"uuid": 1, "score": score},
            sort=[("score", score)],
            limit=max(_DEPTHS),
        )
        return [message["uuid"] for message in found]

    rows = [
        f"{len(questions):,} questions.\n",
        "| recall at | " + " | ".join(map(str, _DEPTHS)) + " |",
        "|---|" + "---:|" * len(_DEPTHS),
    ]
    for name, find in (("text", ours), ("the bare index", bare)):
        shares = [_recall(find, questions, depth) for depth in _DEPTHS]
        rows.append(f"| {name} | " + " | ".join(f"{share:.3f}" for share in shares) + " |")
    return "\n".join(rows) + "\n"


def _recall(find: Find, questions: Sequence[tuple[str, str, set[str]]], depth: int) -> float:
    total = 0.0
    for user, text, evidence in questions:
        total += len(set(find(user, text)[:depth]) & evidence) / len(evidence)
    return total / len(questions)


def _conversations(client: ZepClient, directory: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(directory.glob("*.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        user = path.stem
        client.user.add(CreateUserRequest(user_id=user))
        for session in data["sessions"]:
            session_id = f"{user}/{session['session']}"
            client.memory.add_session(Session(session_id=session_id, user_id=user))
            turns = [
                Message(role=turn["speaker"], content=turn["text"], uuid=turn["dia_id"])
                for turn in session["turns"]
            ]
            client.memory.add_memory(session_id, Memory(messages=turns))
        yield user, data


def latency(client: ZepClient, sizes: Sequence[int]) -> str:
    """Return a table of how long a search takes over so many messages of a user."""
    rows = ["| messages of a user | search, median ms | p99 |", "|---:|---:|---:|"]
    chance = random.Random(0)  # noqa: S311 - no secret
    for size in sizes:
        user = str(uuid4())
        client.user.add(CreateUserRequest(user_id=user))
        for start in range(0, size, _CHUNK):
            session_id = f"{user}/{start}"
            client.memory.add_session(Session(session_id=session_id, user_id=user))
            several = [
                Message(role="user", content=_said(chance)) for _ in range(min(size, _CHUNK))
            ]
            client.memory.add_memory(session_id, Memory(messages=several))
        taken = []
        for _ in range(50):
            text = " ".join(chance.sample(_WORDS, 2)) + f" word{chance.randrange(3000)}"
            begun = time.perf_counter()
            client.memory.search(text, user_id=user)
            taken.append((time.perf_counter() - begun) * 1000)
        taken.sort()
        rows.append(f"| {size:,} | {median(taken):.1f} | {taken[-1]:.1f} |")
    return "\n".join(rows) + "\n"


def _said(chance: random.Random) -> str:
    # Few words are common and most are rare, as in what people say.
    rare = [f"word{min(int(chance.paretovariate(0.6)), 3000)}" for _ in range(12)]
    return " ".join([*rare, *chance.sample(_WORDS, 1 if chance.random() < 0.3 else 0)])


if __name__ == "__main__":
    main()
