"""The tool ``search_past_conversations``: a search over the user's other sessions."""

from typing import Any, Literal

from langchain.tools import ToolRuntime
from langchain_core.tools import BaseTool, StructuredTool

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.search_query import SearchQuery
from langchain_zepstore.core.store import Call, Store
from langchain_zepstore.core.validation import checked_count
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.middleware.hooks import log_unavailable
from langchain_zepstore.middleware.scope import Named, Scope
from langchain_zepstore.models import MemorySearchResult
from langchain_zepstore.store_client import StoreClient

_NAME = "search_past_conversations"
_DESCRIPTION = (
    "Search the user's earlier conversations for messages with the words of a query. Returns the "
    "messages that match best, with the time and who said them. Use it when the user refers to "
    "something that is not part of this conversation."
)
_NO_USER = "It is not known who the user is, so there are no past conversations to search."
_NOTHING = "Nothing was found in past conversations."
_UNREACHABLE = "Past conversations cannot be searched at the moment."
_LONGEST = 1000  # characters of a message
_MOST = 500  # results asked for, when nearly all of them are of this conversation


def search_past_conversations(
    client: StoreClient,
    *,
    session_id: Named = None,
    user_id: Named = None,
    limit: int = 5,
    on_error: Literal["raise", "log"] = "raise",
) -> BaseTool:
    """Return a tool with which an agent searches its user's other conversations.

    The model gives the words only. Whose conversations are searched, and which is the present one,
    which is left out, comes from the run; when it names no user, the answer says so. A message is
    shown up to 1,000 characters. The tool works under ``invoke`` and ``ainvoke``.

    Args:
        client: Where the conversations are.
        session_id: As for ``ChatHistoryMiddleware``.
        user_id: As for ``ChatHistoryMiddleware``.
        limit: How many messages it shows at most, at least 1.
        on_error: As for ``ChatHistoryMiddleware``: with ``log`` the answer says that the store
            cannot be reached.

    Raises:
        BadRequestError: An argument cannot be used.
        StoreUnavailableError: When it is called: the database cannot be reached.
    """
    scope = Scope(session_id, user_id)
    checked_count(limit, "limit", least=1)

    def searching_others(query: str, runtime: Any) -> Call[str]:
        user = scope.user(runtime, runtime.config)
        session = scope.session(runtime, runtime.config) if user is not None else None

        def operation(store: Store) -> Operation[str]:
            if user is None:
                return _NO_USER
            try:
                found = yield from _others(store, query, user, session, limit)
            except BadRequestError as error:  # the model's mistake, which it can mend
                return f"The search was refused: {error}"
            return "\n".join(map(_line, found)) or _NOTHING

        return operation

    def search(query: str, runtime: ToolRuntime[Any, Any]) -> str:
        with log_unavailable(logs=on_error == "log"):
            return client.run(searching_others(query, runtime))
        return _UNREACHABLE

    async def asearch(query: str, runtime: ToolRuntime[Any, Any]) -> str:
        with log_unavailable(logs=on_error == "log"):
            return await client.arun(searching_others(query, runtime))
        return _UNREACHABLE

    return StructuredTool.from_function(search, asearch, name=_NAME, description=_DESCRIPTION)


def _others(
    store: Store, query: str, user_id: str, session_id: str | None, wanted: int
) -> Operation[list[MemorySearchResult]]:
    asked = 2 * wanted
    while True:
        found = yield from store.search.find(SearchQuery(text=query, user_id=user_id, limit=asked))
        others = [each for each in found if each.session_id != session_id and each.message]
        if len(others) >= wanted or len(found) < asked or asked >= _MOST:
            return others[:wanted]
        asked = min(4 * asked, max(_MOST, wanted))


def _line(found: MemorySearchResult) -> str:
    message = found.message
    assert message is not None
    when = f"{message.created_at:%Y-%m-%d %H:%M}" if message.created_at else "?"
    text = " ".join(message.content.split())
    shown = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return f"[{when} UTC] {message.role}: {shown}"
