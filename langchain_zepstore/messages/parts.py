"""What a message holds, whatever session it gets into: checked, and taken apart. Pure functions."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from langchain_core.messages import BaseMessage

from langchain_zepstore.core.ids import new_id
from langchain_zepstore.core.validation import checked_count, checked_id
from langchain_zepstore.errors import APIError, BadRequestError
from langchain_zepstore.messages import langchain as lc_messages
from langchain_zepstore.messages.storable import Encoder, encoded_metadata
from langchain_zepstore.models import Message

Body = dict[str, Any]
"""``uuid``, ``role``, ``content`` as LangChain has it (text or blocks), ``token_count``; where
there is any, ``langchain`` (a type and data without the content), ``metadata``, ``created_at``; and
``escaped`` if keys in them are stored under other names (see ``values``)."""

T = TypeVar("T")


def message_body(message: Message, where: str) -> Body:
    """Take a message apart, with a new ``uuid`` if it has none.

    Raises:
        BadRequestError: The message is none, or holds what the store cannot; it says which and
            where.
    """
    if not isinstance(message, Message):
        raise BadRequestError(f"{where} is a {type(message).__name__}, not a Message")
    content: Any = message.content
    if not isinstance(content, str):
        raise BadRequestError(f"{where}.content must be a str, not {type(content).__name__}")
    if not isinstance(message.role, str):
        raise BadRequestError(f"{where}.role must be a str, not {type(message.role).__name__}")
    kind, data = _payload(message, where)
    if "content" in data:
        data = {**data}
        content = data.pop("content")
    encoder = Encoder()
    body = _body(encoder, (message.role, content, message.uuid, kind, data), where)
    body["token_count"] = (
        lc_messages.approximate_tokens(message)
        if message.token_count is None
        else checked_count(message.token_count, f"{where}.token_count")
    )
    if message.metadata is not None:
        body["metadata"] = encoded_metadata(message.metadata, f"{where}.metadata")
    if message.created_at is not None:
        body["created_at"] = _moment(message.created_at, f"{where}.created_at")
    return _marked(body, encoder)


def langchain_body(message: BaseMessage, where: str) -> Body:
    """Take a LangChain message apart, without a detour over Zep's; else as ``message_body``."""
    *parts, tokens = lc_messages.parts_of(message, where)
    encoder = Encoder()
    body = _body(encoder, parts, where)
    body["token_count"] = tokens
    return _marked(body, encoder)


def _payload(message: Message, where: str) -> tuple[str | None, Body]:
    if message.langchain is None:
        return None, {}
    match message.langchain:
        case {"type": str() as kind, "data": dict() as data}:
            return kind, data
    raise BadRequestError(f"{where}.langchain must be a dict as message_to_dict makes it")


def _body(encoder: Encoder, parts: Sequence[Any], where: str) -> Body:
    role, content, uuid, kind, data = parts
    body = {
        "uuid": new_id() if uuid is None else checked_id(uuid, f"{where}.uuid"),
        "role": encoder.encode(role, f"{where}.role"),
        "content": encoder.encode(content, f"{where}.content"),
    }
    if kind is not None:
        place = f"{where}.langchain['data']"
        body["langchain"] = {"type": kind, "data": encoder.encode(data, place)}
        try:
            lc_messages.build(role, content, uuid, kind, data)
        except APIError as error:
            raise BadRequestError(f"{where}.langchain is no LangChain message: {error}") from error
    return body


def _marked(body: Body, encoder: Encoder) -> Body:
    if encoder.escaped:
        body["escaped"] = True
    return body


def _moment(value: Any, where: str) -> datetime:
    if not isinstance(value, datetime):
        raise BadRequestError(f"{where} must be a datetime, not {type(value).__name__}")
    moment = value if value.tzinfo else value.replace(tzinfo=UTC)
    whole: datetime = Encoder().encode(
        moment.replace(microsecond=moment.microsecond // 1000 * 1000), where
    )
    return whole


def each_once(
    messages: Sequence[T], body_of: Callable[[T, str], Body], where: str = "messages"
) -> list[tuple[Body, str]]:
    """Take the messages of one call apart; of an id that comes twice the last wins, in first place.

    Args:
        messages: The messages of the call.
        body_of: ``message_body`` or ``langchain_body``.
        where: What the call calls them.

    Returns:
        The bodies, and where they came from.

    Raises:
        BadRequestError: As ``message_body``, with the message's index.
    """
    if not isinstance(messages, Sequence) or isinstance(messages, str | bytes):
        raise BadRequestError(f"{where} must be a list, not {type(messages).__name__}")
    bodies: dict[str, tuple[Body, str]] = {}
    for index, message in enumerate(messages):
        place = f"{where}[{index}]"
        body = body_of(message, place)
        bodies[body["uuid"]] = body, place
    return list(bodies.values())
