"""Messages as they are shown: parts, tool calls with their answers, usage and metadata."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from markupsafe import Markup, escape

from langchain_zepstore.messages.marks import JSON
from langchain_zepstore.models import Excerpt
from langchain_zepstore.server.ui.blocks import Part, data_of, parts_of, text_of
from langchain_zepstore.server.ui.markdown import MAX_COST, cost, markdown, plain
from langchain_zepstore.server.ui.rendering import path_of

LIMIT = 12_000
"""Messages of more bytes are cut where a conversation is shown."""

MAX_CALLS = 20
_MAX_FOLDED = 2000  # characters of what is folded
_MAX_SIZE = 500_000  # characters of a page's HTML
_URLS = 9  # of a message: its buttons, links and anchor
_READABLE = json.JSONEncoder(ensure_ascii=False, indent=2, default=str)
_LANGUAGE = re.compile("[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,3}")
_ROLES = {"user": "human", "assistant": "ai", "function": "tool", "developer": "system"}


@dataclass
class Call:
    """A call of a tool.

    Attributes:
        name: The tool's name.
        id: Its id.
        arguments: The arguments, as JSON.
        error: Why it could not be read.
        answer: The message that answers it.
    """

    name: str
    id: str
    arguments: str
    error: str | None = None
    answer: "Shown | None" = None


@dataclass
class Shown:
    """A message as it is shown.

    Attributes:
        message: The message.
        role: ``human``, ``ai``, ``system``, ``tool``, or another role.
        parts: Each part with its HTML.
        calls: The calls of tools, the first of them.
        more_calls: How many calls are not here.
        is_failed: Whether it says that a tool failed.
        facts: Usage, metadata and the like, which are folded.
        is_cut: Whether something of it is not shown.
        url_length: The length of its URL.
    """

    message: Excerpt
    role: str
    parts: list[tuple[Part, Markup]]
    calls: list[Call] = field(default_factory=list)
    more_calls: bool = False
    is_failed: bool = False
    facts: list[tuple[str, str]] = field(default_factory=list)
    is_cut: bool = False
    url_length: int = 0

    @property
    def size(self) -> int:
        """Roughly the length of its HTML."""
        texts = [text for call in self.calls for text in (call.name, call.arguments, call.error)]
        texts += [text for _, text in self.facts]
        folded = 500 * len(self.calls) + sum(len(escape(text or "")) for text in texts)
        urls = (_URLS + 2 * len(self.parts)) * self.url_length
        return 2500 + folded + urls + sum(len(html) for _, html in self.parts)

    @property
    def language(self) -> str | None:
        """The language that its metadata says it is in."""
        metadata = self.message.metadata or {}
        value = metadata.get("language") or metadata.get("lang")
        return value if isinstance(value, str) and _LANGUAGE.fullmatch(value) else None

    @property
    def feedback(self) -> object:
        """How it was rated."""
        return (self.message.metadata or {}).get("feedback")

    @property
    def position(self) -> int:
        """Its position among its alternatives, from 0."""
        uuid = str(self.message.uuid)
        return (self.message.alternatives or [uuid]).index(uuid)


@dataclass(frozen=True, slots=True)
class Window:
    """As many messages as fit on a page.

    Attributes:
        messages: The messages; the answers of tools are with their calls.
        first: The id of the first one.
        last: The id of the last one, which may be an answer.
        is_cut_before: Whether there were others before them.
        is_cut_after: Whether there were others after them.
    """

    messages: list[Shown]
    first: str | None
    last: str | None
    is_cut_before: bool
    is_cut_after: bool


def shown(
    excerpts: Sequence[Excerpt], session_id: str, limit: int = LIMIT, start: int | None = None
) -> Window:
    """Return messages as they are shown, as many as fit on a page.

    Args:
        excerpts: The messages.
        session_id: The id of their session.
        limit: The length at which they are cut.
        start: The index of the one that is needed, and then those behind it; by default the last.
    """
    count = len(excerpts)
    start = count if start is None else start
    found: dict[int, Shown] = {}
    size = spent = 0
    for index in (*range(start, count), *range(start - 1, -1, -1)):
        spent += sum(min(cost(part.text), MAX_COST) for part in parts_of(excerpts[index]))
        if found and spent > MAX_COST:
            break
        each = _shown(excerpts[index], session_id, limit)
        size += each.size
        if found and size > _MAX_SIZE:
            break
        found[index] = each
    if not found:
        return Window([], None, None, is_cut_before=False, is_cut_after=False)
    first, last = min(found), max(found)
    return Window(
        _folded(found[index] for index in range(first, last + 1)),
        excerpts[first].uuid,
        excerpts[last].uuid,
        is_cut_before=first > 0,
        is_cut_after=last < count - 1,
    )


def _folded(messages: Iterable[Shown]) -> list[Shown]:
    calls: dict[str, Call] = {}
    left = []
    for each in messages:
        call = calls.get(text_of(data_of(each.message).get("tool_call_id")))
        if each.role == "tool" and call is not None and call.answer is None:
            call.answer = each
            continue
        calls |= {call.id: call for call in each.calls if call.id}
        left.append(each)
    return left


def _shown(excerpt: Excerpt, session_id: str, limit: int) -> Shown:
    data = data_of(excerpt)
    type_ = str((excerpt.langchain or {}).get("type") or excerpt.role).removesuffix("MessageChunk")
    role = _ROLES.get(type_.lower(), type_.lower())
    each = Shown(excerpt, role if role != "chat" else excerpt.role, [])
    each.url_length = len(path_of("sessions", session_id, "messages", str(excerpt.uuid)))
    for part in parts_of(excerpt):
        each.parts.append((part, _html(part, is_tool=role == "tool")))
        each.is_cut |= excerpt.is_cut and len(part.text) in {limit, limit // 4}
    calls = [call for name in ("tool_calls", "invalid_tool_calls") for call in _list(data, name)]
    each.calls = [_call(call) for call in calls[:MAX_CALLS] if isinstance(call, dict)]
    each.more_calls = len(calls) > MAX_CALLS
    each.is_failed = data.get("status") == "error"
    for name in ("usage_metadata", "response_metadata"):
        if value := data.get(name):
            each.facts.append((name.removesuffix("_metadata").capitalize(), as_json(value)))
    if excerpt.metadata:
        each.facts.append(("Metadata", as_json(excerpt.metadata)))
    if data.get("artifact") is not None:
        each.facts.append(("Artifact", as_json(data["artifact"])))
    return each


def _html(part: Part, *, is_tool: bool) -> Markup:
    if part.type == "text":
        return plain(part.text) if is_tool else markdown(part.text)
    return plain(part.text) if part.type == "reasoning" else Markup("")


def _list(data: dict[str, Any], name: str) -> list[Any]:
    value = data.get(name)
    return value if isinstance(value, list) else []


def _call(call: dict[str, Any]) -> Call:
    return Call(
        name=text_of(call.get("name"))[:200] or "tool",
        id=text_of(call.get("id")),
        arguments=as_json(call.get("args")),
        error=text_of(call.get("error"))[:_MAX_FOLDED] or None,
    )


def as_json(value: Any, limit: int = _MAX_FOLDED) -> str:
    """Return a value as readable JSON, cut where it is long."""
    if isinstance(value, str):
        text = value
    else:
        try:
            text = _beginning(_READABLE.iterencode(value), limit)
        except ValueError:  # of an int that Python does not print
            text = _beginning(_READABLE.iterencode(JSON.mark(value)), limit)
    return text if len(text) <= limit else f"{text[:limit]}…"


def _beginning(pieces: Iterable[str], limit: int) -> str:
    """Return pieces as one text, no more of them than are shown."""
    text = ""
    for piece in pieces:
        text += piece
        if len(text) > limit:
            break
    return text


def host_of(url: str) -> str:
    """Return the host of a URL, to tell where a link leads."""
    try:
        return urlsplit(url).hostname or url[:100]
    except ValueError:
        return url[:100]
