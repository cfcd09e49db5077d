"""A session with branches in plain Python: a tree with parent pointers, and its branches' ends."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from langchain_zepstore import BadRequestError, NotFoundError


@dataclass(eq=False)
class Node:
    """A number that was handed out; ``uuid`` is ``None`` where it holds no message."""

    number: int
    parent: "Node | None"
    uuid: str | None = None
    deletion: object = None

    @property
    def is_live(self) -> bool:
        return self.uuid is not None and self.deletion is None


@dataclass(eq=False)
class End:
    """The end of a branch; one that was only rewound is gone when another becomes active."""

    tip: Node | None
    activated: int
    is_kept: bool = True


@dataclass
class BranchModel:
    """Each method does what the method of the store does, or raises as it does."""

    nodes: list[Node] = field(default_factory=list)
    is_live: bool = False
    deletion: object = None

    def __post_init__(self) -> None:
        self.active = End(None, 0)
        self.ends = [self.active]
        self.turn = 0

    def add(self, uuids: list[str]) -> None:
        self.is_live = True
        self.active.tip, self.active.is_kept = self._grown(self.active.tip, uuids), True

    def edit(self, before: str, uuids: list[str]) -> None:
        if before in uuids:
            raise BadRequestError
        if any(map(self._has, uuids)):
            if self._is_repeat(before, uuids):
                return
            raise BadRequestError
        self._activate(End(self._grown(self._live(before).parent, uuids), 0))

    def _is_repeat(self, before: str, uuids: list[str]) -> bool:
        """Whether messages stand together where an edit puts them, also if some were deleted."""
        stored = [node for node in self.nodes if node.uuid in uuids]
        first = stored[0]
        is_whole = [(node.uuid, node.number) for node in stored] == [
            (uuid, first.number + index) for index, uuid in enumerate(uuids)
        ]
        is_in_place = not self._has(before) or self._live(before).parent is first.parent
        return is_whole and is_in_place

    def rewind(self, before: str) -> None:
        node = self._live(before)
        if node in path(self.active.tip):
            self._activate(End(node.parent, 0, is_kept=False))

    def switch(self, uuid: str) -> None:
        node = self._live(uuid)
        if node not in path(self.active.tip):
            holding = [end for end in self.ends if node in path(end.tip)]
            self._activate(max(holding, key=lambda end: end.activated))

    def fork(self, at: str | None) -> list[str]:
        """Return the messages of a fork."""
        if not self.is_live:
            raise NotFoundError
        tip = self.active.tip if at is None else self._live(at)
        return [node.uuid or "" for node in path(tip)[::-1] if node.is_live]

    def delete_message(self, uuid: str) -> None:
        self._live(uuid).deletion = object()

    def undelete_message(self, uuid: str) -> None:
        found = [node for node in self.nodes if node.uuid == uuid and node.deletion]
        if not found or not self.is_live:
            raise NotFoundError
        found[0].deletion = None

    def delete(self) -> None:
        if not self.is_live:
            raise NotFoundError
        self.is_live, self.deletion = False, object()
        for node in self.nodes:
            node.deletion = node.deletion or self.deletion

    def undelete(self) -> None:
        taken = [n for n in self.nodes if n.uuid and n.deletion is self.deletion]
        if not self.deletion or (self.is_live and not taken):
            raise NotFoundError
        for node in taken:
            node.deletion = None
        self.is_live, self.deletion = True, None

    def shown(self, uuid: str | None = None) -> list[str]:
        """The live messages of the active branch, or of the one that holds a message."""
        tip = self.active.tip
        if uuid is not None and self._live(uuid) not in path(tip):
            node = self._live(uuid)
            holding = [end for end in self.ends if node in path(end.tip)]
            tip = max(holding, key=lambda end: end.activated).tip
        return [node.uuid or "" for node in path(tip)[::-1] if node.is_live]

    def tree(self) -> list[tuple[str, str | None]]:
        """All live messages, each with its parent."""
        return [(node.uuid or "", above(node)) for node in self.nodes if node.is_live]

    def alternatives(self, uuid: str) -> list[str]:
        parent = dict(self.tree())[uuid]
        return [other for other, its in self.tree() if its == parent]

    def branches(self) -> set[tuple[str | None, int, bool]]:
        """The end, the length and the activity of each branch of live messages."""
        tree = self.tree()
        if not tree:
            return set()
        parents = {parent for _, parent in tree}
        active = self.shown()
        found = {(active[-1] if active else None, len(active), True)}
        for uuid, _ in tree:
            if uuid not in parents and uuid not in active[-1:]:
                found.add((uuid, sum(1 for _ in chain(dict(tree), uuid)), False))
        return found

    def _has(self, uuid: str) -> bool:
        return any(node.uuid == uuid and node.is_live for node in self.nodes)

    def _live(self, uuid: str) -> Node:
        for node in self.nodes:
            if node.uuid == uuid and node.is_live:
                return node
        raise NotFoundError(uuid)

    def _grown(self, tip: Node | None, uuids: list[str]) -> Node | None:
        for uuid in uuids:
            is_repeat = self._has(uuid)
            for node in self.nodes:
                if node.uuid == uuid and node.deletion:
                    node.uuid = None  # it gives way
            tip = Node(len(self.nodes) + 1, tip, None if is_repeat else uuid)
            self.nodes.append(tip)
        return tip

    def _activate(self, end: End) -> None:
        if not self.active.is_kept:
            self.ends.remove(self.active)
        if end not in self.ends:
            self.ends.append(end)
        self.turn += 1
        end.activated, self.active = self.turn, end


def path(tip: Node | None) -> list[Node]:
    nodes = []
    while tip is not None:
        nodes.append(tip)
        tip = tip.parent
    return nodes


def above(node: Node) -> str | None:
    return next((each.uuid for each in path(node.parent) if each.is_live), None)


def chain(parents: dict[str, str | None], uuid: str | None) -> Iterator[str]:
    while uuid is not None:
        yield uuid
        uuid = parents[uuid]
