"""Rare words count more than common ones, neighbours and sessions lend each other weight."""

from hypothesis import given
from hypothesis import strategies as st

from langchain_zepstore.mongo.ranking import Candidate, candidate, neighbours, ranked


def found(*texts: str, session: str = "s", score: float = 1.0) -> list[Candidate]:
    return [Candidate((session, 10 * n), text, score) for n, text in enumerate(texts)]


def order(query: str, candidates: list[Candidate]) -> list[int]:
    return [seq // 10 for (_, seq), _ in ranked(query, candidates)]


def test_a_rare_word_counts_more_than_a_common_one() -> None:
    texts = ["the boat was here", "the boat was there", "the boat was green", "a whale was here"]
    assert order("boat whale", found(*texts))[0] == 3


def test_a_word_counts_in_any_form_of_its() -> None:
    assert order("painting boats", found("he has a cat", "he painted a boat"))[0] == 1


def test_a_short_message_is_more_about_its_words_than_a_long_one() -> None:
    assert order("boat", found("boat " + "river bank " * 30, "a boat"))[0] == 1


def test_who_speaks_is_part_of_what_is_said_unless_it_is_a_role() -> None:
    document = {"_id": {"s": "s", "q": 1}, "seq": 1, "content": "I like boats", "score": 1.0}
    assert candidate({**document, "role": "Ada"}).text == "Ada I like boats"
    assert candidate({**document, "role": "user"}).text == "I like boats"


def test_blocks_are_ranked_by_their_text() -> None:
    content = [{"type": "text", "text": "a boat"}, {"type": "image_url", "image_url": "data:"}]
    document = {"_id": {"s": "s", "q": 1}, "seq": 1, "role": "user", "content": content}
    assert candidate(document).text == "a boat"


def test_the_turn_beside_a_match_gets_a_part_of_its_score() -> None:
    question = Candidate(("s", 1), "Which boat did you paint?", 1.0)
    answer = Candidate(("s", 2), "The boat of my aunt.", 1.0)
    elsewhere = Candidate(("s", 9), "The boat of my aunt.", 1.0)
    places = [place for place, _ in ranked("paint boat", [question, answer, elsewhere])]
    assert places == [("s", 1), ("s", 2), ("s", 9)]


def test_a_session_about_the_words_lends_weight_to_its_messages() -> None:
    about = [Candidate(("a", 10 * n), "boats and boats", 1.0) for n in range(3)]
    mentions = [Candidate(("b", 10), "a boat", 1.0), Candidate(("a", 100), "a boat", 1.0)]
    places = [place for place, _ in ranked("boat", [*about, *mentions])]
    assert places.index(("a", 100)) < places.index(("b", 10))


def test_what_only_stands_beside_is_no_answer() -> None:
    beside = Candidate(("s", 1), "boat boat boat", None)
    assert [place for place, _ in ranked("boat", [beside, *found("a boat")])] == [("s", 0)]


def test_equals_keep_the_order_of_the_index_and_then_of_the_conversation() -> None:
    several = [
        Candidate(("s", 30), "wal", 1.0),
        Candidate(("s", 10), "wal", 2.0),
        Candidate(("s", 20), "wal", 1.0),
    ]
    assert [seq for (_, seq), _ in ranked("鯨", several)] == [10, 20, 30]


def test_neighbours_are_the_places_beside_that_were_not_found() -> None:
    places = [Candidate(("s", seq), "", 1.0) for seq in (1, 2, 5)]
    assert neighbours(places) == [("s", 0), ("s", 3), ("s", 4), ("s", 6)]


words = st.lists(st.sampled_from(["boat", "lake", "鯨", "", "a" * 500, "İ", "\0"])).map(" ".join)


@given(words, st.lists(st.tuples(words, st.none() | st.floats(0, 9)), max_size=20))
def test_any_text_is_ranked_once_each_and_best_first(query, texts) -> None:
    several = [Candidate(("s", n), text, score) for n, (text, score) in enumerate(texts)]
    result = ranked(query, several)
    assert sorted(seq for (_, seq), _ in result) == [
        n for n, (_, score) in enumerate(texts) if score is not None
    ]
    scores = [score for _, score in result]
    assert scores == sorted(scores, reverse=True)
