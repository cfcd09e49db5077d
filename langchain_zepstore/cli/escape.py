"""Makes stored text safe for a terminal."""

import unicodedata

_LINE_ENDS = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")  # within emoji and some scripts


def visible(text: str) -> str:
    """Return text with its control characters shown as escapes; line ends and tabs stay."""
    return "".join(character if character in "\n\t" else _visible(character) for character in text)


def one_line(text: str) -> str:
    """Return text with its control characters shown as escapes, line ends and tabs included."""
    return "".join(_LINE_ENDS.get(character) or _visible(character) for character in text)


def _visible(character: str) -> str:
    if character.isascii():
        return character if character.isprintable() else f"\\x{ord(character):02x}"
    if unicodedata.category(character) not in _UNSAFE or character in _JOINERS:
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 2**16 else f"\\U{code:08x}"
