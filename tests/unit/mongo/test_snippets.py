"""A snippet is the part of a text that holds most of a query's words."""

import pytest

from langchain_zepstore.mongo.search.snippets import MAX_SNIPPET, excerpt_of, snippet_of

FILLER = "nothing of note happened on that day. "


def test_a_short_text_is_its_own_snippet_on_one_line() -> None:
    assert snippet_of(" a\n\tboat  ", "boat", "english") == "a boat"
    assert snippet_of("", "boat", "english") == ""


@pytest.mark.parametrize(
    ("text", "query", "shown"),
    [
        (f"{FILLER * 20}We were painting the boats. {FILLER * 20}", "paint", "painting the boats"),
        (
            f"a boat. {FILLER * 20}a green boat on a lake. {FILLER * 20}",
            "lake boat",
            "boat on a lake",
        ),
        (f"{FILLER * 20}the calibration{FILLER * 20}", "calib", "the calibration"),
        (f"{'今' * 500}天气{'明' * 500}", "天气", "天气"),
        (f"{FILLER * 20}{'x' * 5000} the boat", "boat", "the boat"),
    ],
)
def test_the_words_around_the_hit_are_shown(text: str, query: str, shown: str) -> None:
    snippet = snippet_of(text, query, "english")
    assert shown in snippet
    assert len(snippet) <= MAX_SNIPPET


def test_only_omitted_text_is_marked_with_an_ellipsis() -> None:
    first = snippet_of(f"The boat. {FILLER * 20}", "boat", "english")
    middle = snippet_of(f"{FILLER * 20}a boat {FILLER * 20}", "boat", "english")
    last = snippet_of(f"{FILLER * 20}The boat", "boat", "english")
    assert first.startswith("The boat.")
    assert first.endswith("…")
    assert middle[0] == middle[-1] == "…"
    assert last.startswith("…")
    assert last.endswith("The boat")
    assert max(map(len, (first, middle, last))) <= MAX_SNIPPET


@pytest.mark.parametrize("query", ["whale", "", "?"])
def test_the_beginning_is_shown_without_a_hit(query: str) -> None:
    assert snippet_of(FILLER * 20, query, "english").startswith("nothing of note")


@pytest.mark.parametrize(
    ("text", "query", "highlighted"),
    [
        ("We walked, then walk.", "walking", ["walked", "walk"]),
        ("A café (Café!) by the sea", "cafe", ["café", "Café"]),
        ("the calibration", "calib", ["calibration"]),
        ("我们看天气吧", "天气", ["天气"]),
        ("see ERR_CONN_RESET", "reset", ["ERR_CONN_RESET"]),
        ("nothing", "boat", []),
        ("nothing", "", []),
    ],
)
def test_words_of_the_query_are_highlighted(text: str, query: str, highlighted: list[str]) -> None:
    excerpt = excerpt_of(text, query, "english")
    assert [text[start:end] for start, end in excerpt["highlights"]] == highlighted
