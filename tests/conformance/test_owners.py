"""``user_id`` of histories and adapters: another user's session is refused, nobody's is let in."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage

from langchain_zepstore import BadRequestError, ZepChatMessageHistory
from langchain_zepstore.adapters._items import RawSession, packed
from langchain_zepstore.messages.nearest import Nearest
from tests.support.facade import Facade

PROMISE = pytest.mark.promise("a session of another user is refused, on reading and on writing")
NEAREST = Nearest()
SAID = [HumanMessage("a ferry", id="1"), AIMessage("noted", id="2")]


async def on_history(zep: Facade, session_id: str, user_id: str, name: str, *given: Any) -> Any:
    """Call a method of a user's history, or read a property."""
    history = zep.client.chat_history(session_id, user_id=user_id)
    if name == "messages" and zep.asynchronous:
        return await history.aget_messages()
    if isinstance(getattr(type(history), name), property):
        return getattr(history, name)
    if zep.asynchronous:
        return await getattr(history, f"a{name}")(*given)
    return getattr(history, name)(*given)


async def on_items(zep: Facade, session_id: str, user_id: str, name: str, *given: Any) -> Any:
    """Run an operation of a user's adapter."""
    call = getattr(RawSession(session_id, client=zep.client, user_id=user_id), name)(*given)
    return await zep.client.arun(call) if zep.asynchronous else zep.client.run(call)


CALLS: dict[str, tuple[Callable[..., Awaitable[Any]], Any]] = {
    "messages": (on_history, ["messages"]),
    "zep_messages": (on_history, ["zep_messages"]),
    "zep_summary": (on_history, ["zep_summary"]),
    "search": (on_history, ["search", "ferry"]),
    "add_messages": (on_history, ["add_messages", [HumanMessage("mine")]]),
    "clear": (on_history, ["clear"]),
    "reading": (on_items, ["reading"]),
    "reading a window": (on_items, ["reading", 5]),
    "adding": (on_items, ["adding", [packed("f", {}, "user", nearest=NEAREST)], NEAREST]),
    "popping": (on_items, ["popping"]),
    "clearing": (on_items, ["clearing"]),
}

SYNCHRONOUS = pytest.mark.needs("synchronous")
PROPERTIES = ["zep_messages", "zep_summary"]
METHODS = [name for name in CALLS if name not in PROPERTIES]

calls_by_form = pytest.mark.parametrize(
    "names",
    [
        pytest.param(METHODS, id="methods"),
        pytest.param(PROPERTIES, id="properties", marks=SYNCHRONOUS),
    ],
)


@PROMISE
@pytest.mark.parametrize("state", ["live", "empty", "cleared"])
@calls_by_form
async def test_another_users_session_is_neither_read_nor_changed(
    zep: Facade, session_id: str, user_id: str, names: list[str], state: str
) -> None:
    ada = zep.chat_history(session_id, user_id=user_id)
    await ada.add(*SAID)
    if state == "empty":
        for message in SAID:
            await zep.message.delete_message(session_id, message.id)
    elif state == "cleared":
        await ada.clear()
    for name in names:
        call, (method, *given) = CALLS[name]
        with pytest.raises(BadRequestError, match="another user"):
            await call(zep, session_id, f"not {user_id}", method, *given)
        assert await ada.messages() == (SAID if state == "live" else []), name
    memory = await zep.memory.get_memory(session_id, include_deleted=True)
    assert [each.uuid for each in memory.messages] == ["1", "2"]
    sessions = await zep.memory.list_sessions(user_id=user_id)
    assert [each.session_id for each in sessions] == [session_id] * (state != "cleared")


@PROMISE
@calls_by_form
async def test_own_sessions_and_sessions_without_a_user_are_accessible(
    zep: Facade, session_id: str, user_id: str, names: list[str]
) -> None:
    for owner in (user_id, None):
        session = f"{session_id} of {owner}"
        await zep.chat_history(session, user_id=owner).add(*SAID)
        for name in names:
            call, (method, *given) = CALLS[name]
            await call(zep, session, user_id, method, *given)
            if "clear" in name:
                await zep.memory.undelete_session(session)
            assert (await zep.memory.get_session(session)).user_id == owner, name


@SYNCHRONOUS
async def test_the_summary_of_another_users_session_is_not_found(
    zep: Facade, session_id: str, user_id: str
) -> None:
    await zep.chat_history(session_id, user_id=user_id).add(*SAID)
    llm = FakeListChatModel(responses=["about a ferry"])
    await zep.memory.summarize(session_id, llm)
    found = await on_history(zep, session_id, user_id, "search", "ferry", None, "summary")
    assert len(found) == 1
    assert await on_history(zep, session_id, user_id, "zep_summary") == "about a ferry"
    with pytest.raises(BadRequestError, match="another user"):
        await on_history(zep, session_id, "Bob", "search", "ferry", None, "summary")


def test_a_history_requires_string_ids() -> None:
    with pytest.raises(BadRequestError, match="session_id"):
        ZepChatMessageHistory(7, "mongodb://localhost")  # type: ignore[arg-type]
