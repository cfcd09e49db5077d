"""Which words the messages of a scope hold, and how often."""

import random

import numpy as np
import pytest

from langchain_zepstore.mongo.search.known_source import Part, Together
from langchain_zepstore.mongo.search.tokens import NO_LANGUAGE
from langchain_zepstore.mongo.search.words import Message, Vocabulary

CHANCE = random.Random(1)
WORDS = [f"w{number}" for number in range(30)]
TEXTS = [" ".join(CHANCE.choices(WORDS, k=CHANCE.randrange(6))) for _ in range(200)]
ROWS = np.array([7, 3, 199, 0])


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary(NO_LANGUAGE)


@pytest.fixture(scope="module")
def known(vocabulary) -> Together:
    """Messages of two sessions; every sixth has no words, also the last ones."""
    texts = [*TEXTS[:-2], "", ""]
    rows = [
        vocabulary.rows(
            [Message(n, text, "", asks=False, indexed=()) for n, text in enumerate(some)]
        )
        for some in (texts[:90], texts[90:])
    ]
    sessions = ({"uuid": "a", "_id": "1"}, {"uuid": "b", "_id": "2"})
    parts = [Part(*each, None) for each in zip(sessions, rows, strict=True)]
    return Together(parts, vocabulary.rows([]))


@pytest.mark.parametrize("number", [1, 8, 9, 30])
def test_the_bits_of_a_message_are_those_of_its_words(vocabulary, known, number) -> None:
    bit_of = {word: 1 << place for place, word in enumerate(WORDS[:number])}
    of_chunks = np.zeros(len(vocabulary), dtype=np.uint32)
    for word, bit in bit_of.items():
        of_chunks[vocabulary.found(word, begins=False)] |= np.uint32(bit)
    expected = [
        sum(bit_of.get(word, 0) for word in set(text.split())) for text in [*TEXTS[:-2], "", ""]
    ]
    assert known.bits(of_chunks).tolist() == expected
    assert any(expected)


def test_words_are_counted_in_any_messages(vocabulary, known) -> None:
    times = [
        np.bincount(vocabulary.counted(word, stops=False), minlength=len(vocabulary))
        for word in WORDS
    ]
    expected = [[text.split().count(word) for word in WORDS] for text in TEXTS[:-2]] + [
        [0] * 30
    ] * 2
    assert known.counts(ROWS, times).tolist() == [expected[row] for row in ROWS]
