"""Two writers of one call whose ids the session knows in part, driven by hand."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import product

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langchain_zepstore import ZepClient
from langchain_zepstore.core.arguments import KnownIds
from langchain_zepstore.messages.parts import all_from_langchain
from tests.support.stepping import Drive, store_of

ORDERS = list(product(range(3), range(2, 6)))  # steps of the first writer, then of the second
STORED = [HumanMessage("hello", id="1"), AIMessage("hello", id="2")]
CALLS: dict[str, tuple[list[BaseMessage], list[str]]] = {
    "new": (
        [HumanMessage("lights on", id="3"), AIMessage("Done.", id="4")],
        ["lights on", "Done."],
    ),
    "begins with a repeat": ([STORED[1], HumanMessage("lights on", id="3")], ["lights on"]),
    "other words": (
        [HumanMessage("lights on", id="1"), AIMessage("Done.", id="2")],
        ["lights on", "Done."],
    ),
    "known behind new": ([HumanMessage("lights on", id="3"), STORED[1]], ["lights on", "hello"]),
}


@pytest.fixture
def own(mongo_url: str, database_name: str) -> Iterator[ZepClient]:
    with ZepClient(mongo_url, database=database_name) as client:
        yield client


@pytest.mark.promise("a repeated call stores nothing twice; a new message under a used id is kept")
@pytest.mark.parametrize("call", CALLS)
def test_concurrent_writers_of_one_call_store_it_once_and_in_order(
    own: ZepClient, call: str
) -> None:
    store = store_of(own)
    messages, added = CALLS[call]

    def add(session_id: str, messages: list[BaseMessage]) -> Drive:
        parts = all_from_langchain(messages)
        return Drive(store.messages.add(session_id, parts, known_ids=KnownIds()))

    for first_steps, second_steps in ORDERS:
        session_id = f"{first_steps} {second_steps}"
        add(session_id, STORED).finish()
        first, second = add(session_id, messages), add(session_id, messages)
        for drive, steps in ((first, first_steps), (second, second_steps)):
            with suppress(StopIteration):
                drive.step(steps)
        first.finish()
        second.finish()
        found = [message.content for message in own.chat_history(session_id).messages]
        assert found == ["hello", "hello", *added], (first_steps, second_steps)
