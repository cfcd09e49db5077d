"""Chat history for LangChain and agents: Zep's sessions on MongoDB."""

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
    CreateUserRequest,
    Memory,
    MemorySearchPayload,
    MemorySearchResult,
    Message,
    Session,
    SessionPage,
    Summary,
    UpdateUserRequest,
    User,
)

__all__ = [
    "APIError",
    "AlreadyExistsError",
    "AuthError",
    "BadRequestError",
    "CreateUserRequest",
    "Memory",
    "MemorySearchPayload",
    "MemorySearchResult",
    "Message",
    "NotFoundError",
    "Session",
    "SessionPage",
    "StoreUnavailableError",
    "Summary",
    "UpdateUserRequest",
    "User",
    "ZepChatMessageHistory",
    "ZepClient",
    "ZepStoreError",
]
