"""Driving operations by hand, one driver call at a time."""

from typing import Any

from langchain_zepstore import ZepClient
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.mongo.driver.durability import LastWriter
from langchain_zepstore.mongo.indexes import MESSAGE_INDEXES, SESSION_INDEXES


class Drive:
    """An operation over a synchronous driver that goes on when it is told to.

    Attributes:
        last: What the last step brought back.
    """

    def __init__(self, operation: Operation[Any]) -> None:
        self._operation = operation
        self.last: Any = None

    def step(self, times: int = 1) -> "Drive":
        """Make the next driver calls."""
        for _ in range(times):
            self.last = self._operation.send(self.last)
        return self

    def finish(self) -> Any:
        """Make all that are left, and return what the operation returns."""
        try:
            while True:
                self.step()
        except StopIteration as stop:
            return stop.value


class Unknown(LastWriter):
    """Never learns which server writes, so that every reservation is durable by itself."""

    def get(self) -> None:
        return None


def store_of(client: ZepClient) -> Any:
    """Return the store of a client for synchronous calls.

    Its operations take the same steps however long one waits between two of them, and whichever
    come first: they make no index.
    """

    def itself(store: Any) -> Operation[Any]:
        database = store.messages._database
        database.last_writer = Unknown()
        for collection, indexes in (
            (database.messages, MESSAGE_INDEXES),
            (database.sessions, SESSION_INDEXES),
        ):
            database.indexes.note(collection, (each.document["name"] for each in indexes))
        return store
        yield

    return client.run(itself)
