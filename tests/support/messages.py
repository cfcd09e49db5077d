"""Memories as tests say them, and contents as they read them."""

from collections.abc import Iterable
from typing import Any

from langchain_zepstore import Memory, MemorySearchResult, Message, ZepClient
from langchain_zepstore.core.message_parts import MessageParts
from langchain_zepstore.messages.parts import all_from_zep
from tests.support.facade import Facade


def said(*texts: str, **fields: Any) -> Memory:
    """Return a memory of a user's messages."""
    return Memory(messages=[Message(role="user", content=text, **fields) for text in texts])


def with_ids(*texts: str) -> Memory:
    """Return a memory whose messages have their contents as ids."""
    return Memory(messages=[Message(role="user", content=text, uuid=text) for text in texts])


def parts_of(memory: Memory) -> list[MessageParts]:
    """Return a memory's messages as a store's operations take them."""
    return all_from_zep(memory.messages)


async def contents(zep: Facade, session_id: str) -> list[str]:
    """Return the contents of a session's messages, oldest first."""
    return [message.content for message in (await zep.memory.get_memory(session_id)).messages]


def contents_in(client: ZepClient, session_id: str) -> list[str]:
    """Return the same, synchronously."""
    return [message.content for message in client.memory.get_memory(session_id).messages]


def texts_found(results: Iterable[MemorySearchResult]) -> list[str]:
    """Return the contents of the messages that a search found, the best first."""
    return [result.message.content for result in results if result.message]
