"""Export and import."""

from collections.abc import Sequence

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.records import Record
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.transfer.export import Export


class Transfer:
    """Exports and imports."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.page = Export(database).page

    def load(self, records: Sequence[Record]) -> Operation[list[str | None]]:
        """Store records; see ``Load.load``."""
        # Its models take long to make, and hardly anyone imports.
        from langchain_zepstore.mongo.transfer.load import Load  # noqa: PLC0415

        return Load(self._database).load(records)
