"""Messages on their way into a store: checked, taken apart, and each id once. Pure functions."""

import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from langchain_core.messages import BaseMessage

from langchain_zepstore.core.ids import new_id
from langchain_zepstore.core.message_parts import MessageParts
from langchain_zepstore.core.validation import checked_count, checked_id, checked_text
from langchain_zepstore.errors import APIError, BadRequestError
from langchain_zepstore.messages.known_ids import renamed, words_of
from langchain_zepstore.messages.langchain import (
    Taken,
    approximate_tokens,
    build,
    take_apart,
    with_blocks,
)
from langchain_zepstore.messages.nearest import Nearest, plain_message
from langchain_zepstore.messages.storable import (
    NEEDS_TYPES,
    check_metadata,
    check_storable,
    checked_moment,
)
from langchain_zepstore.models import Message

_logger = logging.getLogger(__name__)


def all_from_zep(messages: Sequence[Message], *, may_be_cut: bool = False) -> list[MessageParts]:
    """Take the messages of one call apart; of an id that comes twice the last wins, in first place.

    With ``known_ids`` the second is a new message.

    Args:
        messages: The messages of the call.
        may_be_cut: Whether a store may shorten what it cannot hold for its size.

    Raises:
        BadRequestError: A message is none, or holds what the store cannot; it says which and where.
    """
    if not isinstance(messages, Sequence) or isinstance(messages, str | bytes):
        raise BadRequestError(f"messages must be a list, not {type(messages).__name__}")
    parts = [from_zep(message, f"messages[{index}]") for index, message in enumerate(messages)]
    for each in parts:
        each.may_be_cut = may_be_cut
    return _deduplicated(parts)


def all_from_langchain(messages: Iterable[BaseMessage]) -> list[MessageParts]:
    """Take LangChain's messages of one call apart, likewise.

    What the store cannot hold is replaced by its nearest readable form, with one warning.

    Raises:
        BadRequestError: One is no ``BaseMessage``.
    """
    if not isinstance(messages, Iterable) or isinstance(messages, str | bytes):
        raise BadRequestError(f"messages must be a list, not {type(messages).__name__}")
    nearest = Nearest()
    parts = [
        from_langchain(message, f"messages[{index}]", nearest)
        for index, message in enumerate(messages)
    ]
    nearest.log(_logger)
    return _distinct(parts)


def from_zep(message: Message, path: str = "message") -> MessageParts:
    """Take a message apart, with a new id if it has none.

    Raises:
        BadRequestError: The message is none, or holds what the store cannot.
    """
    if not isinstance(message, Message):
        raise BadRequestError(f"{path} is a {type(message).__name__}, not a Message")
    text = checked_text(message.content, f"{path}.content")
    type_, data = _payload(message, path)
    content, data = with_blocks(text, data)
    parts = MessageParts(
        role=checked_text(message.role, f"{path}.role"),
        content=content,
        uuid=new_id() if message.uuid is None else checked_id(message.uuid, f"{path}.uuid"),
        token_count=0,
        type=type_,
        data=data,
        path=path,
    )
    _check(parts)
    parts.token_count = (
        approximate_tokens(message)
        if message.token_count is None
        else checked_count(message.token_count, f"{path}.token_count")
    )
    if message.metadata is not None:
        check_metadata(message.metadata, f"{path}.metadata")
        parts.metadata = message.metadata
    if message.created_at is not None:
        parts.created_at = checked_moment(message.created_at, f"{path}.created_at")
    return parts


def from_langchain(
    message: BaseMessage, path: str = "message", nearest: Nearest | None = None
) -> MessageParts:
    """Take a LangChain message apart, with a new id if it has none that can be one.

    Args:
        message: Any message of langchain-core's classes; it is not changed.
        path: The message's path, for errors and warnings.
        nearest: Replaces what the store cannot hold, and remembers that.

    Raises:
        BadRequestError: It is no ``BaseMessage``.
    """
    if not isinstance(message, BaseMessage):
        raise BadRequestError(
            f"{path} is a {type(message).__name__}, not a LangChain message (BaseMessage)"
        )
    nearest = nearest or Nearest()
    nearest.path = path
    uuid = _usable_id(message.id, path, nearest)
    with suppress(Exception):  # its values may be of classes whose methods do anything
        parts = _from_taken(take_apart(message, path), uuid, path)
        if not parts.needs & NEEDS_TYPES:
            return parts
    return _from_taken(take_apart(plain_message(message, nearest), path), uuid, path)


def _from_taken(taken: Taken, uuid: str, path: str) -> MessageParts:
    parts = MessageParts(
        role=taken.role,
        content=taken.content,
        uuid=uuid,
        token_count=taken.token_count,
        type=taken.type,
        data=taken.data,
        path=path,
        may_be_cut=True,
    )
    _check(parts)
    return parts


def storable_message(message: BaseMessage) -> BaseMessage:
    """Return a LangChain message as a store would give it back, for a caller to change."""
    parts = from_langchain(message)
    return build(parts.role, parts.content, parts.uuid, parts.type, parts.data)


def words_of_langchain(message: BaseMessage) -> str:
    """Return the words of a message of LangChain's; see ``words_of``."""
    parts = from_langchain(message)
    return words_of(parts.role, parts.content, parts.data)


def _check(parts: MessageParts) -> None:
    path, content = parts.path, parts.content
    if not parts.role.isascii():
        check_storable(parts.role, f"{path}.role")
    if type(content) is not str or not content.isascii():
        parts.needs = check_storable(content, f"{path}.content", with_marks=True)
    if parts.type is None:
        return
    parts.needs |= check_storable(parts.data, f"{path}.langchain['data']", with_marks=True)
    try:
        build(parts.role, parts.content, parts.uuid, parts.type, parts.data)
    except APIError as error:
        raise BadRequestError(f"{path}.langchain is no LangChain message: {error}") from error


def _usable_id(uuid: Any, path: str, nearest: Nearest) -> str:
    if uuid is None or (type(uuid) is str and not uuid):
        return new_id()
    try:
        return checked_id(uuid, "id")
    except BadRequestError as error:
        nearest.note(path, f"a new id, since its own cannot be one ({error})")
        return new_id()


def _payload(message: Message, path: str) -> tuple[str | None, dict[str, Any]]:
    if message.langchain is None:
        return None, {}
    match message.langchain:
        case {"type": str() as type_, "data": dict() as data}:
            return type_, data
    raise BadRequestError(f"{path}.langchain must be a dict as message_to_dict makes it")


def _deduplicated(parts: Iterable[MessageParts]) -> list[MessageParts]:
    return list({each.uuid: each for each in parts}.values())


def _distinct(parts: Iterable[MessageParts]) -> list[MessageParts]:
    """Give messages other ids that come with the id of an earlier one."""
    distinct: dict[str, MessageParts] = {}
    for each in parts:
        if each.uuid in distinct:
            words = words_of(each.role, each.content, each.data)
            each.uuid = renamed(each.uuid, words, next(reversed(distinct)))
        distinct[each.uuid] = each
    return list(distinct.values())
