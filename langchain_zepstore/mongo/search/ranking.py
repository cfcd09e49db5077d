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
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple, cast

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


class Candidate(NamedTuple):
    """A message that may be a result, or stands beside one.

    Attributes:
        key: Where it stands.
        text: What it says.
        found: What the index gave it; 0 if it guesses that a word may begin so; ``None`` if it did
            not find it.
        speaker: The speaker's name; empty if the role is none.
        similarity: How near its meaning is to the query's; ``None`` if it was not found by meaning.
    """

    key: MessageKey
    text: str
    found: float | None
    speaker: str = ""
    similarity: float | None = None


def text_with_speaker(document: MessageDocument) -> str:
    """Return a message's text, after the speaker's name if the role is one."""
    speaker, text = _speaker(document), text_of(document["content"])
    return f"{speaker}: {text}" if speaker and text.strip() else text


def candidate(document: MessageDocument, similarity: float | None = None) -> Candidate:
    """Return the candidate that a message's document is."""
    return Candidate(
        key=(document["_id"]["s"], document["_id"]["q"]),
        text=text_of(document.get("content", "")),
        found=cast("float | None", document.get("score")),
        speaker=_speaker(document),
        similarity=similarity,
    )


def _speaker(document: MessageDocument) -> str:
    role: str = document.get("role", "")
    return "" if role.lower() in _COMMON_ROLES else role


def answers(query: str, candidates: Iterable[Candidate]) -> list[MessageKey]:
    """Return the keys after questions that were found, if a question was asked.

    Those that are candidates are left out.
    """
    listed = list(candidates)
    return sorted(_answers(query, listed) - {each.key for each in listed})


def ranked(
    query: str,
    candidates: Sequence[Candidate],
    language: str = "english",
    of_similarity: float | None = None,
) -> list[tuple[MessageKey, float]]:
    """Return the keys of the messages found, and of answers to them, with their scores, best first.

    Args:
        query: What was looked for.
        candidates: The messages that were found, and what answers them.
        language: The index's; see ``words``.
        of_similarity: What the best similarity is worth, of the best score by words; as measured,
            if not given.
    """
    weight = _OF_SIMILARITY if of_similarity is None else of_similarity
    own = _with_similarity(_by_words(query, candidates, language), candidates, weight)
    asking = {each.key for each in candidates if _asks(each.text)}
    best = _best_of_sessions(own)

    def total(key: MessageKey) -> float:
        session, seq = key
        score = own[key] + _OF_SESSION * best[session]
        for step, part in _BESIDE:
            score += part * own.get((session, seq + step), 0.0)
        if (session, seq - 1) in asking:
            score += _OF_QUESTION * own[session, seq - 1]
        return score * _ASKING if key in asking else score

    def is_found(each: Candidate) -> bool:
        # A score of 0 is a guess at words that begin so; none does.
        by_words = each.found is not None and (each.found > 0 or own[each.key] > 0)
        return by_words or each.similarity is not None

    results = _answers(query, candidates)
    order = [
        (-total(each.key), -(each.found or 0.0), each.key)
        for each in candidates
        if is_found(each) or each.key in results
    ]
    return [(key, -lost) for lost, _, key in sorted(order)]


def _asks(text: str) -> bool:
    return _ASKS.search(text[-_END:]) is not None


def _answers(query: str, candidates: Sequence[Candidate]) -> set[MessageKey]:
    if not _asks(query):
        return set()
    found = (each for each in candidates if each.found is not None)
    return {(each.key[0], each.key[1] + 1) for each in found if _asks(each.text)}


def _best_of_sessions(own: dict[MessageKey, float]) -> dict[str, float]:
    """Return the mean of the best scores of each session."""
    by_session: dict[str, list[float]] = {}
    for (session, _), score in own.items():
        by_session.setdefault(session, []).append(score)
    return {
        session: sum(sorted(scores, reverse=True)[:_BEST]) / _BEST
        for session, scores in by_session.items()
    }


def _with_similarity(
    own: dict[MessageKey, float], candidates: Sequence[Candidate], of_similarity: float
) -> dict[MessageKey, float]:
    near = {each.key: each.similarity for each in candidates if each.similarity is not None}
    if not near:
        return own
    lowest, span = min(near.values()), max(near.values()) - min(near.values())
    most = of_similarity * (max(own.values()) or 1.0)
    gained = {key: most * ((value - lowest) / span if span else 1.0) for key, value in near.items()}
    return {key: score + gained.get(key, 0.0) for key, score in own.items()}


def _by_words(
    query: str, candidates: Sequence[Candidate], language: str
) -> dict[MessageKey, float]:
    """Return the scores by BM25, where statistics are those of the candidates."""
    wanted = frozenset(terms_of(query, language))
    asks_stops = wanted.isdisjoint(words_of(query, language))

    def tokens(text: str) -> list[str]:
        if not asks_stops:
            return words_of(text[:MAX_RANKED], language)
        words, stops = tokenize(text[:MAX_RANKED], language)
        return words + stops

    names = {name: tokens(name) for name in {each.speaker for each in candidates}}
    named = {name for name, said in names.items() if not wanted.isdisjoint(said)}
    counts: dict[MessageKey, dict[str, int]] = {}
    lengths: dict[MessageKey, int] = {}
    for each in candidates:
        said = names[each.speaker] + tokens(each.text)
        held = [token for token in said if token in wanted]
        counts[each.key] = {token: held.count(token) for token in held}
        lengths[each.key] = len(said)
    whole = set(chain.from_iterable(counts.values()))
    _count_beginnings(wanted - whole, candidates, counts)
    holding = Counter(chain.from_iterable(counts.values()))
    number = len(lengths)
    gains = {
        token: math.log1p((number - held_by + 0.5) / (held_by + 0.5)) * (_SATURATION + 1)
        for token, held_by in holding.items()
    }
    mean = sum(lengths.values()) / max(number, 1) or 1.0
    scores: dict[MessageKey, float] = {}
    for each in candidates:
        norm = _SATURATION * (1 - _LENGTH + _LENGTH * lengths[each.key] / mean)
        score = 0.0
        for token, times in counts[each.key].items():
            score += gains[token] * times / (times + norm)
        scores[each.key] = score * _NAMED if each.speaker in named else score
    return scores


def _count_beginnings(
    terms: Iterable[str],
    candidates: Sequence[Candidate],
    counts: dict[MessageKey, dict[str, int]],
) -> None:
    """Count the words that begin with terms."""
    begun = []
    for term in terms:
        if is_beginning(term) or len(term) >= _LEAST_BEGINNING:
            letters = folded(term)
            start = "" if is_beginning(term) else r"(?<![^\W_])"
            begun.append((term, letters, re.compile(start + re.escape(letters))))
    for each in candidates if begun else ():
        text = folded(each.text[:MAX_RANKED])
        for term, letters, pattern in begun:
            if letters in text and (number := len(pattern.findall(text))):
                counts[each.key][term] = number
