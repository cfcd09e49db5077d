"""The vocabulary of a client's words."""

import random
import tracemalloc

import numpy  # noqa: F401 - not in the memory that is measured
import pytest

from langchain_zepstore.mongo.search import tokens
from langchain_zepstore.mongo.search.words import Message, Vocabulary

HAN = [chr(letter) for letter in range(0x4E00, 0x9FA5)]
CHANCE = random.Random(1)
TEXTS = {
    "words": " ".join(f"{CHANCE.getrandbits(40):x}" for _ in range(600)),
    "compounds": ".".join(f"{CHANCE.getrandbits(24):x}" for _ in range(600)),
    "letters": "".join(CHANCE.choices(HAN, k=3000)),
    "sentences": " ".join("".join(CHANCE.choices(HAN[:500], k=25)) for _ in range(100)),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_vocabulary_says_how_much_memory_it_takes(text: str) -> None:
    tracemalloc.start()
    try:
        vocabulary = Vocabulary(tokens.NO_LANGUAGE)
        rows = vocabulary.rows([Message(1, text, "", asks=False, indexed=())])
        vocabulary.found("a", begins=True)
        tokens._caches.cache_clear()
        tokens._stem.cache_clear()
        taken = tracemalloc.get_traced_memory()[0] - rows.nbytes
    finally:
        tracemalloc.stop()
    assert taken / 1.5 < vocabulary.nbytes < taken * 2
