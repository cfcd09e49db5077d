"""A history that need not fit in memory is read message by message."""

import gc
from collections.abc import Iterator

import psutil
import pytest
from pymongo import MongoClient

from langchain_zepstore import Memory, Message, ZepClient

PART = 5_000
WARM = 10_000
BOUND = 10 * 1024 * 1024  # in a list, what follows the warm ones takes more than 20 MB


class Walk:
    """Sees the messages pass by: their order, and the memory that the process takes meanwhile."""

    def __init__(self) -> None:
        self.seen = 0
        self.growth = 0
        self._warm = 0

    def see(self, message: Message) -> None:
        assert message.content.startswith(f"{self.seen} ")
        self.seen += 1
        if self.seen % 1000 == 0 and self.seen >= WARM:
            resident = psutil.Process().memory_info().rss
            self._warm = self._warm or resident
            self.growth = max(self.growth, resident - self._warm)


@pytest.fixture(scope="module")
def long_history(mongo_url: str, long: bool) -> Iterator[tuple[str, str, int]]:
    """A database, a session in it, and how many messages it has."""
    database, session_id, many = "test_long_history", "long", 100_000 if long else 40_000
    with ZepClient(mongo_url, database=database) as client:
        for start in range(0, many, PART):
            messages = [
                Message(role="user", content=f"{number} {'x' * 200}", token_count=50)
                for number in range(start, start + PART)
            ]
            client.memory.add_memory(session_id, Memory(messages=messages))
    gc.collect()
    yield database, session_id, many
    with MongoClient(mongo_url) as admin:
        admin.drop_database(database)


@pytest.mark.promise("100,000 messages are iterated in flat memory")
def test_iterating_many_messages_takes_constant_memory(
    mongo_url: str, long_history: tuple[str, str, int]
) -> None:
    database, session_id, many = long_history
    walk = Walk()
    with ZepClient(mongo_url, database=database) as client:
        for message in client.message.iter_messages(session_id):
            walk.see(message)
    assert walk.seen == many
    assert walk.growth < BOUND


@pytest.mark.promise("100,000 messages are iterated in flat memory")
async def test_iterating_many_messages_with_motor_takes_constant_memory(
    mongo_url: str, long_history: tuple[str, str, int]
) -> None:
    database, session_id, many = long_history
    walk = Walk()
    async with ZepClient(mongo_url, database=database) as client:
        async for message in client.message.aiter_messages(session_id):
            walk.see(message)
    assert walk.seen == many
    assert walk.growth < BOUND


def test_counting_and_reading_the_last_of_many_messages_reads_few(
    mongo_url: str, long_history: tuple[str, str, int]
) -> None:
    database, session_id, many = long_history
    with ZepClient(mongo_url, database=database) as client:
        assert client.message.count(session_id) == many
        last = client.memory.get_memory(session_id, lastn=2).messages
    assert [message.content.split()[0] for message in last] == [str(many - 2), str(many - 1)]
