"""Comparison of a source with the sessions that were migrated from it."""

import json
from collections.abc import Iterator
from datetime import datetime
from hashlib import blake2b
from typing import Any

from langchain_zepstore.core.records import Record
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.messages.marks import JSON
from langchain_zepstore.migration.conversation import Conversation, Unreadable, chunks
from langchain_zepstore.store_client import StoreClient

_COMPARED = ("role", "content", "metadata", "langchain")


def differences(client: StoreClient, conversation: Conversation, source: str) -> Iterator[str]:
    """Yield what of a conversation is not in the store, or not as it is in the source.

    What was added to the session in the store is no difference. Memory holds at most a digest of
    each message.
    """
    session_id = conversation.session.session_id
    try:
        stored = _Stored(client, session_id, all_branches=conversation.has_branches)
    except BadRequestError as error:
        yield f"session {session_id!r} cannot be there: {error}"
        return
    for chunk in chunks(conversation, source):
        for record in chunk[1:]:
            if not isinstance(record, Unreadable) and (fault := stored.fault(record)):
                yield f"session {session_id!r}: message {record['uuid']!r} {fault}"


class _Stored:
    """The messages of a session in the store, read as far as the comparison has come."""

    def __init__(self, client: StoreClient, session_id: str, *, all_branches: bool) -> None:
        which: dict[str, Any] = {"all_branches" if all_branches else "include_deleted": True}
        self._messages = client.message.iter_messages(session_id, **which)
        self._passed: dict[str, tuple[int, bytes, datetime | None]] = {}
        self._read = self._last = 0

    def fault(self, record: Record) -> str | None:
        """Return what is wrong with the stored form of a record, ``None`` if nothing is."""
        while record["uuid"] not in self._passed:
            message = next(self._messages, None)
            if message is None:
                return "is missing"
            self._read += 1
            assert message.uuid
            entry = (self._read, _digest(dict(message)), message.created_at)
            self._passed[message.uuid] = entry
        position, digest, created_at = self._passed.pop(record["uuid"])
        if digest != _digest(record):
            return "differs"
        if record.get("created_at", created_at) != created_at:
            return "has another time"
        if position < self._last:
            return "has another position"
        self._last = position
        return None


def _digest(fields: dict[str, Any]) -> bytes:
    text = json.dumps(JSON.mark([fields.get(name) for name in _COMPARED]), sort_keys=True)
    return blake2b(text.encode(), digest_size=16).digest()
