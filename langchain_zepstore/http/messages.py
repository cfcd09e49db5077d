"""Operations on messages as requests."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.messages import BaseMessage

from langchain_zepstore.core.arguments import KnownIds, SessionDefaults, WindowQuery
from langchain_zepstore.core.message_parts import MessageParts
from langchain_zepstore.core.operation import Operation, Page
from langchain_zepstore.http.transport import Requests, marked_metadata, path
from langchain_zepstore.messages import langchain as lc_messages
from langchain_zepstore.messages.marks import JSON
from langchain_zepstore.messages.shortening import fitted_parts
from langchain_zepstore.messages.wire import (
    MAX_BODY_BYTES,
    NEXT_CURSOR_HEADER,
    parts_fields,
    to_json,
)
from langchain_zepstore.models import Excerpt, Memory, Message

_MAX_MESSAGE_BYTES = MAX_BODY_BYTES - 128 * 1024  # for what else a request says


class Messages:
    """Adds and reads messages."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def add(
        self,
        session_id: str,
        messages: Sequence[MessageParts],
        defaults: SessionDefaults | None = None,
        *,
        metadata: dict[str, Any] | None = None,
        keep_deleted: bool = False,
        known_ids: KnownIds | None = None,
        before: str | None = None,
    ) -> Operation[dict[str, str]]:
        """Store messages at the end of a session."""
        if not messages and not metadata and before is None:
            return {}
        may_be_cut = any(each.may_be_cut for each in messages)
        options = {"keep_deleted": keep_deleted, "may_be_cut": may_be_cut, "before": before}
        request: dict[str, Any] = {name: value for name, value in options.items() if value}
        if defaults:
            request |= JSON.mark(defaults.given())
        if metadata:
            request["metadata"] = marked_metadata(metadata, "memory.metadata")
        new_ids: dict[str, str] = {}
        pending = [messages]
        while pending:
            part = pending.pop()
            request["messages"] = [parts_fields(each) for each in part]
            if known_ids is not None:
                request["known_ids"] = {
                    "replacing": sorted(known_ids.replacing),
                    "after": known_ids.after,
                    "given": dict(known_ids.given),
                    "branch_of": known_ids.branch_of,
                }
            body = to_json(request)
            if len(body) > MAX_BODY_BYTES and may_be_cut:
                if half := len(part) // 2:
                    pending += [part[half:], part[:half]]
                    continue
                body = to_json({**request, "messages": [parts_fields(_fitted(part[0]))]})
            # Every message has an id: to send them twice stores them once.
            where = path("sessions", session_id, "memory")
            answer = yield from self._requests.send("POST", where, body=body, repeatable=True)
            request.pop("before", None)  # the other parts follow the first one
            if known_ids and part:
                new_ids |= answer.new_ids
                last = part[-1].uuid
                known_ids = replace(known_ids, after=new_ids.get(last, last))
        return new_ids

    def read(
        self,
        session_id: str,
        lastn: int | None = None,
        *,
        start_on: Collection[str] = (),
        user_id: str | None = None,
    ) -> Operation[list[Message]]:
        """Return the last messages of a session, oldest first; all of them without ``lastn``."""
        if lastn == 0:
            return []
        memory = yield from self.memory(session_id, lastn, start_on=start_on, user_id=user_id)
        return memory.messages

    def memory(
        self,
        session_id: str,
        lastn: int | None = None,
        *,
        start_on: Collection[str] = (),
        user_id: str | None = None,
        include_deleted: bool = False,
        branch: str | None = None,
    ) -> Operation[Memory]:
        """Return the same with the session's summary."""
        answer = yield from self._requests.get(
            path("sessions", session_id, "memory"),
            lastn=lastn,
            start_on=",".join(sorted(start_on)) or None,
            user_id=user_id,
            include_deleted="true" if include_deleted else None,
            branch=branch,
        )
        return answer.read_memory(answer.data)

    def read_langchain(
        self,
        session_id: str,
        lastn: int | None = None,
        *,
        start_on: Collection[str] = (),
        user_id: str | None = None,
    ) -> Operation[list[BaseMessage]]:
        """Return the same as LangChain's messages."""
        messages = yield from self.read(session_id, lastn, start_on=start_on, user_id=user_id)
        return [lc_messages.to_langchain(message) for message in messages]

    def page(
        self,
        session_id: str,
        after: Any,
        limit: int,
        *,
        after_id: str | None = None,
        include_deleted: bool = False,
        all_branches: bool = False,
    ) -> Operation[Page[Message]]:
        """Return the next messages of a session after a page's cursor, oldest first."""
        answer = yield from self._requests.get(
            path("sessions", session_id, "messages.ndjson"),
            limit=limit,
            after=after,
            after_id=after_id if after is None else None,
            include_deleted="true" if include_deleted else None,
            all_branches="true" if all_branches else None,
        )
        return Page(answer.read_list(Message, answer.lines), answer.headers.get(NEXT_CURSOR_HEADER))

    def numbered_page(
        self, session_id: str, limit: int, number: int, *, user_id: str | None = None
    ) -> Operation[list[Message]]:
        """Return a page of a session's messages by its number, from 1, oldest first."""
        where = path("sessions", session_id, "messages")
        answer = yield from self._requests.get(where, limit=limit, cursor=number, user_id=user_id)
        return answer.read_list(Message, answer.field("messages"))

    def around(self, session_id: str, uuid: str, window: int) -> Operation[list[Message]]:
        """Return a live message with so many before and after it, oldest first."""
        where = path("sessions", session_id, "messages", uuid, "around")
        answer = yield from self._requests.get(where, window=window)
        return answer.read_list(Message, answer.data)

    def window(self, session_id: str, query: WindowQuery) -> Operation[list[Excerpt]]:
        """Return the last messages, or those next to one, cut where they are large."""
        where = path("sessions", session_id, "window")
        answer = yield from self._requests.get(where, **query.parameters())
        return answer.read_list(Excerpt, answer.data)

    def get(self, session_id: str, uuid: str) -> Operation[Message]:
        """Return one message."""
        answer = yield from self._requests.get(path("sessions", session_id, "messages", uuid))
        return answer.read(Message, answer.data)

    def update(
        self,
        session_id: str,
        uuid: str,
        *,
        metadata: dict[str, Any] | None = None,
        content: str | None = None,
    ) -> Operation[Message]:
        """Merge metadata into a live message's and replace its words."""
        body: dict[str, Any] = {}
        if metadata is not None:
            body["metadata"] = marked_metadata(metadata, "metadata")
        if content is not None:
            body["content"] = content
        where = path("sessions", session_id, "messages", uuid)
        answer = yield from self._requests.send("PATCH", where, body=body, repeatable=True)
        return answer.read(Message, answer.data)

    def count(self, session_id: str) -> Operation[int]:
        """Return how many messages a session has."""
        answer = yield from self._requests.get(path("sessions", session_id, "messages"), limit=1)
        return answer.count("total_count")


def _fitted(parts: MessageParts) -> MessageParts:
    # By itself, so that a repeated call cuts it at the same character.
    return fitted_parts(parts, lambda each: len(to_json(parts_fields(each))), _MAX_MESSAGE_BYTES)
