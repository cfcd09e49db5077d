"""Export and import."""

from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.transfer.export import Export
from langchain_zepstore.mongo.transfer.load import Load


class Transfer:
    """Exports and imports."""

    def __init__(self, database: Database) -> None:
        self.page = Export(database).page
        self.load = Load(database).load
