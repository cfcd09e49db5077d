"""The words of a text as an index of a language knows them: without endings and accents."""

import re
import threading
import unicodedata
from collections.abc import Callable
from functools import lru_cache

NO_LANGUAGE = "none"
"""A language whose words are taken as they stand."""

_WORD = re.compile(r"\w+")
# What the index leaves out of a query, and questions are full of. Other languages do without, which
# for English would lose 0.02 of the recall; lists that leave out more lose as much.
_STOP = {
    "english": frozenset(
        """
        a about all am an and any are as at be because been being but by can could did do does
        doing for from had has have having he her here hers him his how i if in into is it its just
        me more most my no nor not now of off on once only or other our out own same she should so
        some such than that the their them then there these they this those through to too under
        until up very was we were what when where which while who whom why will with would you your
        """.split()  # noqa: SIM905 - as a list it would take a hundred lines
    )
}
_NONE: frozenset[str] = frozenset()
_LONGEST = 40  # letters; nothing longer is a word
_lock = threading.Lock()


def words(text: str, language: str) -> list[str]:
    """Return the words of a text in their order, but for those that say nothing.

    Args:
        text: The text.
        language: A language that ``snowballstemmer`` has, by its English name, or "none".
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    stop = _STOP.get(language, _NONE)
    return [
        # What is no word is not kept: it may be megabytes long.
        (_stem if len(word) < _LONGEST else _plain)(word, language)
        for word in _WORD.findall(text.lower())
        if word not in stop
    ]


@lru_cache(maxsize=50_000)
def _stem(word: str, language: str) -> str:
    if language != NO_LANGUAGE:
        with _lock:  # a stemmer keeps the word in itself while it works
            word = _stemmer(language)(word)
    return _plain(word, language)


def _plain(word: str, _language: str) -> str:
    if word.isascii():
        return word
    letters = unicodedata.normalize("NFD", word)
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


@lru_cache(maxsize=32)
def _stemmer(language: str) -> Callable[[str], str]:
    import snowballstemmer  # noqa: PLC0415 - only who searches needs it

    stem: Callable[[str], str] = snowballstemmer.stemmer(language).stemWord
    return stem
