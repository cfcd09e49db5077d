"""zep-python 1.5.0 against a server: ``zep_python_1.py URL KEY``."""

import asyncio
import sys
import uuid
import warnings
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import httpx
from checking import (
    IDS,
    Caller,
    both_ways,
    main,
    methods,
    of_way,
    once,
    pages_as_zep_walks,
    raises,
)
from zep_python import APIError, NotFoundError, ZepClient
from zep_python.exceptions import AuthError
from zep_python.memory import Memory, MemorySearchPayload, MemorySearchResult, Session
from zep_python.memory.client import MemoryClient
from zep_python.message import Message
from zep_python.message.client import MessageClient
from zep_python.user import CreateUserRequest, UpdateUserRequest, User
from zep_python.user.client import UserClient

URL, KEY = sys.argv[1:]
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


def said(*texts: str) -> Memory:
    return Memory(messages=[Message(role="human", content=text) for text in texts])


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
    assert all(1 <= len(page) <= 2 for page in pages)
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
        await zep.memory.add_memory(session.session_id, said("I go."))
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
    assert [each.id for each in everything] == sorted(each.id for each in everything)


@once
async def constructing_a_client_gives_no_warning() -> None:
    for url in (URL, URL + "/"):
        for key in (KEY, None):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                ZepClient(url, key).close()
            assert not caught, [str(warning.message) for warning in caught]


@once
async def clients_are_context_managers() -> None:
    session_id = new_id()
    with ZepClient(URL, KEY) as client:
        assert client.memory.add_memory(session_id, said("One.")) == "OK"
    async with ZepClient(URL, KEY) as client:
        memory = await client.memory.aget_memory(session_id)
    assert [message.content for message in memory.messages] == ["One."]
    for client in (CLIENT.client, CLIENT.aclient):
        assert not client.is_closed


@once
async def clients_without_the_key_are_refused() -> None:
    for key in (None, "wrong", KEY + "x"):
        client = ZepClient(URL, key)
        with raises(AuthError, 401):
            client.memory.list_sessions()
        with raises(AuthError, 401):
            await client.message.aget_session_messages("written by the package")
        with raises(AuthError, 401):
            await client.user.aadd(CreateUserRequest(user_id="intruder"))
    with raises(NotFoundError):
        CLIENT.user.get("intruder")


@both_ways
async def a_session_is_added_and_read(zep: Zep) -> None:
    session_id = new_id()
    metadata = {"lang": "en", "n": 1, "list": [1, {"a": None}], "ui": {"theme": "dark"}, "ü.$": ""}
    added = await zep.memory.add_session(Session(session_id=session_id, metadata=metadata))
    assert added.session_id == session_id
    assert added.metadata == metadata
    assert added.user_id is None
    assert added.deleted_at is None
    assert isinstance(added.id, int)
    assert uuid.UUID(added.uuid)
    for moment in (added.created_at, added.updated_at):
        assert datetime.fromisoformat(moment).tzinfo is not None
    assert await zep.memory.get_session(session_id) == added


@both_ways
async def a_duplicate_session_and_an_unknown_user_are_refused(zep: Zep) -> None:
    session = Session(session_id=new_id())
    await zep.memory.add_session(session)
    with raises(APIError, 400):
        await zep.memory.add_session(session)
    with raises(APIError, 400):
        await zep.memory.add_session(Session(session_id=new_id(), user_id="nobody"))


@both_ways
async def an_update_of_a_session_merges_its_metadata(zep: Zep) -> None:
    session_id = new_id()
    metadata = {"lang": "en", "ui": {"theme": "dark"}, "tags": [1, 2]}
    await zep.memory.add_session(Session(session_id=session_id, metadata=metadata))
    patch = {"name": "Zug", "ui": {"font": "large"}, "tags": [3], "system": {"no": 1}}
    await zep.memory.update_session(Session(session_id=session_id, metadata=patch))
    merged = {
        "lang": "en",
        "name": "Zug",
        "ui": {"theme": "dark", "font": "large"},
        "tags": [3],
    }
    read = await zep.memory.get_session(session_id)
    assert read.metadata == merged
    read.metadata["more"] = True
    sent_back = await zep.memory.update_session(read)
    assert sent_back.metadata == {**merged, "more": True}
    assert (sent_back.id, sent_back.uuid, sent_back.created_at) == (
        read.id,
        read.uuid,
        read.created_at,
    )


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


@both_ways
async def memory_round_trips_in_order(zep: Zep) -> None:
    session_id = new_id()
    given = [
        Message(
            role="human", content="Which train? 🚆\n\tÜ\x01", metadata={"ü": {"a": [1.5, None]}}
        ),
        Message(role="ai", content="", uuid=str(uuid.uuid4()), token_count=77),
        Message(
            role="Ada's cat", content="x" * 20_000, uuid="own", created_at="2024-03-01T12:00:00Z"
        ),
    ]
    assert (
        await zep.memory.add_memory(session_id, Memory(messages=given, metadata={"m": 1})) == "OK"
    )
    assert await zep.memory.add_memory(session_id, said("last")) == "OK"
    memory = await zep.memory.get_memory(session_id)
    *messages, last = memory.messages
    assert last.content == "last"
    for message, one in zip(messages, given, strict=True):
        assert (message.role, message.content) == (one.role, one.content)
        assert message.metadata == one.metadata
        assert one.uuid in (None, message.uuid)
        assert one.token_count in (None, message.token_count)
        assert isinstance(message.token_count, int)
    assert uuid.UUID(messages[0].uuid)
    assert datetime.fromisoformat(messages[2].created_at) == datetime.fromisoformat(
        "2024-03-01T12:00:00+00:00"
    )
    assert memory.summary.content == ""
    assert memory.summary.token_count == 0
    assert (await zep.memory.get_session(session_id)).metadata == {"m": 1}


@both_ways
async def memory_is_unlimited_without_lastn(zep: Zep) -> None:
    session_id = new_id()
    texts = [str(number) for number in range(150)]
    await zep.memory.add_memory(session_id, said(*texts))
    for lastn, expected in ((None, texts), (1, texts[-1:]), (20, texts[-20:]), (500, texts)):
        memory = await zep.memory.get_memory(session_id, lastn)
        assert [message.content for message in memory.messages] == expected
    with raises(APIError, 400):
        await zep.memory.get_memory(session_id, -1)


@both_ways
async def adding_a_read_memory_again_changes_nothing(zep: Zep) -> None:
    session_id = new_id()
    await zep.memory.add_memory(session_id, said("One.", "Two."))
    memory = await zep.memory.get_memory(session_id)
    assert await zep.memory.add_memory(session_id, memory) == "OK"
    assert await zep.memory.get_memory(session_id) == memory


@both_ways
async def the_memory_of_an_unknown_session_is_empty(zep: Zep) -> None:
    memory = await zep.memory.get_memory(new_id())
    assert memory.messages == []
    assert memory.summary.content == ""
    assert await zep.message.get_session_messages(new_id()) == []


@both_ways
async def a_deleted_session_is_empty_and_can_be_recreated(zep: Zep) -> None:
    session_id = new_id()
    await zep.memory.add_memory(session_id, said("Old."))
    assert await zep.memory.delete_memory(session_id) == "OK"
    assert (await zep.memory.get_memory(session_id)).messages == []
    assert await zep.message.get_session_messages(session_id) == []
    with raises(NotFoundError):
        await zep.memory.get_session(session_id)
    with raises(NotFoundError):
        await zep.memory.delete_memory(session_id)
    assert session_id not in [each.session_id for each in await zep.memory.list_sessions()]
    await zep.memory.add_memory(session_id, said("New."))
    memory = await zep.memory.get_memory(session_id)
    assert [message.content for message in memory.messages] == ["New."]


@both_ways
async def messages_are_read_in_pages_and_individually(zep: Zep) -> None:
    session_id = new_id()
    texts = [str(number) for number in range(107)]
    await zep.memory.add_memory(session_id, said(*texts))
    messages = (await zep.memory.get_memory(session_id)).messages
    page = zep.message.get_session_messages
    assert await page(session_id) == messages[:100]
    assert await page(session_id, cursor=2) == messages[100:]
    assert await page(session_id, limit=None, cursor=None) == messages[:100]
    assert await page(session_id, limit=10, cursor=3) == messages[20:30]
    assert await page(session_id, limit=10, cursor=11) == messages[100:]
    assert await page(session_id, limit=10, cursor=12) == []
    for message in (messages[0], messages[-1]):
        assert await zep.message.get_session_message(session_id, message.uuid) == message
    with raises(NotFoundError):
        await zep.message.get_session_message(session_id, str(uuid.uuid4()))
    with raises(NotFoundError):
        await zep.message.get_session_message(new_id(), messages[0].uuid)


@both_ways
async def metadata_of_a_message_is_merged(zep: Zep) -> None:
    session_id = new_id()
    message = Message(role="human", content="Hi.", metadata={"a": 1, "deep": {"x": 1}})
    await zep.memory.add_memory(session_id, Memory(messages=[message]))
    [before] = (await zep.memory.get_memory(session_id)).messages
    patch = {"metadata": {"b": [2], "deep": {"y": None}}}
    after = await zep.message.update_message_metadata(session_id, before.uuid, patch)
    assert after.metadata == {"a": 1, "b": [2], "deep": {"x": 1, "y": None}}
    assert after.dict(exclude={"metadata"}) == before.dict(exclude={"metadata"})
    assert await zep.message.get_session_message(session_id, before.uuid) == after


@both_ways
async def users_are_added_read_changed_and_deleted(zep: Zep) -> None:
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
    assert added.dict(include=set(request.dict())) == request.dict()
    assert added.id is not None
    assert added.uuid is not None
    assert added.created_at.tzinfo is not None
    assert await zep.user.get(user_id) == added
    with raises(APIError, 400):
        await zep.user.add(request)
    changed = await zep.user.update(
        UpdateUserRequest(user_id=user_id, first_name="Augusta", metadata={"plan": {"b": 2}})
    )
    assert (changed.first_name, changed.last_name) == ("Augusta", "Çelik")
    assert changed.metadata == {"plan": {"a": 1, "b": 2}}
    assert await zep.user.get(user_id) == changed
    assert await zep.user.delete(user_id) is None
    with raises(NotFoundError):
        await zep.user.get(user_id)


@both_ways
async def users_are_listed_by_id(zep: Zep) -> None:
    everything = await zep.user.list()
    first = await zep.user.list(limit=2)
    assert first == everything[:2]
    assert await zep.user.list(limit=2, cursor=first[-1].id) == everything[2:4]
    assert await zep.user.list(cursor=everything[-1].id) == []


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
    for text in of_way(IDS, zep.way):
        session_id = user_id = f"{text} {uuid.uuid4()} {text}"
        message = Message(role="human", content=text, uuid=text)
        await zep.memory.add_memory(session_id, Memory(messages=[message]))
        listed = [session.session_id for session in await zep.memory.list_sessions()]
        assert listed[-1] == session_id  # the server did not only understand itself
        assert (await zep.memory.get_session(session_id)).session_id == session_id
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
    assert [result.message["content"] for result in found] == [texts[2], texts[0]]
    for result in found:
        assert isinstance(result, MemorySearchResult)
        assert Message.parse_obj(result.message) in messages
        assert result.summary is None
    assert found[0].dist > found[1].dist > 0
    [only] = await zep.memory.search_memory(session_id, MemorySearchPayload(text="kyoto"), limit=1)
    assert only == found[0]
    nothing = MemorySearchPayload(text="Osaka")
    assert await zep.memory.search_memory(session_id, nothing) == []
    assert await zep.memory.search_memory(new_id(), nothing) == []


@both_ways
async def search_returns_up_to_ten_live_messages_within_dates(zep: Zep) -> None:
    session_id = new_id()
    messages = [
        Message(role="human", content=f"train {day}", created_at=f"2024-03-{day:02}T12:00:00Z")
        for day in range(1, 16)
    ]
    await zep.memory.add_memory(session_id, Memory(messages=messages))
    search = zep.memory.search_memory
    assert len(await search(session_id, MemorySearchPayload(text="train"))) == 10
    assert len(await search(session_id, MemorySearchPayload(text="train"), limit=100)) == 15
    dates = {"start_date": "2024-03-03T00:00:00Z", "end_date": "2024-03-04T23:59:59Z"}
    found = await search(session_id, MemorySearchPayload(text="train", metadata=dates))
    assert {result.message["content"] for result in found} == {"train 3", "train 4"}
    await zep.memory.delete_memory(session_id)
    assert await search(session_id, MemorySearchPayload(text="train")) == []


@both_ways
async def search_accepts_ids_of_any_characters(zep: Zep) -> None:
    for text in of_way(IDS, zep.way):
        session_id = f"{text} {uuid.uuid4()}"
        await zep.memory.add_memory(session_id, said(f"Kyoto {text}"))
        [found] = await zep.memory.search_memory(session_id, MemorySearchPayload(text="kyoto"))
        assert found.message["content"] == f"Kyoto {text}"


@both_ways
async def an_empty_search_is_refused(zep: Zep) -> None:
    session_id = new_id()
    await zep.memory.add_memory(session_id, said("One."))
    for text in (None, ""):
        with raises(APIError, 400):
            await zep.memory.search_memory(session_id, MemorySearchPayload(text=text))


@once
async def the_clients_deprecated_methods_work() -> None:
    for is_async in (False, True):
        zep = Caller(CLIENT, is_async, CALLED)
        session_id = new_id()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            added = await zep.add_session(Session(session_id=session_id))
            assert await zep.get_session(session_id) == added
            assert await zep.add_memory(session_id, said("One.", "Kyoto.")) == "OK"
            memory = await zep.get_memory(session_id, lastn=1)
            assert [message.content for message in memory.messages] == ["Kyoto."]
            [found] = await zep.search_memory(session_id, MemorySearchPayload(text="kyoto"))
            assert found.message["content"] == "Kyoto."
            assert await zep.delete_memory(session_id) == "OK"
            assert (await zep.get_memory(session_id)).messages == []
        assert {warning.category for warning in caught} == {DeprecationWarning}


@once
async def document_collections_are_refused() -> None:
    with raises(APIError, 501):
        CLIENT.document.list_collections()
    with raises(APIError, 501):
        await CLIENT.document.aget_collection("anything")


@once
async def messages_written_by_the_package_are_read() -> None:
    messages = CLIENT.memory.get_memory("written by the package").messages
    assert [(message.role, message.content) for message in messages] == [
        ("human", "Grüße! 🚆"),
        ("ai", "Hello, Ada."),
    ]
    assert CLIENT.message.get_session_messages("written by the package") == messages


@once
async def concurrent_calls_are_answered() -> None:
    session_id = new_id()
    await asyncio.gather(
        *(CLIENT.memory.aadd_memory(session_id, said(str(number))) for number in range(30))
    )
    messages = (await CLIENT.memory.aget_memory(session_id)).messages
    assert sorted(int(message.content) for message in messages) == list(range(30))


@once
async def a_conversation_is_written_for_the_package() -> None:
    messages = [
        Message(role="human", content="Left by a client. Ü 🚆", uuid="left 1", metadata={"a": [1]}),
        Message(role="ai", content="Seen.", uuid="left 2"),
    ]
    CLIENT.memory.add_memory("left by a client", Memory(messages=messages))


@once
async def every_method_was_called() -> None:
    with ZepClient(URL, KEY) as client:
        await Caller(client, True, CALLED).close()
        await Caller(client, False, CALLED).close()
        for each, error in ((client.client, "sync"), (client.aclient, "async")):
            assert each.is_closed, error
            assert isinstance(each, httpx.Client | httpx.AsyncClient)
    missed = methods(ZepClient, MemoryClient, MessageClient, UserClient) - CALLED
    assert not missed, missed


if __name__ == "__main__":
    main(prepare)
