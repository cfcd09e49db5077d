"""Chat history for LangChain and agents: Zep's sessions on MongoDB."""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # typing takes long, and the command must heed Ctrl-C from its start
if TYPE_CHECKING:
    from typing import Any

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

_MODULES = {"ZepChatMessageHistory": "history", "ZepClient": "client", "ZepRetriever": "retriever"}


def __getattr__(name: str) -> Any:
    # Imported when first used: LangChain takes a second, and the command's --help needs none of it.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    default = "errors" if name.endswith("Error") else "models"
    value = getattr(import_module(f"{__name__}.{_MODULES.get(name, default)}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
