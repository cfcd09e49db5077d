"""``ZepSession``: a session of the OpenAI Agents SDK, on a chat store.

``Runner.run(agent, "Hello", session=ZepSession("some id"))``. Needs ``openai-agents``.
"""

import json
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, RemoveMessage, ToolMessage

try:
    from agents import SessionSettings, TResponseInputItem
except ImportError as missing:
    raise ImportError(
        'ZepSession needs an extra: pip install "langchain-zepstore[openai-agents]"'
    ) from missing

from langchain_zepstore.adapters._items import RawSession, unpacked
from langchain_zepstore.adapters._openai_items import KEY, message_of
from langchain_zepstore.core.validation import GivenId
from langchain_zepstore.messages.langchain import text_of, to_langchain
from langchain_zepstore.messages.nearest import Nearest
from langchain_zepstore.models import Message
from langchain_zepstore.store_client import StoreClient

_OF_LANGCHAIN = {"ai": "assistant", "system": "system", "developer": "developer"}


class ZepSession:
    """A session of the Agents SDK that is also one of the store: listed, searched and read as any.

    It has the methods of the SDK's ``Session`` protocol. Each item is one message of the session,
    and comes back equal, whatever its type. A session that was written by others, LangChain among
    them, is read as messages, calls and their outputs.

    Building one does no I/O, and costs nothing: build one per run. Those built from a URL share one
    client per URL in the process.

    Args:
        session_id: The session's id; the session comes into being with its first items.
        client: A client to use instead of a URL.
        url: As for ``ZepClient``.
        api_key: As for ``ZepClient``.
        user_id: Whose session it becomes if it has to be created; the user is created if need be.
        session_settings: The SDK's settings, or a dict of them: how many items a run reads.
        session_metadata: The session's metadata if it has to be created.

    Attributes:
        session_id: The session's id.
        session_settings: The SDK's settings.

    Raises:
        BadRequestError: An argument cannot be used.
    """

    def __init__(
        self,
        session_id: GivenId,
        *,
        client: StoreClient | None = None,
        url: str | None = None,
        api_key: str | None = None,
        user_id: GivenId | None = None,
        session_settings: SessionSettings | dict[str, Any] | None = None,
        session_metadata: dict[str, Any] | None = None,
    ) -> None:
        self._raw = RawSession(
            session_id,
            client=client,
            url=url,
            api_key=api_key,
            user_id=user_id,
            session_metadata=session_metadata,
        )
        self._client = self._raw.client
        self.session_id = self._raw.session_id
        if isinstance(session_settings, dict):
            session_settings = SessionSettings(**session_settings)
        self.session_settings: SessionSettings | None = session_settings or SessionSettings()

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """Return the items, oldest first.

        Args:
            limit: The last so many, none if below 1; without it, what the settings say, and else
                all of them.

        Raises:
            StoreUnavailableError: The database cannot be reached.
        """
        if limit is None and self.session_settings is not None:
            limit = self.session_settings.limit
        if limit is None:
            return _items(await self._client.arun(self._raw.reading()))
        lastn = max(limit, 0)
        return _items(await self._client.arun(self._raw.reading(lastn)))[-lastn:]

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        """Add items at the end, in one insert; when it returns they are durable.

        An item added twice is there twice, as the SDK has it.

        Args:
            items: Items of any type, also of ones that are not known yet; they are not changed.

        Raises:
            BadRequestError: One of them is no JSON, or too large; none is stored.
            StoreUnavailableError: The database cannot be reached.
        """
        nearest = Nearest()
        messages = [message_of(item, nearest) for item in items]
        await self._client.arun(self._raw.adding(messages, nearest))

    async def pop_item(self) -> TResponseInputItem | None:
        """Remove the last item and return it; ``None`` if there is none.

        Of several who pop at once each gets another item. The message is soft-deleted, so
        ``client.message.undelete_message`` brings it back; one of LangChain's that holds several
        items goes as a whole.

        Raises:
            StoreUnavailableError: The database cannot be reached.
        """
        while message := await self._client.arun(self._raw.popping()):
            if items := _items([message]):
                return items[-1]
        return None

    async def clear_session(self) -> None:
        """Soft-delete the session; ``client.memory.undelete_session`` brings it back.

        Clearing a session that does not exist, or is deleted, does nothing.

        Raises:
            StoreUnavailableError: The database cannot be reached.
        """
        await self._client.arun(self._raw.clearing())


def _items(messages: list[Message]) -> list[TResponseInputItem]:
    items = []
    for message in messages:
        item = unpacked(message, KEY)
        items += _converted(to_langchain(message)) if item is None else [item]
    return items


def _converted(message: BaseMessage) -> list[Any]:
    """Return the items that say what a message of LangChain's says."""
    text = text_of(message.content)
    match message:
        case RemoveMessage():
            return []
        case ToolMessage(tool_call_id=call_id):
            return [{"type": "function_call_output", "call_id": call_id, "output": text}]
        case AIMessage():
            calls = [*message.tool_calls, *message.invalid_tool_calls]
            said = [{"role": "assistant", "content": text}] if text or not calls else []
            return [*said, *map(_function_call, calls)]
        case _:
            role = message.role if isinstance(message, ChatMessage) else message.type
            return [{"role": _OF_LANGCHAIN.get(role, "user"), "content": text}]


def _function_call(call: Any) -> dict[str, Any]:
    args = call["args"]
    return {
        "type": "function_call",
        "call_id": call["id"] or "",
        "name": call["name"] or "",
        "arguments": args if isinstance(args, str) else json.dumps(args or {}, default=str),
    }
