"""Sequences in batches, for commands that hold a bounded number."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield items in sequences of up to ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
