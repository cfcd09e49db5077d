"""LlamaIndex's messages to Zep messages and back. Pure functions."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from langchain_core.messages import AIMessage, ToolMessage
from llama_index.core.base.llms.types import (
    ChatMessage,
    ContentBlock,
    MessageRole,
    TextBlock,
    ToolCallBlock,
)
from llama_index.core.storage.chat_store.base_db import MessageStatus
from pydantic import ValidationError

from langchain_zepstore.adapters._items import (
    answering,
    calling,
    json_form,
    packed,
    unpacked,
)
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.messages.langchain import to_langchain
from langchain_zepstore.messages.nearest import Nearest
from langchain_zepstore.models import Message

KEY = "llama_index"
"""Under what a message's metadata holds LlamaIndex's, and ``status`` if it is archived."""

_SPOKEN = {"developer": "system", "chatbot": "assistant", "model": "assistant", "function": "tool"}
_CONVERTED = {"human": "user", "ai": "assistant"}


def status_of(message: Message) -> MessageStatus:
    """Return whether LlamaIndex has archived a message."""
    match (message.metadata or {}).get(KEY):
        case {"status": MessageStatus.ARCHIVED.value}:
            return MessageStatus.ARCHIVED
    return MessageStatus.ACTIVE


def from_llama_index(
    messages: Iterable[ChatMessage],
    nearest: Nearest,
    status: MessageStatus = MessageStatus.ACTIVE,
) -> list[Message]:
    """Turn messages into Zep messages that give them back equal, or in their nearest form.

    Raises:
        BadRequestError: One of them is no ``ChatMessage``.
    """
    packed_messages = []
    for index, message in enumerate(messages):
        if not isinstance(message, ChatMessage):
            raise BadRequestError(
                f"messages[{index}] is a {type(message).__name__}, not LlamaIndex's ChatMessage"
            )
        item = _dumped(message, f"messages[{index}]", nearest)
        texts = [
            ("blocks", number, "text")
            for number, block in enumerate(item["blocks"])
            if block["block_type"] == "text"
        ]
        role = _SPOKEN.get(message.role.value, message.role.value)
        made = packed(KEY, item, role, texts, nearest=nearest, langchain=_langchain(role, item))
        if status != MessageStatus.ACTIVE and made.metadata:
            made.metadata[KEY]["status"] = status.value
        packed_messages.append(made)
    return packed_messages


def _dumped(message: ChatMessage, path: str, nearest: Nearest) -> dict[str, Any]:
    with suppress(Exception):  # it may hold any object
        return dict(message.model_dump(mode="json"))
    nearest.path = path
    return {
        "role": message.role.value,
        "blocks": [_dumped_block(block, nearest) for block in message.blocks],
        "additional_kwargs": json_form(message.additional_kwargs, nearest),
    }


def _dumped_block(block: ContentBlock, nearest: Nearest) -> Any:
    with suppress(Exception):
        return block.model_dump(mode="json")
    return json_form(block, nearest)


def _langchain(role: str, item: dict[str, Any]) -> dict[str, Any] | None:
    options = item["additional_kwargs"]
    if role == "tool" and isinstance(call_id := options.get("tool_call_id"), str):
        return answering(call_id, options.get("name"))
    calls = [
        (block["tool_call_id"] or "", block["tool_name"], block["tool_kwargs"])
        for block in item["blocks"]
        if block["block_type"] == "tool_call"
    ]
    if role == "assistant" and not calls:  # of integrations older than the blocks
        with suppress(LookupError, TypeError):
            calls = [
                (call["id"], call["function"]["name"], call["function"]["arguments"])
                for call in options.get("tool_calls") or ()
            ]
    return calling(calls) if role == "assistant" and calls else None


def all_to_llama_index(messages: Iterable[Message]) -> list[ChatMessage]:
    """Turn Zep messages into LlamaIndex's."""
    return [to_llama_index(message) for message in messages]


def one_to_llama_index(message: Message | None) -> ChatMessage | None:
    """Turn a Zep message, if there is one, into LlamaIndex's."""
    return None if message is None else to_llama_index(message)


def to_llama_index(message: Message) -> ChatMessage:
    """Turn a Zep message into the ``ChatMessage`` that it came from.

    One that was written by others, or that this version of LlamaIndex cannot read, is converted.
    """
    item = unpacked(message, KEY)
    if isinstance(item, dict):
        with suppress(ValidationError):  # of another version, or a file of a block is gone
            built = ChatMessage(role=item["role"], blocks=item["blocks"])
            # Not through the constructor: it would make blocks of its "images" once more.
            built.additional_kwargs = item["additional_kwargs"]
            return built
    said = to_langchain(message)
    options: dict[str, Any] = {}
    blocks: list[ContentBlock] = [TextBlock(text=message.content)] if message.content else []
    if isinstance(said, AIMessage):
        blocks += [
            ToolCallBlock(
                tool_call_id=call["id"],
                tool_name=call["name"] or "",
                tool_kwargs=call["args"] or {},
            )
            for call in (*said.tool_calls, *said.invalid_tool_calls)
        ]
    elif isinstance(said, ToolMessage):
        options = {"tool_call_id": said.tool_call_id, "name": said.name}
    role = _CONVERTED.get(said.type, said.type if said.type != "chat" else message.role)
    known = role if role in {each.value for each in MessageRole} else MessageRole.USER
    return ChatMessage(role=known, blocks=blocks, additional_kwargs=options)
