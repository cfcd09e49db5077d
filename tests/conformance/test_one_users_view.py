"""``client.for_user``: one user's sessions, and another's as if they were not there."""

import inspect
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import HumanMessage

from langchain_zepstore import (
    BadRequestError,
    CreateUserRequest,
    Memory,
    MemorySearchPayload,
    Message,
    NotFoundError,
    Session,
    UpdateUserRequest,
    ZepClient,
)
from tests.support.facade import Caller, Facade
from tests.support.messages import contents, said, texts_found

SECRET = "lighthouse"
CLOSED = ["ada's", "ada's deleted", "nobody's", "nobody's deleted"]
SUMMARY = FakeListChatModel(responses=[f"summary of a {SECRET}"] * 10)


def view(zep: Facade, user_id: str) -> Facade:
    return Facade(zep.client.for_user(user_id), asynchronous=zep.asynchronous)


async def fill(zep: Facade) -> None:
    """Store sessions of Ada's and of nobody's, live and deleted, and one of Bob's."""
    for user_id in ("ada", "bob"):
        first_name = SECRET if user_id == "ada" else None
        await zep.user.add(CreateUserRequest(user_id=user_id, first_name=first_name))
    for session_id in CLOSED:
        user_id = "ada" if session_id.startswith("ada") else None
        session = Session(session_id=session_id, user_id=user_id, metadata={"of": SECRET})
        await zep.memory.add_session(session)
        messages = [Message(role="user", content=SECRET, uuid=each) for each in ("one", "two")]
        await zep.memory.add_memory(session_id, Memory(messages=messages))
        await zep.memory.summarize(session_id, SUMMARY)
        await zep.memory.organize_session(session_id, title=SECRET, tags=[SECRET], pinned=True)
        await zep.message.delete_message(session_id, "two")
        if session_id.endswith("deleted"):
            await zep.memory.delete_memory(session_id)
    await view(zep, "bob").memory.add_memory("bob's", said("a harbour"))


async def everything(zep: Facade) -> list[Any]:
    """Return all that the store shows of what is closed to Bob."""
    sessions = await zep.memory.list_sessions(include_deleted=True)
    shown: list[Any] = [session for session in sessions if session.session_id in CLOSED]
    shown += [await zep.memory.get_memory(each, include_deleted=True) for each in CLOSED]
    shown.append(await zep.memory.recent_sessions(user_id="ada", deleted=True))
    shown.append(await zep.user.get("ada"))
    return shown


async def listed(caller: Caller, name: str, *args: Any, **options: Any) -> list[Any]:
    return [item async for item in caller.each(name, *args, **options)]


Attempt = Callable[[Facade, str], Awaitable[Any]]

# What Bob may try with each method: on a session that is not his, or in general.
ATTEMPTS: dict[str, list[Attempt]] = {
    "memory.add_memory": [
        lambda bob, session_id: bob.memory.add_memory(session_id, said("x")),
        lambda bob, session_id: bob.memory.add_memory(session_id, Memory(metadata={"x": 1})),
        lambda bob, session_id: bob.memory.add_memory(session_id, said("x"), before="one"),
    ],
    "memory.add_session": [
        lambda bob, session_id: bob.memory.add_session(Session(session_id=session_id)),
        lambda bob, session_id: bob.memory.add_session(
            Session(session_id=session_id, user_id="bob")
        ),
        lambda bob, _: bob.memory.add_session(Session(session_id="new", user_id="ada")),
    ],
    "memory.branches": [lambda bob, session_id: bob.memory.branches(session_id)],
    "memory.delete_memory": [lambda bob, session_id: bob.memory.delete_memory(session_id)],
    "memory.embed": [
        lambda bob, session_id: bob.memory.embed(session_id=session_id),
        lambda bob, _: bob.memory.embed(user_id="ada"),
    ],
    "memory.erase_session": [
        lambda bob, session_id: bob.memory.erase_session(session_id),
        lambda bob, session_id: bob.memory.erase_session(session_id, dry_run=True),
    ],
    "memory.fork_session": [
        lambda bob, session_id: bob.memory.fork_session(session_id),
        lambda bob, session_id: bob.memory.fork_session("bob's", new_session_id=session_id),
    ],
    "memory.get_memory": [
        lambda bob, session_id: bob.memory.get_memory(session_id),
        lambda bob, session_id: bob.memory.get_memory(session_id, 5, include_deleted=True),
        lambda bob, session_id: bob.memory.get_memory(session_id, branch="one"),
    ],
    "memory.get_session": [lambda bob, session_id: bob.memory.get_session(session_id)],
    "memory.index": [
        lambda bob, session_id: bob.memory.index(session_id=session_id),
        lambda bob, _: bob.memory.index(user_id="ada"),
    ],
    "memory.list_all_sessions": [
        lambda bob, _: listed(bob.memory, "list_all_sessions", include_deleted=True),
        lambda bob, _: listed(bob.memory, "list_all_sessions", user_id="ada"),
    ],
    "memory.list_sessions": [
        lambda bob, _: bob.memory.list_sessions(include_deleted=True),
        lambda bob, _: bob.memory.list_sessions(50, user_id="ada"),
        lambda bob, _: bob.memory.list_sessions(metadata={"of": SECRET}),
    ],
    "memory.organize_session": [
        lambda bob, session_id: bob.memory.organize_session(session_id, title="x")
    ],
    "memory.recent_sessions": [
        lambda bob, _: bob.memory.recent_sessions(preview=True),
        lambda bob, _: bob.memory.recent_sessions(deleted=True, preview=True),
        lambda bob, _: bob.memory.recent_sessions(user_id="ada", tags=[SECRET], pinned=True),
    ],
    "memory.rewind": [lambda bob, session_id: bob.memory.rewind(session_id, "one")],
    "memory.search": [
        lambda bob, _: bob.memory.search(SECRET),
        lambda bob, _: bob.memory.search(SECRET, user_id="ada"),
        lambda bob, _: bob.memory.search(SECRET, search_scope="summary"),
        lambda bob, _: bob.memory.search(SECRET, search_scope="sessions"),
        lambda bob, _: bob.memory.search(SECRET, user_id="ada", search_scope="sessions"),
        lambda bob, session_id: bob.memory.search(
            SECRET, session_id=session_id, search_scope="sessions"
        ),
        lambda bob, session_id: bob.memory.search(SECRET, session_id=session_id),
        lambda bob, session_id: bob.memory.search(
            SECRET, session_id=session_id, search_scope="summary"
        ),
    ],
    "memory.search_memory": [
        lambda bob, session_id: bob.memory.search_memory(
            session_id, MemorySearchPayload(text=SECRET)
        )
    ],
    "memory.summarize": [lambda bob, session_id: bob.memory.summarize(session_id, SUMMARY)],
    "memory.switch_branch": [lambda bob, session_id: bob.memory.switch_branch(session_id, "one")],
    "memory.undelete_session": [lambda bob, session_id: bob.memory.undelete_session(session_id)],
    "memory.update_session": [
        lambda bob, session_id: bob.memory.update_session(
            Session(session_id=session_id, metadata={"x": 1})
        ),
        lambda bob, session_id: bob.memory.update_session(
            Session(session_id=session_id, user_id="bob")
        ),
        lambda bob, session_id: bob.memory.update_session(
            Session(session_id=session_id), unset=[["of"]]
        ),
        lambda bob, _: bob.memory.update_session(Session(session_id="bob's", user_id="ada")),
    ],
    "message.alternatives": [lambda bob, session_id: bob.message.alternatives(session_id, "one")],
    "message.count": [lambda bob, session_id: bob.message.count(session_id)],
    "message.delete_message": [
        lambda bob, session_id: bob.message.delete_message(session_id, "one")
    ],
    "message.get_session_message": [
        lambda bob, session_id: bob.message.get_session_message(session_id, "one")
    ],
    "message.get_session_messages": [
        lambda bob, session_id: bob.message.get_session_messages(session_id)
    ],
    "message.iter_messages": [
        lambda bob, session_id: listed(bob.message, "iter_messages", session_id),
        lambda bob, session_id: listed(
            bob.message, "iter_messages", session_id, include_deleted=True
        ),
        lambda bob, session_id: listed(bob.message, "iter_messages", session_id, after="one"),
        lambda bob, session_id: listed(bob.message, "iter_messages", session_id, all_branches=True),
    ],
    "message.window": [
        lambda bob, session_id: bob.message.window(session_id),
        lambda bob, session_id: bob.message.window(session_id, include_deleted=True),
        lambda bob, session_id: bob.message.window(session_id, around="one", content_limit=9),
    ],
    "message.undelete_message": [
        lambda bob, session_id: bob.message.undelete_message(session_id, "two")
    ],
    "message.update_message": [
        lambda bob, session_id: bob.message.update_message(session_id, "one", "x")
    ],
    "message.update_message_metadata": [
        lambda bob, session_id: bob.message.update_message_metadata(session_id, "one", {"x": 1})
    ],
    "user.add": [lambda bob, _: bob.user.add(CreateUserRequest(user_id="ada"))],
    "user.delete": [lambda bob, _: bob.user.delete("ada")],
    "user.erase": [
        lambda bob, _: bob.user.erase("ada"),
        lambda bob, _: bob.user.erase("ada", dry_run=True),
    ],
    "user.export": [lambda bob, _: listed(bob.user, "export", "ada")],
    "user.get": [lambda bob, _: bob.user.get("ada")],
    "user.get_sessions": [lambda bob, _: bob.user.get_sessions("ada")],
    "user.list": [lambda bob, _: bob.user.list(), lambda bob, _: bob.user.list(10, 0)],
    "user.list_chunked": [lambda bob, _: listed(bob.user, "list_chunked")],
    "user.update": [
        lambda bob, _: bob.user.update(UpdateUserRequest(user_id="ada", first_name="x"))
    ],
    "purge": [
        lambda bob, _: bob.purge(user_id="ada"),
        lambda bob, session_id: bob.purge(session_id=session_id),
        lambda bob, _: bob.purge(),
    ],
    "chat_history": [
        lambda bob, session_id: bob.chat_history(session_id).messages(),
        lambda bob, session_id: bob.chat_history(session_id).add(HumanMessage("x")),
        lambda bob, session_id: bob.chat_history(session_id, user_id="ada").add(HumanMessage("x")),
    ],
    "as_retriever": [
        lambda bob, _: retrieved(bob),
        lambda bob, _: retrieved(bob, user_id="ada"),
        lambda bob, session_id: retrieved(bob, session_id=session_id),
    ],
    "export": [
        lambda bob, session_id: exported(bob, session_id=session_id),
        lambda bob, _: exported(bob, user_id="ada"),
        lambda bob, _: exported(bob),
    ],
    "stats": [lambda bob, _: Caller(bob.client, asynchronous=bob.asynchronous).stats()],
    "activity": [
        lambda bob, _: bob.activity(),
        lambda bob, _: bob.activity(user_id="ada"),
    ],
    "diagnose": [lambda bob, _: Caller(bob.client, asynchronous=bob.asynchronous).diagnose()],
    "for_user": [lambda bob, _: view(bob, "ada").user.get("ada")],
}
NOT_TRIED = {"run", "close", "connections"}  # for the package's own, and of no session


async def exported(zep: Facade, **options: Any) -> list[Any]:
    caller = Caller(zep.client, asynchronous=zep.asynchronous)
    return await listed(caller, "export", **options)


async def retrieved(zep: Facade, **options: Any) -> Any:
    retriever = zep.client.as_retriever(search_type="text", **options)
    return await retriever.ainvoke(SECRET) if zep.asynchronous else retriever.invoke(SECRET)


def public_methods() -> set[str]:
    client = ZepClient("mongodb://h")
    found = set()
    for prefix, owner in {"": client, **managers(client)}.items():
        functions = {name for name, _ in inspect.getmembers(type(owner), inspect.isfunction)}
        public = {name for name in functions if not name.startswith("_")}
        twins = {f"a{name}" for name in public}
        found |= {prefix + name for name in public - twins}
    return found


def managers(client: ZepClient) -> dict[str, Any]:
    return {
        f"{name}.": value
        for name, value in vars(client).items()
        if type(value).__name__.endswith("Manager")
    }


def test_the_attempts_cover_every_method() -> None:
    assert public_methods() - NOT_TRIED == set(ATTEMPTS)


@pytest.mark.promise("one user's view: another's is as if it were not there")
async def test_no_method_reaches_another_users_sessions(own: Facade) -> None:
    await fill(own)
    bob, before = view(own, "bob"), await everything(own)
    for session_id in CLOSED:
        for name, attempt in attempts(with_general=session_id == CLOSED[0]):
            try:
                result = await attempt(bob, session_id)
            except (NotFoundError, BadRequestError) as refusal:
                result = refusal
            tried = (session_id, name)
            assert SECRET not in repr(result), tried
            assert "ada's" not in repr(result).replace(session_id, ""), tried
            assert result != "OK", tried
            if isinstance(result, dict):
                assert not any(result.values()), tried
        assert await everything(own) == before, session_id
    assert await contents(own, "bob's") == ["a harbour"]
    assert await bob.memory.list_sessions() == await own.memory.list_sessions(user_id="bob")


def attempts(*, with_general: bool) -> Iterator[tuple[str, Attempt]]:
    """Yield the attempts with their names; those that name no session are general."""
    for name, of_method in ATTEMPTS.items():
        for number, attempt in enumerate(of_method):
            if with_general or "_" not in inspect.signature(attempt).parameters:
                yield f"{name} {number}", attempt


async def test_vector_search_finds_no_other_users_messages(
    meaning: Facade, session_id: str
) -> None:
    ada, bob = f"ada {session_id}", f"bob {session_id}"
    await view(meaning, ada).memory.add_memory(session_id, said("The old ship lies at anchor"))
    stranger = view(meaning, bob)
    assert await stranger.memory.embed() == 0
    assert await stranger.memory.embed(session_id=session_id) == 0
    for search_type in ("similarity", "mmr", "hybrid"):
        for where in ({}, {"user_id": ada}, {"session_id": session_id}):
            options = {"search_type": search_type, **where}
            assert await stranger.memory.search("sailing a boat", **options) == []
        found = await view(meaning, ada).memory.search("sailing a boat", search_type=search_type)
        assert texts_found(found) == ["The old ship lies at anchor"]


@pytest.mark.promise("a view creates data of its user")
async def test_every_method_works_on_the_users_own_sessions(own: Facade) -> None:
    await fill(own)
    bob = view(own, "bob")
    await bob.memory.add_session(Session(session_id="mine", metadata={"a": 1}))
    await bob.memory.add_memory("mine", said("a boat", "a lake"))
    await bob.chat_history("spoken", session_metadata={"b": 2}).add(HumanMessage("a tent"))
    for session_id in ("mine", "spoken", "bob's"):
        assert (await own.memory.get_session(session_id)).user_id == "bob"
    names = {session.session_id for session in await bob.memory.list_sessions()}
    assert names == {"mine", "spoken", "bob's"}
    page = await bob.memory.recent_sessions(preview=True)
    assert [session.session_id for session in page.sessions] == ["spoken", "mine", "bob's"]
    assert [session.message_count for session in page.sessions] == [1, 2, 1]
    assert texts_found(await bob.memory.search("boat")) == ["a boat"]
    assert [document.page_content for document in await retrieved(bob)] == []
    assert (await bob.memory.summarize("mine", SUMMARY)).content.startswith("summary")
    assert len(await bob.memory.search("summary", search_scope="summary")) == 1
    assert (await bob.memory.organize_session("mine", title="A boat")).title == "A boat"
    await bob.memory.update_session(Session(session_id="mine", metadata={"c": 3}))
    message = (await bob.memory.get_memory("mine")).messages[0]
    await bob.message.update_message_metadata("mine", message.uuid, {"d": 4})
    await bob.message.update_message("mine", message.uuid, "a ship")
    await bob.message.delete_message("mine", message.uuid)
    assert (await bob.message.undelete_message("mine", message.uuid)).content == "a ship"
    await bob.memory.delete_memory("mine")
    page = await bob.memory.recent_sessions(deleted=True)
    assert [session.session_id for session in page.sessions] == ["mine"]
    assert len((await bob.memory.get_memory("mine", include_deleted=True)).messages) == 2
    assert (await bob.memory.undelete_session("mine")).metadata == {"a": 1, "c": 3}
    assert await contents(bob, "mine") == ["a ship", "a lake"]
    assert [user.user_id for user in await bob.user.list()] == ["bob"]
    assert (await bob.user.update(UpdateUserRequest(user_id="bob", email="b@c.d"))).email
    await bob.memory.delete_memory("mine")
    assert await bob.purge() == {"messages": 2, "sessions": 1, "users": 0}
    assert await bob.memory.erase_session("spoken") == {"users": 0, "sessions": 1, "messages": 1}
    await bob.user.delete("bob")
    assert await bob.memory.list_sessions() == []
    assert len(await own.memory.list_sessions(include_deleted=True)) == len(CLOSED) + 1
    assert await bob.user.erase("bob") == {"users": 1, "sessions": 1, "messages": 1}
    assert len(await own.memory.list_sessions(include_deleted=True)) == len(CLOSED)


async def test_a_user_edits_and_forks_own_sessions(zep: Facade, session_id: str) -> None:
    bob = view(zep, f"bob {session_id}")
    await bob.memory.add_memory(session_id, said("a boat", "a lake"))
    edited = Memory(messages=[Message(role="user", content="a sea", uuid="edited")])
    (_, lake) = (await bob.memory.get_memory(session_id)).messages
    await bob.memory.add_memory(session_id, edited, before=lake.uuid)
    assert [each.content for each in await bob.message.alternatives(session_id, "edited")] == [
        "a lake",
        "a sea",
    ]
    await bob.memory.switch_branch(session_id, lake.uuid)
    forked = await bob.memory.fork_session(session_id)
    assert await contents(bob, forked.session_id) == ["a boat", "a lake"]
    assert forked.user_id == f"bob {session_id}"


async def test_an_unknown_user_is_created_with_the_first_session(
    zep: Facade, session_id: str
) -> None:
    for user_id, first in (
        (f"carol {session_id}", lambda carol: carol.memory.add_memory(session_id, said("x"))),
        (
            f"dora {session_id}",
            lambda dora: dora.memory.add_session(Session(session_id=f"{session_id} 2")),
        ),
    ):
        await first(view(zep, user_id))
        assert (await zep.user.get(user_id)).user_id == user_id
        (session,) = await view(zep, user_id).user.get_sessions(user_id)
        assert session.user_id == user_id


@pytest.mark.parametrize("user_id", ["a/b", "ä ö", "100 %", "%41", "..", "x" * 200, "'quoted'"])
async def test_any_valid_user_id_has_a_view(zep: Facade, session_id: str, user_id: str) -> None:
    viewed = view(zep, user_id)
    await viewed.memory.add_memory(session_id, said("x"))
    assert (await zep.memory.get_session(session_id)).user_id == user_id
    assert await contents(viewed, session_id) == ["x"]
    assert await contents(view(zep, f"{user_id}2"), session_id) == []


async def hand_over(zep: Facade, session_id: str) -> tuple[Facade, Facade]:
    """Let Ada say something under an id, and give the id, with a session of its own, to Bob."""
    for user_id in ("ada", "bob"):
        await zep.user.add(CreateUserRequest(user_id=f"{user_id} {session_id}"))
    ada, bob = (view(zep, f"{user_id} {session_id}") for user_id in ("ada", "bob"))
    messages = [Message(role="user", content=SECRET, uuid=each) for each in ("one", "two")]
    await ada.memory.add_memory(session_id, Memory(messages=messages))
    await ada.memory.summarize(session_id, SUMMARY)
    await ada.message.delete_message(session_id, "two")
    await ada.memory.delete_memory(session_id)
    return ada, bob


@pytest.mark.promise("messages under an id never become those of its next owner")
@pytest.mark.parametrize("purge", ["never", "in part", "whole", "afterwards"])
async def test_a_session_id_with_a_new_owner_shows_nothing_of_the_former_one(
    zep: Facade, session_id: str, purge: str
) -> None:
    ada, bob = await hand_over(zep, session_id)
    bobs = Session(session_id=session_id, user_id=f"bob {session_id}")
    if purge == "whole":
        await ada.purge(session_id=session_id)
        await bob.memory.add_session(Session(session_id=session_id))
    else:
        with pytest.raises(BadRequestError):
            await bob.memory.add_session(Session(session_id=session_id))
        await zep.memory.add_session(bobs)
    if purge == "in part":
        await ada.purge(session_id=session_id)
    for each in (bob, zep):
        await shows_nothing(each, session_id)
    messages = [Message(role="user", content=each, uuid=each) for each in ("two", "three")]
    await bob.memory.add_memory(session_id, Memory(messages=messages))
    if purge == "afterwards":
        await ada.purge()
    await bob.message.delete_message(session_id, "two")
    await bob.memory.delete_memory(session_id)
    for each in (bob, zep):
        assert SECRET not in repr(await each.memory.get_memory(session_id, include_deleted=True))
    assert (await bob.memory.undelete_session(session_id)).user_id == f"bob {session_id}"
    assert await contents(bob, session_id) == ["three"]
    assert (await bob.message.undelete_message(session_id, "two")).content == "two"
    assert await contents(bob, session_id) == ["two", "three"]
    assert await contents(ada, session_id) == []
    with pytest.raises(NotFoundError):
        await ada.memory.get_session(session_id)
    with pytest.raises(BadRequestError):
        await ada.memory.add_memory(session_id, said("mine again"))
    await shows_nothing(bob, session_id)


async def shows_nothing(zep: Facade, session_id: str) -> None:
    memory = await zep.memory.get_memory(session_id, include_deleted=True)
    user_id = f"bob {session_id}"
    shown = [
        memory,
        await listed(zep.message, "iter_messages", session_id, include_deleted=True),
        await zep.memory.recent_sessions(100, user_id=user_id, deleted=True, preview=True),
        await zep.memory.search(SECRET, session_id=session_id),
        await zep.memory.search(SECRET, user_id=user_id),
        await zep.memory.search(SECRET, user_id=user_id, search_scope="summary"),
        await zep.memory.search(SECRET, user_id=user_id, search_scope="sessions"),
    ]
    assert SECRET not in repr(shown)
    with pytest.raises(NotFoundError):
        await zep.message.undelete_message(session_id, "one")
    if not memory.messages:
        with pytest.raises(NotFoundError):
            await zep.memory.undelete_session(session_id)


async def test_a_session_without_a_user_appears_once_it_is_assigned(
    zep: Facade, session_id: str
) -> None:
    user_id = f"ada {session_id}"
    await zep.user.add(CreateUserRequest(user_id=user_id))
    await zep.memory.add_memory(session_id, said("a boat"))
    ada = view(zep, user_id)
    assert await contents(ada, session_id) == []
    with pytest.raises(BadRequestError):
        await ada.memory.add_memory(session_id, said("mine"))
    await zep.memory.update_session(Session(session_id=session_id, user_id=user_id))
    assert await contents(ada, session_id) == ["a boat"]
    assert texts_found(await ada.memory.search("boat")) == ["a boat"]


@pytest.mark.parametrize("user_id", ["", None, 7, "\0", "x" * 2000])
async def test_an_invalid_user_id_has_no_view(zep: Facade, user_id: Any) -> None:
    with pytest.raises(BadRequestError, match="user_id"):
        zep.client.for_user(user_id)


async def test_a_view_is_restricted_to_its_user(zep: Facade) -> None:
    ada = zep.client.for_user("ada")
    assert ada.for_user("ada") is ada
    assert ada.user_id == "ada"
    assert zep.client.user_id is None
    with pytest.raises(BadRequestError, match="'ada'"):
        ada.for_user("bob")
    with pytest.raises(BadRequestError):
        await view(zep, "ada").memory.add_session(Session(session_id="x", user_id="bob"))
    with pytest.raises(BadRequestError):
        await view(zep, "ada").chat_history("x", user_id="bob").add(HumanMessage("x"))


async def test_closing_a_view_does_not_close_the_client(zep: Facade, session_id: str) -> None:
    ada = view(zep, "ada")
    async with ada.client:
        await ada.memory.add_memory(session_id, said("x"))
    ada.client.close()
    assert await contents(ada, session_id) == ["x"]
    assert await contents(zep, session_id) == ["x"]


@pytest.mark.promise("another user's session is as if it were not there")
async def test_a_history_in_a_view_reads_another_users_session_as_empty(
    zep: Facade, session_id: str, user_id: str
) -> None:
    await view(zep, user_id).memory.add_memory(session_id, said("hers"))
    bob = f"bob {user_id}"
    history = view(zep, bob).chat_history(session_id, user_id=bob)
    assert await history.messages() == []
