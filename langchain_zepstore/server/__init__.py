"""The HTTP service: Zep's REST interface and our additions, on any ``ZepClient``."""

try:
    import fastapi  # noqa: F401 - of the extra
    import prometheus_client  # noqa: F401 - of the extra
except ImportError as missing:
    raise ImportError(
        'the server needs an extra: pip install "langchain-zepstore[server]"'
    ) from missing

from langchain_zepstore.server.api_keys import ApiKey
from langchain_zepstore.server.app import create_app

__all__ = ["ApiKey", "create_app"]
