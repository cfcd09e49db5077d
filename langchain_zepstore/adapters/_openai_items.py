"""Items of the OpenAI Agents SDK as messages; needs nothing of the SDK."""

from typing import Any

from langchain_zepstore.adapters._items import answering, calling, packed
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.messages.nearest import Nearest
from langchain_zepstore.models import Message

KEY = "openai_agents"
"""The name under which a message's metadata holds its item."""

_ROLES = {
    "assistant": "assistant",
    "developer": "system",
    "system": "system",
    "user": "user",
}


def message_of(item: Any, nearest: Nearest) -> Message:
    """Return the message that holds an item.

    Args:
        item: The item, of any type.
        nearest: Replaces what the store cannot hold, and remembers that.

    Raises:
        BadRequestError: It is no dict.
    """
    if not isinstance(item, dict):
        raise BadRequestError(f"an item must be a dict, not {type(item).__name__}")
    type_, call_id = item.get("type"), item.get("call_id")
    is_output = isinstance(type_, str) and type_.endswith("_output")
    langchain = None
    if isinstance(call_id, str):
        name = str(item.get("name", type_))
        langchain = answering(call_id) if is_output else calling([(call_id, name, _input(item))])
    role = "tool" if is_output else _ROLES.get(str(item.get("role")), "assistant")
    return packed(KEY, item, role, _texts(item, is_output), nearest=nearest, langchain=langchain)


def _texts(item: dict[str, Any], is_output: bool) -> list[tuple[str | int, ...]]:
    # A summary of reasoning is not what was said: a search would take it for that.
    if item.get("type") == "reasoning":
        return []
    field = "output" if is_output else "content"
    parts = item.get(field)
    indexes = range(len(parts)) if isinstance(parts, list) else ()
    names = ("text", "refusal", "stdout")
    return [(field,), *((field, index, name) for index in indexes for name in names)]


def _input(item: dict[str, Any]) -> Any:
    """Return what a call passes to its tool: of a function, a JSON text."""
    if "arguments" in item:
        return item["arguments"]
    return {name: item[name] for name in ("input", "action", "operation", "code") if name in item}
