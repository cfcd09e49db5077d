"""The branches of a session as intervals of sequence numbers. Pure functions.

A fork owns the numbers from its ``first`` up to the next fork's, and continues after the number
``after``. So the numbers are the nodes of a tree, and a branch is a path from its root. The last
fork is the active one: what is added next extends it. A number never changes its fork.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from langchain_zepstore.mongo.documents import Fork, SessionDocument

Range = tuple[int, int]
"""The first and the last of consecutive numbers."""

_LINEAR: Sequence[Fork] = ({"first": 1, "after": 0, "activated": 1},)


@dataclass(frozen=True, slots=True)
class ForkTable:
    """The forks of a session.

    Attributes:
        forks: The forks, in the order of their numbers.
        last: The last number that the session handed out.
    """

    forks: Sequence[Fork]
    last: int

    def fork_of(self, number: int) -> int:
        """Return the index of the fork that owns a number."""
        return bisect_right(self.forks, number, key=lambda fork: fork["first"]) - 1

    def end(self, index: int) -> int:
        """Return the last number of a fork; less than its first if it has none."""
        following = index + 1
        return self.forks[following]["first"] - 1 if following < len(self.forks) else self.last

    def tip(self, index: int = -1) -> int:
        """Return the last number of the branch that ends in a fork, 0 if it is empty."""
        fork, end = self.forks[index], self.end(index % len(self.forks))
        return end if fork["first"] <= end else fork["after"]

    def active(self) -> list[Range]:
        """Return the active branch."""
        return self.path_to(self.tip())

    def path_to(self, number: int) -> list[Range]:
        """Return the path from the root to a number."""
        ranges = []
        firsts = [fork["first"] for fork in self.forks]
        while number > 0:
            index = bisect_right(firsts, number) - 1
            ranges.append((firsts[index], number))
            number = self.forks[index]["after"]
        return ranges[::-1]

    def path_through(self, number: int) -> list[Range]:
        """Return the branch that holds a number; of several the last active one."""
        return self.path_to(self.tip(self.last_active(number)))

    def last_active(self, number: int) -> int:
        """Return the fork in which the last active branch ends that holds a number."""
        own = self.fork_of(number)
        holding = {own}
        for index in range(own + 1, len(self.forks)):
            after = self.forks[index]["after"]
            parent = self.fork_of(after) if after else -1
            if parent in holding and (parent != own or after >= number):
                holding.add(index)
        return max(holding, key=lambda index: (self.forks[index]["activated"], index))

    def before(self, number: int) -> int:
        """Return the number that a number follows, 0 if it is the first of its branch."""
        fork = self.forks[self.fork_of(number)]
        return fork["after"] if fork["first"] == number else number - 1

    def is_alternative(self, first: int, number: int) -> bool:
        """Return whether a fork begins with a number, in the place of another number."""
        fork = self.forks[self.fork_of(first)]
        return fork["first"] == first and fork["after"] == self.before(number)

    def following(self, number: int) -> list[int]:
        """Return the numbers that follow a number, one in each branch; the first ones after 0."""
        next_numbers = [self.forks[index]["first"] for index in self.forks_after(number, number)]
        if 0 < number < self.end(self.fork_of(number)):
            next_numbers.append(number + 1)
        return next_numbers

    def forks_after(self, first: int, last: int) -> Iterator[int]:
        """Yield the forks with numbers that continue after one of the numbers in a range."""
        for index, fork in enumerate(self.forks):
            if first <= fork["after"] <= last and fork["first"] <= self.end(index):
                yield index

    def leaves(self) -> dict[int, int]:
        """Return the last numbers of all branches, each with the fork in which it ends."""
        owners = list(self.forks_after(0, self.last))
        continued = {self.forks[index]["after"] for index in owners}
        ends = {end: index for index in owners if (end := self.end(index)) not in continued}
        return {self.tip(): len(self.forks) - 1} | ends

    def origin(self, index: int) -> int:
        """Return the fork with which a branch began that ends in a fork.

        A fork that is the first to continue at another's end does not begin a branch.
        """
        while after := self.forks[index]["after"]:
            before = self.fork_of(after)
            first = next(self.forks_after(after, after), index)
            if self.end(before) != after or first != index:
                break
            index = before
        return index


def table_of(session: SessionDocument) -> ForkTable:
    """Return a session's table; of a session that never branched, one fork."""
    return ForkTable(session.get("forks") or _LINEAR, session["seq"])


def holds(ranges: Sequence[Range], number: int) -> bool:
    """Return whether a path holds a number."""
    index = bisect_right(ranges, number, key=lambda each: each[0]) - 1
    return index >= 0 and number <= ranges[index][1]


def clipped(ranges: Iterable[Range], *, first: int = 1, last: int | None = None) -> list[Range]:
    """Return the part of a path from one number to another."""
    bounded = [(max(a, first), b if last is None else min(b, last)) for a, b in ranges]
    return [(a, b) for a, b in bounded if a <= b]
