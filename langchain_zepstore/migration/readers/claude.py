"""Claude's export: ``conversations.json``, or the zip that it comes in."""

from datetime import datetime
from typing import Any

from langchain_zepstore.migration.conversation import Conversation, Unreadable
from langchain_zepstore.migration.readers.export_file import ExportFile
from langchain_zepstore.models import Message, Session

_ROOT = "00000000-0000-4000-8000-000000000000"
_BLOCKS = frozenset({"tool_use", "tool_result", "thinking"})


class ClaudeExport(ExportFile):
    """The conversations of an export, with their branches where the export has them.

    A message that used tools keeps its blocks as LangChain's content; attachments and files have
    their names in its metadata.
    """

    source = "claude"

    def conversation(self, data: dict[str, Any]) -> Conversation:
        """Return a conversation of the export."""
        return _conversation(data)


def _conversation(data: dict[str, Any]) -> Conversation:
    session = Session(
        session_id=data["uuid"],
        title=data.get("name") or None,
        created_at=_moment(data.get("created_at")),
        updated_at=_moment(data.get("updated_at")),
        active_at=_moment(data.get("updated_at")),
    )
    messages: list[Message | Unreadable] = []
    before: str | None = None
    for given in data["chat_messages"]:
        parent = given.get("parent_message_uuid", before)
        messages.append(_message(given, None if parent == _ROOT else parent))
        before = given["uuid"]
    active = data.get("current_leaf_message_uuid") or before
    return Conversation(session, messages, has_branches=True, active=active, data=data)


def _message(given: dict[str, Any], parent: str | None) -> Message:
    blocks = [each for each in given.get("content") or () if isinstance(each, dict)]
    texts = [each["text"] for each in blocks if each.get("type") == "text" and each.get("text")]
    metadata: dict[str, Any] = {}
    for name in ("attachments", "files"):
        if names := [
            each.get("file_name") or each.get("file_uuid") for each in given.get(name) or ()
        ]:
            metadata[name] = names
    langchain = None
    if any(block.get("type") in _BLOCKS for block in blocks):
        calls = [_call(block) for block in blocks if block["type"] == "tool_use"]
        data = {"content": blocks, **({"tool_calls": calls} if calls else {})}
        langchain = {"type": "human" if given["sender"] == "human" else "ai", "data": data}
    return Message(
        role="user" if given["sender"] == "human" else "assistant",
        content="".join(texts) if langchain else "\n".join(texts) or given.get("text") or "",
        uuid=given["uuid"],
        created_at=_moment(given.get("created_at")),
        metadata=metadata or None,
        langchain=langchain,
        parent_uuid=parent,
    )


def _call(block: dict[str, Any]) -> dict[str, Any]:
    args = block.get("input")
    return {
        "name": block.get("name"),
        "args": args if isinstance(args, dict) else {},
        "id": block.get("id"),
        "type": "tool_call",
    }


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
