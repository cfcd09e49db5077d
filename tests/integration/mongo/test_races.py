"""A short form of the race; ``python -m tests.support.races --rounds 1000`` is the long one."""

import pytest

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.mongo.deletion.marks import Marking
from tests.support.races import race


@pytest.mark.promise("many hands that pause and die")
def test_concurrent_writers_that_pause_and_die_keep_every_session_consistent(
    mongo_url: str, long: bool
) -> None:
    rounds = 20 if long else 6
    assert race(mongo_url.replace("/?", "/races?"), rounds=rounds, seed="pytest") == 0


@pytest.mark.promise("the race program's checker finds seeded defects")
def test_the_race_finds_a_delete_without_a_fence(
    mongo_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(*_: object) -> Operation[None]:
        return
        yield

    monkeypatch.setattr(Marking, "fence", nothing)
    url = mongo_url.replace("/?", "/races?")
    assert any(race(url, rounds=1, seed=f"broken {number}") for number in range(40))
