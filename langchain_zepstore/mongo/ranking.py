"""Which of the messages that an index found match best. Pure functions.

MongoDB's text score does not know how rare a word is, nor what stands beside a message. Here
messages are scored by BM25 among those that were found; and since the answer to a question is often
the turn after it, and a session has its subjects, a message gets a part of the scores of its two
neighbours and of its session's best. The weights were measured on LoCoMo's conversations, and lie
on a plateau; ``python -m benchmarks.search`` shows what they gain.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from langchain_zepstore.lc_messages import text_of

_SATURATION, _LENGTH = 1.2, 0.45  # k1 and b of BM25
_OF_NEIGHBOURS, _OF_SESSION, _BEST = 0.3, 0.7, 3
_WORD = re.compile(r"\w+")
# What the index leaves out of a query, and questions are full of.
_STOP = frozenset(
    """
    a about all am an and any are as at be because been being but by can could did do does doing
    for from had has have having he her here hers him his how i if in into is it its just me more
    most my no nor not now of off on once only or other our out own same she should so some such
    than that the their them then there these they this those through to too under until up very
    was we were what when where which while who whom why will with would you your
    """.split()  # noqa: SIM905 - as a list it would take a hundred lines
)
_COMMON_ROLES = frozenset({"ai", "assistant", "function", "human", "system", "tool", "user"})

Place = tuple[str, int]
"""A session's incarnation, and a number in it."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A message that may be an answer, or stands beside one.

    Attributes:
        place: Where it stands.
        text: What it says, with the speaker's name if the role is one.
        found: What the index gave it; ``None`` if it only stands beside one that was found.
    """

    place: Place
    text: str
    found: float | None


def candidate(document: dict[str, Any]) -> Candidate:
    """Return the candidate that a message's document is."""
    role = document.get("role", "")
    text = text_of(document.get("content", ""))
    if role.lower() not in _COMMON_ROLES:
        text = f"{role} {text}"
    place = document["_id"]["s"], document["seq"]
    return Candidate(place, text, document.get("score"))


def neighbours(candidates: Iterable[Candidate]) -> list[Place]:
    """Return the places beside candidates that are no candidates themselves."""
    places = {each.place for each in candidates}
    beside = {(session, seq + step) for session, seq in places for step in (-1, 1)}
    return sorted(beside - places)


def ranked(query: str, candidates: Sequence[Candidate]) -> list[tuple[Place, float]]:
    """Return the places of those that the index found with their scores, the best first.

    Args:
        query: What was looked for.
        candidates: The messages that the index found, and those beside them.
    """
    own = _bm25(query, candidates)
    of_session: dict[str, list[float]] = {}
    for (session, _), score in own.items():
        of_session.setdefault(session, []).append(score)
    best = {
        session: sum(sorted(scores, reverse=True)[:_BEST]) / _BEST
        for session, scores in of_session.items()
    }

    def total(each: Candidate) -> float:
        session, seq = each.place
        beside = own.get((session, seq - 1), 0.0) + own.get((session, seq + 1), 0.0)
        return own[each.place] + _OF_NEIGHBOURS * beside + _OF_SESSION * best[session]

    order = [
        (-total(each), -each.found, each.place) for each in candidates if each.found is not None
    ]
    return [(place, -lost) for lost, _, place in sorted(order)]


def _bm25(query: str, candidates: Sequence[Candidate]) -> dict[Place, float]:
    wanted = set(_words(query))
    words = {each.place: _words(each.text) for each in candidates}
    counts = {
        place: Counter(word for word in several if word in wanted)
        for place, several in words.items()
    }
    holding = Counter(word for count in counts.values() for word in count)
    rarity = {
        word: math.log1p((len(words) - number + 0.5) / (number + 0.5))
        for word, number in holding.items()
    }
    mean = sum(map(len, words.values())) / max(len(words), 1) or 1.0

    def score(place: Place) -> float:
        norm = _SATURATION * (1 - _LENGTH + _LENGTH * len(words[place]) / mean)
        return sum(
            rarity[word] * number * (_SATURATION + 1) / (number + norm)
            for word, number in counts[place].items()
        )

    return {place: score(place) for place in words}


def _words(text: str) -> list[str]:
    return [_stem(word) for word in _WORD.findall(text.lower()) if word not in _STOP]


@lru_cache(maxsize=50_000)
def _stem(word: str) -> str:
    return _stemmer()(word) if len(word) < _LONGEST else word


_LONGEST = 40  # letters; nothing longer is a word


@lru_cache(maxsize=1)
def _stemmer() -> Callable[[str], str]:
    import snowballstemmer  # noqa: PLC0415 - only who searches needs it

    stem: Callable[[str], str] = snowballstemmer.stemmer("english").stemWord
    return stem
