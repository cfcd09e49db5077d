"""Ids that a session has already: repeats of a message, and other messages with its id."""

import json
import logging
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from langchain_zepstore.messages.marks import JSON

_COMPARED = ("tool_calls", "invalid_tool_calls", "tool_call_id", "status", "name")
_logger = logging.getLogger(__name__)


def words_of(role: str, content: Any, data: Mapping[str, Any]) -> str:
    """Return a message's words as one text; equal words give equal texts.

    Args:
        role: The message's role.
        content: Its content as LangChain has it.
        data: The other fields of LangChain's message.
    """
    said = {name: data[name] for name in _COMPARED if data.get(name)}
    words = [role, content, said]
    try:
        return json.dumps(words, default=str, sort_keys=True)
    except ValueError:  # an int of thousands of digits
        return json.dumps(JSON.mark(words), sort_keys=True)


def renamed(uuid: str, words: str, previous: str | None) -> str:
    """Return the id of a new message that came with a known one.

    It is made of what is given, so that a repeated call makes the same.

    Args:
        uuid: The known id.
        words: What the message says.
        previous: The id of the message before it, if the words alone do not tell it from others.
    """
    text = json.dumps([uuid, words, previous])
    return blake2b(text.encode(), digest_size=16).hexdigest()


def log_renamed(session_id: str, new_ids: Mapping[str, str]) -> None:
    """Log which messages got another id than they came with."""
    for uuid, new_id in new_ids.items():
        _logger.warning(
            "session %r has another message %r: the new one is stored as %r",
            session_id, uuid, new_id,
        )  # fmt: skip
