"""Shared parts of the readers of stores."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any, TypeVar

from langchain_zepstore.errors import BadRequestError, ZepStoreError
from langchain_zepstore.migration.conversation import Conversation, Item

T = TypeVar("T")


class Source:
    """A store to read from. Errors of its driver become ``BadRequestError``.

    Attributes:
        source: The name of the sort of store.
    """

    source = "source"

    def __iter__(self) -> Iterator[Item]:
        for item in self._guarded(self.items()):
            if isinstance(item, Conversation):
                item.messages = self._guarded(iter(item.messages))
            yield item

    def items(self) -> Iterator[Item]:
        """Yield users and conversations."""
        raise NotImplementedError

    def _guarded(self, items: Iterator[T]) -> Iterator[T]:
        try:
            yield from items
        except ZepStoreError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split()) or repr(error)
            raise BadRequestError(f"{self.source} cannot be read: {reason}") from error


def needed(module: str, package: str) -> Any:
    """Return a module of a package that a source needs.

    Raises:
        BadRequestError: It is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise BadRequestError(f'this source needs a package: pip install "{package}"') from error
