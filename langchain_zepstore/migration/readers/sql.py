"""langchain-community's SQL histories, and langchain-postgres's."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.migration.conversation import Conversation, Item, from_json
from langchain_zepstore.migration.readers.source import Source, needed
from langchain_zepstore.models import Session

_ROWS = 1000  # fetched at once


class LangChainSQL(Source):
    """The histories of langchain-community's ``SQLChatMessageHistory``.

    Args:
        url: SQLAlchemy's URL, or the path of an SQLite file.
        collection: The table.
        session_field: The column with the session's id.
        history_field: The column with the message.
    """

    source = "langchain-sql"

    def __init__(
        self,
        url: str,
        *,
        collection: str = "message_store",
        session_field: str = "session_id",
        history_field: str = "message",
    ) -> None:
        self._url = url if "://" in url else f"sqlite:///file:{url}?mode=ro&uri=true"
        self._table = collection
        self._session_field = session_field
        self._history_field = history_field

    def items(self) -> Iterator[Item]:
        """Yield the conversations, the oldest first."""
        sqlalchemy = needed("sqlalchemy", "sqlalchemy")
        engine = sqlalchemy.create_engine(self._url)
        try:
            table = sqlalchemy.Table(self._table, sqlalchemy.MetaData(), autoload_with=engine)
            with engine.connect().execution_options(yield_per=_ROWS) as connection:
                for session_id, rows in groupby(
                    connection.execute(self._query(sqlalchemy, table)), lambda row: str(row[0])
                ):
                    yield Conversation(Session(session_id=session_id), map(self._message, rows))
        finally:
            engine.dispose()

    def _query(self, sqlalchemy: Any, table: Any) -> Any:
        columns = table.columns
        for name in ("id", self._session_field, self._history_field):
            if name not in columns:
                raise BadRequestError(f"the table {self._table!r} has no column {name!r}")
        session, key = columns[self._session_field], columns["id"]
        first = sqlalchemy.func.min(key).over(partition_by=session)
        moment = columns["created_at"] if "created_at" in columns else sqlalchemy.null()
        return sqlalchemy.select(session, key, columns[self._history_field], moment).order_by(
            first, session, key
        )

    def _message(self, row: Any) -> Any:
        _, key, message, moment = row
        if isinstance(moment, datetime) and moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return from_json(message, f"{self._table}-{key}", moment)


class LangChainPostgres(LangChainSQL):
    """The histories of langchain-postgres's ``PostgresChatMessageHistory``.

    Args:
        url: The URL, as psycopg takes it.
        collection: The table.
        session_field: The column with the session's id.
        history_field: The column with the message.
    """

    source = "langchain-postgres"

    def __init__(
        self,
        url: str,
        *,
        collection: str = "chat_history",
        session_field: str = "session_id",
        history_field: str = "message",
    ) -> None:
        rest = url.partition("://")[2]
        super().__init__(
            f"postgresql+psycopg://{rest}",
            collection=collection,
            session_field=session_field,
            history_field=history_field,
        )

    def items(self) -> Iterator[Item]:
        """Yield the conversations, the oldest first."""
        needed("psycopg", "psycopg[binary]")
        return super().items()
