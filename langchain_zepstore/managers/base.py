"""The base of the managers."""

from typing import Any, Protocol, TypeVar

from langchain_zepstore.core.store import Call

T = TypeVar("T")


class Runner(Protocol):
    """Runs operations: a ``StoreClient``, which managers cannot import."""

    @property
    def user_id(self) -> str | None:
        """The user whose view it is; ``None`` for everybody's."""

    def run(self, call: Call[T], *, prepare: bool = True) -> T:
        """Run an operation of the store, with the indexes made that are missing, or without."""

    async def arun(self, call: Call[T], *, prepare: bool = True) -> T:
        """Run an operation of the store on the running event loop."""


class Manager:
    """Base of ``client.memory``, ``client.message`` and ``client.user``."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner


def arguments_of(variables: dict[str, Any]) -> dict[str, Any]:
    """Return a method's arguments from its ``locals()``."""
    return {name: value for name, value in variables.items() if name != "self"}
