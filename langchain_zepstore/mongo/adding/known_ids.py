"""Which messages of an add repeat stored ones, and which only bear their ids."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from langchain_zepstore.core.arguments import KnownIds
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.messages.known_ids import renamed, words_of
from langchain_zepstore.mongo.documents import MessageDocument, Stage


class Repetition:
    """Follows the messages of one add in their order.

    Args:
        known_ids: How known ids are treated; ``None``: each replaces the message that has it.
        keep_deleted: Whether a deleted message is repeated as well.

    Attributes:
        after: The id of the stored message before the call.
        branch_of: The id of a stored message whose branch the call extends.
        is_ordered: Whether it matters which of the messages are new.
        keep_deleted: Whether a deleted message is repeated as well.
        new_ids: The new ids of those that got another one.
    """

    def __init__(self, known_ids: KnownIds | None, *, keep_deleted: bool) -> None:
        self.after = known_ids.after if known_ids else None
        self.branch_of = known_ids.branch_of if known_ids else None
        self.is_ordered = known_ids is not None
        self.keep_deleted = keep_deleted
        self.new_ids: dict[str, str] = {}
        self._replacing = known_ids.replacing if known_ids else frozenset()
        self._given: dict[int, str] = {}
        self._before: dict[int, _Order] = {}
        self._order = _Order(previous=self.after)

    def begin(
        self,
        landed: Sequence[MessageDocument],
        refused: MessageDocument,
        anchor: MessageDocument | None,
    ) -> None:
        """Take up the order at the first message that was refused.

        Args:
            landed: The messages before it that were not.
            refused: The message.
            anchor: The stored message before the call.
        """
        if refused["seq"] in self._before:  # refused again: somebody else adds the same
            self._order = self._before[refused["seq"]]
            return
        if anchor:
            self._order = self._order._replace(after=max(anchor["seq"], self._order.after))
        if landed:
            self.note_landed(landed)

    def resolve(
        self,
        message: MessageDocument,
        holder: MessageDocument | None,
        find: Callable[[str], Operation[MessageDocument | None]],
    ) -> Operation[tuple[MessageDocument, MessageDocument | None, bool]]:
        """Return a message, perhaps with another id, who holds that id, and if it is repeated.

        Args:
            message: The next of the call.
            holder: The stored message with its id.
            find: Finds a stored message by its id.
        """
        if not self.is_ordered or message["uuid"] in self._replacing:
            return message, holder, False
        number, words = message["seq"], _words(message)
        given = self._given.setdefault(number, message["uuid"])
        self._before[number] = self._order
        while holder and holder["_id"]["s"] == message["_id"]["s"] and holder["seq"] != number:
            is_deleted = bool(holder.get("deleted_at"))
            if is_deleted and not self.keep_deleted:
                break
            is_same = _words(holder) == words
            in_order = holder["seq"] > self._order.after
            if is_same and in_order and (is_deleted or holder["seq"] > self._order.new):
                self._order = self._order._replace(after=holder["seq"], previous=holder["uuid"])
                return message, holder, True
            uuid = renamed(message["uuid"], words, self._order.previous if is_same else None)
            self.new_ids[given] = uuid
            message = {**message, "uuid": uuid}
            holder = yield from find(uuid)
        self._pass(message)
        return message, holder, False

    def replaces(self, uuid: str) -> bool:
        """Whether a message of the call is put in the place of the stored one."""
        return uuid in self._replacing

    def as_given(self, message: MessageDocument) -> MessageDocument:
        """Return a message with the id that it came with, to be resolved again."""
        return {**message, "uuid": self._given.get(message["seq"], message["uuid"])}

    def is_overtaken(self, message: MessageDocument) -> bool:
        """Whether another has stored what comes before a new message under a later number."""
        return self.is_ordered and message["seq"] < self._order.after

    def note_landed(self, messages: Sequence[MessageDocument]) -> None:
        """Note that messages are new."""
        if messages[-1]["seq"] not in self._before:
            self._pass(messages[-1])

    def restart(self, bodies: Sequence[Stage]) -> list[Stage]:
        """Begin anew under other numbers; return the bodies with the ids that they got."""
        self._given, self._before = {}, {}
        self._order = _Order(previous=self.after)
        return [{**body, "uuid": self.new_ids.get(body["uuid"], body["uuid"])} for body in bodies]

    def _pass(self, message: MessageDocument) -> None:
        self._order = self._order._replace(new=message["seq"], previous=message["uuid"])


class _Order(NamedTuple):
    after: int = -1  # the number of the last message that was repeated
    new: int = -1  # that of the last new one; only who makes the same call stores later ones
    previous: str | None = None


def _words(document: MessageDocument) -> str:
    payload = document.get("langchain")
    return words_of(document["role"], document["content"], payload["data"] if payload else {})
