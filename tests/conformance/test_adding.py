"""Adding memories."""

from langchain_zepstore import Memory, Message
from tests.support.facade import Facade


async def test_a_session_comes_into_being_with_its_first_memory(zep: Facade, session_id: str) -> None:
    assert (await zep.memory.get_memory(session_id)).messages == []
    answer = await zep.memory.add_memory(session_id, Memory(messages=[Message(role="user", content="hello")]))
    assert answer == "OK"
    assert [m.content for m in (await zep.memory.get_memory(session_id)).messages] == ["hello"]
