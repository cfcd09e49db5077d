"""The list of a session's branches, with their lengths."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.models import Branch
from langchain_zepstore.mongo.branches.table import ForkTable, Range, clipped, holds
from langchain_zepstore.mongo.documents import MessageDocument, Query
from langchain_zepstore.mongo.driver.collection import Collection

_PAGE_SIZE = 10_000  # numbers


def listed(
    messages: Collection[MessageDocument], query: Query, table: ForkTable
) -> Operation[list[Branch]]:
    """Return the branches of the messages that a query matches, in the order of their making."""
    counts = yield from _counts(messages, query, table)
    leaves = _leaves(table, counts)
    numbers = {number for leaf in leaves for number in (leaf.last, leaf.first) if number}
    if not numbers:
        return []
    found = yield from messages.find(
        {**query, "seq": {"$in": sorted(numbers)}}, fields={"seq": 1, "uuid": 1, "created_at": 1}
    )
    documents = {document["seq"]: document for document in found}
    branches = []
    for leaf in leaves:
        last, first = documents.get(leaf.last), documents.get(leaf.first)
        if last is None and leaf.last:
            continue  # deleted meanwhile
        branches.append(
            Branch(
                last_message_id=last["uuid"] if last else None,
                message_count=counts.along(leaf.path),
                created_at=first["created_at"] if first else None,
                is_active=leaf.is_active,
            )
        )
    return branches


@dataclass(frozen=True, slots=True)
class _Leaf:
    """The end of a branch.

    Attributes:
        last: The number of its last message, 0 if it has none.
        first: The number of the first message that no older branch has, 0 if there is none.
        path: The branch.
        is_active: Whether it is the active one.
    """

    last: int
    first: int
    path: list[Range]
    is_active: bool


class _Counts:
    """The count of messages, the first and the last, between cuts of a table.

    Args:
        cuts: Numbers at which ranges begin, and the one behind the last.
        groups: The count, the first and the last number from a cut to the next.
    """

    def __init__(self, cuts: Sequence[int], groups: dict[int, tuple[int, int, int]]) -> None:
        self._cuts = cuts
        self._groups = [groups.get(cut, (0, 0, 0)) for cut in cuts]
        self._sums = [0, *accumulate(count for count, _, _ in self._groups)]

    def along(self, path: Sequence[Range]) -> int:
        """Return how many messages a path has."""
        return sum(self._sums[stop] - self._sums[start] for start, stop in map(self._span, path))

    def last(self, path: Sequence[Range]) -> int:
        """Return the number of a path's last message, 0 if it has none."""
        for start, stop in map(self._span, reversed(path)):
            for count, _, last in reversed(self._groups[start:stop]):
                if count:
                    return last
        return 0

    def first(self, path: Sequence[Range]) -> int:
        """Return the number of a path's first message, 0 if it has none."""
        for start, stop in map(self._span, path):
            for count, first, _ in self._groups[start:stop]:
                if count:
                    return first
        return 0

    def _span(self, between: Range) -> tuple[int, int]:
        return bisect_left(self._cuts, between[0]), bisect_left(self._cuts, between[1] + 1)


def _counts(
    messages: Collection[MessageDocument], query: Query, table: ForkTable
) -> Operation[_Counts]:
    firsts = {fork["first"] for fork in table.forks}
    afters = {fork["after"] + 1 for fork in table.forks}
    cuts = sorted({*firsts, *afters, table.last + 1})
    groups: dict[int, tuple[int, int, int]] = {}
    after = 0
    # Here and not by the server, which compares each number with all cuts.
    while found := (
        yield from messages.find(
            {**query, "seq": {"$gt": after, "$lte": table.last}},
            sort={"seq": 1},
            limit=_PAGE_SIZE,
            fields={"_id": 0, "seq": 1},
        )
    ):
        numbers = [document["seq"] for document in found]
        for cut, group in groupby(numbers, key=lambda number: cuts[bisect_right(cuts, number) - 1]):
            together = list(group)
            count, first, _ = groups.get(cut, (0, together[0], 0))
            groups[cut] = count + len(together), first, together[-1]
        after = numbers[-1]
    return _Counts(cuts, groups)


def _leaves(table: ForkTable, counts: _Counts) -> list[_Leaf]:
    """Return the ends of the branches, in the order of their making."""
    found: dict[int, tuple[int, _Leaf]] = {}
    for number, fork in sorted(table.leaves().items()):
        path = table.path_to(number)
        origin = table.forks[table.origin(fork)]["first"]
        is_active = number == table.tip()
        last = counts.last(path)
        leaf = _Leaf(last, counts.first(clipped(path, first=origin)), path, is_active)
        if last not in found or is_active:
            found[last] = origin, leaf
    ends = [leaf for _, leaf in found.values()]
    return [
        leaf
        for _, leaf in sorted(found.values(), key=lambda each: each[0])
        if leaf.is_active or leaf.last == leaf.path[-1][1] or not _goes_on(leaf.last, ends)
    ]


def _goes_on(number: int, ends: Sequence[_Leaf]) -> bool:
    return any(leaf.last != number and (not number or holds(leaf.path, number)) for leaf in ends)
