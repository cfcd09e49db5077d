"""Who is there by now: the plan's sessions, less what was deleted, longer by what was added."""

from collections.abc import Callable, Sequence
from random import Random
from uuid import uuid4

from benchmarks.scale.plan import Plan, turn, user_name
from langchain_zepstore import Memory, ZepClient

MOST = user_name(0)
"""The user with one in a hundred sessions."""


class Population:
    """Picks sessions and users at random.

    Attributes:
        plan: What there is to be.
        count: How many sessions of the plan there are.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.count = 0
        self._lengths = plan.lengths[:]
        self._gone: set[int] = set()
        self._rng = Random(plan.seed)  # noqa: S311

    def number(self) -> int:
        """Return a session's number."""
        while True:
            number = self._rng.randrange(self.count)
            if number not in self._gone:
                return number

    def session_id(self, among: Sequence[int] = ()) -> str:
        """Return the id of a session, of one of these if any are given."""
        number = self._rng.choice(among) if among else self.number()
        return self.plan.session(number).session_id

    def those(self, suits: Callable[[int], bool]) -> list[int]:
        """Return the numbers of the sessions whose length suits."""
        lengths = enumerate(self._lengths[: self.count])
        return [at for at, length in lengths if suits(length) and at not in self._gone]

    def user_id(self) -> str:
        """Return whose a session is."""
        while True:
            user_id = self.plan.session(self.number()).user_id
            if user_id is not None:
                return user_id

    def of_length(self, length: int, most: int) -> list[str]:
        """Return the ids of up to so many different sessions with so many messages."""
        there = self.those(lambda other: other == length)
        chosen = self._rng.sample(there, min(most, len(there)))
        return [self.plan.session(number).session_id for number in chosen]

    def take(self, messages: int) -> list[str]:
        """Return the ids of sessions with so many messages together; they are gone from now on."""
        taken: list[int] = []
        while messages > 0:
            taken.append(self.number())
            self._gone.add(taken[-1])
            messages -= self._lengths[taken[-1]]
        return [self.plan.session(number).session_id for number in taken]

    def untouched(self, most: int) -> list[int]:
        """Return the numbers of sessions that are as they were planned."""
        chosen = self._rng.sample(range(self.count), min(most * 10, self.count))
        return [
            number
            for number in chosen
            if number not in self._gone and self._lengths[number] == self.plan.lengths[number]
        ][:most]

    def said(self) -> Memory:
        """Return a turn."""
        return Memory(messages=turn(self._rng))

    def next_turn(self) -> tuple[str, Memory]:
        """Return a session's id and a turn, which is taken to be added to it."""
        number = self.number()
        self._lengths[number] += 2
        return self.plan.session(number).session_id, self.said()

    def a_turn(self, client: ZepClient) -> Callable[[], object]:
        """Return what adds a turn to some session."""
        session_id, memory = self.next_turn()
        return lambda: client.memory.add_memory(session_id, memory)

    def a_birth(self, client: ZepClient) -> Callable[[], object]:
        """Return what adds a message to a session that is not there yet."""
        session_id, memory = uuid4().hex, Memory(messages=self.said().messages[:1])
        return lambda: client.memory.add_memory(session_id, memory)
