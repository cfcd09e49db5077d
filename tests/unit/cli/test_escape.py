"""Stored text never reaches the terminal as control characters."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from langchain_zepstore.cli.escape import one_line, visible


def test_terminal_escapes_are_shown() -> None:
    assert one_line("\x1b[31mred\x07") == "\\x1b[31mred\\x07"
    assert one_line("a\nb\tc\r") == "a\\nb\\tc\\r"
    assert visible("a\nb\tc\r\x9b") == "a\nb\tc\\x0d\\u009b"


def test_characters_that_turn_the_direction_or_are_half_are_shown() -> None:
    assert one_line("\u202eabc") == "\\u202eabc"
    assert one_line("\ud800") == "\\ud800"
    assert one_line("\U000e0041") == "\\U000e0041"


def test_scripts_and_emoji_stay() -> None:
    text = "é 対話 ไทย 👩‍🚀 naïve"
    assert one_line(text) == visible(text) == text


@given(st.text())
def test_no_text_holds_a_control_character_afterwards(text: str) -> None:
    assert not {unicodedata.category(each) for each in one_line(text)} & {"Cc", "Cs", "Zl", "Zp"}
    assert not {unicodedata.category(each) for each in visible(text)} & {"Cs", "Zl", "Zp"}
