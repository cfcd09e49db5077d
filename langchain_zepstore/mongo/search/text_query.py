"""The text of a search, with the syntax of quotes and minus if that was asked for."""

import re
from dataclasses import dataclass

from langchain_zepstore.mongo.search.tokens import folded

_SYNTAX = re.compile(r'(?P<minus>(?<!\S)-)?(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+))')


@dataclass(frozen=True, slots=True)
class TextQuery:
    """A text to search for.

    Attributes:
        text: Its words.
        phrases: Each must be there as it stands, but for case and accents.
        without: Words and phrases that must not be there.
    """

    text: str
    phrases: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether it is words, and nothing else."""
        return not (self.phrases or self.without)

    def allows(self, text: str) -> bool:
        """Whether a text has all phrases, and none that must not be there."""
        if not self.phrases and not any(map(_is_phrase, self.without)):
            return True
        said = _spaced(text)
        return all(phrase in said for phrase in self.phrases) and not any(
            phrase in said for phrase in self.without if _is_phrase(phrase)
        )

    @property
    def words_without(self) -> list[str]:
        """The single words that must not be there."""
        return [word for word in self.without if not _is_phrase(word)]


def parse_text(text: str, *, syntax: bool) -> TextQuery:
    """Return a text as a query; without ``syntax`` all of it is words."""
    if not syntax:
        return TextQuery(text)
    words: list[str] = []
    phrases: list[str] = []
    without: list[str] = []
    for match in _SYNTAX.finditer(text):
        said = match["word"] or _spaced(match["phrase"] or "")
        if match["minus"]:
            without.append(said)
            continue
        words.append(said)
        if match["phrase"]:
            phrases.append(said)
    return TextQuery(" ".join(words), tuple(filter(None, phrases)), tuple(filter(None, without)))


def _is_phrase(text: str) -> bool:
    return " " in text


def _spaced(text: str) -> str:
    return " ".join(folded(text).split())
