"""The words around a hit."""

import re
from collections.abc import Collection, Iterator
from typing import Any

from langchain_zepstore.mongo.search.tokens import (
    MAX_INDEXED,
    folded,
    pieces_of,
    terms_of,
    words_of,
)

MAX_SNIPPET = 240
"""Characters of a snippet."""

_CHUNK = re.compile(r"\S+")
_BEFORE = 60  # characters before the hit
_MAX_WORD = 64  # characters; a longer chunk has no spaces between its words, or is no word
_SPAN = MAX_SNIPPET - _BEFORE - _MAX_WORD // 4  # characters after the first hit


def excerpt_of(text: str, query: str, language: str) -> dict[str, Any]:
    """Return the fields of a result that show a text: its snippet and its highlights."""
    snippet = snippet_of(text, query, language)
    return {"snippet": snippet, "highlights": _highlights(snippet, query, language)}


def _highlights(snippet: str, query: str, language: str) -> list[tuple[int, int]]:
    """Return where the words of a query stand; where none does, the words that begin with one."""
    wanted = set(terms_of(query, language)) if query.strip() else set()
    pieces = [
        (*span, words_of(snippet[slice(*span)], language))
        for span in (pieces_of(snippet) if wanted else ())
    ]
    held = [(start, end) for start, end, words in pieces if not wanted.isdisjoint(words)]
    return held or [(start, end) for start, end, words in pieces if any(_beginnings(words, wanted))]


def snippet_of(text: str, query: str, language: str) -> str:
    """Return the part of a text that holds most of a query's words, as plain text on one line.

    Args:
        text: The text that was found.
        query: The text that was looked for.
        language: The language of the index.
    """
    line = " ".join(text[:MAX_INDEXED].split())
    if len(line) <= MAX_SNIPPET:
        return line
    hits = _hits(line, terms_of(query, language), language) if query.strip() else []
    start = max(_best_start(hits) - _BEFORE, 0)
    start = _after_space(line, start) if start else 0
    start = max(min(start, len(line) - MAX_SNIPPET + 1), 0)
    before, after = "…" if start else "", "…"
    end = start + MAX_SNIPPET - len(before) - len(after)
    if end + len(after) >= len(line):
        return before + line[start:]
    space = line.rfind(" ", end - _MAX_WORD, end + 1)
    return before + line[start : space if space > start else end].rstrip() + after


def _hits(line: str, terms: Collection[str], language: str) -> list[tuple[int, str]]:
    """Return where a line holds terms; where it holds none, where words begin with one.

    Those that follow a place where all terms stand together are left out.
    """
    held: list[tuple[int, str]] = []
    begun: list[tuple[int, str]] = []
    wanted = set(terms)
    last: dict[str, int] = {}
    for match in _CHUNK.finditer(line):
        words = words_of(match[0], language)
        found = [word for word in words if word in wanted]
        for word in found:
            last[word] = match.start() + _offset(match[0], word)
            held.append((last[word], word))
        if found and len(last) == len(wanted) and max(last.values()) - min(last.values()) <= _SPAN:
            break
        if not held and (term := next(_beginnings(words, wanted), None)):
            begun.append((match.start() + _offset(match[0], term), term))
    return held or begun


def _beginnings(words: Collection[str], terms: Collection[str]) -> Iterator[str]:
    return (term for term in terms for word in words if word.startswith(term))


def _offset(chunk: str, word: str) -> int:
    return max(folded(chunk).find(word), 0) if len(chunk) > _MAX_WORD // 4 else 0


def _best_start(hits: list[tuple[int, str]]) -> int:
    """Return the place of the hit after which most of the terms stand."""
    best, most = 0, 0
    for index, (start, _) in enumerate(hits):
        terms = set()
        for place, term in hits[index:]:
            if place > start + _SPAN:
                break
            terms.add(term)
        if len(terms) > most:
            best, most = start, len(terms)
    return best


def _after_space(line: str, start: int) -> int:
    space = line.find(" ", start, start + _MAX_WORD // 2)
    return start if space < 0 else space + 1
