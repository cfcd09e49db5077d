"""``ZepRetriever``: messages as LangChain's documents."""

from datetime import datetime
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import AliasChoices, ConfigDict, Field, PrivateAttr, ValidationError

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.store import Call, Store
from langchain_zepstore.core.validation import checked_count
from langchain_zepstore.errors import BadRequestError, NotFoundError
from langchain_zepstore.models import MemorySearchResult, Message, Summary
from langchain_zepstore.store_client import StoreClient, client_of


class ZepRetriever(BaseRetriever):
    """Finds messages of a session, or of all sessions of a user, as documents.

    A document's text is the message's; with a ``window``, that of the turns around it too, a line
    each with the role before it. Its metadata holds ``session_id``, ``message_id``, ``role``,
    ``created_at`` (a datetime in UTC), ``score`` and the message's own ``metadata``.

    Attributes:
        client: A client to use instead of a URL.
        url: As for ``ZepClient``; those built from one URL share one client in the process.
        api_key: As for ``ZepClient``.
        session_id: Where to look; this or ``user_id`` is needed.
        user_id: Look in all sessions of this user; with a session, only if it is the user's.
        k: How many documents at most; ``top_k`` is another name for it. Both can be given to
            ``invoke`` too.
        search_type: As for ``client.memory.search``.
        search_scope: As for ``client.memory.search``; the documents of summaries have a
            ``summary_id`` in the place of a ``message_id``, and no role.
        mmr_lambda: As for ``client.memory.search``.
        similarity_weight: As for ``client.memory.search``.
        filter: Only messages whose metadata holds at least this.
        where: Only messages whose metadata is so, as Zep says it.
        start_date: Only what was said then or later.
        end_date: Only what was said then or before.
        window: How many turns before and after each message its document shows.

    Raises:
        BadRequestError: An argument is missing or cannot be used.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, populate_by_name=True)

    client: StoreClient | None = Field(default=None, exclude=True, repr=False)
    url: str | None = Field(default=None, repr=False)
    api_key: str | None = Field(default=None, exclude=True, repr=False)
    session_id: str | None = None
    user_id: str | None = None
    k: int = Field(default=4, validation_alias=AliasChoices("k", "top_k"))
    search_type: str | None = None
    search_scope: str | None = None
    mmr_lambda: float | None = None
    similarity_weight: float | None = None
    # BaseRetriever has a field called metadata, for tracing.
    filter: dict[str, Any] | None = None
    where: dict[str, Any] | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
    window: int = 0
    _client: StoreClient = PrivateAttr()

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise BadRequestError(f"a retriever cannot be made so: {error}") from error
        if self.session_id is None and self.user_id is None:
            raise BadRequestError("a retriever needs a session_id or a user_id: where to look")
        checked_count(self.k, "k", least=1)
        checked_count(self.window, "window")
        self._client = client_of(self.client, self.url, self.api_key)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002 - LangChain's
        **options: Any,
    ) -> list[Document]:
        results = self._client.memory.search(query, **self._asked(options))
        return self._client.run(self._documents(results))

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,  # noqa: ARG002 - LangChain's
        **options: Any,
    ) -> list[Document]:
        results = await self._client.memory.asearch(query, **self._asked(options))
        return await self._client.arun(self._documents(results))

    def _asked(self, options: dict[str, Any]) -> dict[str, Any]:
        unknown = set(options) - {"k", "top_k"}
        if unknown:
            raise BadRequestError(f"a retriever is asked with k or top_k, not {sorted(unknown)}")
        return {
            "session_id": self.session_id,
            "user_id": self.user_id,
            "limit": options.get("k", options.get("top_k", self.k)),
            "search_type": self.search_type,
            "search_scope": self.search_scope,
            "mmr_lambda": self.mmr_lambda,
            "similarity_weight": self.similarity_weight,
            "metadata": self.filter,
            "where": self.where,
            "start_date": self.start_date,
            "end_date": self.end_date,
        }

    def _documents(self, results: list[MemorySearchResult]) -> Call[list[Document]]:
        def operation(store: Store) -> Operation[list[Document]]:
            documents = []
            for result in results:
                if result.summary is not None:
                    documents.append(_summary_document(result, result.summary))
                elif result.message is None:
                    documents.append(_session_document(result))
                if result.message is None or result.session_id is None:
                    continue
                turns = [result.message]
                if self.window:
                    turns = yield from self._around(store, result.session_id, result.message)
                documents.append(_document(result, result.message, turns))
            return documents

        return operation

    def _around(self, store: Store, session_id: str, message: Message) -> Operation[list[Message]]:
        try:
            return (yield from store.messages.around(session_id, str(message.uuid), self.window))
        except NotFoundError:  # deleted since it was found
            return [message]


def _session_document(result: MemorySearchResult) -> Document:
    return Document(
        page_content=result.snippet or "",
        id=result.session_id,
        metadata={
            "session_id": result.session_id,
            "session_title": result.session_title,
            "score": result.score,
        },
    )


def _summary_document(result: MemorySearchResult, summary: Summary) -> Document:
    return Document(
        page_content=summary.content,
        id=summary.uuid,
        metadata={
            "session_id": result.session_id,
            "summary_id": summary.uuid,
            "created_at": summary.created_at,
            "score": result.score,
            "metadata": summary.metadata,
        },
    )


def _document(result: MemorySearchResult, message: Message, turns: list[Message]) -> Document:
    text = message.content
    if len(turns) > 1:
        text = "\n".join(f"{turn.role}: {turn.content}" for turn in turns)
    return Document(
        page_content=text,
        id=message.uuid,
        metadata={
            "session_id": result.session_id,
            "message_id": message.uuid,
            "role": message.role,
            "created_at": message.created_at,
            "score": result.score,
            "metadata": message.metadata,
        },
    )
