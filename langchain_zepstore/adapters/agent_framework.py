"""Microsoft's Agent Framework on sessions: a history provider for its agents.

A ``Message`` is kept in metadata, under ``agent_framework``, in the form of its ``to_dict``, and
comes back equal. Its texts are the stored message's content, its calls and results those of
LangChain's message; so the session is listed, searched and read like any other. What others have
written is converted: text, tool calls, tool results.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import uuid4

try:
    from agent_framework import Content, HistoryProvider
    from agent_framework import Message as AgentMessage
except ImportError as missing:
    raise ImportError(
        "the history provider for Microsoft's Agent Framework needs an extra: "
        'pip install "langchain-zepstore[agent-framework]"'
    ) from missing

from langchain_core.messages import AIMessage, ToolMessage

from langchain_zepstore.adapters._items import (
    RawSession,
    answering,
    calling,
    json_form,
    packed,
    unpacked,
)
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.store import Call, Store
from langchain_zepstore.core.validation import GivenId
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.messages.langchain import to_langchain
from langchain_zepstore.messages.nearest import Nearest
from langchain_zepstore.models import Message
from langchain_zepstore.store_client import StoreClient

_KEY = "agent_framework"
_CONVERTED = {"human": "user", "ai": "assistant"}


class ZepHistoryProvider(HistoryProvider):
    """The history of agents: ``Agent(…, context_providers=[ZepHistoryProvider(…)])``.

    The id of the agent's session is the session's id here. Building one does no I/O. As the
    framework saves a turn when its run has ended, a run that fails saves nothing, unless the agent
    is told ``require_per_service_call_history_persistence``.

    Args:
        url: As for ``ZepClient``; those built from a URL share one client per URL in the process.
        api_key: As for ``ZepClient``.
        client: A client to use instead of a URL.
        user_id: Whose session it becomes if it has to be created; the user is created if need be.
        session_metadata: Its metadata then.
        source_id: The provider's name in the agent, as the framework asks for.
        load_messages: Whether the model sees what is stored, as ``HistoryProvider``.
        store_inputs: Whether what goes in is stored, as ``HistoryProvider``.
        store_context_messages: Whether what other providers add is, as ``HistoryProvider``.
        store_context_from: Of these providers only, as ``HistoryProvider``.
        store_outputs: Whether what comes out is, as ``HistoryProvider``.
        skip_excluded: Do not load messages that compaction has marked ``_excluded``, as
            ``InMemoryHistoryProvider``.

    Raises:
        BadRequestError: An argument cannot be used.
    """

    DEFAULT_SOURCE_ID = "zepstore"

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        client: StoreClient | None = None,
        user_id: GivenId | None = None,
        session_metadata: dict[str, Any] | None = None,
        source_id: str = DEFAULT_SOURCE_ID,
        load_messages: bool = True,
        store_inputs: bool = True,
        store_context_messages: bool = False,
        store_context_from: set[str] | None = None,
        store_outputs: bool = True,
        skip_excluded: bool = False,
    ) -> None:
        super().__init__(
            source_id,
            load_messages=load_messages,
            store_inputs=store_inputs,
            store_context_messages=store_context_messages,
            store_context_from=store_context_from,
            store_outputs=store_outputs,
        )
        self.skip_excluded = skip_excluded
        session = partial(RawSession, user_id=user_id, session_metadata=session_metadata)
        self._client = session("any", client=client, url=url, api_key=api_key).client
        self._session_of = partial(session, client=self._client)

    async def get_messages(
        self,
        session_id: str | None,
        *,
        state: dict[str, Any] | None = None,  # noqa: ARG002 - nothing is kept in it
        **_: Any,
    ) -> list[AgentMessage]:
        """Return the messages of a session, oldest first; none for an unknown or deleted one.

        Raises:
            BadRequestError: There is no session id. (An agent that is run without a session gives
                each run a new one.)
            StoreUnavailableError: The database cannot be reached.
        """
        found = _joined(await self._client.arun(self._session(session_id).reading()))
        if self.skip_excluded:
            return [each for each in found if not each.additional_properties.get("_excluded")]
        return found

    async def save_messages(
        self,
        session_id: str | None,
        messages: Sequence[AgentMessage],
        *,
        state: dict[str, Any] | None = None,  # noqa: ARG002 - nothing is kept in it
        **_: Any,
    ) -> None:
        """Add messages at the end of a session, in one insert; they stand together.

        Those with which the call begins and the session ends already are not added again, by the
        rule of the framework's own providers: the same ``message_id``, or where there is none the
        same role and contents. Unlike there, one whole turn without ids is never taken for a
        repetition, nor is one user's message alone: people say the same again.

        Raises:
            BadRequestError: A message cannot be stored, or there is no session id.
            StoreUnavailableError: The database cannot be reached.
        """
        if messages:
            await self._client.arun(_saving(self._session(session_id), list(messages)))

    def _session(self, session_id: str | None) -> RawSession:
        if session_id is None:
            raise BadRequestError("the agent's session has no id")
        return self._session_of(session_id)


def _saving(session: RawSession, messages: list[AgentMessage]) -> Call[None]:
    most = len(_parts(messages, Nearest())) + 1  # one more tells whether there are more

    def operation(store: Store) -> Operation[None]:
        stored = _joined((yield from session.reading(most)(store)))
        if new := messages[_repeated(stored, messages) :]:
            nearest = Nearest()
            parts = _parts(new, nearest, _names(stored))
            yield from session.adding(parts, nearest)(store)

    return operation


def _repeated(stored: list[AgentMessage], given: list[AgentMessage]) -> int:
    """Count the messages at the beginning that the session holds already, at its end."""
    count = _overlap(stored, given)
    return 0 if count == len(given) and _is_turn(given) else count


def _is_turn(messages: list[AgentMessage]) -> bool:
    """Whether messages without ids are one question with its completed answer."""
    roles = [each.role for each in messages]
    if roles[0] != "user" or roles[-1] != "assistant":
        return False
    return (
        "user" not in roles[roles.index("assistant") :]
        and all(each.message_id is None for each in messages)
        and all(content.type != "function_call" for content in messages[-1].contents)
    )


def _overlap(stored: list[AgentMessage], given: list[AgentMessage]) -> int:
    old, new = [_identity(each) for each in stored], [_identity(each) for each in given]
    if not old:
        return 0
    alone = stored[-1].role == "user" and stored[-1].message_id is None
    for start in range(len(new) - len(old) + 1):  # all of the session, within a whole transcript
        if new[start : start + len(old)] == old and not (alone and start == 0 and len(old) == 1):
            return start + len(old)
    for size in range(min(len(old), len(new)), int(alone), -1):
        if old[-size:] == new[:size]:
            return size
    return 0


def _identity(message: AgentMessage) -> tuple[str, str]:
    if message.message_id is not None:
        return "", message.message_id
    contents = _dumped(message, Nearest())["contents"]
    return message.role, json.dumps(json_form(contents, Nearest()), sort_keys=True)


def _dumped(message: AgentMessage, nearest: Nearest) -> dict[str, Any]:
    with suppress(Exception):  # it may hold any object
        return dict(message.to_dict())
    contents = [_given(content) for content in message.contents]
    return dict(json_form({**_given(message), "type": "message", "contents": contents}, nearest))


def _given(thing: AgentMessage | Content) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(thing).items()
        if value is not None and name != "raw_representation"
    }


def _parts(
    messages: Iterable[AgentMessage], nearest: Nearest, names: dict[str, str] | None = None
) -> list[Message]:
    """Turn messages into such that hold one tool's result each, as LangChain's do."""
    parts, called = [], dict(names or {})
    for index, message in enumerate(messages):
        if not isinstance(message, AgentMessage):
            raise BadRequestError(
                f"messages[{index}] is a {type(message).__name__}, not Agent Framework's Message"
            )
        called |= _names([message])
        item = _dumped(message, nearest)
        pieces = list(_pieces(item))
        group = uuid4().hex if len(pieces) > 1 else None
        for piece in pieces:
            part = _part({**item, "contents": piece}, called, nearest)
            if group and part.metadata:
                part.metadata[_KEY]["group"] = group
            parts.append(part)
    return parts


def _names(messages: Iterable[AgentMessage]) -> dict[str, str]:
    return {
        content.call_id: content.name
        for message in messages
        for content in message.contents
        if content.type == "function_call" and content.call_id and content.name
    }


def _pieces(item: dict[str, Any]) -> Iterator[list[Any]]:
    piece: list[Any] = []
    answered = False
    for content in item.get("contents", ()):
        is_result = item.get("role") == "tool" and content["type"] == "function_result"
        if is_result and answered:
            yield piece
            piece = []
        answered |= is_result
        piece.append(content)
    yield piece


def _part(item: dict[str, Any], names: dict[str, str], nearest: Nearest) -> Message:
    role = "system" if item["role"] == "developer" else item["role"]
    calls, paths, langchain = [], [], None
    item["contents"] = contents = list(item["contents"])
    for number, content in enumerate(contents):
        match content:
            case {"type": "text"}:
                paths.append(("contents", number, "text"))
            case {"type": "function_call"}:
                arguments = content.get("arguments") or {}
                calls.append((content.get("call_id") or "", content.get("name") or "", arguments))
            case {"type": "function_result", "result": str() as result}:
                paths.append(("contents", number, "result"))
                if content.get("items") == _items(result):
                    contents[number] = {**content, "items": None}  # the result once more
        if role == "tool" and content["type"] == "function_result" and content.get("call_id"):
            name = names.get(content["call_id"])
            langchain = answering(content["call_id"], name, failed=bool(content.get("exception")))
    if role == "assistant" and calls:
        langchain = calling(calls)
    return packed(_KEY, item, role, paths, nearest=nearest, langchain=langchain)


def _items(result: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": result, "additional_properties": {}}]


def _joined(messages: Iterable[Message]) -> list[AgentMessage]:
    joined: list[AgentMessage] = []
    last = None
    for message in messages:
        kept = (message.metadata or {}).get(_KEY)
        group = kept.get("group") if isinstance(kept, dict) else None
        read = _agent_message(message)
        if group is not None and group == last:
            joined[-1].contents.extend(read.contents)
        else:
            joined.append(read)
        last = group
    return joined


def _agent_message(message: Message) -> AgentMessage:
    item = unpacked(message, _KEY)
    if isinstance(item, dict):
        contents = [
            {**content, "items": _items(content["result"])}
            if content.get("items", ()) is None
            else content
            for content in item["contents"]
        ]
        with suppress(ValueError, TypeError):  # of a version that knows other contents
            return AgentMessage.from_dict({**item, "contents": contents})
    said = to_langchain(message)
    if isinstance(said, ToolMessage):
        result = Content.from_function_result(said.tool_call_id, result=message.content)
        return AgentMessage("tool", [result], message_id=message.uuid)
    contents = [Content.from_text(message.content)] if message.content else []
    if isinstance(said, AIMessage):
        contents += [
            Content.from_function_call(call["id"] or "", call["name"] or "", arguments=call["args"])
            for call in (*said.tool_calls, *said.invalid_tool_calls)
        ]
    role = _CONVERTED.get(said.type, said.type if said.type != "chat" else message.role)
    known = role if role in {"user", "assistant", "system", "tool"} else "user"
    return AgentMessage(known, contents, message_id=message.uuid)
