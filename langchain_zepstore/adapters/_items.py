"""Shared parts of adapters: items of another framework, kept in messages as they are.

An item is any JSON value: a dict, as a rule. It becomes a ``Message`` that everybody can read, with
a role and a text, and its metadata holds the item under the framework's name: less its texts, which
stand in the message's content already. So nothing is stored twice, and the item comes back equal.
"""

import json
import logging
from base64 import b64encode
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from langchain_core.messages import BaseMessage

from langchain_zepstore.core.arguments import SessionDefaults
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.store import Call, Store
from langchain_zepstore.core.validation import GivenId, given_id
from langchain_zepstore.errors import APIError, NotFoundError
from langchain_zepstore.messages.langchain import HUMAN_TYPES, build, to_langchain
from langchain_zepstore.messages.marks import INT, JSON, Marks
from langchain_zepstore.messages.nearest import Nearest, shown, whole_text
from langchain_zepstore.messages.parts import all_from_zep
from langchain_zepstore.messages.shortening import bulk, fitted
from langchain_zepstore.messages.storable import check_metadata
from langchain_zepstore.messages.turns import opened
from langchain_zepstore.models import Message
from langchain_zepstore.store_client import StoreClient, client_of

Path = Sequence[str | int]
"""Where in an item something stands: keys and indexes, from the outside in."""

_logger = logging.getLogger(__name__)

_JSON_BYTES = 15 * 1024 * 1024  # of an item's texts: a document of MongoDB holds 16 MB
_LONG_INTS = Marks((INT,))
_BETWEEN = "\n"  # the texts of one item, in the content


class RawSession:
    """A session whose messages hold another framework's items: what its adapter runs on.

    Building one does no I/O. Its methods return operations for ``client.run`` and ``client.arun``.

    Args:
        session_id: The session's id; the session comes into being with its first message.
        client: A client to use instead of a URL.
        url: As for ``ZepClient``; those built from a URL share one client per URL in the process.
        api_key: As for ``ZepClient``.
        user_id: Whose session it becomes if it has to be created; the user is created if need be.
        session_metadata: Its metadata then.

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
        session_metadata: dict[str, Any] | None = None,
    ) -> None:
        self.session_id = given_id(session_id, "session_id")
        self.client = client_of(client, url, api_key)
        self.user_id = None if user_id is None else given_id(user_id, "user_id")
        self._defaults = SessionDefaults(self.user_id, session_metadata)

    def adding(self, messages: Iterable[Message], nearest: Nearest) -> Call[Any]:
        """Store messages at the end of the session, in one insert.

        One whose id the session has already replaces that one in its place.

        Args:
            messages: The messages.
            nearest: What they were packed with; what it has replaced is logged.
        """
        parts = all_from_zep(list(messages), may_be_cut=True)
        nearest.log(_logger)
        return lambda store: store.messages.add(self.session_id, parts, self._defaults)

    def reading(
        self, lastn: int | None = None, start_on: Collection[str] = ()
    ) -> Call[list[Message]]:
        """Return the last messages, oldest first; all of them without ``lastn``.

        Where none of them is of the types ``start_on``, they reach back as
        ``MessageOperations.read`` has it.
        """
        return lambda store: store.messages.read(
            self.session_id, lastn, start_on=start_on, user_id=self.user_id
        )

    def popping(self) -> Call[Message | None]:
        """Soft-delete the last message and return it; ``None`` if there is none.

        Of several who pop at once each gets another message: a message is deleted once.
        """
        return self._popping

    def _popping(self, store: Store) -> Operation[Message | None]:
        while found := (yield from self.reading(1)(store)):
            [last] = found
            with suppress(NotFoundError):  # somebody else has taken it
                yield from store.deletion.delete_message(self.session_id, str(last.uuid))
                return last
        return None

    def clearing(self) -> Call[None]:
        """Soft-delete the session and its messages, if there is one.

        ``undelete_session`` brings them back.
        """
        return self._clearing

    def _clearing(self, store: Store) -> Operation[None]:
        with suppress(NotFoundError):
            yield from store.deletion.delete_session(self.session_id, self.user_id)


def windowed(stored: Sequence[Message], lastn: int | None) -> list[Message]:
    """Return a window from its first human message, each call of a tool followed by its answer.

    Args:
        stored: What ``RawSession.reading`` returned.
        lastn: How many it was asked for.
    """
    by_id = {message.uuid: message for message in stored}
    shown = opened([to_langchain(message) for message in stored], lastn, HUMAN_TYPES)
    return [by_id.get(each.id) or _stand_in(each, stored[-1].created_at) for each in shown]


def _stand_in(message: BaseMessage, at: datetime | None) -> Message:
    langchain = answering(getattr(message, "tool_call_id", ""), message.name, failed=True)
    return Message(role="tool", content=str(message.content), created_at=at, langchain=langchain)


def packed(
    key: str,
    item: Any,
    role: str,
    texts: Iterable[Path] = (),
    *,
    nearest: Nearest,
    otherwise: str = "",
    uuid: str | None = None,
    langchain: dict[str, Any] | None = None,
) -> Message:
    """Return a message that holds an item, which ``unpacked`` gives back equal.

    Args:
        key: The framework's name, under which the message's metadata holds the item.
        item: Any JSON value; it is not changed. What is no JSON as such (a tuple, a key that is no
            string) comes back as ``json.loads`` would give it; what has no JSON form at all, as
            its nearest form. One too large for a document is cut with a marker.
        role: ``user``, ``assistant``, ``system`` or ``tool``.
        texts: Where in the item its texts stand: they become the content, a line each, and are
            stored there only. Where something else than a text stands, it is passed over.
        nearest: Replaces what has no JSON form, and remembers that.
        otherwise: The content, if there is none of these texts.
        uuid: The message's id; the store gives it a new one if there is none.
        langchain: What LangChain's message of it holds besides, as in ``Message.langchain``. See
            ``calling`` and ``answering``.
    """
    nearest.path = f"an item of {key}"
    item = _within(_JSON_BYTES, item, nearest)
    found = [(list(path), value) for path in texts if isinstance(value := _at(item, path), str)]
    content = _BETWEEN.join(text for _, text in found) if found else otherwise
    whole = whole_text(content)
    if whole != content:  # a lone surrogate, as when a stream is cut within an emoji
        content, found = whole, []
    for path, _ in found:
        item = _with(item, path, "")
    kept = {"item": item, "texts": [[path, len(text)] for path, text in found]}
    return Message(
        role=role,
        content=content,
        uuid=uuid,
        metadata={key: _storable(kept, nearest)},
        langchain=langchain and _readable(langchain, nearest),
    )


def unpacked(message: Message, key: str) -> Any:
    """Return the item that a message holds.

    Args:
        message: Any message.
        key: The framework's name.

    Returns:
        The item; ``None`` if it holds none of this framework's, or its content was rewritten since
        by somebody who does not know of the item.
    """
    try:
        return _filled((message.metadata or {})[key], message.content)
    except (LookupError, TypeError, ValueError, AttributeError):
        return None


def _filled(kept: dict[str, Any], content: str) -> Any:
    if "json" in kept:
        kept = json.loads(kept["json"])
    elif "marked" in kept:
        kept = JSON.unmark(json.loads(kept["marked"]))
    item, start = kept["item"], 0
    for path, size in kept["texts"]:
        item = _with(item, path, content[start : start + size])
        start += size + len(_BETWEEN)
    if kept["texts"] and start - len(_BETWEEN) != len(content):
        raise ValueError("the content is another")
    return item


def calling(calls: Iterable[tuple[str, str, Any]]) -> dict[str, Any]:
    """Return what makes LangChain's message one that calls tools.

    Args:
        calls: The id, name and arguments of each: a dict, or the JSON text of one. Other arguments
            become an ``invalid_tool_call``, as with LangChain's own models.
    """
    good, bad = [], []
    for call_id, name, arguments in calls:
        args = arguments
        if isinstance(arguments, str):
            with suppress(ValueError):
                args = json.loads(arguments or "{}")
        call = {"name": name, "id": call_id}
        if isinstance(args, dict):
            good.append({**call, "args": args, "type": "tool_call"})
        else:
            text = arguments if isinstance(arguments, str) else json.dumps(arguments, default=shown)
            bad.append({**call, "args": text, "error": None, "type": "invalid_tool_call"})
    listed = {"tool_calls": good, "invalid_tool_calls": bad}
    return {"type": "ai", "data": {name: value for name, value in listed.items() if value}}


def answering(call_id: str, name: str | None = None, *, failed: bool = False) -> dict[str, Any]:
    """Return what makes LangChain's message a tool's answer to a call.

    Args:
        call_id: The call's id.
        name: The tool's name.
        failed: Whether the tool has failed.
    """
    data = {"tool_call_id": call_id}
    if name is not None:
        data["name"] = name
    if failed:
        data["status"] = "error"
    return {"type": "tool", "data": data}


def json_form(value: Any, nearest: Nearest) -> Any:
    """Return the nearest form that a value has in plain JSON."""
    plain = nearest.of(value)
    try:
        return json.loads(json.dumps(plain, default=_as_text))
    except ValueError:  # an int of thousands of digits
        return json.loads(json.dumps(_LONG_INTS.mark(plain), default=_as_text))


def _as_text(value: Any) -> str:
    return b64encode(value).decode() if isinstance(value, bytes) else str(value)


def _at(value: Any, path: Path) -> Any:
    try:
        for step in path:
            value = value[step]
    except (LookupError, TypeError):
        return None
    return value


def _with(value: Any, path: Path, text: str) -> Any:
    """Return the value with a text at a path; only what lies on the path is copied."""
    if not path:
        return text
    copy: Any = value.copy() if isinstance(value, dict) else list(value)
    copy[path[0]] = _with(value[path[0]], path[1:], text)
    return copy


def _storable(kept: dict[str, Any], nearest: Nearest) -> dict[str, Any]:
    """Return it as it is, to be read and queried in the database, or else as a text of JSON."""
    if _is_storable(kept):
        return kept
    with suppress(Exception):  # an item's methods may do anything
        return {"json": json.dumps(kept)}
    kept = nearest.of(kept)
    return kept if _is_storable(kept) else {"marked": json.dumps(JSON.mark(kept))}


def _is_storable(kept: dict[str, Any]) -> bool:
    with suppress(Exception):
        check_metadata({"": kept}, "item")
        return True
    return False


def _within(most: int, item: Any, nearest: Nearest) -> Any:
    """Return an item whose values are cut, if it is larger than so many bytes."""
    with suppress(Exception):
        if len(json.dumps(item)) < most // 8:
            return item
    plain = Nearest().of(item)
    size = bulk(plain)
    if size < most // 8:
        return item
    return fitted(nearest.of(item), bulk, most) if size > most else nearest.of(item)


def _readable(langchain: dict[str, Any], nearest: Nearest) -> dict[str, Any] | None:
    type_, data = langchain["type"], nearest.of(langchain["data"])
    try:
        build("", "", None, type_, data)
    except APIError:
        return None
    return {"type": type_, "data": data}
