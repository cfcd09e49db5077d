"""The two stores: what LlamaIndex asks of each, as operations on sessions."""

from functools import partial
from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.storage.chat_store import loading
from llama_index.core.storage.chat_store.base import BaseChatStore
from llama_index.core.storage.chat_store.base_db import AsyncDBChatStore, MessageStatus
from pydantic import PrivateAttr

from langchain_zepstore.adapters._items import RawSession
from langchain_zepstore.adapters.llama_index.messages import (
    all_to_llama_index,
    one_to_llama_index,
)
from langchain_zepstore.adapters.llama_index.operations import (
    adding,
    archiving,
    clearing,
    having,
    listing,
    removing,
    removing_oldest,
    setting,
)
from langchain_zepstore.core.validation import GivenId
from langchain_zepstore.store_client import StoreClient


class ZepChatStore(BaseChatStore):
    """A ``BaseChatStore`` of LlamaIndex's: a key is a session's id.

    For ``ChatMemoryBuffer`` and its like. Building one does no I/O. What is deleted is
    soft-deleted: a whole key comes back with ``client.memory.undelete_session``, one message with
    ``client.message.undelete_message``. ``to_dict`` holds neither clients nor keys, nor a URL with
    credentials; ``from_dict`` then takes ``$ZEPSTORE_URL``.

    Args:
        url: As for ``ZepClient``; those built from a URL share one client per URL in the process.
        api_key: As for ``ZepClient``.
        client: A client to use instead of a URL.
        user_id: Whose sessions those become that have to be created (the user too, if need be);
            ``get_keys`` lists this user's only.
        session_metadata: Their metadata then.

    Raises:
        BadRequestError: An argument cannot be used.
    """

    url: str | None = None
    user_id: str | None = None
    session_metadata: dict[str, Any] | None = None
    _sessions: "_Sessions" = PrivateAttr()

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        client: StoreClient | None = None,
        user_id: GivenId | None = None,
        session_metadata: dict[str, Any] | None = None,
    ) -> None:
        sessions = _Sessions(url, api_key, client, user_id, session_metadata)
        shown = None if url and "@" in url else url
        fields = {"url": shown, "user_id": sessions.user_id, "session_metadata": session_metadata}
        super().__init__(**fields)
        self._sessions = sessions

    @classmethod
    def class_name(cls) -> str:
        """Return the name that LlamaIndex's serialisation gives this class."""
        return "ZepChatStore"

    def set_messages(self, key: str, messages: list[ChatMessage]) -> None:
        """Replace the messages of a key.

        Those at the beginning that stay the same stay as they are, with their ids and times; with
        no messages at all the key is gone. One that somebody else adds meanwhile may be among what
        is deleted, or stand before what is new.

        Raises:
            BadRequestError: A message cannot be stored, or the key is no session id.
            StoreUnavailableError: The database cannot be reached; repeating the call completes it.
        """
        self._sessions.run(setting(self._sessions.of(key), messages))

    async def aset_messages(self, key: str, messages: list[ChatMessage]) -> None:
        """Replace the messages of a key; see ``set_messages``."""
        await self._sessions.arun(setting(self._sessions.of(key), messages))

    def get_messages(self, key: str) -> list[ChatMessage]:
        """Return the messages of a key, oldest first; none for an unknown or deleted one.

        Raises:
            BadRequestError: The key is no session id.
            StoreUnavailableError: The database cannot be reached.
        """
        return all_to_llama_index(self._sessions.run(self._sessions.of(key).reading()))

    async def aget_messages(self, key: str) -> list[ChatMessage]:
        """Return the messages of a key; see ``get_messages``."""
        return all_to_llama_index(await self._sessions.arun(self._sessions.of(key).reading()))

    def add_message(self, key: str, message: ChatMessage) -> None:
        """Add a message at the end of a key, which comes into being with its first one.

        Raises:
            BadRequestError: The message cannot be stored, or the key is no session id.
            StoreUnavailableError: The database cannot be reached.
        """
        self._sessions.run(adding(self._sessions.of(key), [message]))

    async def async_add_message(self, key: str, message: ChatMessage) -> None:
        """Add a message at the end of a key; see ``add_message``."""
        await self._sessions.arun(adding(self._sessions.of(key), [message]))

    def delete_messages(self, key: str) -> list[ChatMessage] | None:
        """Soft-delete a key and its messages, and return them; ``None`` if there is no such key.

        Raises:
            BadRequestError: The key is no session id.
            StoreUnavailableError: The database cannot be reached; repeating the call completes it.
        """
        return self._sessions.run(clearing(self._sessions.of(key)))

    async def adelete_messages(self, key: str) -> list[ChatMessage] | None:
        """Soft-delete a key and its messages; see ``delete_messages``."""
        return await self._sessions.arun(clearing(self._sessions.of(key)))

    def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Soft-delete the message at an index, and return it; ``None`` if there is none.

        Args:
            key: The session's id.
            idx: Its place among the messages, from 0; below 0, from the end.

        Raises:
            BadRequestError: The key is no session id, or the index no int.
            StoreUnavailableError: The database cannot be reached.
        """
        return self._sessions.run(removing(self._sessions.of(key), idx))

    async def adelete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Soft-delete the message at an index; see ``delete_message``."""
        return await self._sessions.arun(removing(self._sessions.of(key), idx))

    def delete_last_message(self, key: str) -> ChatMessage | None:
        """Soft-delete the last message, and return it; ``None`` if there is none.

        Of several callers at once each gets another one.

        Raises:
            BadRequestError: The key is no session id.
            StoreUnavailableError: The database cannot be reached.
        """
        return one_to_llama_index(self._sessions.run(self._sessions.of(key).popping()))

    async def adelete_last_message(self, key: str) -> ChatMessage | None:
        """Soft-delete the last message; see ``delete_last_message``."""
        return one_to_llama_index(await self._sessions.arun(self._sessions.of(key).popping()))

    def get_keys(self) -> list[str]:
        """Return the ids of all live sessions, or of the user's, in the order of their creation.

        Raises:
            StoreUnavailableError: The database cannot be reached.
        """
        return self._sessions.run(listing(self.user_id))

    async def aget_keys(self) -> list[str]:
        """Return the ids of all live sessions; see ``get_keys``."""
        return await self._sessions.arun(listing(self.user_id))


# What a memory, or a workflow's context with one, was serialised to is read with these only.
_known: dict[str, Any] = loading.RECOGNIZED_CHAT_STORES
_known[ZepChatStore.class_name()] = ZepChatStore


class ZepAsyncChatStore(AsyncDBChatStore):
    """An ``AsyncDBChatStore`` of LlamaIndex's, for its ``Memory``: a key is a session's id.

    ``Memory.from_defaults(session_id=…, chat_store=ZepAsyncChatStore(…))``. What ``Memory``
    archives stays in the session, in its place: the conversation is read whole by everybody else.
    What is deleted is soft-deleted, as by ``ZepChatStore``. LlamaIndex leaves the store out when it
    serialises a ``Memory``: give it to the agent again.

    Args:
        url: As for ``ZepClient``; those built from a URL share one client per URL in the process.
        api_key: As for ``ZepClient``.
        client: A client to use instead of a URL.
        user_id: As for ``ZepChatStore``.
        session_metadata: As for ``ZepChatStore``.

    Raises:
        BadRequestError: An argument cannot be used.
    """

    user_id: str | None = None
    _sessions: "_Sessions" = PrivateAttr()

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        client: StoreClient | None = None,
        user_id: GivenId | None = None,
        session_metadata: dict[str, Any] | None = None,
    ) -> None:
        sessions = _Sessions(url, api_key, client, user_id, session_metadata)
        super().__init__(**{"user_id": sessions.user_id})  # noqa: PIE804 - a field of this class
        self._sessions = sessions

    @classmethod
    def class_name(cls) -> str:
        """Return the class's name for LlamaIndex."""
        return "ZepAsyncChatStore"

    async def get_messages(
        self,
        key: str,
        status: MessageStatus | None = MessageStatus.ACTIVE,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[ChatMessage]:
        """Return the messages of a key, oldest first; none for an unknown or deleted one.

        Args:
            key: The session's id.
            status: Only those of this status; ``None``, all of them.
            limit: At most so many.
            offset: Without the first so many.

        Raises:
            BadRequestError: The key is no session id.
            StoreUnavailableError: The database cannot be reached.
        """
        found = await self._sessions.arun(having(self._sessions.of(key), status))
        start = offset or 0
        return all_to_llama_index(found[start:] if limit is None else found[start : start + limit])

    async def count_messages(
        self, key: str, status: MessageStatus | None = MessageStatus.ACTIVE
    ) -> int:
        """Count the messages of a key; see ``get_messages``."""
        return len(await self._sessions.arun(having(self._sessions.of(key), status)))

    async def add_message(
        self, key: str, message: ChatMessage, status: MessageStatus = MessageStatus.ACTIVE
    ) -> None:
        """Add a message at the end of a key; see ``add_messages``."""
        await self.add_messages(key, [message], status)

    async def add_messages(
        self, key: str, messages: list[ChatMessage], status: MessageStatus = MessageStatus.ACTIVE
    ) -> None:
        """Add messages at the end of a key, in one insert; they stand together.

        Raises:
            BadRequestError: A message cannot be stored, or the key is no session id.
            StoreUnavailableError: The database cannot be reached.
        """
        await self._sessions.arun(adding(self._sessions.of(key), messages, status))

    async def set_messages(
        self, key: str, messages: list[ChatMessage], status: MessageStatus = MessageStatus.ACTIVE
    ) -> None:
        """Replace all messages of a key, of any status; see ``ZepChatStore.set_messages``."""
        await self._sessions.arun(setting(self._sessions.of(key), messages, status))

    async def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Soft-delete the message at an index of the session, of any status, and return it.

        LlamaIndex's own store counts the rows of its table instead, over all keys; nothing gives
        their numbers away. See ``ZepChatStore.delete_message``.
        """
        return await self._sessions.arun(removing(self._sessions.of(key), idx))

    async def delete_messages(self, key: str, status: MessageStatus | None = None) -> None:
        """Soft-delete a key with all its messages; with a status, the messages of that status.

        Raises:
            BadRequestError: The key is no session id.
            StoreUnavailableError: The database cannot be reached; repeating the call completes it.
        """
        session = self._sessions.of(key)
        if status is None:
            await self._sessions.arun(session.clearing())
        else:
            await self._sessions.arun(removing_oldest(session, status))

    async def delete_oldest_messages(self, key: str, n: int) -> list[ChatMessage]:
        """Soft-delete the oldest active messages, and return them; fewer if there are fewer."""
        removing = removing_oldest(self._sessions.of(key), MessageStatus.ACTIVE, n)
        return all_to_llama_index(await self._sessions.arun(removing))

    async def archive_oldest_messages(self, key: str, n: int) -> list[ChatMessage]:
        """Mark the oldest active messages as archived, and return them; fewer if there are fewer.

        Raises:
            BadRequestError: The key is no session id.
            StoreUnavailableError: The database cannot be reached; some may have been marked.
        """
        return all_to_llama_index(await self._sessions.arun(archiving(self._sessions.of(key), n)))

    async def get_keys(self) -> list[str]:
        """Return the ids of all live sessions, or of the user's; see ``ZepChatStore.get_keys``."""
        return await self._sessions.arun(listing(self.user_id))


class _Sessions:
    """The sessions that a store reaches, and the client that runs operations on them."""

    def __init__(
        self,
        url: str | None,
        api_key: str | None,
        client: StoreClient | None,
        user_id: GivenId | None,
        session_metadata: dict[str, Any] | None,
    ) -> None:
        session = partial(RawSession, user_id=user_id, session_metadata=session_metadata)
        checked = session("any", client=client, url=url, api_key=api_key)
        client, self.user_id = checked.client, checked.user_id
        self.of = partial(session, client=client)
        self.run, self.arun = client.run, client.arun

    def __deepcopy__(self, _: Any) -> "_Sessions":
        return self  # the copy of a memory has the same connections
