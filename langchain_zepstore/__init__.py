"""Chat history for LangChain and agents: Zep's sessions on MongoDB."""

from typing import TYPE_CHECKING, Any

from langchain_zepstore.client import ZepClient
from langchain_zepstore.errors import (
    AlreadyExistsError,
    APIError,
    AuthError,
    BadRequestError,
    NotFoundError,
    StoreUnavailableError,
    ZepStoreError,
)
from langchain_zepstore.history import ZepChatMessageHistory
from langchain_zepstore.models import (
    Branch,
    CreateUserRequest,
    Finding,
    Memory,
    MemorySearchPayload,
    MemorySearchResult,
    Message,
    Session,
    SessionPage,
    Stats,
    Summary,
    UpdateUserRequest,
    User,
)

if TYPE_CHECKING:
    from langchain_zepstore.retriever import ZepRetriever

__all__ = [
    "APIError",
    "AlreadyExistsError",
    "AuthError",
    "BadRequestError",
    "Branch",
    "CreateUserRequest",
    "Finding",
    "Memory",
    "MemorySearchPayload",
    "MemorySearchResult",
    "Message",
    "NotFoundError",
    "Session",
    "SessionPage",
    "Stats",
    "StoreUnavailableError",
    "Summary",
    "UpdateUserRequest",
    "User",
    "ZepChatMessageHistory",
    "ZepClient",
    "ZepRetriever",
    "ZepStoreError",
]


def __getattr__(name: str) -> Any:
    # LangChain's retrievers take as long to import as everything else here.
    if name == "ZepRetriever":
        from langchain_zepstore.retriever import ZepRetriever  # noqa: PLC0415

        return ZepRetriever
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
