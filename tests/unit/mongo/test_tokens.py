"""Texts as tokens: endings, accents, compounds, scripts without spaces, and bounds."""

import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_zepstore.mongo.search.tokens import (
    MAX_TOKENS,
    _stem,
    indexed_tokens,
    terms_of,
    tokenize,
)

# What MongoDB's text indexes have.
LANGUAGES = [
    "danish", "dutch", "english", "finnish", "french", "german", "hungarian", "italian", "none",
    "norwegian", "portuguese", "romanian", "russian", "spanish", "swedish", "turkish",
]  # fmt: skip


def test_english_words_are_stemmed_and_stop_words_separated() -> None:
    words, stops = tokenize("What were the Boats, painting?", "english")
    assert words == ["boat", "paint"]
    assert stops == ["what", "were", "the"]


def test_words_without_a_language_are_not_stemmed() -> None:
    assert tokenize("the Boats", "none") == (["the", "boats"], [])


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        ("german", "Häusern", "hausern"),
        ("german", "Straße", "STRASSE"),
        ("french", "mangées", "manger"),
        ("spanish", "mañana", "man\u0303ana"),
        ("russian", "лодки", "лодка"),
        ("turkish", "tekneler", "tekne"),
        ("none", "Ärger", "arger"),
        ("none", "ﬁn", "fin"),
        ("none", "ｆｉｎ", "fin"),  # noqa: RUF001
        ("none", "boat\0lake", "boat lake"),
    ],
)
def test_endings_accents_and_letter_forms_are_ignored(language, one, other) -> None:
    assert tokenize(one, language) == tokenize(other, language)


@pytest.mark.parametrize(
    ("compound", "parts"),
    [
        ("ERR_CONN_RESET", {"err", "conn", "reset", "err_conn_reset"}),
        ("gen-itgc", {"gen", "itgc", "gen-itgc"}),
        ("camelCase", {"camelcase", "camel", "case"}),
        ("HTTPServer", {"httpserver", "http", "server"}),
        ("a.b@c.d", {"a", "b", "c", "d", "a.b@c.d"}),
    ],
)
def test_a_compound_is_tokenized_whole_and_in_parts(compound, parts) -> None:
    assert set(tokenize(compound, "none")[0]) == parts


@pytest.mark.parametrize(
    ("text", "pairs"),
    [("今天很好", ["今天", "天很", "很好"]), ("일본어", ["일본", "본어"]), ("ไทย", ["ไท", "ทย"])],
)
def test_scripts_without_spaces_are_tokenized_as_bigrams(text, pairs) -> None:
    assert terms_of(text, "english") == pairs
    assert tokenize(text, "english")[0] == [*pairs, text[-1]]


def test_a_single_letter_of_a_script_without_spaces_is_a_term() -> None:
    assert terms_of("猫 and dog", "english") == ["猫", "dog"]
    assert terms_of("tomcat猫", "english") == ["tomcat", "猫"]


def test_an_emoji_is_a_token() -> None:
    assert terms_of("🚣🏽 boats👍", "english") == ["🚣", "boat", "👍"]


def test_stop_words_are_terms_only_without_other_words() -> None:
    assert terms_of("who are you", "english") == ["who", "are", "you"]
    assert terms_of("who are the boats", "english") == ["boat"]
    assert indexed_tokens("who are the boats", "english") == ["boat", "who", "are", "the"]


def test_tokens_are_limited_and_never_empty() -> None:
    numbers = " ".join(f"w{number}" for number in range(5000))
    assert len(indexed_tokens(numbers, "english")) == MAX_TOKENS
    assert [len(token) for token in indexed_tokens("x" * 1_000_000, "english")] == [40]
    assert indexed_tokens(" \0", "english") == [""]
    assert len(terms_of(numbers, "english")) == 50


def test_overlong_words_are_truncated_and_not_cached() -> None:
    assert tokenize("boats" * 100, "english")[0] == [("boats" * 8)]
    _stem.cache_clear()
    tokenize(secrets.token_hex(1000), "english")
    assert _stem.cache_info().currsize == 0


@given(st.text(), st.sampled_from(LANGUAGES))
def test_any_text_has_tokens_in_every_language(text, language) -> None:
    words, stops = tokenize(text, language)
    indexed = indexed_tokens(text, language)
    assert set(indexed) == ({*words, *stops} or {""})
    assert all(len(token) <= 40 for token in indexed)
    assert set(terms_of(text, language)) <= set(indexed)


def test_threads_share_a_stemmer() -> None:
    texts = [" ".join(f"painting{n}s boats{n}ing" for n in range(k, k + 300)) for k in range(8)]
    with ThreadPoolExecutor(8) as threads:
        several = list(threads.map(lambda text: tokenize(text, "swedish"), texts))
    assert several == [tokenize(text, "swedish") for text in texts]
