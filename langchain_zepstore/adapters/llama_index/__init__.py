"""LlamaIndex's chat stores on sessions: one for memory buffers, one for its ``Memory``.

A ``ChatMessage`` is kept in its message's metadata, under ``llama_index``, in the JSON form that
LlamaIndex gives it, and comes back equal. Its texts are the message's content, its tool calls and
the call it answers those of LangChain's message; so the session is listed, searched and read like
any other. What others have written is converted: text, tool calls, tool results.
"""

try:
    from llama_index.core.storage.chat_store import base_db  # noqa: F401 - of the extra
except ImportError as missing:
    raise ImportError(
        'LlamaIndex\'s chat stores need an extra: pip install "langchain-zepstore[llama-index]"'
    ) from missing

from langchain_zepstore.adapters.llama_index.stores import ZepAsyncChatStore, ZepChatStore

__all__ = ["ZepAsyncChatStore", "ZepChatStore"]
