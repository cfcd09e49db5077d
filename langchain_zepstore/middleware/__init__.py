"""Chat history for the agents of LangChain 1: ``ChatHistoryMiddleware`` for ``create_agent``."""

try:
    import langchain.agents.middleware  # noqa: F401 - of the extra
except ImportError as missing:
    raise ImportError(
        'the middleware needs an extra: pip install "langchain-zepstore[agents]"'
    ) from missing

from langchain_zepstore.middleware.chat_history import ChatHistoryMiddleware
from langchain_zepstore.middleware.recall import search_past_conversations

__all__ = ["ChatHistoryMiddleware", "search_past_conversations"]
