"""LangChain messages to Zep messages and back, without loss. Pure functions.

The shape of what a message holds beyond Zep's fields is that of langchain-core's
``message_to_dict``, less what equals its default, the id, and a plain text content, which have
fields of their own. Reading calls constructors of langchain-core's message classes only; an ``lc``
key in the data is data.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from math import ceil
from typing import Any, NamedTuple, get_args

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    ChatMessageChunk,
    FunctionMessage,
    FunctionMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    RemoveMessage,
    SystemMessage,
    SystemMessageChunk,
    ToolMessage,
    ToolMessageChunk,
)
from langchain_core.messages.utils import count_tokens_approximately

from langchain_zepstore.errors import APIError, BadRequestError
from langchain_zepstore.models import Message

_CLASSES: dict[str, type[BaseMessage]] = {
    str(get_args(cls.model_fields["type"].annotation)[0]): cls
    for cls in (
        AIMessage,
        AIMessageChunk,
        ChatMessage,
        ChatMessageChunk,
        FunctionMessage,
        FunctionMessageChunk,
        HumanMessage,
        HumanMessageChunk,
        RemoveMessage,
        SystemMessage,
        SystemMessageChunk,
        ToolMessage,
        ToolMessageChunk,
    )
}
MESSAGE_TYPES = frozenset(_CLASSES)
"""What ``type`` a message of langchain-core can have."""

StartOn = str | type[BaseMessage] | Sequence[str | type[BaseMessage]]
"""A message type, a message class, or several of these."""

_ROLES = {
    "AIMessageChunk": "ai",
    "FunctionMessageChunk": "function",
    "HumanMessageChunk": "human",
    "SystemMessageChunk": "system",
    "ToolMessageChunk": "tool",
}
_PLAIN: dict[str, type[BaseMessage]] = {
    "ai": AIMessage,
    "assistant": AIMessage,
    "human": HumanMessage,
    "system": SystemMessage,
    "user": HumanMessage,
}
_OWN = frozenset({"content", "id", "type"})
_OWN_OF_CHAT = _OWN | {"role"}
_SPOKEN = {"ai": "assistant", "human": "user"}  # as models call the roles
_BARE = (AIMessage, HumanMessage, SystemMessage)
_CALLS = ("tool_calls", "invalid_tool_calls", "tool_call_chunks")


@cache
def _defaults(cls: type[BaseMessage]) -> dict[str, Any]:
    return {
        name: field.get_default(call_default_factory=True)
        for name, field in cls.model_fields.items()
        if not field.is_required()
    }


def _is_default(value: Any, default: Any) -> bool:
    # The type first: the == of an artifact may be anything, an array among others.
    return type(value) is type(default) and bool(value == default)


class Parts(NamedTuple):
    """What a LangChain message is made of; ``build`` puts it together again.

    Attributes:
        role: The role of the Zep message.
        content: The content as LangChain has it.
        uuid: The LangChain id.
        kind: LangChain's ``type``; ``None`` if the role alone says it.
        data: The other fields, those with default values left out.
        tokens: Roughly how many there are.
    """

    role: str
    content: str | list[Any]
    uuid: str | None
    kind: str | None
    data: dict[str, Any]
    tokens: int


def parts_of(message: BaseMessage, where: str) -> Parts:
    """Take a LangChain message apart.

    The values are not copied, and not yet checked for what the store can hold.

    Args:
        message: Any message of langchain-core's classes; it is not changed.
        where: The message's place, for the error.

    Raises:
        BadRequestError: It is no LangChain message, or of a type langchain-core does not know.
    """
    if not isinstance(message, BaseMessage):
        raise BadRequestError(
            f"{where} is a {type(message).__name__}, not a LangChain message (BaseMessage)"
        )
    kind = message.type
    if not isinstance(kind, str) or kind not in _CLASSES:
        raise BadRequestError(
            f"{where} is of type {kind!r}, which langchain-core cannot read back; "
            f"known are {', '.join(sorted(_CLASSES))}"
        )
    fields = vars(message)
    content, uuid = fields.get("content"), fields.get("id")
    if not isinstance(content, str | list):
        raise BadRequestError(f"{where}.content must be a str or a list")
    role = fields.get("role") if isinstance(message, ChatMessage) else _ROLES.get(kind, kind)
    if not isinstance(role, str):
        raise BadRequestError(f"{where}.role must be a str, not {type(role).__name__}")
    defaults = _defaults(type(message))
    own = _OWN_OF_CHAT if isinstance(message, ChatMessage) else _OWN
    data = {
        name: value
        for name, value in fields.items()
        if name not in own and (name not in defaults or not _is_default(value, defaults[name]))
    }
    if message.__pydantic_extra__:
        data |= message.__pydantic_extra__
    if not data and isinstance(content, str) and _PLAIN.get(role, ChatMessage) is _CLASSES[kind]:
        return Parts(role, content, uuid, None, data, _tokens_of_text(role, content))
    return Parts(role, content, uuid, kind, data, _tokens(message))


def from_langchain(message: BaseMessage, where: str = "message") -> Message:
    """Turn a LangChain message into a Zep message that gives it back unchanged.

    The values are not copied, and not yet checked for what the store can hold.

    Args:
        message: Any message of langchain-core's classes; it is not changed.
        where: The message's place, for the error.

    Returns:
        The message, its tokens counted; its ``uuid`` is the LangChain id, ``None`` if it has none.

    Raises:
        BadRequestError: It is no LangChain message, or of a type langchain-core does not know.
    """
    role, content, uuid, kind, data, tokens = parts_of(message, where)
    text = text_of(content)
    if text is not content:
        data = {**data, "content": content}
    return Message.model_construct(
        role=role,
        content=text,
        uuid=uuid,
        token_count=tokens,
        langchain={"type": kind, "data": data} if kind else None,
    )


def to_langchain(message: Message) -> BaseMessage:
    """Turn a Zep message into the LangChain message that it came from.

    One that was written by others becomes a ``HumanMessage`` (roles ``user``, ``human``), an
    ``AIMessage`` (``assistant``, ``ai``), a ``SystemMessage`` (``system``), or a ``ChatMessage``
    with its role.

    Raises:
        APIError: What is stored is not a message of langchain-core's.
    """
    payload = message.langchain or {}
    data = payload.get("data", {})
    if not isinstance(data, dict):
        raise APIError(f"message {message.uuid!r} has data of type {type(data).__name__}")
    return build(
        message.role, data.get("content", message.content), message.uuid, payload.get("type"), data
    )


def build(
    role: str,
    content: str | list[Any],
    uuid: str | None,
    kind: str | None = None,
    data: Mapping[str, Any] | None = None,
) -> BaseMessage:
    """Build a LangChain message from its parts.

    Args:
        role: The Zep message's role, which says the class if ``kind`` does not.
        content: Its content as LangChain has it.
        uuid: Its id.
        kind: LangChain's ``type`` of the message.
        data: Its other fields, those with default values left out.

    Raises:
        APIError: These are not the parts of a message of langchain-core's.
    """
    cls = _PLAIN.get(role, ChatMessage) if kind is None else _CLASSES.get(str(kind))
    if cls is None:
        raise APIError(f"message {uuid!r} is of type {kind!r}, which langchain-core does not know")
    if not data and cls in _BARE:
        return cls(content=content, id=uuid)
    fields = {**(data or {}), "content": content, "id": uuid}
    if issubclass(cls, ChatMessage):
        fields["role"] = role
    # The constructor would complete calls, and derive them from additional_kwargs or chunks.
    calls = {name: fields.pop(name, []) for name in _CALLS if name in cls.model_fields}
    # Or leave out what it does not know of the usage. A cached answer has a ``total_cost`` there,
    # and nothing else if the model counts no tokens.
    usage = fields.pop("usage_metadata", None) if "usage_metadata" in cls.model_fields else None
    try:
        message = cls(**fields)
        _check_calls(calls)
        if not isinstance(usage, dict | None):
            raise TypeError("usage_metadata must be a dict")
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise APIError(f"message {uuid!r} cannot be read as a {cls.__name__}: {error}") from error
    vars(message).update(calls)
    if usage is not None:
        vars(message)["usage_metadata"] = usage
    return message


def _check_calls(calls: dict[str, Any]) -> None:
    for name, several in calls.items():
        if not isinstance(several, list) or not all(isinstance(call, dict) for call in several):
            raise TypeError(f"{name} must be a list of dicts")
    if not all({"name", "args", "id"} <= call.keys() for call in calls.get("tool_calls", ())):
        raise TypeError("each of the tool_calls must have a name, args and an id")


def text_of(content: str | Sequence[Any]) -> str:
    """Return the text of a LangChain content: the string, or its text blocks joined."""
    if isinstance(content, str):
        return content
    texts = (
        block if isinstance(block, str) else block.get("text")
        for block in content
        if isinstance(block, str) or (isinstance(block, dict) and block.get("type") == "text")
    )
    return "".join(text for text in texts if isinstance(text, str))


def approximate_tokens(message: Message) -> int:
    """Count a message's tokens roughly, as langchain-core does."""
    if message.langchain is None:
        return _tokens_of_text(message.role, message.content)
    return _tokens(to_langchain(message))


def _tokens_of_text(role: str, content: str) -> int:
    # What count_tokens_approximately comes to when there is only a text; it takes detours.
    return ceil((len(content) + len(_SPOKEN.get(role, role))) / 4) + 3


def _tokens(message: BaseMessage) -> int:
    if isinstance(message, RemoveMessage):
        return 0  # it says nothing to a model
    try:
        return count_tokens_approximately([message])
    except Exception:  # noqa: BLE001 - a count must not be what keeps a message from being stored
        return len(text_of(message.content)) // 4 + 1
