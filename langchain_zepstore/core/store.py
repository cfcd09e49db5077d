"""The store that operations run on, and the backend that opens it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, TypeVar

from langchain_zepstore.core.operation import Operation

if TYPE_CHECKING:  # they take long to make
    from langchain_zepstore.core.contract import (
        BranchOperations,
        DeletionOperations,
        DiagnosisOperations,
        MessageOperations,
        SearchOperations,
        SessionOperations,
        SummaryOperations,
        TransferOperations,
        UserOperations,
    )
    from langchain_zepstore.core.results import Connections

T = TypeVar("T")


class Store(Protocol):
    """A place that holds sessions, over one synchronous or asynchronous connection."""

    @property
    def span_attributes(self) -> Mapping[str, str | int]:
        """OpenTelemetry's attributes of the database behind it."""

    @property
    def sessions(self) -> SessionOperations:
        """Creates, reads, updates and lists sessions."""

    @property
    def diagnosis(self) -> DiagnosisOperations:
        """Counts documents, and checks the store."""

    @property
    def transfer(self) -> TransferOperations:
        """Exports and imports."""

    @property
    def users(self) -> UserOperations:
        """Creates, reads, updates, lists and deletes users."""

    @property
    def branches(self) -> BranchOperations:
        """Rewinds, switches, lists and copies branches."""

    @property
    def deletion(self) -> DeletionOperations:
        """Soft-deletes, undeletes and purges."""

    @property
    def search(self) -> SearchOperations:
        """Finds messages."""

    @property
    def summaries(self) -> SummaryOperations:
        """Keeps the summaries of sessions."""

    @property
    def messages(self) -> MessageOperations:
        """Adds and reads messages."""

    def for_user(self, user_id: str) -> Store:
        """Return the same, narrowed to what is one user's; see ``ZepClient.for_user``."""


Call = Callable[[Store], Operation[T]]
"""An operation that waits for the store it is to be run on."""


class Backend(Protocol):
    """Opens stores: one for synchronous calls, and one for each event loop."""

    def open(self, *, prepare: bool = True) -> Store:
        """Return the store for synchronous calls, opened by the first.

        Without ``prepare`` it is as it was found: indexes that are missing are not made.
        """

    async def aopen(self, *, prepare: bool = True) -> Store:
        """Return the store for calls on the running event loop, opened by the first."""

    def connections(self) -> Connections:
        """Return how many connections this process has."""

    def close(self) -> None:
        """Give back what was opened for synchronous calls, and what belongs to no event loop."""

    async def aclose(self) -> None:
        """Give back everything."""
