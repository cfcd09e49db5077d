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
"""The values of ``type`` that messages of langchain-core have."""

HUMAN_TYPES = ("human", "HumanMessageChunk")
"""The types of human messages."""

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
PLAIN_TYPES = {
    role: str(get_args(cls.model_fields["type"].annotation)[0]) for role, cls in _PLAIN.items()
}
"""The type of a message that was written by others, by its role; all other roles are ``chat``."""

_OWN = frozenset({"content", "id", "type"})
_OWN_OF_CHAT = _OWN | {"role"}
_SPOKEN = {"ai": "assistant", "human": "user"}  # as models call the roles
_REQUIRED = object()  # in the place of a default, which equals no value
_BARE = (AIMessage, HumanMessage, SystemMessage)
_CALL_KEYS = {"name", "args", "id"}
_CALLS = ("tool_calls", "invalid_tool_calls", "tool_call_chunks")


@cache
def _defaults(cls: type[BaseMessage]) -> dict[str, Any]:
    return {
        name: field.get_default(call_default_factory=True)
        for name, field in cls.model_fields.items()
        if not field.is_required()
    }


class Taken(NamedTuple):
    """The parts of a LangChain message; ``build`` makes the message from them.

    Attributes:
        role: The role of the Zep message.
        content: The content as LangChain has it.
        id: The LangChain id.
        type: LangChain's ``type``; ``None`` if the role alone says it.
        data: The other fields, those with default values left out.
        token_count: Roughly how many tokens there are.
    """

    role: str
    content: str | list[Any]
    id: Any
    type: str | None
    data: dict[str, Any]
    token_count: int


def types_of(start_on: StartOn) -> frozenset[str]:
    """Return the types of messages that begin a window.

    Raises:
        BadRequestError: These are neither message classes nor types.
    """
    given = list(start_on) if isinstance(start_on, list | tuple | set | frozenset) else [start_on]
    names = [each for each in given if isinstance(each, str)]
    classes = [each for each in given if isinstance(each, type) and issubclass(each, BaseMessage)]
    if not MESSAGE_TYPES.issuperset(names) or len(names) + len(classes) < len(given):
        raise BadRequestError(
            f"start_on must be message classes or types such as 'human', not {start_on!r}; "
            f"the types are {', '.join(sorted(MESSAGE_TYPES))}"
        )
    return frozenset(names) | {
        name for name, cls in _CLASSES.items() if issubclass(cls, tuple(classes))
    }


def take_apart(message: BaseMessage, path: str) -> Taken:
    """Take a LangChain message apart.

    The values are not copied, and not yet checked for what the store can hold.

    Args:
        message: The message; it is not changed.
        path: The message's path, for the error.

    Raises:
        BadRequestError: It is of a type that langchain-core does not know, or its content or role
            is no text.
    """
    type_ = message.type
    if not isinstance(type_, str) or type_ not in _CLASSES:
        raise BadRequestError(
            f"{path} is of type {type_!r}, which langchain-core cannot read back; "
            f"known are {', '.join(sorted(_CLASSES))}"
        )
    fields = vars(message)
    content, uuid = fields.get("content"), fields.get("id") or None  # some servers say ""
    if type(content) is str and _is_bare(message):
        speaker = _ROLES.get(type_, type_)
        return Taken(speaker, content, uuid, None, {}, _tokens_of_text(speaker, content))
    if not isinstance(content, str | list):
        raise BadRequestError(f"{path}.content must be a str or a list")
    is_chat = isinstance(message, ChatMessage)
    role = fields.get("role") if is_chat else _ROLES.get(type_, type_)
    if not isinstance(role, str):
        raise BadRequestError(f"{path}.role must be a str, not {type(role).__name__}")
    default_of = _defaults(type(message)).get
    own = _OWN_OF_CHAT if is_chat else _OWN
    # The type first: the == of an artifact may be anything, an array among others.
    data = {
        name: value
        for name, value in fields.items()
        if type(value) is not type(default := default_of(name, _REQUIRED)) or value != default
        if name not in own
    }
    if message.__pydantic_extra__:
        data |= message.__pydantic_extra__
    if not data and isinstance(content, str) and _PLAIN.get(role, ChatMessage) is _CLASSES[type_]:
        return Taken(role, content, uuid, None, data, _tokens_of_text(role, content))
    return Taken(role, content, uuid, type_, data, _tokens(message))


def _is_bare(message: BaseMessage) -> bool:
    """Return whether a message is of a common class and has nothing but a content and an id."""
    cls, fields = type(message), vars(message)
    if cls not in _BARE or message.__pydantic_extra__:
        return False
    return fields == {**_defaults(cls), "content": fields["content"], "id": fields.get("id")}


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
    content, data = with_blocks(message.content, data)
    return build(message.role, content, message.uuid, payload.get("type"), data)


def with_blocks(text: str, data: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return LangChain's content, and the other fields, of a Zep message's content and data."""
    if "content" not in data:
        return text, data
    return data["content"], {name: value for name, value in data.items() if name != "content"}


def without_blocks(content: Any, data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a Zep message's content and data; the reverse of ``with_blocks``."""
    if isinstance(content, str):
        return content, data
    return text_of(content), {**data, "content": content}


def build(
    role: str,
    content: str | list[Any],
    uuid: str | None,
    type_: str | None = None,
    data: Mapping[str, Any] | None = None,
) -> BaseMessage:
    """Build a LangChain message from its parts.

    Args:
        role: The Zep message's role, which says the class if ``type_`` does not.
        content: Its content as LangChain has it.
        uuid: Its id.
        type_: LangChain's ``type`` of the message.
        data: Its other fields, those with default values left out.

    Raises:
        APIError: These are not the parts of a message of langchain-core's.
    """
    cls = _PLAIN.get(role, ChatMessage) if type_ is None else _CLASSES.get(str(type_))
    if cls is None:
        raise APIError(f"message {uuid!r} is of type {type_!r}, which langchain-core does not know")
    if not data and cls in _BARE and type(content) is str and type(uuid) is str:
        return _bare(cls, content, uuid)
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


@cache
def _template(cls: type[BaseMessage]) -> tuple[dict[str, Any], list[tuple[str, type]]]:
    """Return the fields of a class's messages, and the types of those with a value of their own."""
    fields = vars(cls(content="", id=""))
    return fields, [(name, type(value)) for name, value in fields.items() if value in ({}, [])]


def _bare(cls: type[BaseMessage], content: str, uuid: str) -> BaseMessage:
    """Build what the constructor would for a text and an id, in half of its time.

    A window of messages is a quarter of an event loop's work for a turn.
    """
    fields, own = _template(cls)
    fields = {**fields, "content": content, "id": uuid}
    for name, type_ in own:
        fields[name] = type_()
    message = cls.__new__(cls)
    _set(message, "__dict__", fields)
    _set(message, "__pydantic_fields_set__", {"content", "id"})
    _set(message, "__pydantic_extra__", {})
    _set(message, "__pydantic_private__", None)
    return message


_set = object.__setattr__  # pydantic's own checks the name, as that of a field


def _check_calls(calls: dict[str, Any]) -> None:
    for name, listed in calls.items():
        if not isinstance(listed, list):
            raise TypeError(f"{name} must be a list of dicts")
        for call in listed:
            if not isinstance(call, dict):
                raise TypeError(f"{name} must be a list of dicts")
            if name == "tool_calls" and not call.keys() >= _CALL_KEYS:
                raise TypeError("each of the tool_calls must have a name, args and an id")


def nearest_type(message: BaseMessage) -> str | None:
    """Return the type of the class of langchain-core's that a message's class comes from."""
    types = {cls: type_ for type_, cls in _CLASSES.items()}
    return next((types[cls] for cls in type(message).__mro__ if cls in types), None)


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
