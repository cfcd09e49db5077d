"""``MessageParts``: a message on its way into a store."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(slots=True)
class MessageParts:
    """A message on its way into a store: checked, with an id, in neither JSON's nor BSON's terms.

    Attributes:
        role: The role.
        content: The content as LangChain has it: text or blocks.
        uuid: The id.
        token_count: Number of tokens.
        type: LangChain's ``type``; ``None`` if the role alone says it.
        data: LangChain's other fields, those with default values left out.
        metadata: The application's data.
        created_at: When it was said; the store's time if not given.
        needs: What content and data need in a format: see ``messages.storable``; 0 for nothing.
        path: Where the caller passed it, for errors.
        may_be_cut: Whether a store may shorten it to what it can hold, rather than refuse it.
    """

    role: str
    content: str | list[Any]
    uuid: str
    token_count: int
    type: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] | None = None
    created_at: datetime | None = None
    needs: int = 0
    path: str = "message"
    may_be_cut: bool = False
