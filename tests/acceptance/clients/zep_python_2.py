"""zep-python 2.0.0rc6 against a server: ``zep_python_2.py URL KEY CLOUD_KEY``."""

import sys
import uuid
import warnings
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from checking import (
    IDS,
    QUOTED_IDS,
    Caller,
    both_ways,
    main,
    methods,
    of_way,
    once,
    pages_as_zep_walks,
    raises,
)
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from zep_python import APIError, NotFoundError, ZepClient
from zep_python.exceptions import AuthError
from zep_python.langchain import ZepChatMessageHistory
from zep_python.memory import Memory, MemorySearchPayload, MemorySearchResult, Session
from zep_python.memory.client import MemoryClient
from zep_python.message import Message
from zep_python.message.client import MessageClient
from zep_python.message.models import RoleType
from zep_python.user import CreateUserRequest, UpdateUserRequest, User
from zep_python.user.client import UserClient

URL, KEY, CLOUD_KEY = sys.argv[1:]
CLIENT = ZepClient(URL, KEY)
CALLED: set[str] = set()


class Zep(SimpleNamespace):
    memory: Any
    message: Any
    user: Any
    way: str


def prepare(is_async: bool) -> Zep:
    return Zep(
        memory=Caller(CLIENT.memory, is_async, CALLED),
        message=Caller(CLIENT.message, is_async, CALLED),
        user=Caller(CLIENT.user, is_async, CALLED),
        way="async" if is_async else "sync",
    )


def message_of(text: str, **options: Any) -> Message:
    return Message(role="human", role_type="user", content=text, **options)


def said(*texts: str) -> Memory:
    return Memory(messages=[message_of(text) for text in texts])


def new_id() -> str:
    return f"session {uuid.uuid4()}"


# The first two come first: their ids are in a row.


@both_ways
async def list_all_sessions_returns_each_once_without_id_gaps(zep: Zep) -> None:
    for number in range(5):
        await zep.memory.add_session(Session(session_id=f"{zep.way} in a row {number}"))
    pages = await zep.memory.list_all_sessions(chunk_size=2)
    everything = await zep.memory.list_sessions()
    assert [session for page in pages for session in page] == everything
    names = [session.session_id for session in everything]
    assert {f"{zep.way} in a row {number}" for number in range(5)} <= set(names)
    assert len(names) == len(set(names))


@both_ways
async def list_chunked_returns_each_user_once_without_id_gaps(zep: Zep) -> None:
    for number in range(5):
        await zep.user.add(CreateUserRequest(user_id=f"{zep.way} in a row {number}"))
    pages = await zep.user.list_chunked(chunk_size=2)
    everything = await zep.user.list()
    assert [user for page in pages for user in page] == everything
    assert len({user.user_id for user in everything}) == len(everything) >= 5


@both_ways
async def id_gaps_make_zeps_paging_repeat_sessions_but_miss_none(zep: Zep) -> None:
    added = [await zep.memory.add_session(Session(session_id=new_id())) for _ in range(6)]
    for session in added[:4]:
        await zep.memory.delete_memory(session.session_id)
    ids = [session.id for session in await zep.memory.list_sessions()]
    pages = await zep.memory.list_all_sessions(chunk_size=2)
    walked = [[session.id for session in page] for page in pages]
    assert walked == pages_as_zep_walks(ids, 2)
    flat = [each for page in walked for each in page]
    assert set(flat) == set(ids)
    assert len(flat) > len(ids), "Zep's own bug did not show: are there no gaps?"


@both_ways
async def pages_of_sessions_start_after_the_cursor(zep: Zep) -> None:
    everything = await zep.memory.list_sessions()
    first = await zep.memory.list_sessions(limit=2)
    assert first == everything[:2]
    assert await zep.memory.list_sessions(limit=3, cursor=first[-1].id) == everything[2:5]
    assert await zep.memory.list_sessions(cursor=everything[-1].id) == []


@once
async def constructing_a_client_gives_no_warning() -> None:
    for url in (URL, URL + "/"):
        for key in (KEY, CLOUD_KEY, None):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                ZepClient(url, key).close()
            assert not caught, [str(warning.message) for warning in caught]


@once
async def both_key_schemes_are_accepted_and_other_keys_refused() -> None:
    session_id = new_id()
    with ZepClient(URL, CLOUD_KEY) as client:
        assert client.client.headers["Authorization"] == f"Api-Key {CLOUD_KEY}"
        client.memory.add_memory(session_id, said("One."))
    async with ZepClient(URL, KEY) as client:
        assert client.client.headers["Authorization"] == f"Bearer {KEY}"
        assert len((await client.memory.aget_memory(session_id)).messages) == 1
    for key in (None, "wrong", KEY + "x", "z_wrong", "z_" + KEY):
        client = ZepClient(URL, key)
        with raises(AuthError, 401):
            client.memory.get_memory(session_id)
        with raises(AuthError, 401):
            await client.user.alist()


@both_ways
async def a_session_is_added_and_read(zep: Zep) -> None:
    session_id = new_id()
    metadata = {"lang": "en", "list": [1, {"a": None}], "ui": {"theme": "dark"}, "ü.$": ""}
    added = await zep.memory.add_session(Session(session_id=session_id, metadata=metadata))
    assert (added.session_id, added.metadata) == (session_id, metadata)
    assert added.user_id is added.deleted_at is None
    assert isinstance(added.id, int)
    assert uuid.UUID(added.uuid)
    assert datetime.fromisoformat(added.created_at).tzinfo is not None
    assert await zep.memory.get_session(session_id) == added
    with raises(APIError, 400):
        await zep.memory.add_session(Session(session_id=session_id))
    with raises(APIError, 400):
        await zep.memory.add_session(Session(session_id=new_id(), user_id="nobody"))


@both_ways
async def an_update_of_a_session_merges_its_metadata(zep: Zep) -> None:
    session_id = new_id()
    metadata = {"lang": "en", "ui": {"theme": "dark"}}
    await zep.memory.add_session(Session(session_id=session_id, metadata=metadata))
    patch = {"name": "Zug", "ui": {"font": "large"}}
    await zep.memory.update_session(Session(session_id=session_id, metadata=patch))
    read = await zep.memory.get_session(session_id)
    merged = {"lang": "en", "name": "Zug", "ui": {"theme": "dark", "font": "large"}}
    assert read.metadata == merged
    read.metadata["more"] = True
    sent_back = await zep.memory.update_session(read)
    assert sent_back.metadata == {**merged, "more": True}
    assert (sent_back.id, sent_back.uuid) == (read.id, read.uuid)


@both_ways
async def unknown_ids_are_not_found(zep: Zep) -> None:
    session_id = new_id()
    for call in (
        zep.memory.get_session(session_id),
        zep.memory.update_session(Session(session_id=session_id, metadata={"a": 1})),
        zep.memory.delete_memory(session_id),
        zep.message.get_session_message(session_id, "nothing"),
        zep.message.update_message_metadata(session_id, "nothing", {"metadata": {"a": 1}}),
        zep.user.get(session_id),
        zep.user.update(UpdateUserRequest(user_id=session_id, email="a@example.org")),
        zep.user.delete(session_id),
    ):
        with raises(NotFoundError):
            await call
    assert (await zep.memory.get_memory(session_id)).messages == []
    assert await zep.message.get_session_messages(session_id) == []


@both_ways
async def memory_round_trips_in_order(zep: Zep) -> None:
    session_id = new_id()
    given = [
        message_of("Which train? 🚆\n\tÜ", metadata={"ü": {"a": [1.5, None]}}),
        Message(
            role="ai",
            role_type=RoleType.ASSISTANT_ROLE,
            content="",
            uuid=str(uuid.uuid4()),
            token_count=77,
        ),
        message_of("x" * 20_000, uuid="own", created_at="2024-03-01T12:00:00Z"),
    ]
    memory = Memory(messages=given, metadata={"m": 1}, summary_instruction="Be short.")
    assert await zep.memory.add_memory(session_id, memory) == "OK"
    read = await zep.memory.get_memory(session_id)
    for message, one in zip(read.messages, given, strict=True):
        assert (message.role, message.content) == (one.role, one.content)
        assert message.role_type == one.role_type
        assert message.metadata == one.metadata
        assert one.uuid in (None, message.uuid)
        assert one.token_count in (None, message.token_count)
    assert read.messages[2].created_at == "2024-03-01T12:00:00Z"
    assert read.summary.content == ""
    assert (await zep.memory.get_session(session_id)).metadata == {"m": 1}


@both_ways
async def role_types_round_trip(zep: Zep) -> None:
    session_id = new_id()
    messages = [
        Message(role="Ada", role_type=role_type, content=role_type.value) for role_type in RoleType
    ]
    await zep.memory.add_memory(session_id, Memory(messages=messages))
    read = (await zep.memory.get_memory(session_id)).messages
    assert [(message.role, message.role_type) for message in read] == [
        ("Ada", role_type) for role_type in RoleType
    ]


@both_ways
async def memory_has_every_role_type_and_is_unlimited_without_lastn(zep: Zep) -> None:
    session_id = new_id()
    texts = [str(number) for number in range(150)]
    await zep.memory.add_memory(session_id, said(*texts))
    for memory_type in (None, "perpetual", "message_window", "summary_retriever"):
        for lastn, expected in ((None, texts), (1, texts[-1:]), (500, texts)):
            memory = await zep.memory.get_memory(session_id, memory_type, lastn)
            assert [message.content for message in memory.messages] == expected
    with raises(APIError, 400):
        await zep.memory.get_memory(session_id, lastn=-1)


@both_ways
async def a_deleted_session_is_empty_and_can_be_recreated(zep: Zep) -> None:
    session_id = new_id()
    await zep.memory.add_memory(session_id, said("Old."))
    assert await zep.memory.delete_memory(session_id) == "OK"
    assert (await zep.memory.get_memory(session_id)).messages == []
    with raises(NotFoundError):
        await zep.memory.get_session(session_id)
    await zep.memory.add_memory(session_id, said("New."))
    memory = await zep.memory.get_memory(session_id)
    assert [message.content for message in memory.messages] == ["New."]


@both_ways
async def messages_are_read_in_pages_and_individually(zep: Zep) -> None:
    session_id = new_id()
    await zep.memory.add_memory(session_id, said(*map(str, range(107))))
    messages = (await zep.memory.get_memory(session_id)).messages
    page = zep.message.get_session_messages
    assert await page(session_id) == messages[:100]
    assert await page(session_id, cursor=2) == messages[100:]
    assert await page(session_id, limit=10, cursor=3) == messages[20:30]
    assert await page(session_id, limit=10, cursor=12) == []
    for message in (messages[0], messages[-1]):
        assert await zep.message.get_session_message(session_id, message.uuid) == message


@both_ways
async def metadata_of_a_message_is_merged(zep: Zep) -> None:
    session_id = new_id()
    message = message_of("Hi.", metadata={"a": 1, "deep": {"x": 1}})
    await zep.memory.add_memory(session_id, Memory(messages=[message]))
    [before] = (await zep.memory.get_memory(session_id)).messages
    patch = {"metadata": {"b": [2], "deep": {"y": None}}}
    after = await zep.message.update_message_metadata(session_id, before.uuid, patch)
    assert after.metadata == {"a": 1, "b": [2], "deep": {"x": 1, "y": None}}
    assert after.model_dump(exclude={"metadata"}) == before.model_dump(exclude={"metadata"})
    assert await zep.message.get_session_message(session_id, before.uuid) == after


@both_ways
async def users_are_added_read_changed_listed_and_deleted(zep: Zep) -> None:
    user_id = f"user {uuid.uuid4()}"
    request = CreateUserRequest(
        user_id=user_id,
        email="ada@example.org",
        first_name="Ada",
        last_name="Çelik",
        metadata={"plan": {"a": 1}},
    )
    added = await zep.user.add(request)
    assert isinstance(added, User)
    assert added.model_dump(include=set(request.model_dump())) == request.model_dump()
    assert await zep.user.get(user_id) == added
    with raises(APIError, 400):
        await zep.user.add(request)
    changed = await zep.user.update(
        UpdateUserRequest(user_id=user_id, first_name="Augusta", metadata={"plan": {"b": 2}})
    )
    assert (changed.first_name, changed.last_name) == ("Augusta", "Çelik")
    assert changed.metadata == {"plan": {"a": 1, "b": 2}}
    everything = await zep.user.list()
    assert everything[-1] == changed
    assert await zep.user.list(limit=2, cursor=everything[1].id) == everything[2:4]
    assert await zep.user.delete(user_id) is None
    with raises(NotFoundError):
        await zep.user.get(user_id)


@both_ways
async def a_user_has_sessions(zep: Zep) -> None:
    user_id = f"user {uuid.uuid4()}"
    await zep.user.add(CreateUserRequest(user_id=user_id))
    assert await zep.user.get_sessions(user_id) == []
    added = [
        await zep.memory.add_session(Session(session_id=new_id(), user_id=user_id))
        for _ in range(3)
    ]
    assert {session.user_id for session in added} == {user_id}
    assert await zep.user.get_sessions(user_id) == added
    await zep.user.delete(user_id)
    for session in added:
        with raises(NotFoundError):
            await zep.memory.get_session(session.session_id)


@both_ways
async def ids_of_any_characters_round_trip(zep: Zep) -> None:
    for text in of_way([*IDS, *QUOTED_IDS, "a/b//c"], zep.way):
        session_id = user_id = f"{text} {uuid.uuid4()} {text}"
        await zep.memory.add_memory(session_id, Memory(messages=[message_of(text, uuid=text)]))
        listed = [session.session_id for session in await zep.memory.list_sessions()]
        assert listed[-1] == session_id  # the server did not only understand itself
        assert (await zep.memory.get_session(session_id)).session_id == session_id
        if "/" not in text:  # update_session alone leaves slashes unquoted
            session = Session(session_id=session_id, metadata={text: text})
            assert (await zep.memory.update_session(session)).metadata == {text: text}
        [read] = (await zep.memory.get_memory(session_id, lastn=1)).messages
        assert read.content == read.uuid == text
        assert await zep.message.get_session_messages(session_id) == [read]
        assert await zep.message.get_session_message(session_id, text) == read
        patch = {"metadata": {"seen": text}}
        changed = await zep.message.update_message_metadata(session_id, text, patch)
        assert changed.metadata == {"seen": text}
        await zep.user.add(CreateUserRequest(user_id=user_id))
        assert (await zep.user.list())[-1].user_id == user_id
        assert (await zep.user.get(user_id)).user_id == user_id
        update = UpdateUserRequest(user_id=user_id, first_name=text)
        assert (await zep.user.update(update)).first_name == text
        assert await zep.user.get_sessions(user_id) == []
        await zep.user.delete(user_id)
        assert await zep.memory.delete_memory(session_id) == "OK"


@both_ways
async def requests_that_need_a_language_model_are_refused(zep: Zep) -> None:
    session_id = new_id()
    await zep.memory.add_memory(session_id, said("I am so happy!"))
    with raises(APIError, 501):
        await zep.memory.classify_session(session_id, "emotion", ["happy", "sad"], last_n=2)
    with raises(APIError, 501):
        await zep.memory.synthesize_question(session_id, last_n=2)


@both_ways
async def search_finds_words_best_first(zep: Zep) -> None:
    session_id = new_id()
    texts = (
        "The Hikari to Kyoto leaves at nine.",
        "What about food?",
        "Kyoto Kyoto Kyoto!",
        "Bento, on the platform.",
    )
    await zep.memory.add_memory(session_id, said(*texts))
    await zep.memory.add_memory(new_id(), said("Kyoto in another session."))
    messages = (await zep.memory.get_memory(session_id)).messages
    found = await zep.memory.search_memory(session_id, MemorySearchPayload(text="kyoto"))
    assert [result.message for result in found] == [messages[2], messages[0]]
    for result in found:
        assert isinstance(result, MemorySearchResult)
        assert result.summary is None
    assert found[0].score > found[1].score > 0
    spelled_out = MemorySearchPayload(
        text="kyoto", search_type="similarity", search_scope="messages", metadata={}
    )
    assert await zep.memory.search_memory(session_id, spelled_out, limit=1) == found[:1]
    nothing = MemorySearchPayload(text="Osaka")
    assert await zep.memory.search_memory(session_id, nothing) == []
    assert await zep.memory.search_memory(new_id(), nothing) == []


@both_ways
async def search_accepts_ids_of_any_characters(zep: Zep) -> None:
    for text in of_way([*IDS, *QUOTED_IDS, "a/b//c"], zep.way):
        session_id = f"{text} {uuid.uuid4()}"
        await zep.memory.add_memory(session_id, said(f"Kyoto {text}"))
        [found] = await zep.memory.search_memory(session_id, MemorySearchPayload(text="kyoto"))
        assert found.message.content == f"Kyoto {text}"


@once
async def the_langchain_history_stores_and_clears() -> None:
    for session_id in (new_id(), f"Grüße 🚆 / {uuid.uuid4()}?"):
        history = ZepChatMessageHistory(session_id, api_url=URL, api_key=KEY)
        assert history.messages == history.zep_messages == []
        assert history.zep_summary == ""
        history.add_user_message("Hello! 🚆", metadata={"a": [1]})
        history.add_ai_message("Hello, Ada.")
        history.add_message(SystemMessage("Be kind."))
        again = ZepChatMessageHistory(session_id, CLIENT, memory_type="message_window")
        messages = again.messages
        assert [(type(message), message.content) for message in messages] == [
            (HumanMessage, "Hello! 🚆"),
            (AIMessage, "Hello, Ada."),
            (HumanMessage, "Be kind."),  # Zep's class reads all others as a human's
        ]
        assert messages[0].additional_kwargs["metadata"] == {"a": [1]}
        assert all(message.additional_kwargs["uuid"] for message in messages)
        assert await again.aget_messages() == messages
        assert [(message.role, message.role_type.value) for message in again.zep_messages] == [
            ("human", "user"),
            ("ai", "assistant"),
            ("system", "system"),
        ]
        again.clear()
        assert history.messages == []
        again.clear()  # a second time it only logs
        await history.aadd_messages([HumanMessage("New.")])
        assert [message.content for message in history.messages] == ["New."]
        await history.aclear()
        assert history.messages == []


@once
async def the_langchain_historys_prefixes_are_roles() -> None:
    session_id = new_id()
    history = ZepChatMessageHistory(session_id, CLIENT, ai_prefix="Zoe", human_prefix="Ada")
    history.add_user_message("Hello!")
    history.add_ai_message("Hello, Ada.")
    assert [message.role for message in history.zep_messages] == ["Ada", "Zoe"]


@once
async def messages_written_by_the_package_are_read() -> None:
    messages = CLIENT.memory.get_memory("written by the package").messages
    assert [(message.role, message.role_type.value, message.content) for message in messages] == [
        ("human", "user", "Grüße! 🚆"),
        ("ai", "assistant", "Hello, Ada."),
    ]
    history = ZepChatMessageHistory("written by the package", CLIENT)
    assert [type(message) for message in history.messages] == [HumanMessage, AIMessage]


@once
async def a_conversation_is_written_for_the_package() -> None:
    messages = [
        message_of("Left by a client. Ü 🚆", uuid="left 1", metadata={"a": [1]}),
        Message(role="ai", role_type="assistant", content="Seen.", uuid="left 2"),
    ]
    CLIENT.memory.add_memory("left by a client", Memory(messages=messages))


@once
async def every_method_was_called() -> None:
    with ZepClient(URL, KEY) as client:
        await Caller(client, True, CALLED).close()
        await Caller(client, False, CALLED).close()
        assert client.client.is_closed
        assert client.aclient.is_closed
    missed = methods(ZepClient, MemoryClient, MessageClient, UserClient) - CALLED
    assert not missed, missed


if __name__ == "__main__":
    main(prepare)
