"""ChatGPT's export: ``conversations.json``, or the zip that it comes in."""

from datetime import UTC, datetime
from typing import Any

from langchain_zepstore.migration.conversation import Conversation, Unreadable
from langchain_zepstore.migration.readers.export_file import ExportFile
from langchain_zepstore.models import Message, Session


class ChatGPTExport(ExportFile):
    """The conversations of an export, with their branches.

    What the person did not see has ``hidden`` in its metadata. A message to or from a tool has the
    tool's name in its metadata, attachments have their names there.
    """

    source = "chatgpt"

    def conversation(self, data: dict[str, Any]) -> Conversation:
        """Return a conversation of the export."""
        return _conversation(data)


def _conversation(data: dict[str, Any]) -> Conversation:
    nodes: dict[str, dict[str, Any]] = data["mapping"]
    said = {key: node["message"] for key, node in nodes.items() if _has_words(node.get("message"))}
    session = Session(
        session_id=data.get("conversation_id") or data["id"],
        title=data.get("title") or None,
        archived=bool(data.get("is_archived")),
        created_at=_moment(data.get("create_time")),
        updated_at=_moment(data.get("update_time")),
        active_at=_moment(data.get("update_time")),
    )
    messages: list[Message | Unreadable] = []
    for key, message in said.items():
        parent = _nearest(nodes[key].get("parent"), nodes, said)
        messages.append(_message(key, message, parent))
    active = _nearest(data.get("current_node"), nodes, said)
    return Conversation(session, messages, has_branches=True, active=active, data=data)


def _nearest(key: str | None, nodes: dict[str, Any], said: dict[str, Any]) -> str | None:
    """Return the nearest node, from one up to the root, that says something."""
    for _ in range(len(nodes)):
        if key is None or key in said:
            return key
        key = nodes[key].get("parent")
    return None


def _has_words(message: dict[str, Any] | None) -> bool:
    return message is not None and (bool(_text(message)) or bool(_attachments(message)))


def _message(key: str, message: dict[str, Any], parent: str | None) -> Message:
    given: dict[str, Any] = message.get("metadata") or {}
    author = message["author"]
    metadata: dict[str, Any] = {
        name: given[name] for name in ("model_slug", "finish_details") if given.get(name)
    }
    content_type = (message.get("content") or {}).get("content_type", "text")
    if content_type not in {"text", "multimodal_text"}:
        metadata["content_type"] = content_type
    if author["role"] == "system" or given.get("is_visually_hidden_from_conversation"):
        metadata["hidden"] = True
    if author.get("name"):
        metadata["name"] = author["name"]
    if (recipient := message.get("recipient") or "all") != "all":
        metadata["recipient"] = recipient
    if attachments := _attachments(message):
        metadata["attachments"] = attachments
    return Message(
        role=author["role"],
        content=_text(message),
        uuid=key,
        created_at=_moment(message.get("create_time")),
        metadata=metadata or None,
        langchain=_tool(key, author) if author["role"] == "tool" else None,
        parent_uuid=parent,
    )


def _tool(key: str, author: dict[str, Any]) -> dict[str, Any]:
    data = {"tool_call_id": key}
    if author.get("name"):
        data["name"] = author["name"]
    return {"type": "tool", "data": data}


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or {}
    parts = content.get("parts")
    if parts is None:
        parts = [content.get(name) for name in ("text", "result", "content", "user_profile")]
        parts += [each.get("content") for each in content.get("thoughts") or ()]
    texts = (part if isinstance(part, str) else _text_of(part) for part in parts)
    return "\n".join(text for text in texts if text)


def _text_of(part: Any) -> str:
    text = part.get("text") if isinstance(part, dict) else None  # a transcript of speech
    return text if isinstance(text, str) else ""


def _attachments(message: dict[str, Any]) -> list[str]:
    """Return the names of attachments, and the pointers of pictures that have none."""
    given = (message.get("metadata") or {}).get("attachments") or ()
    names = [str(each.get("name") or each.get("id")) for each in given]
    known = {str(each.get("id")) for each in given}
    for part in (message.get("content") or {}).get("parts") or ():
        if isinstance(part, dict) and isinstance(pointer := part.get("asset_pointer"), str):
            name = pointer.rpartition("/")[2]
            if name not in known:
                names.append(name)
    return names


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
