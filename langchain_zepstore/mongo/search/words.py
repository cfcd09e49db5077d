"""The words of messages that a client has read: numbers in arrays, and what they stand for.

A text is split at its spaces; the tokens of each chunk, which recur, are kept once. So a
message takes four bytes a word, and is ranked as if its text were at hand.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from langchain_zepstore.mongo.search.ranking import Beginning, Integers
from langchain_zepstore.mongo.search.tokens import chunks_of, folded, tokenize

if TYPE_CHECKING:
    from langchain_zepstore.mongo.search.session_cache import Numbers

_CHUNK_BYTES, _TOKEN_BYTES = 250, 350  # of what stands for each


@dataclass(frozen=True, slots=True)
class WordRows:
    """Messages of a session, with the chunks of their texts.

    Attributes:
        numbers: Their sequence numbers.
        figures: A row for each: how many chunks, words and stop words it has, the number of its
            speaker, and whether it asks.
        chunks: The numbers of all chunks, those of a message together.
    """

    numbers: Numbers
    figures: Integers
    chunks: Integers

    @property
    def nbytes(self) -> int:
        """The memory that they take."""
        return self.numbers.nbytes + self.figures.nbytes + self.chunks.nbytes

    @property
    def sizes(self) -> Integers:
        """How many chunks each has."""
        return self.figures[:, 0]

    @property
    def starts(self) -> Integers:
        """Where the chunks of each begin."""
        starts: Integers = np.cumsum(self.sizes) - self.sizes
        return starts

    @classmethod
    def together(cls, parts: Sequence[WordRows]) -> WordRows:
        """Return rows in one."""
        return cls(
            np.concatenate([each.numbers for each in parts]),
            np.concatenate([each.figures for each in parts]),
            np.concatenate([each.chunks for each in parts]),
        )

    def taken(self, order: Numbers) -> WordRows:
        """Return the rows in another order."""
        sizes = self.sizes[order]
        chunks = self.chunks[places_of(self.starts[order], sizes)]
        return WordRows(self.numbers[order], self.figures[order], chunks)


def places_of(starts: Integers, sizes: Integers) -> Integers:
    """Return where the elements of parts stand, part after part."""
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    places: Integers = np.repeat(starts, sizes) + within
    return places


class Message(NamedTuple):
    """A message that was read.

    Attributes:
        number: Its sequence number.
        text: Its text, as far as it is ranked.
        speaker: The speaker's name.
        asks: Whether it ends with a question mark.
        indexed: Tokens by which it is found, though they may not be in its text.
    """

    number: int
    text: str
    speaker: str
    asks: bool
    indexed: Sequence[str]


class Vocabulary:
    """The chunks of the texts of a language, by their numbers. Many threads may use it.

    Attributes:
        language: The language.
        nbytes: The memory that it takes, about.
    """

    def __init__(self, language: str) -> None:
        self.language = language
        self.nbytes = 0
        self.speakers: list[str] = []
        self._speakers: dict[str, int] = {}
        self._numbers: dict[str, int] = {}
        self._words: list[int] = []
        self._stops: list[int] = []
        self._of_words: dict[str, list[int]] = defaultdict(list)
        self._of_stops: dict[str, list[int]] = defaultdict(list)
        self._indexed: dict[str, list[int]] = defaultdict(list)
        self._tokens = _Texts()
        self._folded = _Texts()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._words)

    def rows(self, messages: Sequence[Message]) -> WordRows:
        """Return the rows of messages."""
        with self._lock:
            chunks = [
                [*self._known(chunks_of(each.text)), *map(self._indexed_number, each.indexed)]
                for each in messages
            ]
            speakers = [self._speaker(each.speaker) for each in messages]
        words, stops = self._words.__getitem__, self._stops.__getitem__
        figures = [
            (len(each), sum(map(words, each)), sum(map(stops, each)), speaker, message.asks)
            for message, each, speaker in zip(messages, chunks, speakers, strict=True)
        ]
        return WordRows(
            np.array([each.number for each in messages], dtype=np.int64),
            np.array(figures, dtype=np.int32).reshape(-1, 5),
            np.fromiter(chain.from_iterable(chunks), dtype=np.int32),
        )

    def _known(self, chunks: Sequence[str]) -> list[int]:
        """Return the numbers of chunks; unknown ones get one."""
        for chunk in chunks:
            if chunk not in self._numbers:
                words, stops = tokenize(chunk, self.language)
                number = self._added(words, stops, folded(chunk))
                for token in words:
                    self._of_words[token].append(number)
                for token in stops:
                    self._of_stops[token].append(number)
                self._numbers[chunk] = number
        return [*map(self._numbers.__getitem__, chunks)]

    def _added(self, words: Sequence[str], stops: Sequence[str], text: str) -> int:
        for token in dict.fromkeys(chain(words, stops)):
            if token not in self._of_words and token not in self._of_stops:
                self._add_token(token)
        self._folded.add(text)
        self._words.append(len(words))
        self._stops.append(len(stops))
        self.nbytes += _CHUNK_BYTES + 8 * len(text) + 10 * (len(words) + len(stops))
        return len(self._words) - 1

    def _add_token(self, token: str) -> None:
        self._tokens.add(token)
        self.nbytes += _TOKEN_BYTES

    def _indexed_number(self, token: str) -> int:
        """Return the number of no chunk of a text, but of a token that the index has beside it."""
        if token not in self._indexed:
            self._add_token(token)
            self._indexed[token].append(self._added((), (), ""))
        return self._indexed[token][0]

    def _speaker(self, speaker: str) -> int:
        if speaker not in self._speakers:
            self._speakers[speaker] = len(self.speakers)
            self.speakers.append(speaker)
        return self._speakers[speaker]

    def counted(self, token: str, *, stops: bool) -> list[int]:
        """Return the chunks with a token, as often as it is in each.

        Args:
            token: The token.
            stops: Whether stop words count.
        """
        found = [*self._of_words.get(token, ())]
        return found + self._of_stops.get(token, []) if stops else found

    def found(self, text: str, *, begins: bool) -> list[int]:
        """Return the chunks by which messages are found.

        Args:
            text: A token, or the beginning of tokens.
            begins: Which of these.
        """
        tokens = [text]
        if begins:
            with self._lock:
                tokens = [
                    each for _, each in self._tokens.with_letters(text) if each.startswith(text)
                ]
        maps = (self._of_words, self._of_stops, self._indexed)
        return [number for token in tokens for each in maps for number in each.get(token, ())]

    def begun(self, term: Beginning) -> list[int]:
        """Return the chunks in which words begin with a term, as often as they do in each."""
        with self._lock:
            found = list(self._folded.with_letters(term.letters))
        return [number for number, text in found for _ in term.pattern.findall(text)]


class _Texts:
    """Short texts, searched together."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._together = ""
        self._ends: list[int] = []

    def add(self, text: str) -> None:
        self._texts.append(text)

    def with_letters(self, letters: str) -> Iterator[tuple[int, str]]:
        """Yield the texts in which letters stand, with their numbers."""
        if new := self._texts[len(self._ends) :]:
            ends = accumulate((len(each) + 1 for each in new), initial=len(self._together))
            self._ends += [*ends][1:]
            self._together += "".join(f"{each}\n" for each in new)
        at = self._together.find(letters)
        while at >= 0:
            number = bisect_right(self._ends, at)
            yield number, self._texts[number]
            at = self._together.find(letters, self._ends[number])
