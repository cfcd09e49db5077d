"""Adding what may have been deleted: what an agent's state still holds stays in the trash."""

from typing import Any

import pytest
from langchain_core.messages import BaseMessage, HumanMessage

from langchain_zepstore.messages.parts import all_from_langchain
from tests.support.facade import Facade


def said(*contents: str) -> list[BaseMessage]:
    return [HumanMessage(text, id=text) for text in contents]


async def keep(zep: Facade, session_id: str, *contents: str, text: str = "") -> None:
    messages = [HumanMessage(text or content, id=content) for content in contents]

    def call(store: Any) -> Any:
        return store.messages.add(session_id, all_from_langchain(messages), keep_deleted=True)

    if zep.asynchronous:
        await zep.client.arun(call)
    else:
        zep.client.run(call)


async def contents(zep: Facade, session_id: str) -> list[str]:
    return [str(each.content) for each in await zep.chat_history(session_id).messages()]


@pytest.mark.promise("deleted messages stay deleted, though the agent's state holds them")
async def test_a_deleted_message_is_not_added_again(zep: Facade, session_id: str) -> None:
    await zep.chat_history(session_id).add(*said("a", "b"))
    await zep.message.delete_message(session_id, "a")
    await keep(zep, session_id, "a", "b", "c")
    assert await contents(zep, session_id) == ["b", "c"]
    await zep.message.undelete_message(session_id, "a")
    assert await contents(zep, session_id) == ["a", "b", "c"]


async def test_only_new_messages_are_added_to_a_cleared_session(
    zep: Facade, session_id: str
) -> None:
    await zep.chat_history(session_id).add(*said("a", "b"))
    await zep.memory.delete_memory(session_id)
    await keep(zep, session_id, "a", "b", "c")
    assert await contents(zep, session_id) == ["c"]
    await zep.memory.undelete_session(session_id)
    assert await contents(zep, session_id) == ["a", "b", "c"]


async def test_a_live_message_is_replaced_in_position(zep: Facade, session_id: str) -> None:
    await zep.chat_history(session_id).add(*said("a", "b"))
    await keep(zep, session_id, "a", text="A")
    assert await contents(zep, session_id) == ["A", "b"]
