"""``ZepMessageHistory``: the message history of Pydantic AI's agents, on a chat store.

``agent.run_sync("Hello", message_history=history.messages)``, and then
``history.add_messages(result.new_messages())``. Needs ``pydantic-ai-slim``.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any

from langchain_core.messages import AIMessage, RemoveMessage, ToolMessage

try:
    from pydantic_ai.messages import (
        ModelMessage,
        ModelMessagesTypeAdapter,
        ModelRequest,
        ModelResponse,
    )
except ImportError as missing:
    raise ImportError(
        'ZepMessageHistory needs an extra: pip install "langchain-zepstore[pydantic-ai]"'
    ) from missing

from langchain_zepstore.adapters._items import (
    RawSession,
    answering,
    calling,
    json_form,
    packed,
    unpacked,
    windowed,
)
from langchain_zepstore.core.store import Call
from langchain_zepstore.core.validation import GivenId, checked_count
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.messages.langchain import HUMAN_TYPES, text_of, to_langchain
from langchain_zepstore.messages.nearest import Nearest, shown
from langchain_zepstore.models import Message
from langchain_zepstore.store_client import StoreClient

_KEY = "pydantic_ai"
_OF_USER = {"user-prompt", "retry-prompt", "retry-feedback"}  # what models get as the user's


class ZepMessageHistory:
    """The message history of an agent that is also a session of the store.

    Every ``ModelMessage`` comes back as ``ModelMessagesTypeAdapter`` would give it back. Each part
    of a request is one message of the session, and each response is one, so that prompts, tools'
    answers and what the model said are read, listed and searched by role. A session that was
    written by others, LangChain among them, is read as requests and responses.

    Building one does no I/O, and costs nothing: build one per run. Those built from a URL share one
    client per URL in the process.

    Args:
        session_id: The session's id; the session comes into being with its first messages.
        client: A client to use instead of a URL.
        url: As for ``ZepClient``.
        api_key: As for ``ZepClient``.
        lastn: Read only the last so many messages of the session, from the first prompt of the
            user among them. Where there is none, the last earlier prompt comes first, and then the
            end of its turn: a window never opens on a tool's answer whose call is out of sight.
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
        lastn: int | None = None,
        user_id: GivenId | None = None,
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
        self._lastn = None if lastn is None else checked_count(lastn, "lastn")

    @property
    def messages(self) -> list[ModelMessage]:
        """The messages, oldest first, as ``message_history`` takes them; read anew each time.

        Raises:
            StoreUnavailableError: The database cannot be reached.
        """
        return self._decoded(self._client.run(self._raw.reading(self._lastn, HUMAN_TYPES)))

    async def aget_messages(self) -> list[ModelMessage]:
        """Return the messages, oldest first; see ``messages``."""
        return self._decoded(await self._client.arun(self._raw.reading(self._lastn, HUMAN_TYPES)))

    def add_messages(self, messages: Sequence[ModelMessage]) -> None:
        """Add messages at the end, in one insert; when it returns they are durable.

        A message that is there already, equal to the last detail, its time included, stays where it
        is: adding what a run has said twice, or ``all_messages()``, does no harm.

        Args:
            messages: A run's ``new_messages()``, as a rule.

        Raises:
            BadRequestError: One of them is too large to be stored; none is.
            StoreUnavailableError: The database cannot be reached.
        """
        self._client.run(self._adding(messages))

    async def aadd_messages(self, messages: Sequence[ModelMessage]) -> None:
        """Add messages at the end; see ``add_messages``."""
        await self._client.arun(self._adding(messages))

    def clear(self) -> None:
        """Soft-delete the session; ``client.memory.undelete_session`` brings it back.

        Clearing a session that does not exist, or is deleted, does nothing.

        Raises:
            StoreUnavailableError: The database cannot be reached.
        """
        self._client.run(self._raw.clearing())

    async def aclear(self) -> None:
        """Soft-delete the session; see ``clear``."""
        await self._client.arun(self._raw.clearing())

    def _adding(self, messages: Sequence[ModelMessage]) -> Call[None]:
        nearest = Nearest()
        nearest.path = "messages"
        dumped = (_readable(_dumped(message, nearest), nearest) for message in messages)
        return self._raw.adding(_packed(dumped, nearest), nearest)

    def _decoded(self, stored: list[Message]) -> list[ModelMessage]:
        is_reaching_back = self._lastn is not None and len(stored) > self._lastn
        if is_reaching_back:
            stored = windowed(stored, self._lastn)
        messages = _unpacked(stored)
        if self._lastn is not None and not is_reaching_back:
            prompts = (index for index, each in enumerate(messages) if _is_prompt(each))
            messages = messages[next(prompts, len(messages)) :]
        try:
            return _validated(messages)
        except ValueError:  # of another version, or stored by one that did not check
            return _validated([each for each in map(_readable, messages) if _is_valid(each)])


def _dumped(message: ModelMessage, nearest: Nearest) -> dict[str, Any]:
    if not isinstance(message, ModelRequest | ModelResponse):
        raise BadRequestError(f"a message is a {type(message).__name__}, not Pydantic AI's")
    with suppress(Exception):  # it may hold any object
        [dumped] = ModelMessagesTypeAdapter.dump_python(
            [message], mode="json", fallback=nearest.of, warnings=False
        )
        json.dumps(dumped)
        return dict(dumped)
    return dict(json_form(message, nearest))


def _validated(messages: list[dict[str, Any]]) -> list[ModelMessage]:
    # As JSON: bytes are base64 there, and text in Python.
    decoded: list[ModelMessage] = ModelMessagesTypeAdapter.validate_json(json.dumps(messages))
    return decoded


def _is_valid(message: dict[str, Any]) -> bool:
    try:
        _validated([message])
    except ValueError:
        return False
    return True


def _readable(message: dict[str, Any], nearest: Nearest | None = None) -> dict[str, Any]:
    """Return a message in which parts that could not be read back are text."""
    if _is_valid(message):
        return message
    if nearest:
        nearest.note("messages", "a part that could not be read back")
    message = (nearest or Nearest()).of(message)
    parts = []
    for part in message["parts"]:
        content = part.get("content")
        text = content if isinstance(content, str) else json.dumps(content, default=shown)
        words = "text" if message["kind"] == "response" else "user-prompt"
        forms = (part, {**part, "content": text}, {"part_kind": words, "content": text})
        readable = (form for form in forms if _is_valid({**message, "parts": [form]}))
        parts += [next(readable, forms[-1])]
    return {**message, "parts": parts}


def _packed(dumped: Iterable[dict[str, Any]], nearest: Nearest) -> Iterator[Message]:
    seen: Counter[str] = Counter()
    for message in dumped:
        digest = sha256(json.dumps(message, sort_keys=True).encode()).hexdigest()[:32]
        uuid = f"{digest}-{seen[digest]}"
        seen[digest] += 1
        if message["kind"] == "response":
            yield _response(message, uuid, nearest)
            continue
        request = {**message, "parts": []}
        parts = message["parts"]
        if not parts:
            yield packed(_KEY, {"request": request}, "system", nearest=nearest, uuid=uuid)
        for index, part in enumerate(parts):
            first = {"request": request} if index == 0 else {}
            yield _part({**first, "part": part}, f"{uuid}-{index}", nearest)


def _response(message: dict[str, Any], uuid: str, nearest: Nearest) -> Message:
    parts = list(enumerate(message["parts"]))
    # What it thought is not what it said: a search would take it for that.
    texts = [
        ("response", "parts", index, "content")
        for index, part in parts
        if part["part_kind"] == "text"
    ]
    calls = [
        (part["tool_call_id"], part["tool_name"], part.get("args") or {})
        for _, part in parts
        if part["part_kind"] == "tool-call"
    ]
    langchain = calling(calls) if calls else None
    return packed(
        _KEY,
        {"response": message},
        "assistant",
        texts,
        nearest=nearest,
        uuid=uuid,
        langchain=langchain,
    )


def _part(item: dict[str, Any], uuid: str, nearest: Nearest) -> Message:
    part = item["part"]
    content = part.get("content")
    indexes = range(len(content)) if isinstance(content, list) else ()
    texts = [
        ("part", "content"),
        *(path for index in indexes for path in _texts_of_prompt(part, index)),
    ]
    call_id, name = part.get("tool_call_id"), part.get("tool_name")
    if not (call_id and name):
        role = "user" if part["part_kind"] in _OF_USER else "system"
        return packed(_KEY, item, role, texts, nearest=nearest, uuid=uuid)
    succeeded = part["part_kind"] == "tool-return" and part.get("outcome", "success") == "success"
    langchain = answering(call_id, name, failed=not succeeded)
    answer = json.dumps(_without_files(content), ensure_ascii=False)
    return packed(
        _KEY,
        item,
        "tool",
        texts,
        nearest=nearest,
        otherwise=answer,
        uuid=uuid,
        langchain=langchain,
    )


def _without_files(content: Any) -> Any:
    match content:
        case {"kind": "binary", "media_type": media_type}:
            return media_type
        case dict():
            return {name: _without_files(value) for name, value in content.items()}
        case list():
            return [_without_files(value) for value in content]
    return content


def _texts_of_prompt(part: dict[str, Any], index: int) -> list[tuple[str | int, ...]]:
    if part["part_kind"] != "user-prompt":
        return []
    return [("part", "content", index), ("part", "content", index, "content")]


def _unpacked(stored: list[Message]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    for message in stored:
        item = unpacked(message, _KEY)
        if not isinstance(item, dict):
            messages += _converted(message, names)
        elif "response" in item:
            messages.append(item["response"])
        else:
            # The first part of a request may be out of a window's sight, or deleted.
            if "request" in item or not messages or messages[-1]["kind"] != "request":
                messages.append(item.get("request", {"kind": "request", "parts": []}))
            if "part" in item:
                parts = [*messages[-1]["parts"], item["part"]]
                messages[-1] = {**messages[-1], "parts": parts}
    return messages


def _converted(message: Message, names: dict[str, str]) -> list[dict[str, Any]]:
    """Return what a message of others says; ``names`` are the tools' of the calls so far."""
    said = to_langchain(message)
    text, at = text_of(said.content), str(message.created_at)
    part: dict[str, Any] = {"part_kind": "user-prompt", "content": text, "timestamp": at}
    match said:
        case RemoveMessage():
            return []
        case AIMessage():
            names |= {call["id"] or "": call["name"] for call in said.tool_calls}
            calls = [
                {
                    "part_kind": "tool-call",
                    "tool_name": call["name"],
                    "args": call["args"],
                    "tool_call_id": call["id"] or "",
                }
                for call in said.tool_calls
            ]
            words = [{"part_kind": "text", "content": text}] if text or not calls else []
            return [{"kind": "response", "parts": [*words, *calls], "timestamp": at}]
        case ToolMessage(tool_call_id=call_id):
            name = said.name or names.get(call_id, "tool")
            part |= {"part_kind": "tool-return", "tool_name": name, "tool_call_id": call_id}
        case _ if said.type == "system":
            part["part_kind"] = "system-prompt"
    return [{"kind": "request", "parts": [part], "timestamp": at}]


def _is_prompt(message: dict[str, Any]) -> bool:
    return any(
        part["part_kind"] in _OF_USER and not part.get("tool_name") for part in message["parts"]
    )
