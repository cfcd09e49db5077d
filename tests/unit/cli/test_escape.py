"""Stored text never reaches the terminal as control characters."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from langchain_zepstore.cli.escape import one_line, visible


def test_terminal_escapes_are_shown() -> None:
    assert one_line("\x1b[31mred\x07") == "\\x1b[31mred\\x07"
    assert one_line("a\nb\tc\r") == "a\\nb\\tc\\r"
    assert visible("a\nb\tc\r\x9b") == "a\nb\tc\\x0d\\u009b"


def test_bidi_controls_and_lone_surrogates_are_shown() -> None:
    assert one_line("\u202eabc") == "\\u202eabc"
    assert one_line("\ud800") == "\\ud800"
    assert one_line("\U000e0041") == "\\U000e0041"


def test_scripts_and_emoji_are_kept() -> None:
    text = "é 対話 ไทย 👩‍🚀 naïve"
    assert one_line(text) == visible(text) == text


@given(st.text())
def test_escaped_text_has_no_control_characters(text: str) -> None:
    assert not {unicodedata.category(each) for each in one_line(text)} & {"Cc", "Cs", "Zl", "Zp"}
    assert not {unicodedata.category(each) for each in visible(text)} & {"Cs", "Zl", "Zp"}
