"""A Zep server that is running. Only routes of Zep 0.27 are used, and nothing is changed."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import chain

from langchain_zepstore.errors import NotFoundError
from langchain_zepstore.migration.conversation import Conversation, Item
from langchain_zepstore.models import Message
from langchain_zepstore.store_client import StoreClient

_PAGE_SIZE = 200
_TIMEOUT_SECONDS = 60


class ZepServer:
    """The users and sessions of a Zep server, without its soft-deleted ones.

    Args:
        url: The server's URL.
        api_key: Its key, if it wants one.
    """

    source = "zep"

    def __init__(self, url: str, *, api_key: str | None = None) -> None:
        self._url = url
        self._api_key = api_key

    def __iter__(self) -> Iterator[Item]:
        with StoreClient(self._url, api_key=self._api_key, timeout=_TIMEOUT_SECONDS) as client:
            yield from chain.from_iterable(client.user.list_chunked(_PAGE_SIZE))
            for session in chain.from_iterable(client.memory.list_all_sessions(_PAGE_SIZE)):
                session.title = None  # which Zep has not: it stays in the metadata
                yield Conversation(session, _messages(client, session.session_id))


def _messages(client: StoreClient, session_id: str) -> Iterator[Message]:
    number = 1
    with suppress(NotFoundError):  # it was deleted since it was listed
        while page := client.message.get_session_messages(session_id, _PAGE_SIZE, number):
            yield from page
            number += 1
