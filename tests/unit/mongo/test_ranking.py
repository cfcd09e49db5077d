"""Rare words count more than common ones, neighbours and sessions lend each other weight."""

from collections.abc import Sequence
from itertools import pairwise
from math import nan
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_zepstore.mongo.search.ranking import Candidates, Counts, asked_in
from langchain_zepstore.mongo.search.ranking import answers as _answers
from langchain_zepstore.mongo.search.ranking import ranked as _ranked
from langchain_zepstore.mongo.search.texts import Texts, text_with_speaker


class Said(NamedTuple):
    key: tuple[str, int]
    text: str
    found: float | None = None
    speaker: str = ""
    similarity: float | None = None


said = Said


def _rows(query: str, several: Sequence[Said], language: str = "english"):
    asked = asked_in(query, language)
    texts = Texts(asked)
    rows = [texts.add(each.key, each.text, each.speaker) for each in several]
    scores = [
        [nan if score is None else score for score in column]
        for column in zip(*((each.found, each.similarity) for each in several), strict=True)
    ] or [[], []]
    return asked, texts, Candidates(np.array(rows, dtype=int), *map(np.array, scores))


def ranked(query: str, several: Sequence[Said], language: str = "english"):
    """Return the keys with their scores, best first."""
    rows, scores = _ranked(*_rows(query, several, language))
    return [(several[row].key, score) for row, score in zip(rows, scores.tolist(), strict=True)]


def answers(query: str, several: Sequence[Said]):
    return _answers(*_rows(query, several))


def found(*texts: str, session: str = "s", score: float = 1.0) -> list[Said]:
    return [said((session, 10 * n), text, score) for n, text in enumerate(texts)]


def order(query: str, candidates: list[Said]) -> list[int]:
    return [seq // 10 for (_, seq), _ in ranked(query, candidates)]


@pytest.mark.promise("rare words, neighbours and the session's subject rank hits")
def test_a_rare_word_scores_higher_than_a_common_one() -> None:
    texts = ["the boat was here", "the boat was there", "the boat was green", "a whale was here"]
    assert order("boat whale", found(*texts))[0] == 3


def test_a_word_weighs_by_how_many_of_all_messages_hold_it() -> None:
    several = found("a boat", "a whale")
    weights = {"boat": 2, "whale": 500}
    rows, scores = _ranked(*_rows("boat whale", several), counts=Counts(1000, weights))
    assert [several[row].text for row in rows] == ["a boat", "a whale"]
    assert scores[0] > 2 * scores[1]


def test_a_word_matches_in_any_inflected_form() -> None:
    assert order("painting boats", found("he has a cat", "he painted a boat"))[0] == 1


def test_a_short_message_scores_higher_than_a_long_one() -> None:
    assert order("boat", found("boat " + "river bank " * 30, "a boat"))[0] == 1


def test_the_speaker_is_a_name_but_not_a_plain_role() -> None:
    document = {"_id": {"s": "s", "q": 1}, "seq": 1, "content": "I like boats", "score": 1.0}
    assert text_with_speaker({**document, "role": "Ada"}) == "Ada: I like boats"
    assert text_with_speaker({**document, "role": "user"}) == "I like boats"


def test_messages_of_a_speaker_named_in_the_query_score_higher() -> None:
    of_ada = said(("s", 10), "I bought a boat", 1.0, "Ada Byron")
    to_ada = said(("s", 20), "Ada, I bought a boat", 1.0, "Bob")
    about = [key for key, _ in ranked("Which boat did Ada buy?", [to_ada, of_ada])]
    assert about == [("s", 10), ("s", 20)]


def test_a_speaker_name_without_tokens_is_ignored() -> None:
    several = [said(("s", 10), "a boat", 1.0, "!"), said(("s", 20), "a boat", 1.0, "")]
    [(_, one), (_, other)] = ranked("a boat!", several)
    assert one == other


def test_blocks_are_ranked_by_their_text() -> None:
    content = [{"type": "text", "text": "a boat"}, {"type": "image_url", "image_url": "data:"}]
    document = {"_id": {"s": "s", "q": 1}, "seq": 1, "role": "user", "content": content}
    texts = Texts(asked_in("boat", "english"))
    row = texts.add_document(document)
    assert texts.figures(np.array([row])).counts.tolist() == [[1]]


@pytest.mark.promise("rare words, neighbours and the session's subject rank hits")
def test_a_neighbour_of_a_match_gets_part_of_its_score() -> None:
    question = said(("s", 1), "I want to paint a boat.", 1.0)
    answer = said(("s", 2), "The boat of my aunt.", 1.0)
    elsewhere = said(("s", 9), "The boat of my aunt.", 1.0)
    keys = [key for key, _ in ranked("paint boat", [question, answer, elsewhere])]
    assert keys == [("s", 1), ("s", 2), ("s", 9)]


@pytest.mark.parametrize("asked", ["Which boat?", "Which boat? 🚣", "Boat\uff1f", "(the boat?)"])
def test_the_turn_after_a_question_scores_higher_than_the_one_before(asked) -> None:
    before, after = (said(("s", seq), "The boat of my aunt.", 1.0) for seq in (1, 3))
    elsewhere = [said(("s", seq), "The boat of my aunt.", 1.0) for seq in (10, 20)]
    question = said(("s", 2), asked, 1.0)
    keys = [key for key, _ in ranked("boat", [before, question, after, *elsewhere])]
    assert keys[0] == ("s", 3)


def test_a_question_scores_lower_than_a_statement() -> None:
    assert order("boat", found("a boat?", "a boat")) == [1, 0]


def test_a_session_with_many_matches_raises_the_scores_of_its_messages() -> None:
    about = [said(("a", 10 * n), "boats and boats", 1.0) for n in range(3)]
    mentions = [said(("b", 10), "a boat", 1.0), said(("a", 100), "a boat", 1.0)]
    keys = [key for key, _ in ranked("boat", [*about, *mentions])]
    assert keys.index(("a", 100)) < keys.index(("b", 10))


def test_a_neighbour_without_a_match_is_not_a_result() -> None:
    beside = said(("s", 1), "boat boat boat", None)
    assert [key for key, _ in ranked("boat", [beside, *found("a boat")])] == [("s", 0)]


def test_the_answer_to_a_matching_question_is_a_result_without_matching_words() -> None:
    question = said(("s", 1), "Which boat is yours?", 1.0)
    answer = said(("s", 2), "The green one.", None)
    asked, looked_for = "Whose boat?", "boat"
    assert answers(asked, [question]) == [("s", 2)]
    keys = sorted(key for key, _ in ranked(asked, [question, answer]))
    assert keys == [("s", 1), ("s", 2)]
    assert answers(looked_for, [question]) == []
    assert [key for key, _ in ranked(looked_for, [question, answer])] == [("s", 1)]


def test_answers_are_sought_only_for_matching_questions_without_one() -> None:
    several = [
        said(("s", 1), "a boat?", 1.0),
        said(("s", 2), "a lake?", None),
        said(("s", 5), "a boat", 1.0),
        said(("t", 5), "a boat?", 1.0),
    ]
    assert answers("a boat?", several) == [("t", 6)]


def test_vector_hits_are_results_and_score_by_similarity() -> None:
    near = said(("s", 10), "a schooner", None, similarity=0.9)
    far = said(("s", 20), "a soup", None, similarity=0.2)
    assert [key for key, _ in ranked("boat", [far, near])] == [("s", 10), ("s", 20)]
    word = said(("s", 30), "a boat", 1.0)
    assert ranked("boat", [far, near, word])[0][0] == ("s", 30)
    both = said(("s", 40), "a boat", 1.0, similarity=0.9)
    assert ranked("boat", [far, near, word, both])[0][0] == ("s", 40)


def test_a_single_vector_hit_has_a_positive_score() -> None:
    [(_, score)] = ranked("boat", [said(("s", 1), "a schooner", None, similarity=0.5)])
    assert score > 0


def test_vector_hits_raise_the_scores_of_their_neighbours() -> None:
    boats = [said(("s", seq), "a boat", 1.0) for seq in (10, 21)]
    near = said(("s", 20), "a schooner", None, similarity=0.9)
    far = said(("s", 30), "a soup", None, similarity=0.2)
    assert ranked("boat", [*boats, near, far])[0][0] == ("s", 21)


def test_words_are_stemmed_in_the_language() -> None:
    several = found("ein Haus", "viele Häuser")
    [(_, one), (_, other)] = ranked("Häuser", several, language="german")
    assert one > 0
    assert other > 0
    assert [seq for (_, seq), _ in ranked("Häuser", several, language="none")] == [10, 0]


def test_ties_keep_the_order_of_the_index_then_of_the_conversation() -> None:
    several = [
        said(("s", 30), "wal", 1.0),
        said(("s", 10), "wal", 2.0),
        said(("s", 20), "wal", 1.0),
    ]
    assert [seq for (_, seq), _ in ranked("鯨", several)] == [10, 20, 30]


def test_a_prefix_guess_without_a_matching_word_is_not_a_result() -> None:
    several = [
        said(("s", 10), "calibration", 0.0),
        said(("s", 20), "calibre", 0.0),
        said(("s", 30), "a calm", 0.0),
    ]
    assert [seq for (_, seq), _ in ranked("calibrat", several)] == [10]


words = st.lists(st.sampled_from(["boat", "lake", "鯨", "", "a" * 500, "İ", "\0", "?", "ada"])).map(
    " ".join
)
scores = st.none() | st.floats(0.1, 9)
messages = st.tuples(words, scores, st.sampled_from(["", "Ada", "?"]), scores)


def asks(text: str) -> bool:
    return text.rstrip(" \0").endswith("?")


@given(words, st.lists(messages, max_size=20), st.sampled_from(["english", "turkish", "none"]))
def test_any_texts_are_ranked_once_and_best_first(query, texts, language) -> None:
    several = [said(("s", n), *message) for n, message in enumerate(texts)]
    result = ranked(query, several, language)
    keys = [key for key, _ in result]
    assert len(set(keys)) == len(keys)
    results = {each.key for each in several if (each.found, each.similarity) != (None, None)}
    answering = {
        after.key
        for before, after in pairwise(several)
        if asks(query) and before.found is not None and asks(before.text)
    }
    assert set(keys) == results | answering
    given_scores = [score for _, score in result]
    assert given_scores == sorted(given_scores, reverse=True)


def test_a_mark_without_a_letter_begins_no_word() -> None:
    candidates = found("dog", "dog dog")
    scores = [ranked(f"dog {mark}", candidates) for mark in ("", "\u3099", "\u0f71")]
    assert scores[0] == scores[1] == scores[2]
