"""Exports as ChatGPT and Claude write them."""

from typing import Any

START = 1_700_000_000.123456


def node(
    key: str, parent: str | None, text: str | None, role: str = "user", **message: Any
) -> dict[str, Any]:
    """A node of ChatGPT's ``mapping``; without a text it holds no message."""
    if text is not None:
        content = {"content_type": "text", "parts": [text]}
        author = {"role": role, "name": message.pop("name", None), "metadata": {}}
        message = {
            "id": key,
            "author": author,
            "content": content,
            "recipient": "all",
            "metadata": {},
            **message,
        }
    return {"id": key, "parent": parent, "children": [], "message": message or None}


def chatgpt_conversation(name: str = "boats", nodes: list[Any] | None = None) -> dict[str, Any]:
    """A conversation whose first answer was made anew; the second one was seen last but one."""
    nodes = nodes or [
        node("root", None, None),
        node("system", "root", "", "system"),
        node(
            "hidden",
            "system",
            "Be kind",
            "system",
            metadata={"is_visually_hidden_from_conversation": True},
        ),
        node("q1", "hidden", f"Tell me of red {name}", create_time=START),
        node("a1", "q1", "They sink", "assistant", create_time=START + 1),
        node("call", "q1", "search()", "assistant", recipient="browser", create_time=START + 2),
        node("tool", "call", "found them", "tool", name="browser", create_time=START + 3),
        node(
            "a2",
            "tool",
            "They float",
            "assistant",
            metadata={"model_slug": "gpt-4"},
            create_time=START + 4,
        ),
        node(
            "q2",
            "a1",
            None,
            id="q2",
            author={"role": "user"},
            create_time=START + 5,
            content={
                "content_type": "multimodal_text",
                "parts": [{"asset_pointer": "sediment://file_1"}, "And this one?"],
            },
            metadata={"attachments": [{"id": "file_2", "name": "boat.pdf"}]},
        ),
    ]
    return {
        "title": f"About {name}",
        "create_time": START,
        "update_time": START + 10,
        "mapping": {each["id"]: each for each in nodes},
        "current_node": "a2" if any(each["id"] == "a2" for each in nodes) else nodes[-1]["id"],
        "conversation_id": name,
        "is_archived": True,
    }


def claude_conversation(name: str = "trains") -> dict[str, Any]:
    """A conversation with a tool's use and an attachment, whose question was edited."""
    root = "00000000-0000-4000-8000-000000000000"

    def said(key: str, parent: str, sender: str, minute: int, **fields: Any) -> dict[str, Any]:
        content = fields.pop("content", [{"type": "text", "text": fields.get("text", "")}])
        moment = f"2025-01-02T03:{minute:02}:05.678901Z"
        return {
            "uuid": key,
            "parent_message_uuid": parent,
            "sender": sender,
            "created_at": moment,
            "content": content,
            "attachments": [],
            "files": [],
            **fields,
        }

    tool = [
        {"type": "text", "text": "I look"},
        {"type": "tool_use", "id": "t1", "name": "lookup", "input": {"q": "ICE"}},
        {"type": "tool_result", "tool_use_id": "t1", "content": []},
        {"type": "text", "text": " it up"},
    ]
    return {
        "uuid": name,
        "name": f"About {name}",
        "created_at": "2025-01-02T03:04:05.678901Z",
        "updated_at": "2025-01-03T03:04:05.678901Z",
        "account": {"uuid": "a"},
        "chat_messages": [
            said("m1", root, "human", 4, text=f"How fast are {name}?"),
            said("m2", "m1", "assistant", 5, text="Quite"),
            said(
                "m3",
                root,
                "human",
                6,
                text="How fast is this one?",
                attachments=[{"file_name": "train.txt", "extracted_content": "x"}],
                files=[{"file_name": "train.png"}],
            ),
            said("m4", "m3", "assistant", 7, content=tool),
        ],
    }
