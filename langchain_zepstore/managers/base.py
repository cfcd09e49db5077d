"""The base of the managers."""

from typing import Protocol, TypeVar

from langchain_zepstore.core.store import Call

T = TypeVar("T")


class Runner(Protocol):
    """Runs operations: a ``StoreClient``, which managers cannot import."""

    def run(self, call: Call[T]) -> T:
        """Run an operation of the store."""

    async def arun(self, call: Call[T]) -> T:
        """Run an operation of the store on the running event loop."""


class Manager:
    """The base of the managers: it holds what runs their operations."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
