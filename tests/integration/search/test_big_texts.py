"""Messages of many words are stored, deleted, restored and given away, whether or not one searched.

On the embedded server, whose cache has 256 MB.
"""

from datetime import timedelta
from itertools import count

import pytest

from langchain_zepstore import CreateUserRequest, Memory, Message, Session, ZepClient

NUMBERS = count()


def distinct_words(size: int) -> str:
    """Return a text of so many bytes in which no word comes twice."""
    number = size // 12
    first = 10**10 + next(NUMBERS) * number
    return " ".join(map(str, range(first, first + number)))


ONE = ("one of 15 MB", 1, 15_000_000)
FORTY = ("forty of 400 kB", 40, 400_000)


@pytest.mark.promise("the search index never limits what can be stored")
@pytest.mark.parametrize(
    ("name", "number", "size", "searched"),
    [
        (*ONE, "before"),
        (*FORTY, "after"),
        *(
            pytest.param(*case, marks=pytest.mark.long("megabytes of words are indexed"))
            for case in ((*ONE, "after"), (*ONE, "never"), (*FORTY, "before"), (*FORTY, "never"))
        ),
    ],
)
def test_large_texts_survive_every_operation(
    embedded_url, new_database, name, number, size, searched
):
    same = "lake " * (3000 if number > 1 else 0)  # what is ranked of a text; the rest is indexed
    texts = [f"boat {same}{distinct_words(size)}" for _ in range(number)]
    messages = [
        Message(role="user", content=text, uuid=f"{index}") for index, text in enumerate(texts)
    ]

    def found() -> int:
        return len(client.memory.search("boat", session_id="s", limit=100))

    with ZepClient(embedded_url, database=new_database, timeout=60) as client:
        client.user.add(CreateUserRequest(user_id="ada"))
        if searched == "before":
            client.memory.add_memory("s", Memory(messages=[Message(role="user", content="boat")]))
            assert found() == 1
            client.memory.delete_memory("s")
            client.purge(timedelta())
        client.memory.add_memory("s", Memory(messages=messages))
        if searched != "never":
            assert found() == number
        client.memory.delete_memory("s")
        client.memory.undelete_session("s")
        assert client.message.count("s") == number
        client.memory.update_session(Session(session_id="s", user_id="ada"))
        if searched != "never":
            assert found() == number
            assert len(client.memory.search("boat", user_id="ada", limit=100)) == number
        assert client.message.get_session_message("s", "0").content == texts[0]
        client.memory.delete_memory("s")
        assert client.purge(timedelta())["messages"] == number
        assert found() == 0
