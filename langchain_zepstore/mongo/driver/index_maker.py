"""Makes indexes when they are first needed."""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pymongo import IndexModel

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.errors import APIError, AuthError
from langchain_zepstore.mongo.driver.collection import Collection
from langchain_zepstore.mongo.driver.errors import INDEX_CONFLICTS, CannotWriteError, is_forbidden

_SLOW = (
    "these credentials may not create an index ({}), without which this takes longer; let an "
    "administrator do it once, or grant listIndexes and createIndex ({})"
)


class IndexMaker:
    """Makes indexes when they are first needed, and remembers which there are.

    Args:
        hello: Asks the server who it is.
    """

    def __init__(self, hello: Callable[[], Operation[Mapping[str, Any]]]) -> None:
        self._hello = hello
        self._known: dict[str, set[str]] = {}  # by collection
        self._is_allowed = True
        self._has_warned = False

    def note(self, collection: Collection[Any], names: Iterable[str]) -> None:
        """Remember that a collection has indexes of these names."""
        self._known.setdefault(collection.name, set()).update(names)

    def ensure(self, collection: Collection[Any], *indexes: IndexModel) -> Operation[None]:
        """Make sure that indexes are there, which not everyone needs.

        Where they cannot be made, what needs them takes longer; without the right, with a warning.
        """
        names = {index.document["name"] for index in indexes}
        if not self._is_allowed or names <= self._known.get(collection.name, set()):
            return
        try:
            if collection.name not in self._known:
                self.note(collection, (yield from collection.index_information()))
            there = self._known[collection.name]
            for index in indexes:
                if index.document["name"] not in there:
                    yield from self._create_one(collection, index)
        except AuthError as error:
            if not is_forbidden(error):
                raise
            self._is_allowed = False
            self.warn(_SLOW.format(", ".join(sorted(names)), error.__cause__))
        except CannotWriteError:
            return

    def create(self, collection: Collection[Any], indexes: Sequence[IndexModel]) -> Operation[None]:
        """Create indexes of a collection that may be large."""
        # Else a build waits for members of the replica set that are down.
        is_set = "setName" in (yield from self._hello())
        options = {"commitQuorum": "majority"} if is_set else {}
        yield from collection.create_indexes(indexes, **options)
        self.note(collection, (index.document["name"] for index in indexes))

    def _create_one(self, collection: Collection[Any], index: IndexModel) -> Operation[None]:
        try:
            yield from self.create(collection, [index])
        except APIError as error:
            # One with its keys has another name, or one of its name other keys.
            if getattr(error.__cause__, "code", None) not in INDEX_CONFLICTS:
                raise
            self.note(collection, [index.document["name"]])

    def warn(self, text: str) -> None:
        """Warn that the credentials may not create indexes, unless there was a warning."""
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(text, stacklevel=2)
