"""Shared parts of the readers of chats' exports."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from langchain_zepstore.migration.conversation import Conversation, Item, Unreadable
from langchain_zepstore.migration.readers.json_file import Progress, objects

# What the shape of a conversation that is none raises when it is read.
_MISFITS = (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError)


class ExportFile:
    """The conversations of ``conversations.json``, or of the zip that it comes in.

    Args:
        path: The file.
        on_bytes: Is called with the number of bytes read so far.

    Attributes:
        source: The name of the sort of export.
    """

    source = "export"

    def __init__(self, path: Path, on_bytes: Progress = lambda _: None) -> None:
        self._path = path
        self._on_bytes = on_bytes

    def __iter__(self) -> Iterator[Item]:
        for data in objects(self._path, self._on_bytes):
            yield data if isinstance(data, Unreadable) else self._read(data)

    def _read(self, data: Any) -> Item:
        try:
            return self.conversation(data)
        except _MISFITS as error:
            return Unreadable(f"it is no conversation of {self.source}'s: {error!r}", data)

    def conversation(self, data: dict[str, Any]) -> Conversation:
        """Return a conversation of the export."""
        raise NotImplementedError
