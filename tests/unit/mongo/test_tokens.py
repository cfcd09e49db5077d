"""Words lose their endings, accents and those among them that say nothing."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_zepstore.mongo.search.tokens import words

# What MongoDB's text indexes have.
LANGUAGES = [
    "danish", "dutch", "english", "finnish", "french", "german", "hungarian", "italian", "none",
    "norwegian", "portuguese", "romanian", "russian", "spanish", "swedish", "turkish",
]  # fmt: skip


def test_words_of_english_lose_their_endings_and_those_that_say_nothing() -> None:
    assert words("What were the Boats, painting?", "english") == ["boat", "paint"]


def test_words_of_no_language_stay_as_they_are() -> None:
    assert words("the Boats", "none") == ["the", "boats"]


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        ("german", "Häusern", "hausern"),
        ("french", "mangées", "manger"),
        ("spanish", "mañana", "man\u0303ana"),
        ("russian", "лодки", "лодка"),
        ("turkish", "tekneler", "tekne"),
        ("none", "Ärger", "arger"),
    ],
)
def test_endings_and_accents_do_not_matter(language, one, other) -> None:
    assert words(one, language) == words(other, language)


def test_what_is_too_long_for_a_word_stays_as_it_is() -> None:
    assert words("boats" * 100, "english") == ["boats" * 100]


@given(st.text(), st.sampled_from(LANGUAGES))
def test_any_text_has_words_in_every_language(text, language) -> None:
    assert all(isinstance(word, str) for word in words(text, language))


def test_threads_share_a_stemmer() -> None:
    texts = [" ".join(f"painting{n}s boats{n}ing" for n in range(k, k + 300)) for k in range(8)]
    with ThreadPoolExecutor(8) as threads:
        several = list(threads.map(lambda text: words(text, "swedish"), texts))
    assert several == [words(text, "swedish") for text in texts]
