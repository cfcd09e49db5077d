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
from langchain_zepstore.models import Memory, Message, Session, Summary

__all__ = [
    "APIError",
    "AlreadyExistsError",
    "AuthError",
    "BadRequestError",
    "Memory",
    "Message",
    "NotFoundError",
    "Session",
    "StoreUnavailableError",
    "Summary",
    "ZepChatMessageHistory",
    "ZepClient",
    "ZepStoreError",
]
