"""Tokens of texts: those that the index of a language holds, and those that a search asks for.

A token is a word without case, accents and ending. A compound (``ERR_CONN_RESET``, ``camelCase``,
``a.b@c.d``) gives its parts and itself. Scripts that put no spaces between words give pairs of
letters; an emoji is a word.
"""

import re
import threading
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain

NO_LANGUAGE = "none"
"""A language whose words are taken as they stand."""

MAX_TOKENS = 1000
"""Tokens of one message that are indexed."""

MAX_INDEXED = 256_000
"""Characters of one message from which they are taken."""

MAX_TERMS = 50
"""Tokens that a search asks for."""

# Thai to Tibetan, Burmese, Khmer, kana, Han, Hangul.
_UNSPACED = (
    "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
# But for the colours of skins.
_EMOJI = "\u2190-\u21ff\u2300-\u27bf\u2b00-\u2bff\U0001f000-\U0001f3fa\U0001f400-\U0001faff"
_MARKS = "\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0dff"
_LETTER = rf"(?:(?![{_UNSPACED}])[\w{_MARKS}])"
_PIECE = re.compile(rf"[{_UNSPACED}]+|[{_EMOJI}]|{_LETTER}+(?:[-.@/:+'’]{_LETTER}+)*")  # noqa: RUF001
_IS_UNSPACED = re.compile(rf"[{_UNSPACED}]")
_IS_EMOJI = re.compile(rf"[{_EMOJI}]")
_PART = re.compile(rf"(?:[^\W_]|[{_MARKS}])+")
_CONTRACTION = re.compile(r"\w+['’]\w{1,2}")  # noqa: RUF001
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

# Questions are full of these. Other languages do without, which for English would lose 0.02 of the
# recall; lists that leave out more lose as much.
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
_MAX_LETTERS = 40  # of a token
_MAX_CACHED = 64  # letters; what is longer is seldom said twice, and may be megabytes long
_MAX_CHUNKS = 30_000  # in a cache
_lock = threading.Lock()

Tokens = tuple[list[str], list[str]]  # words, and stop words


def tokenize(text: str, language: str) -> Tokens:
    """Return the tokens of a text in their order, and its stop words apart.

    Args:
        text: The text.
        language: A language that ``snowballstemmer`` has, by its English name, or "none".
    """
    return words_of(text, language), _all(_caches(language)[1], chunks_of(text))


def words_of(text: str, language: str) -> list[str]:
    """Return the tokens of a text in their order, without its stop words."""
    return _all(_caches(language)[0], chunks_of(text))


def indexed_tokens(text: str, language: str) -> list[str]:
    """Return the distinct tokens by which a message is found, the stop words last.

    There is always one, if only an empty one: an index takes an empty array for a missing one.
    """
    words: dict[str, None] = {}
    stops: dict[str, None] = {}
    chunks = chunks_of(text[:MAX_INDEXED])
    word_cache, stop_cache = _caches(language)
    for start in range(0, len(chunks), MAX_TOKENS):
        some = chunks[start : start + MAX_TOKENS]
        words.update(dict.fromkeys(_all(word_cache, some)))
        stops.update(dict.fromkeys(_all(stop_cache, some)))
        if len(words) >= MAX_TOKENS:
            break
    return list(words | stops)[:MAX_TOKENS] or [""]


def terms_of(text: str, language: str) -> list[str]:
    """Return the distinct tokens that a query asks for; stop words only if there is nothing else.

    Of unspaced scripts the last letter is left out, unless it stands alone: see ``is_beginning``.
    """
    words, stops = tokenize(text, language)
    asked = [word for word in words if not is_beginning(word) or _stands_alone(word, text)]
    return list(dict.fromkeys(asked or stops))[:MAX_TERMS]


def pieces_of(text: str) -> Iterator[tuple[int, int]]:
    """Yield where the words of a text begin and end, and the pairs of letters of other scripts."""
    for found in _PIECE.finditer(text):
        start, end = found.span()
        if not _IS_UNSPACED.match(found[0]):
            yield start, end
            continue
        for first in range(start, max(end - 1, start + 1)):
            yield first, min(first + 2, end)


def is_beginning(term: str) -> bool:
    """Whether a term finds tokens that begin with it: one letter of an unspaced script.

    Each letter in a text begins a pair, or ends a run and stands alone.
    """
    return len(term) == 1 and _IS_UNSPACED.match(term) is not None


def folded(text: str) -> str:
    """Return a text without case and accents."""
    return _strip_accents(unicodedata.normalize("NFKC", text).casefold())


def _stands_alone(letter: str, text: str) -> bool:
    normal = unicodedata.normalize("NFKC", text)
    return re.search(f"(?<![{_UNSPACED}]){letter}(?![{_UNSPACED}])", normal) is not None


def chunks_of(text: str) -> list[str]:
    """Return the parts of a text between spaces; its tokens are those of its chunks."""
    return text.replace("\0", " ").split()


def _tokens(chunk: str, language: str) -> Tokens:
    words: list[str] = []
    stops: list[str] = []
    if not chunk.isascii():
        chunk = unicodedata.normalize("NFKC", chunk)
    for piece in _PIECE.findall(chunk):
        if _IS_UNSPACED.match(piece):
            words += [piece[index : index + 2] for index in range(len(piece))]
        elif _IS_EMOJI.match(piece):
            words.append(piece)
        else:
            _add_word(piece, language, words, stops)
    return words, stops


class _Cache(dict[str, list[str]]):
    """Tokens of chunks; as a dict, which is read several times as fast as an ``lru_cache``."""

    def __init__(self, make: Callable[[str], list[str]]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, chunk: str) -> list[str]:
        return self._make(chunk)


@lru_cache(maxsize=32)
def _caches(language: str) -> tuple[_Cache, _Cache]:
    """Return the caches of words and of stop words; a chunk that is in neither gets into both."""

    def made(chunk: str) -> Tokens:
        tokens = _tokens(chunk, language)
        if len(chunk) <= _MAX_CACHED:
            if len(words) >= _MAX_CHUNKS:
                words.clear()
                stops.clear()
            words[chunk], stops[chunk] = tokens
        return tokens

    words = _Cache(lambda chunk: made(chunk)[0])
    stops = _Cache(lambda chunk: made(chunk)[1])
    return words, stops


def _all(cache: _Cache, chunks: Sequence[str]) -> list[str]:
    return [*chain.from_iterable(map(cache.__getitem__, chunks))]


def _add_word(piece: str, language: str, words: list[str], stops: list[str]) -> None:
    stop = _STOP.get(language, _NONE)
    parts = _PART.findall(piece)
    if _CONTRACTION.fullmatch(piece):
        stops.append(parts.pop().casefold())
    for part in parts:
        inner = _CAMEL.split(part)
        for word in [part, *inner] if len(inner) > 1 else inner:
            small = word.casefold()
            if small in stop:
                stops.append(small)
            else:
                words.append(_token(small, language))
    if len(parts) > 1:
        words.append(_strip_accents(piece.casefold())[:_MAX_LETTERS])


def _token(word: str, language: str) -> str:
    if len(word) >= _MAX_LETTERS:  # that is no word
        return _strip_accents(word[:_MAX_LETTERS])
    return _stem(word, language)


@lru_cache(maxsize=30_000)
def _stem(word: str, language: str) -> str:
    if language != NO_LANGUAGE and not word[-1].isdigit():  # which no ending is
        with _lock:  # a stemmer keeps the word in itself while it works
            word = _stemmer(language)(word)
    return _strip_accents(word)[:_MAX_LETTERS]


def _strip_accents(word: str) -> str:
    if word.isascii():
        return word
    letters = unicodedata.normalize("NFD", word)
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return unicodedata.normalize("NFC", plain)


@lru_cache(maxsize=32)
def _stemmer(language: str) -> Callable[[str], str]:
    import snowballstemmer  # noqa: PLC0415 - only who searches needs it

    stem: Callable[[str], str] = snowballstemmer.stemmer(language).stemWord
    return stem
