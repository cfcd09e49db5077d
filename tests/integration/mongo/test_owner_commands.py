"""The check of a session's owner takes no command more."""

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from pymongo import MongoClient
from pymongo.monitoring import CommandListener

from langchain_zepstore import ZepClient
from langchain_zepstore.adapters._items import RawSession


class Counted(CommandListener):
    """Counts commands."""

    def __init__(self) -> None:
        self.count = 0

    def started(self, event) -> None:
        self.count += 1

    def succeeded(self, event) -> None: ...

    def failed(self, event) -> None: ...


def items(name: str, client: ZepClient, session_id: str, user_id: str | None) -> Any:
    return client.run(getattr(RawSession(session_id, client=client, user_id=user_id), name)())


CALLS: dict[str, Callable[[ZepClient, str, str | None], Any]] = {
    "messages": lambda c, s, u: c.chat_history(s, user_id=u).messages,
    "window": lambda c, s, u: c.chat_history(s, user_id=u, lastn=5, start_on="human").messages,
    "zep_messages": lambda c, s, u: c.chat_history(s, user_id=u).zep_messages,
    "zep_summary": lambda c, s, u: c.chat_history(s, user_id=u).zep_summary,
    "search": lambda c, s, u: c.chat_history(s, user_id=u).search("ferry"),
    "add": lambda c, s, u: c.chat_history(s, user_id=u).add_messages([HumanMessage("x")]),
    "clear": lambda c, s, u: c.chat_history(s, user_id=u).clear(),
    "pop": lambda c, s, u: items("popping", c, s, u),
    "read items": lambda c, s, u: items("reading", c, s, u),
}


@pytest.mark.parametrize("state", ["full", "empty"])
@pytest.mark.parametrize("name", CALLS)
def test_owner_checks_take_no_extra_commands(
    mongo_url: str, session_id: str, user_id: str, name: str, state: str
) -> None:
    counted = Counted()
    with MongoClient(mongo_url, event_listeners=[counted]) as driver:
        client = ZepClient(client=driver)
        warm = client.chat_history(f"warm {user_id}", user_id=user_id)
        warm.add_messages([HumanMessage("warm")])
        warm.search("warm")
        counts = []
        for user in (None, user_id):
            session = f"{session_id} {user}"
            history = client.chat_history(session, user_id=user_id)
            for _ in range(2):
                history.add_messages([HumanMessage("a ferry", id="1")])
            client.chat_history(session).search("ferry")
            if state == "empty":
                client.message.delete_message(session, "1")
            before = counted.count
            CALLS[name](client, session, user)
            counts.append(counted.count - before)
    assert counts[0] == counts[1] > 0
