"""Random lives of a session with branches, against a plain tree."""

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_zepstore import Memory, Message, NotFoundError, ZepClient, ZepStoreError
from tests.support.branch_model import BranchModel

NAMES = (
    *(
        "add",
        "add",
        "add again",
        "edit",
        "edit",
        "edit",
        "edit again",
        "rewind",
        "switch",
        "switch",
        "fork",
    ),
    *("switch", "delete_message", "undelete_message", "delete", "undelete"),
)
STEPS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.integers(0, 99), st.integers(1, 3)), max_size=20
)


class Player:
    """Does the steps of a life on the model and on a store."""

    def __init__(self, client: ZepClient) -> None:
        self.client = client
        self.session_id = str(uuid4())
        self.model = BranchModel()
        self.calls: list[tuple[str, list[str]]] = []
        self.said: list[str] = []

    def play(self, name: str, chosen: int, count: int) -> None:
        uuid = self.said[chosen % len(self.said)] if self.said else "nobody"
        before, uuids = uuid, [f"m{len(self.said) + index}" for index in range(count)]
        if name == "add again" and self.said:
            uuids[0] = uuid
        if name == "edit again" and self.calls:
            before, uuids = self.calls[chosen % len(self.calls)]
        if name.startswith("edit"):
            self.calls.append((before, uuids))
            self._both("edit", before, uuids)
        elif name.startswith("add"):
            self._both("add", uuids)
        elif name in {"delete", "undelete"}:
            self._both(name)
        elif name == "fork":
            self.fork(None if count == 1 else uuid)
        else:
            self._both(name, uuid)
        self.compare()

    def fork(self, at: str | None) -> None:
        memory = self.client.memory
        try:
            expected = self.model.fork(at)
        except NotFoundError:
            with pytest.raises(NotFoundError):
                memory.fork_session(self.session_id, at=at)
            return
        fork = memory.fork_session(self.session_id, at=at)
        assert self._ids(memory.get_memory(fork.session_id).messages) == expected
        assert len(memory.branches(fork.session_id)) == bool(expected)

    def compare(self) -> None:
        memory, message, model = self.client.memory, self.client.message, self.model
        assert self._ids(memory.get_memory(self.session_id).messages) == model.shown()
        for lastn in (1, 3):
            found = memory.get_memory(self.session_id, lastn).messages
            assert self._ids(found) == model.shown()[-lastn:]
        assert message.count(self.session_id) == len(model.shown())
        tree = message.iter_messages(self.session_id, 3, all_branches=True)
        assert [(each.uuid, each.parent_uuid) for each in tree] == model.tree()
        pages = message.iter_messages(self.session_id, 2)
        assert self._ids(pages) == model.shown()
        listed = memory.branches(self.session_id)
        assert len(listed) == len(model.branches())
        assert {
            (each.last_message_id, each.message_count, each.is_active) for each in listed
        } == model.branches()
        for uuid, _ in model.tree()[-4:]:
            found = memory.get_memory(self.session_id, branch=uuid).messages
            assert self._ids(found) == model.shown(uuid)
            found = message.alternatives(self.session_id, uuid)
            assert self._ids(found) == model.alternatives(uuid)

    def _ids(self, messages: Any) -> list[str]:
        return [message.uuid for message in messages]

    def _both(self, name: str, *arguments: Any) -> None:
        expected = _outcome(getattr(self.model, name), *arguments)
        assert _outcome(getattr(self, f"_{name}"), *arguments) is expected
        for uuids in arguments if expected is None else ():
            self.said += [each for each in uuids if isinstance(uuids, list)]

    def _add(self, uuids: list[str]) -> None:
        self.client.memory.add_memory(self.session_id, memory_of(uuids))

    def _edit(self, before: str, uuids: list[str]) -> None:
        self.client.memory.add_memory(self.session_id, memory_of(uuids), before=before)

    def _rewind(self, uuid: str) -> None:
        self.client.memory.rewind(self.session_id, uuid)

    def _switch(self, uuid: str) -> None:
        self.client.memory.switch_branch(self.session_id, uuid)

    def _delete_message(self, uuid: str) -> None:
        self.client.message.delete_message(self.session_id, uuid)

    def _undelete_message(self, uuid: str) -> None:
        self.client.message.undelete_message(self.session_id, uuid)

    def _delete(self) -> None:
        self.client.memory.delete_memory(self.session_id)

    def _undelete(self) -> None:
        self.client.memory.undelete_session(self.session_id)


def memory_of(uuids: list[str]) -> Memory:
    return Memory(messages=[Message(role="user", content=uuid, uuid=uuid) for uuid in uuids])


def _outcome(call: Any, *arguments: Any) -> type[Exception] | None:
    try:
        call(*arguments)
    except ZepStoreError as error:
        return type(error)
    return None


@pytest.mark.promise("any life of a session with branches is as a plain tree says")
def test_random_branch_operations_match_a_tree_model(mongo_url: str, long: bool) -> None:
    with ZepClient(mongo_url, database="branch_lives") as client:

        @settings(
            max_examples=200 if long else 10,
        )
        @given(steps=STEPS)
        def live(steps: list[tuple[str, int, int]]) -> None:
            player = Player(client)
            player.play("add", 0, 3)
            for step in steps:
                player.play(*step)

        live()


def test_the_comparison_finds_a_switch_that_does_nothing(
    mongo_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BranchModel, "switch", lambda self, uuid: None)
    with ZepClient(mongo_url, database="branch_lives") as client:
        player = Player(client)
        player.play("add", 0, 3)
        player.play("edit", 1, 1)
        with pytest.raises(AssertionError):
            player.play("switch", 2, 1)
