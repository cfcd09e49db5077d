"""The table of forks against a plain tree of numbers."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from langchain_zepstore.mongo.branches.table import ForkTable, clipped, holds
from langchain_zepstore.mongo.documents import Fork

FORKS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), max_size=8)
"""After which number a fork continues, by remainder, and how many numbers it has."""


@dataclass
class Tree:
    """Numbers with their parents, made with the table of forks that says the same."""

    forks: list[Fork] = field(default_factory=list)
    parents: dict[int, int] = field(default_factory=dict)
    tips: list[int] = field(default_factory=list)

    def fork(self, after: int, count: int) -> None:
        if self.forks and self.forks[-1]["first"] > len(self.parents):
            self.forks.pop()  # it has no numbers
            self.tips.pop()
        after %= len(self.parents) + 1
        first = len(self.parents) + 1
        self.forks.append({"first": first, "after": after, "activated": len(self.forks) + 1})
        for number in range(first, first + count):
            self.parents[number] = after
            after = number
        self.tips.append(after)

    def path(self, number: int) -> list[int]:
        numbers = []
        while number:
            numbers.append(number)
            number = self.parents[number]
        return numbers[::-1]


def grown(steps: list[tuple[int, int]]) -> tuple[Tree, ForkTable]:
    tree = Tree()
    tree.fork(0, 3)
    for after, count in steps:
        tree.fork(after, count)
    return tree, ForkTable(tree.forks, len(tree.parents))


def numbers_in(ranges: list[tuple[int, int]]) -> list[int]:
    return [number for first, last in ranges for number in range(first, last + 1)]


@given(FORKS)
def test_paths_match_a_tree_model(steps: list[tuple[int, int]]) -> None:
    tree, table = grown(steps)
    assert numbers_in(table.active()) == tree.path(tree.tips[-1])
    for number in tree.parents:
        ranges = table.path_to(number)
        assert numbers_in(ranges) == tree.path(number)
        for other in tree.parents:
            assert holds(ranges, other) == (other in tree.path(number))


@given(FORKS)
def test_following_returns_the_children_of_a_number(steps: list[tuple[int, int]]) -> None:
    tree, table = grown(steps)
    for number in (0, *tree.parents):
        children = [child for child, parent in tree.parents.items() if parent == number]
        assert sorted(table.following(number)) == children
        assert all(table.before(child) == number for child in children)


@given(FORKS)
def test_the_branch_through_a_number_is_the_last_active_one(steps: list[tuple[int, int]]) -> None:
    tree, table = grown(steps)
    for number in tree.parents:
        holding = [tip for tip in tree.tips if number in tree.path(tip)]
        # A fork that goes on at another's end does not leave it behind.
        assert numbers_in(table.path_through(number)) == tree.path(holding[-1])


@given(FORKS)
def test_leaves_are_numbers_without_successors_and_the_active_end(
    steps: list[tuple[int, int]],
) -> None:
    tree, table = grown(steps)
    leaves = {number for number in tree.parents if number not in tree.parents.values()}
    assert table.leaves().keys() == leaves | {tree.tips[-1]}


@given(FORKS, st.integers(1, 30), st.integers(0, 30))
def test_a_clipped_path_has_the_numbers_in_range(
    steps: list[tuple[int, int]], first: int, last: int
) -> None:
    _, table = grown(steps)
    whole = numbers_in(table.active())
    part = clipped(table.active(), first=first, last=last)
    assert numbers_in(part) == [number for number in whole if first <= number <= last]
