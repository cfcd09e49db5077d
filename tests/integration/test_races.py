"""A short form of the race; ``python -m tests.support.races --rounds 1000`` is the long one."""

from tests.support.races import race


def test_many_hands_that_pause_and_die_leave_every_session_sound(mongo_url: str) -> None:
    assert race(f"{mongo_url}".replace("/?", "/races?"), rounds=12, seed="pytest") == 0
