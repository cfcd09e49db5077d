"""What a manager runs its operations with."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.store import Store

T = TypeVar("T")

Call = Callable[[Store], Operation[T]]
"""An operation that waits for the store it is to be run on."""


class Runner(Protocol):
    """Runs operations: a ``ZepClient``, which managers cannot import."""

    def run(self, call: Call[T]) -> T:
        """Run an operation of the store."""

    async def arun(self, call: Call[T]) -> T:
        """Run an operation of the store on the running event loop."""


class Manager:
    """What a client gives its operations names by."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
