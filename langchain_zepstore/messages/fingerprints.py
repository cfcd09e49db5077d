"""Fingerprints of messages' words. Pure functions."""

import json
from collections.abc import Collection
from hashlib import blake2b
from typing import Any

from langchain_core.messages import BaseMessage

from langchain_zepstore.messages.nearest import Nearest

# What middleware changes in messages. The other fields may come back from a checkpoint in another
# form, a list for a tuple, and that is no change.
_COMPARED = ("content", "tool_calls", "invalid_tool_calls", "status", "tool_call_id", "name")
_GIVEN_LENGTH = 6


def fingerprint(message: BaseMessage) -> str:
    """Return a short text that changes with a message's words."""
    fields: dict[str, Any] = {name: getattr(message, name, None) for name in _COMPARED}
    try:
        text = json.dumps([message.type, fields], default=str, skipkeys=True)
    except Exception:  # noqa: BLE001 - the classes of its values may do anything
        text = json.dumps(Nearest().of([message.type, fields]), default=str)
    return blake2b(text.encode(), digest_size=8).hexdigest()


def given_fingerprint(of_words: str) -> str:
    """Return the part of a fingerprint that is kept of changed words.

    It tells an edit from a repetition, and is too short to find out what was redacted.
    """
    return of_words[:_GIVEN_LENGTH]


def repeats(words: Collection[str], stored: str, given: str | None) -> bool:
    """Return whether fingerprints of a message have that of a stored one, or were given for it."""
    return stored in words or (given is not None and given in map(given_fingerprint, words))
