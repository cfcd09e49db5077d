"""One way to call any backend, so that a test is written once."""

from collections.abc import AsyncIterator
from typing import Any

from langchain_core.messages import BaseMessage

from langchain_zepstore import ZepChatMessageHistory, ZepClient


class Facade:
    """A client whose methods are all awaited, whichever of its twins they call.

    Attributes:
        client: The client itself.
        asynchronous: Whether the twins with an ``a`` are called.
    """

    def __init__(self, client: ZepClient, *, asynchronous: bool) -> None:
        self.client = client
        self.asynchronous = asynchronous

    def __getattr__(self, name: str) -> "Caller":
        return Caller(getattr(self.client, name), asynchronous=self.asynchronous)

    async def purge(self, *args: Any, **options: Any) -> Any:
        return await Caller(self.client, asynchronous=self.asynchronous).purge(*args, **options)

    async def stats(self) -> Any:
        return await Caller(self.client, asynchronous=self.asynchronous).stats()

    async def activity(self, **options: Any) -> Any:
        return await Caller(self.client, asynchronous=self.asynchronous).activity(**options)

    async def diagnose(self) -> Any:
        return await Caller(self.client, asynchronous=self.asynchronous).diagnose()

    def chat_history(self, session_id: str, **options: Any) -> "HistoryFacade":
        return HistoryFacade(
            self.client.chat_history(session_id, **options), asynchronous=self.asynchronous
        )


class Caller:
    """A manager whose methods are awaited."""

    def __init__(self, target: Any, *, asynchronous: bool) -> None:
        self._target = target
        self._asynchronous = asynchronous

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, f"a{name}" if self._asynchronous else name)

        async def call(*args: Any, **options: Any) -> Any:
            result = method(*args, **options)
            return await result if self._asynchronous else result

        return call

    async def each(self, name: str, *args: Any, **options: Any) -> AsyncIterator[Any]:
        """Iterate over what a generator method yields."""
        if self._asynchronous:
            async for item in getattr(self._target, f"a{name}")(*args, **options):
                yield item
        else:
            for item in getattr(self._target, name)(*args, **options):
                yield item


class HistoryFacade:
    """A chat history whose methods are awaited."""

    def __init__(self, history: ZepChatMessageHistory, *, asynchronous: bool) -> None:
        self.history = history
        self._asynchronous = asynchronous

    async def messages(self) -> list[BaseMessage]:
        return await self.history.aget_messages() if self._asynchronous else self.history.messages

    async def add(self, *messages: BaseMessage) -> None:
        if self._asynchronous:
            await self.history.aadd_messages(messages)
        else:
            self.history.add_messages(messages)

    async def edit(self, message_id: str, *messages: BaseMessage) -> None:
        if self._asynchronous:
            await self.history.aedit(message_id, messages)
        else:
            self.history.edit(message_id, messages)

    async def clear(self) -> None:
        if self._asynchronous:
            await self.history.aclear()
        else:
            self.history.clear()
