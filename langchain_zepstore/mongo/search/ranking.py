"""Which of the messages that an index found match best. Pure functions.

MongoDB's text score does not know how rare a word is, nor what stands beside a message. Here
messages are scored by BM25 among those that were found. A question that names a speaker is rather
answered by that speaker, so what the speaker says counts more. What is said before and after
counts too: a message gets a part of the scores of its neighbours, more of a question that it
answers, and a part of its session's best, for a session has its subjects. A message that asks is
less of an answer. And to a query that asks, the turn after a question that was found is a result,
though it holds none of the words.

Where messages were found by meaning too, their similarity is added before neighbours and sessions
get their parts: a message that is about the subject in other words lends weight in the same way.

The weights lie on a plateau that was measured on LoCoMo's conversations, and that weights chosen
on all but one keep for that one; ``python -m benchmarks.search`` shows what they gain. That of
similarity is for about the 200 messages nearest in meaning, embedded with their speakers' names.
"""

import math
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from heapq import nlargest
from operator import add
from typing import NamedTuple, Protocol, cast

from langchain_zepstore.messages.langchain import text_of
from langchain_zepstore.mongo.documents import MessageDocument
from langchain_zepstore.mongo.search.tokens import (
    folded,
    is_beginning,
    terms_of,
    tokenize,
    words_of,
)

_SATURATION, _LENGTH = 1.0, 0.4  # k1 and b of BM25
_OF_SIMILARITY = 0.3  # of the best score by words
_NAMED = 1.4  # times what a speaker says whom the query names
_BESIDE = ((-2, 0.2), (-1, 0.25), (1, 0.25), (2, 0.2))
_OF_QUESTION = 0.4  # which a message answers, and beside what neighbours get
_OF_SESSION, _BEST = 0.7, 2
_ASKING = 0.8  # times what a question would get
_ASKS = re.compile(r"[?？؟]\W*$")  # noqa: RUF001 - question marks of other scripts
_END = 20  # letters; where a question mark must stand
_COMMON_ROLES = frozenset({"ai", "assistant", "function", "human", "system", "tool", "user"})

_LEAST_BEGINNING = 2  # letters of a word

MAX_RANKED = 16_384
"""Characters of a message that are ranked."""

MessageKey = tuple[str, int]
"""A session's incarnation, and a number in it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The words that a query asks for.

    Attributes:
        text: The query.
        language: The language of the index.
        terms: Its distinct tokens.
        is_of_stops: Whether it has nothing but stop words.
    """

    text: str
    language: str
    terms: dict[str, None]
    is_of_stops: bool


def asked_in(text: str, language: str) -> Asked:
    """Return the words that a query asks for."""
    terms = dict.fromkeys(terms_of(text, language))
    is_of_stops = terms.keys().isdisjoint(words_of(text, language))
    return Asked(text, language, terms, is_of_stops)


class Beginning(NamedTuple):
    """A term that no candidate holds, sought at the beginning of words.

    Attributes:
        term: The term.
        letters: How it is written without case and accents.
        pattern: Finds where it begins a word of a text without case and accents.
    """

    term: str
    letters: str
    pattern: re.Pattern[str]


class Said(Protocol):
    """The words of a message."""

    @property
    def asks(self) -> bool:
        """Whether it ends with a question mark."""

    def counted(self, asked: Asked, /) -> tuple[list[int], int]:
        """Return how often each term is there, and the number of all tokens."""

    def counted_beginnings(self, terms: tuple[Beginning, ...]) -> dict[str, int]:
        """Return how many words begin with each term, where one does."""


class Text(str):
    """A message's text."""

    __slots__ = ()

    @property
    def asks(self) -> bool:
        """Whether it ends with a question mark."""
        return _ASKS.search(self[-_END:]) is not None

    def counted(self, asked: Asked) -> tuple[list[int], int]:
        """Return how often each term is there, and the number of all tokens."""
        words = words_of(self[:MAX_RANKED], asked.language)
        if asked.is_of_stops:
            words += tokenize(self[:MAX_RANKED], asked.language)[1]
        held = [word for word in words if word in asked.terms]
        return [*map(held.count, asked.terms)] if held else [0] * len(asked.terms), len(words)

    def counted_beginnings(self, terms: tuple[Beginning, ...]) -> dict[str, int]:
        """Return how many words begin with each term, where one does."""
        text = folded(self[:MAX_RANKED])
        return {
            term: number
            for term, letters, pattern in terms
            if letters in text and (number := len(pattern.findall(text)))
        }


class Candidate(NamedTuple):
    """A message that may be a result, or stands beside one.

    Attributes:
        key: Where it stands.
        said: Its words.
        found: What the index gave it; 0 if it guesses that a word may begin so; ``None`` if it did
            not find it.
        speaker: The speaker's name; empty if the role is none.
        similarity: How near its meaning is to the query's; ``None`` if it was not found by meaning.
        session_id: The session that it is in.
        held: The terms that it holds; only of a short session's.
    """

    key: MessageKey
    said: Said
    found: float | None
    speaker: str = ""
    similarity: float | None = None
    session_id: str = ""
    held: Collection[str] = ()


def text_with_speaker(document: MessageDocument) -> str:
    """Return a message's text, after the speaker's name if the role is one."""
    speaker, text = speaker_of(document), text_of(document["content"])
    return f"{speaker}: {text}" if speaker and text.strip() else text


def candidate(document: MessageDocument) -> Candidate:
    """Return the candidate that a message's document is."""
    return Candidate(
        key=(document["_id"]["s"], document["_id"]["q"]),
        said=Text(text_of(document.get("content", ""))),
        found=cast("float | None", document.get("score")),
        speaker=speaker_of(document),
        session_id=document.get("session_id", ""),
        held=cast("Collection[str]", document.get("held", ())),
    )


def speaker_of(document: MessageDocument) -> str:
    """Return the speaker's name; empty if the role is none."""
    role: str = document.get("role", "")
    return "" if role.lower() in _COMMON_ROLES else role


def answers(query: str, candidates: Iterable[Candidate]) -> list[MessageKey]:
    """Return the keys after questions that were found, if a question was asked.

    Those that are candidates are left out.
    """
    listed = list(candidates)
    return sorted(_answers(query, listed) - {each.key for each in listed})


def ranked(
    asked: Asked, candidates: Sequence[Candidate], of_similarity: float | None = None
) -> list[tuple[MessageKey, float]]:
    """Return the keys of the messages found, and of answers to them, with their scores, best first.

    Args:
        asked: What was looked for.
        candidates: The messages that were found, and what answers them.
        of_similarity: What the best similarity is worth, of the best score by words; as measured,
            if not given.
    """
    weight = _OF_SIMILARITY if of_similarity is None else of_similarity
    own = _with_similarity(_by_words(asked, candidates), candidates, weight)
    sessions: dict[str, dict[int, float]] = defaultdict(dict)
    asking: dict[str, set[int]] = defaultdict(set)
    for each, score in zip(candidates, own, strict=True):
        session, seq = each.key
        sessions[session][seq] = score
        if each.said.asks:
            asking[session].add(seq)
    best = {session: _best_of(scores.values()) for session, scores in sessions.items()}
    results = _answers(asked.text, candidates)
    order: list[tuple[float, float, MessageKey]] = []
    for (key, _, found, _, similarity, *_), score in zip(candidates, own, strict=True):
        # What the index gave 0 is a guess at words that begin so; none does if it has no score.
        is_found = found is not None and (found > 0 or score > 0)
        if not is_found and similarity is None and key not in results:
            continue
        session, seq = key
        scores, questions = sessions[session], asking[session]
        total = score + _OF_SESSION * best[session]
        for step, part in _BESIDE:
            if seq + step in scores:
                total += part * scores[seq + step]
        if seq - 1 in questions:
            total += _OF_QUESTION * scores[seq - 1]
        if seq in questions:
            total *= _ASKING
        order.append((-total, -(found or 0.0), key))
    return [(key, -lost) for lost, _, key in sorted(order)]


def _answers(query: str, candidates: Sequence[Candidate]) -> set[MessageKey]:
    if not Text(query).asks:
        return set()
    found = (each for each in candidates if each.found is not None)
    return {(each.key[0], each.key[1] + 1) for each in found if each.said.asks}


def _best_of(scores: Iterable[float]) -> float:
    """Return the mean of the best scores."""
    return sum(nlargest(_BEST, scores)) / _BEST


def _with_similarity(
    own: list[float], candidates: Sequence[Candidate], of_similarity: float
) -> list[float]:
    near = [each.similarity for each in candidates if each.similarity is not None]
    if not near:
        return own
    lowest, span = min(near), max(near) - min(near)
    most = of_similarity * (max(own) or 1.0)

    def gained(similarity: float | None) -> float:
        if similarity is None:
            return 0.0
        return most * ((similarity - lowest) / span if span else 1.0)

    return [score + gained(each.similarity) for score, each in zip(own, candidates, strict=True)]


def _by_words(asked: Asked, candidates: Sequence[Candidate]) -> list[float]:
    """Return the scores by BM25, where statistics are those of the candidates."""
    names = {name: Text(name).counted(asked) for name in {each.speaker for each in candidates}}
    named = {name: any(of_name) for name, (of_name, _) in names.items()}
    counts: list[list[int]] = []
    lengths: list[int] = []
    for each in candidates:
        held, length = each.said.counted(asked)
        of_name, length_of_name = names[each.speaker]
        counts.append([*map(add, held, of_name)] if named[each.speaker] else held)
        lengths.append(length + length_of_name)
    holding = [sum(map(bool, column)) for column in zip(*counts, strict=True)]
    absent = [term for term, number in zip(asked.terms, holding, strict=False) if not number]
    if begun := _beginnings(absent):
        columns = {term: column for column, term in enumerate(asked.terms)}
        for each, held in zip(candidates, counts, strict=True):
            for term, number in each.said.counted_beginnings(begun).items():
                held[columns[term]] = number
        holding = [sum(map(bool, column)) for column in zip(*counts, strict=True)]
    gains = [_gain(number, len(counts)) for number in holding]
    mean = sum(lengths) / max(len(lengths), 1) or 1.0
    scores = []
    for each, held, length in zip(candidates, counts, lengths, strict=True):
        score = 0.0
        norm = _SATURATION * (1 - _LENGTH + _LENGTH * length / mean)
        for number, gain in zip(held, gains, strict=True):
            if number:
                score += gain * number / (number + norm)
        scores.append(score * _NAMED if named[each.speaker] else score)
    return scores


def _gain(held_by: int, number: int) -> float:
    """Return what a term is worth that some of the candidates hold; the rarer, the more."""
    return math.log1p((number - held_by + 0.5) / (held_by + 0.5)) * (_SATURATION + 1)


def _beginnings(terms: Iterable[str]) -> tuple[Beginning, ...]:
    begun = []
    for term in terms:
        letters = folded(term)  # none of a lone mark
        if letters and (is_beginning(term) or len(term) >= _LEAST_BEGINNING):
            start = "" if is_beginning(term) else r"(?<![^\W_])"
            begun.append(Beginning(term, letters, re.compile(start + re.escape(letters))))
    return tuple(begun)
