"""What a database is to hold: decided by a seed, session by session.

So any process can say what any session holds, without asking the database.
"""

import json
import math
from array import array
from bisect import bisect
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, cached_property
from itertools import accumulate
from pathlib import Path
from random import Random

from langchain_zepstore import CreateUserRequest, Message, Session

Turn = tuple[datetime, list[Message]]

YEAR = timedelta(days=365)

_LOCOMO = Path(__file__).parents[3] / "shared" / "data" / "locomo"
_SPREAD = 1.2  # of the lengths' logarithms: half of the sessions are below half the mean


@dataclass(frozen=True)
class Plan:
    """What there is to be.

    Attributes:
        sessions: How many.
        mean: How many messages a session has on average.
        users: How many, for all the sessions.
        seed: Of everything that is random.
        end: The last moment of the year in which it all happens.
    """

    sessions: int
    mean: float
    users: int
    seed: int
    end: datetime

    @cached_property
    def lengths(self) -> "array[int]":
        """How many messages each session has: many are short, few are long."""
        rng = Random(f"{self.seed} lengths")  # noqa: S311
        weights = [rng.lognormvariate(0, _SPREAD) for _ in range(self.sessions)]
        factor = self.mean * self.sessions / sum(weights)
        lengths, owed = array("l"), 0.0
        for weight in weights:
            owed += weight * factor
            lengths.append(max(1, int(owed)))
            owed -= lengths[-1]
        return lengths

    def users_at(self, sessions: int) -> int:
        """Return how many users there are when there are so many sessions."""
        return max(2, self.users * sessions // self.sessions)

    def random(self, number: int) -> Random:
        """Return what decides about a session."""
        return Random(f"{self.seed}/{number}")  # noqa: S311

    def session(self, number: int) -> Session:
        """Return a session: its id, user and metadata."""
        return self._session(self.random(number), number)

    def _session(self, rng: Random, number: int) -> Session:
        session_id, owner, named = f"{rng.getrandbits(128):032x}", rng.random(), rng.random()
        if number % 100 == 0:
            user_id: str | None = user_name(0)  # who has one session in a hundred
        elif owner < 0.1:
            user_id = None
        else:
            user_id = user_name(1 + int(rng.random() ** 2 * (self.users_at(number) - 1)))
        metadata = None
        if named < 0.5:
            metadata = {"title": said(rng, 6), "ui": {"pinned": rng.random() < 0.1}}
        return Session(session_id=session_id, user_id=user_id, metadata=metadata)

    def conversation(self, number: int) -> tuple[Session, datetime, list[Turn]]:
        """Return a session, when it began, and its turns with their times."""
        rng = self.random(number)
        session = self._session(rng, number)
        begun = self.end - YEAR * (1 - number / self.sessions)
        rest = (self.end - begun) * rng.random() ** 4
        length = self.lengths[number]
        times = sorted(rng.random() for _ in range(0, length, 2))
        return (
            session,
            begun,
            [
                (begun + rest * time, turn(rng, min(2, length - 2 * index)))
                for index, time in enumerate(times)
            ],
        )


def user_name(number: int) -> str:
    """Return a user's id."""
    return f"user-{number}"


def user(number: int) -> CreateUserRequest:
    """Return a user."""
    name = user_name(number)
    metadata = {"plan": "free" if number % 3 else "team"}
    return CreateUserRequest(user_id=name, email=f"{name}@example.com", metadata=metadata)


def turn(rng: Random, length: int = 2) -> list[Message]:
    """Return what is said in a turn, or in the first so many messages of one."""
    human = Message(role="human", content=said(rng, 12))
    if rng.random() < 0.1:
        human.metadata = {"channel": "web"}
    ai = Message(role="ai", content=said(rng, 60))
    if rng.random() < 0.3:
        ai.metadata = {"model": "large", "latency_ms": rng.randrange(5000), "stop": "end"}
    return [human, ai][:length]


def said(rng: Random, words: int) -> str:
    """Return a text of some words: half have less, few have several times as many."""
    text, starts = _texts()
    count = min(400, 1 + int(rng.lognormvariate(math.log(words), 0.9)))
    start = rng.randrange(len(starts) - count - 1)
    return text[starts[start] : starts[start + count] - 1]


@cache
def _texts() -> tuple[str, list[int]]:
    """Return a long text, and where its words begin: real conversations if they are at hand."""
    words = _words_of_locomo() or _made_up_words()
    return " ".join(words), list(accumulate((len(word) + 1 for word in words), initial=0))


def _words_of_locomo() -> list[str]:
    conversations = [json.loads(path.read_text()) for path in sorted(_LOCOMO.glob("*.json"))]
    return [
        word
        for conversation in conversations
        for session in conversation["sessions"]
        for spoken in session["turns"]
        for word in spoken["text"].split()
    ]


def _made_up_words() -> list[str]:
    rng = Random(0)  # noqa: S311
    syllables = [a + b + c for a in "bdfklmnprst" for b in "aeiou" for c in ("", "n", "r", "s")]
    words = ["".join(rng.choices(syllables, k=rng.choice((1, 1, 2, 2, 3)))) for _ in range(4000)]
    often = list(accumulate(1 / rank for rank in range(1, len(words) + 1)))
    return [words[bisect(often, rng.random() * often[-1])] for _ in range(65_000)]
