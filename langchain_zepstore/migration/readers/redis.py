"""langchain-community's histories on Redis: a list for each session."""

from collections.abc import Iterator
from typing import Any

from langchain_zepstore.migration.conversation import Conversation, Item, from_json
from langchain_zepstore.migration.readers.source import Source, needed
from langchain_zepstore.models import Session

_PAGE_SIZE = 500


class CommunityRedis(Source):
    """The histories of langchain-community's ``RedisChatMessageHistory``.

    Args:
        url: The URL.
        collection: What the keys of the lists begin with.
    """

    source = "community-redis"

    def __init__(self, url: str, *, collection: str = "message_store:") -> None:
        self._url = url
        self._prefix = collection

    def items(self) -> Iterator[Item]:
        """Yield the conversations in the order of their ids."""
        redis = needed("redis", "redis")
        escaped = "".join(f"\\{each}" if each in "*?[]\\^" else each for each in self._prefix)
        with redis.Redis.from_url(self._url) as client:
            # SCAN may return a key again.
            for key in sorted(set(client.scan_iter(f"{escaped}*", count=1000, _type="LIST"))):
                session_id = key.decode().removeprefix(self._prefix)
                if session_id:
                    messages = _messages(client, key, session_id)
                    yield Conversation(Session(session_id=session_id), messages)


def _messages(client: Any, key: bytes, session_id: str) -> Iterator[Any]:
    """Yield messages from the end of a list: new ones are put at its beginning."""
    position = 0
    while page := client.lrange(key, -position - _PAGE_SIZE, -position - 1):
        for message in reversed(page):
            position += 1
            yield from_json(message, f"{session_id}-{position}")
