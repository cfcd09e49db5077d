"""Random lives of sessions, against a plain-Python model, on every kind of backend."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from bson.json_util import dumps
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from pymongo import MongoClient

from langchain_zepstore import Memory, Message, NotFoundError, Session, ZepClient, ZepStoreError
from tests.support.facade import Facade
from tests.support.model import Model, View

DATABASE = "life_cycle"
SESSIONS = st.sampled_from(["a", "b"])
UUIDS = st.sampled_from(["m0", "m1", "m2", "m3", "m4"])
KEYS = st.sampled_from(["k", "a.b", "$x", "system", "$ref", "$id"])
METADATA = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.just("")
    | st.lists(st.integers(0, 9), max_size=2),
    lambda inner: st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=5,
)
PATCHES = st.dictionaries(KEYS, METADATA, max_size=3)

Step = tuple[str, tuple[Any, ...]]


class Player:
    """Does the steps of a life on a backend, under session ids and in the view of its own user."""

    def __init__(self, client: ZepClient, *, asynchronous: bool) -> None:
        self.user_id = str(uuid4())
        self.zep = Facade(client.for_user(self.user_id), asynchronous=asynchronous)
        self._prefix = f"{uuid4()} "

    async def do(self, name: str, arguments: tuple[Any, ...]) -> None:
        zep = self.zep
        if name == "purge":
            await zep.purge()
            return
        if name == "erase_user":
            await zep.user.erase(self.user_id)
            return
        session_id, *rest = arguments
        key = self._prefix + session_id
        if name == "add":
            messages = [Message(role="user", content=text, uuid=uuid) for uuid, text in rest[0]]
            await zep.memory.add_memory(key, Memory(messages=messages))
        elif name == "create":
            await zep.memory.add_session(Session(session_id=key, metadata=rest[0]))
        elif name == "update":
            await zep.memory.update_session(Session(session_id=key, metadata=rest[0]))
        elif name == "delete":
            await zep.memory.delete_memory(key)
        elif name == "undelete":
            await zep.memory.undelete_session(key)
        elif name == "organize":
            await zep.memory.organize_session(key, title=rest[0], pinned=rest[1])
        elif name == "erase_session":
            await zep.memory.erase_session(key)
        else:
            await getattr(zep.message, name)(key, *rest)

    async def view(self, session_id: str) -> View:
        key = self._prefix + session_id
        memory = await self.zep.memory.get_memory(key)
        messages = [(message.uuid or "", message.content) for message in memory.messages]
        assert await self.zep.message.count(key) == len(messages)
        try:
            session = await self.zep.memory.get_session(key)
        except NotFoundError:
            return None, messages
        return (session.metadata, session.title, session.pinned), messages

    async def previews(self) -> dict[str, tuple[int | None, str | None]]:
        page = await self.zep.memory.recent_sessions(preview=True)
        return {
            session.session_id.removeprefix(self._prefix): (
                session.message_count,
                session.last_message and session.last_message.uuid,
            )
            for session in page.sessions
        }

    def is_in(self, url: str) -> bool:
        """Whether a raw document holds an id of its own."""
        with MongoClient[Any](url) as raw:
            database = raw[DATABASE]
            names = database.list_collection_names()
            text = "".join(dumps(database[name].find()) for name in names)
        return self.user_id in text or self._prefix in text


async def outcome(player: Player, step: Step) -> type[Exception] | None:
    try:
        await player.do(*step)
    except ZepStoreError as error:
        return type(error)
    return None


def model_outcome(model: Model, step: Step) -> type[Exception] | None:
    try:
        getattr(model, step[0])(*step[1])
    except ZepStoreError as error:
        return type(error)
    return None


async def compare(player: Player, steps: list[Step]) -> None:
    model = Model()
    for step in steps:
        assert await outcome(player, step) == model_outcome(model, step), step
        for session_id in ("a", "b"):
            assert await player.view(session_id) == model.view(session_id), step


class Lives(RuleBasedStateMachine):
    """Does a random step on the model and on the synchronous backend, and remembers it."""

    url = ""
    others: list[tuple[str, bool]] = []  # noqa: RUF012 - set by the test

    @initialize()
    def begin(self) -> None:
        self.client = ZepClient(self.url, database=DATABASE)
        self.player = Player(self.client, asynchronous=False)
        self.model = Model()
        self.steps: list[Step] = []

    def step(self, name: str, *arguments: Any) -> None:
        step = (name, arguments)
        self.steps.append(step)
        assert asyncio.run(outcome(self.player, step)) == model_outcome(self.model, step)

    @rule(
        session_id=SESSIONS,
        messages=st.lists(st.tuples(UUIDS, st.text(max_size=3)), min_size=1, max_size=4),
    )
    def add(self, session_id: str, messages: list[tuple[str, str]]) -> None:
        self.step("add", session_id, messages)

    @rule(session_id=SESSIONS, metadata=st.none() | PATCHES)
    def create(self, session_id: str, metadata: dict[str, Any] | None) -> None:
        self.step("create", session_id, metadata)

    @rule(session_id=SESSIONS, metadata=PATCHES)
    def update(self, session_id: str, metadata: dict[str, Any]) -> None:
        self.step("update", session_id, metadata)

    @rule(session_id=SESSIONS)
    def delete(self, session_id: str) -> None:
        self.step("delete", session_id)

    @rule(session_id=SESSIONS)
    def undelete(self, session_id: str) -> None:
        self.step("undelete", session_id)

    @rule(session_id=SESSIONS, uuid=UUIDS)
    def delete_message(self, session_id: str, uuid: str) -> None:
        self.step("delete_message", session_id, uuid)

    @rule(session_id=SESSIONS, uuid=UUIDS)
    def undelete_message(self, session_id: str, uuid: str) -> None:
        self.step("undelete_message", session_id, uuid)

    @rule(session_id=SESSIONS, title=st.none() | st.text("ab ", max_size=3), pinned=st.booleans())
    def organize(self, session_id: str, title: str | None, pinned: bool) -> None:
        self.step("organize", session_id, title, pinned)

    @rule(session_id=SESSIONS, uuid=UUIDS, content=st.text(max_size=3))
    def update_message(self, session_id: str, uuid: str, content: str) -> None:
        self.step("update_message", session_id, uuid, content)

    @rule(session_id=SESSIONS)
    def erase_session(self, session_id: str) -> None:
        self.step("erase_session", session_id)

    @rule()
    def erase_user(self) -> None:
        self.step("erase_user")
        assert not self.player.is_in(self.url)

    @rule()
    def purge(self) -> None:
        self.step("purge")

    @invariant()
    def a_users_sessions_match_the_model(self) -> None:
        for session_id in ("a", "b") if hasattr(self, "model") else ():
            assert asyncio.run(self.player.view(session_id)) == self.model.view(session_id)

    @invariant()
    def previews_match_the_model(self) -> None:
        if hasattr(self, "model"):
            assert asyncio.run(self.player.previews()) == self.model.previews()

    def teardown(self) -> None:
        if not hasattr(self, "client"):
            return
        self.erase_user()
        self.client.close()
        for url, asynchronous in self.others:
            asyncio.run(replay(url, self.steps, asynchronous=asynchronous))


async def replay(url: str, steps: list[Step], *, asynchronous: bool) -> None:
    async with ZepClient(url, database=DATABASE) as client:
        await compare(Player(client, asynchronous=asynchronous), steps)


@pytest.mark.promise("any life of a session is as a plain model says, on every backend")
def test_random_session_operations_match_the_model(
    mongo_url: str, embedded_url: str, long: bool
) -> None:
    Lives.url = mongo_url
    Lives.others = [(mongo_url, True), (embedded_url, False)]
    run_state_machine_as_test(
        Lives,
        settings=settings(
            max_examples=100 if long else 2,
            stateful_step_count=20,
        ),
    )


@pytest.mark.promise("any life of a session is as a plain model says, on every backend")
@pytest.mark.parametrize("wrong", ["lost", "shown"])
async def test_the_comparison_finds_differences(
    wrong: str, mongo_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[Step] = [("add", ("a", [("m0", "x")])), ("delete", ("a",))]
    if wrong == "lost":
        monkeypatch.setattr(Model, "delete", lambda self, session_id: None)
    else:
        monkeypatch.setattr(Model, "add", lambda self, session_id, messages: None)
    async with ZepClient(mongo_url, database=DATABASE) as client:
        with pytest.raises(AssertionError):
            await compare(Player(client, asynchronous=True), steps)
