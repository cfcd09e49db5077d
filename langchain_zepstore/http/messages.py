"""Operations on messages as requests."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from langchain_core.messages import BaseMessage

from langchain_zepstore.core.arguments import SessionDefaults
from langchain_zepstore.core.operation import Operation, Page
from langchain_zepstore.http.transport import Requests, marked_metadata, path
from langchain_zepstore.messages import langchain as lc_messages
from langchain_zepstore.messages.parts import Body, each_once, langchain_body, message_body
from langchain_zepstore.messages.storable import unescape
from langchain_zepstore.messages.wire import NEXT_CURSOR_HEADER, exact
from langchain_zepstore.models import Memory, Message

T = TypeVar("T")


class Messages:
    """Adds and reads messages."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def add(
        self,
        session_id: str,
        memory: Memory,
        defaults: SessionDefaults | None = None,
        *,
        keep_deleted: bool = False,
    ) -> Operation[None]:
        """Store messages at the end of a session."""
        metadata = None
        if memory.metadata:
            metadata = marked_metadata(memory.metadata, "memory.metadata")
        return self._add(
            session_id,
            memory.messages,
            message_body,
            defaults,
            metadata=metadata,
            keep_deleted=keep_deleted,
        )

    def add_langchain(
        self,
        session_id: str,
        messages: Sequence[BaseMessage],
        defaults: SessionDefaults | None = None,
        *,
        keep_deleted: bool = False,
    ) -> Operation[None]:
        """Store LangChain's messages at the end of a session."""
        return self._add(session_id, messages, langchain_body, defaults, keep_deleted=keep_deleted)

    def _add(
        self,
        session_id: str,
        messages: Sequence[T],
        body_of: Callable[[T, str], Body],
        defaults: SessionDefaults | None,
        *,
        keep_deleted: bool,
        metadata: dict[str, Any] | None = None,
    ) -> Operation[None]:
        # Every message has an id now: to send them twice stores them once.
        bodies = [_fields(body) for body, _ in each_once(messages, body_of)]
        if not bodies and not metadata:
            return
        request: dict[str, Any] = {"messages": bodies}
        if metadata:
            request["metadata"] = metadata
        if defaults:
            request |= exact(defaults.given())
        if keep_deleted:
            request["keep_deleted"] = True
        where = path("sessions", session_id, "memory")
        yield from self._requests.send("POST", where, body=request, repeatable=True)

    def read(self, session_id: str, lastn: int | None = None) -> Operation[list[Message]]:
        """Return the last messages of a session, oldest first; all of them without ``lastn``."""
        if lastn == 0:
            return []
        memory = yield from self.memory(session_id, lastn)
        return memory.messages

    def memory(
        self, session_id: str, lastn: int | None = None, *, include_deleted: bool = False
    ) -> Operation[Memory]:
        """Return the same with the session's summary."""
        answer = yield from self._requests.get(
            path("sessions", session_id, "memory"),
            lastn=lastn,
            include_deleted="true" if include_deleted else None,
        )
        return answer.read_memory(answer.data)

    def read_langchain(
        self, session_id: str, lastn: int | None = None
    ) -> Operation[list[BaseMessage]]:
        """Return the same as LangChain's messages."""
        messages = yield from self.read(session_id, lastn)
        return [lc_messages.to_langchain(message) for message in messages]

    def page(
        self,
        session_id: str,
        after: Any,
        limit: int,
        *,
        after_id: str | None = None,
        include_deleted: bool = False,
    ) -> Operation[Page[Message]]:
        """Return the next messages of a session after a page's cursor, oldest first."""
        answer = yield from self._requests.get(
            path("sessions", session_id, "messages.ndjson"),
            limit=limit,
            after=after,
            after_id=after_id if after is None else None,
            include_deleted="true" if include_deleted else None,
        )
        return Page(answer.read_list(Message, answer.lines), answer.headers.get(NEXT_CURSOR_HEADER))

    def numbered_page(self, session_id: str, limit: int, number: int) -> Operation[list[Message]]:
        """Return a page of a session's messages by its number, from 1, oldest first."""
        where = path("sessions", session_id, "messages")
        answer = yield from self._requests.get(where, limit=limit, cursor=number)
        return answer.read_list(Message, answer.field("messages"))

    def around(self, session_id: str, uuid: str, window: int) -> Operation[list[Message]]:
        """Return a live message with so many before and after it, oldest first."""
        where = path("sessions", session_id, "messages", uuid, "around")
        answer = yield from self._requests.get(where, window=window)
        return answer.read_list(Message, answer.data)

    def get(self, session_id: str, uuid: str) -> Operation[Message]:
        """Return one message."""
        answer = yield from self._requests.get(path("sessions", session_id, "messages", uuid))
        return answer.read(Message, answer.data)

    def update_metadata(
        self, session_id: str, uuid: str, metadata: dict[str, Any]
    ) -> Operation[Message]:
        """Merge metadata into a message's."""
        answer = yield from self._requests.send(
            "PATCH",
            path("sessions", session_id, "messages", uuid),
            body={"metadata": marked_metadata(metadata, "metadata")},
            repeatable=True,
        )
        return answer.read(Message, answer.data)

    def update_content(self, session_id: str, uuid: str, content: str) -> Operation[Message]:
        """Replace a live message's words."""
        answer = yield from self._requests.send(
            "PATCH",
            path("sessions", session_id, "messages", uuid),
            body={"content": content},
            repeatable=True,
        )
        return answer.read(Message, answer.data)

    def count(self, session_id: str) -> Operation[int]:
        """Return how many messages a session has."""
        answer = yield from self._requests.get(path("sessions", session_id, "messages"), limit=1)
        return answer.count("total_count")


def _fields(body: Body) -> dict[str, Any]:
    fields = {name: value for name, value in body.items() if name != "escaped"}
    if "escaped" in body:
        fields["content"] = unescape(fields["content"])
    payload = fields.get("langchain")
    content = fields["content"]
    if payload:
        data = unescape(payload["data"]) if "escaped" in body else payload["data"]
        fields["content"] = lc_messages.text_of(content)
        if fields["content"] is not content:
            data = {**data, "content": content}
        fields["langchain"] = exact({**payload, "data": data})
    if "metadata" in fields:
        fields["metadata"] = exact(unescape(fields["metadata"]))
    return fields
