"""Edits, switches and adds that meet between two of their steps, or die at one."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from langchain_zepstore import (
    AlreadyExistsError,
    BadRequestError,
    Memory,
    Message,
    NotFoundError,
    ZepClient,
)
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.records import MAX_FORKS
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.adding.insertion import AsideInsertion
from langchain_zepstore.mongo.branches import reads
from langchain_zepstore.mongo.branches.table import ForkTable
from langchain_zepstore.mongo.deletion.marks import Marking
from langchain_zepstore.mongo.driver.collection import Collection
from langchain_zepstore.mongo.driver.durability import LastWriter
from tests.support.messages import parts_of
from tests.support.stepping import Drive, store_of


def memory_of(*ids: str) -> Memory:
    return Memory(messages=[Message(role="user", content=id_, uuid=id_) for id_ in ids])


class Actor:
    """Calls on one session, whole or step by step."""

    def __init__(self, client: ZepClient, session_id: str) -> None:
        self.client = client
        self.session_id = session_id
        self.store = store_of(client)

    def add(self, *ids: str, before: str | None = None) -> None:
        self.client.memory.add_memory(self.session_id, memory_of(*ids), before=before)

    def adding(self, *ids: str, before: str | None = None) -> Drive:
        return Drive(
            self.store.messages.add(self.session_id, parts_of(memory_of(*ids)), before=before)
        )

    def switch(self, uuid: str) -> None:
        self.client.memory.switch_branch(self.session_id, uuid)

    def read(self, branch: str | None = None) -> str:
        memory = self.client.memory.get_memory(self.session_id, branch=branch)
        return " ".join(message.uuid or "" for message in memory.messages)

    def metadata(self) -> dict:
        """The session's metadata, empty if there is no session."""
        with contextlib.suppress(NotFoundError):
            return self.client.memory.get_session(self.session_id).metadata or {}
        return {}

    def documents(self, query: dict) -> list[dict]:
        raw = self.store.messages._messages._raw
        return raw.find({"session_id": self.session_id, **query}).to_list()


@pytest.fixture
def actor(mongo_url: str, session_id: str):
    with ZepClient(mongo_url) as client:
        actor = Actor(client, session_id)
        actor.add("q1", "a1", "q2", "a2")
        yield actor


def test_an_add_reserved_before_the_first_edit_is_flagged(actor: Actor) -> None:
    adding = actor.adding("late").step()
    actor.add("q2b", before="q2")
    assert actor.read() == "q1 a1 q2b"
    adding.finish()
    assert actor.read() == "q1 a1 q2b late"
    assert actor.documents({"deleted_at": None, "branched": None}) == []


def test_an_add_reserved_before_a_later_edit_stays_on_its_branch(actor: Actor) -> None:
    actor.add("q2b", before="q2")
    adding = actor.adding("late").step()
    actor.add("q2c", before="q2")
    adding.finish()
    assert actor.read() == "q1 a1 q2c"
    assert actor.read(branch="late") == "q1 a1 q2b late"


def test_a_replaced_message_stays_flagged(actor: Actor) -> None:
    actor.add("q2b", before="q2")
    actor.add("q2", "a2", "q2b")
    assert actor.documents({"placeholder": None, "branched": None}) == []


def test_a_replacement_racing_the_first_edit_stays_flagged(actor: Actor) -> None:
    replacing = actor.adding("q1").step(3)  # its conflict is read, the replacement not yet made
    actor.add("q2b", before="q2")
    replacing.finish()
    assert actor.documents({"deleted_at": None, "branched": None}) == []
    assert actor.read() == "q1 a1 q2b"


@pytest.mark.promise("an edit killed at any step changes nothing until it is repeated")
def test_a_retry_completes_an_edit_interrupted_at_any_step(actor: Actor) -> None:
    old, steps, is_done = actor.read(), 0, False
    while not is_done:
        steps += 1
        ids = (f"q{steps}x", f"a{steps}x")
        editing = actor.adding(*ids, before="q2")
        try:
            editing.step(steps)
        except StopIteration:
            is_done = True
        new = f"q1 a1 {' '.join(ids)}"
        assert actor.read() in {old, new}
        actor.add(*ids, before="q2")
        assert actor.read() == new
        actor.add("then")
        assert actor.read() == f"{new} then"
        actor.client.message.delete_message(actor.session_id, "then")
        old = new
    assert steps > 4


@pytest.mark.promise("a fork killed at any step is completed by its repeat; no part looks whole")
@pytest.mark.parametrize("at", [None, "q2b"])
def test_a_retry_completes_a_fork_interrupted_at_any_step(actor: Actor, at: str | None) -> None:
    actor.add("q2b", before="q2")
    memory, steps, is_done = actor.client.memory, 0, False
    while not is_done:
        steps += 1
        new_id = f"{actor.session_id} {steps}"
        forking = Drive(actor.store.branches.fork(actor.session_id, at, new_id))
        try:
            forking.step(steps)
        except StopIteration:
            is_done = True
        copy = Actor(actor.client, new_id)
        metadata = copy.metadata()
        if "forked_from" in metadata:
            assert copy.read() == "q1 a1 q2b"
        else:
            if at is None and metadata:
                actor.switch("q2")  # the repeat copies what the first call began to copy
            memory.fork_session(actor.session_id, at=at, new_session_id=new_id)
            actor.switch("q2b")
        assert copy.read() == "q1 a1 q2b"
        assert copy.metadata() == {"forked_from": actor.session_id}
        with pytest.raises(AlreadyExistsError):
            memory.fork_session(actor.session_id, at=at, new_session_id=new_id)
    assert steps > 5


@pytest.mark.parametrize("steps", range(3, 15, 2))
@pytest.mark.parametrize("is_restored", [True, False])
def test_a_fork_of_a_concurrently_deleted_session_is_whole_or_raises(
    actor: Actor, steps: int, is_restored: bool
) -> None:
    memory, copy = actor.client.memory, Actor(actor.client, f"{actor.session_id} copy")
    forking = Drive(actor.store.branches.fork(actor.session_id, None, copy.session_id))
    with contextlib.suppress(StopIteration):
        forking.step(steps)
        memory.delete_memory(actor.session_id)
        if is_restored:
            memory.undelete_session(actor.session_id)
        with contextlib.nullcontext() if is_restored else contextlib.suppress(NotFoundError):
            forking.finish()
    if is_restored or "forked_from" in copy.metadata():
        assert copy.read() == "q1 a1 q2 a2"


def test_a_different_fork_does_not_continue_an_unfinished_one(actor: Actor) -> None:
    new_id = f"{actor.session_id} copy"
    forking = actor.store.branches.fork(actor.session_id, "q2", new_id)
    Drive(forking).step(8)
    assert "forking_from" in (actor.client.memory.get_session(new_id).metadata or {})
    with pytest.raises(AlreadyExistsError):
        actor.client.memory.fork_session(actor.session_id, at="q1", new_session_id=new_id)


def test_a_fork_completed_later_has_the_order_of_its_session(actor: Actor) -> None:
    adding = actor.adding("late").step()
    actor.add("q3")
    copy = Actor(actor.client, f"{actor.session_id} copy")
    forking = Drive(actor.store.branches.fork(actor.session_id, None, copy.session_id))
    while not copy.read():
        forking.step()
    adding.finish()
    actor.client.memory.fork_session(actor.session_id, new_session_id=copy.session_id)
    assert copy.read() == "q1 a1 q2 a2 q3"
    assert actor.read() == "q1 a1 q2 a2 q3 late"


def test_a_fork_completed_later_has_restored_messages_in_position(
    actor: Actor,
) -> None:
    memory, copy = actor.client.memory, Actor(actor.client, f"{actor.session_id} copy")
    memory.delete_memory(actor.session_id)
    actor.add("q3", "a3")
    forking = Drive(actor.store.branches.fork(actor.session_id, None, copy.session_id))
    while not copy.read():
        forking.step()
    memory.undelete_session(actor.session_id)
    memory.fork_session(actor.session_id, new_session_id=copy.session_id)
    assert copy.read() == actor.read() == "q1 a1 q2 a2 q3 a3"
    assert len(copy.documents({})) == 6


def test_a_fork_of_an_erased_and_recreated_session_is_not_completed(actor: Actor) -> None:
    copy = Actor(actor.client, f"{actor.session_id} copy")
    forking = Drive(actor.store.branches.fork(actor.session_id, None, copy.session_id))
    while not copy.read():
        forking.step()
    actor.client.memory.erase_session(actor.session_id)
    actor.add("new")
    with pytest.raises(NotFoundError, match="began anew"):
        actor.client.memory.fork_session(actor.session_id, new_session_id=copy.session_id)
    assert copy.documents({}) == []
    assert [each["seq"] for each in actor.documents({})] == [1]


@pytest.mark.promise("an erased user's words are not in a fork that was under way")
@pytest.mark.parametrize("steps", range(1, 14, 2))
def test_a_fork_leaves_nothing_of_a_concurrently_erased_user(
    mongo_url: str, session_id: str, steps: int
) -> None:
    with ZepClient(mongo_url) as whole:
        actor = Actor(whole.for_user(f"user of {session_id}"), session_id)
        actor.add("q1", "a1")
        forking = Drive(actor.store.branches.fork(session_id, None, f"{session_id} copy"))
        with contextlib.suppress(StopIteration):
            forking.step(steps)
            whole.user.erase(f"user of {session_id}")
            with pytest.raises(NotFoundError):
                forking.finish()
        assert whole.memory.list_sessions(user_id=f"user of {session_id}") == []
        assert not actor.documents({})
        assert not Actor(whole, f"{session_id} copy").documents({})


def test_an_erasure_covers_forks_made_since_its_start(mongo_url: str, session_id: str) -> None:
    user_id = f"user of {session_id}"
    with ZepClient(mongo_url) as whole:
        actor = Actor(whole.for_user(user_id), session_id)
        actor.add("q1")
        erasing = Drive(store_of(whole).deletion.erase_user(user_id, None)).step(2)
        actor.client.memory.fork_session(session_id, new_session_id=f"{session_id} copy")
        Actor(actor.client, f"{session_id} new").add("q2")
        erasing.finish()
        left = whole.memory.list_sessions(user_id=user_id)
        assert [session.session_id for session in left] == [f"{session_id} new"]


def test_a_late_activation_keeps_messages_added_since(actor: Actor) -> None:
    actor.add("q2b", before="q2")
    editing = actor.adding("q2c", before="q2").step(4)  # all but the activation
    assert actor.read() == "q1 a1 q2b"
    actor.add("q2c", before="q2")
    assert actor.read() == "q1 a1 q2c"
    actor.add("a2c")
    editing.finish()
    assert actor.read() == "q1 a1 q2c a2c"


def test_a_late_switch_includes_messages_added_since(actor: Actor) -> None:
    actor.add("q2b", before="q2")
    switching = Drive(actor.store.branches.switch(actor.session_id, "a2")).step(2)
    actor.switch("a2")
    actor.add("q3")
    actor.switch("q2b")
    switching.finish()
    assert actor.read() == "q1 a1 q2 a2 q3"


def test_a_deletion_completed_after_the_first_edit_takes_nothing_added_since(actor: Actor) -> None:
    Drive(actor.store.deletion.delete_session(actor.session_id)).step()  # dies once it is open
    actor.add("later")
    actor.add("edit", before="later")  # fences more numbers than the deletion takes
    actor.client.message.delete_message(actor.session_id, "edit")
    actor.client.purge(session_id=actor.session_id)
    assert actor.read(branch="later") == "later"


def test_an_edit_does_not_take_over_messages_of_the_same_edit(actor: Actor) -> None:
    actor.add("q0", before="q1")  # the session has branched
    editing = actor.adding("q2b", "a2b", before="q2").step(3)  # its numbers are reserved
    actor.add("q2b", "a2b", before="q2")
    actor.add("then")
    editing.finish()
    assert actor.read() == "q1 a1 q2b a2b then"
    assert actor.documents({"superseded": {"$exists": True}}) == []


def test_one_of_two_partial_identical_edits_is_superseded(actor: Actor) -> None:
    actor.add("q0", before="q1")
    many = [f"m{number}" for number in range(1001)]
    actor.adding(*many, before="q2").step(4)  # dies with the first thousand inserted
    assert actor.documents({"uuid": "m0", "deleted_at": None})
    assert not actor.documents({"uuid": "m1000"})
    actor.add(*many, before="q2")
    assert actor.read() == " ".join(["q1", "a1", *many])


def test_the_number_of_branches_is_limited(actor: Actor) -> None:
    sessions = actor.store.messages._database.sessions._raw
    actor.add("q2b", before="q2")
    session = sessions.find_one({"_id": actor.session_id})
    last, turn = session["seq"], session["turn"]
    forks = [
        {"first": last + number, "after": 4, "activated": turn + number}
        for number in range(1, MAX_FORKS - len(session["forks"]))
    ]
    sessions.update_one(
        {"_id": actor.session_id},
        {
            "$push": {"forks": {"$each": forks}},
            "$set": {"seq": last + len(forks), "turn": turn + len(forks)},
        },
    )
    assert actor.read() == "q1 a1 q2 a2"
    for change in (
        lambda: actor.add("more", before="q2"),
        lambda: actor.switch("q2b"),
        lambda: actor.client.memory.rewind(actor.session_id, "q2"),
    ):
        with pytest.raises(BadRequestError, match=r"1,000 branches"):
            change()
    assert not actor.documents({"uuid": "more"})
    actor.add("q3")
    assert actor.read() == "q1 a1 q2 a2 q3"
    fork = actor.client.memory.fork_session(actor.session_id)
    assert actor.client.message.count(fork.session_id) == 5
    assert len(actor.client.memory.branches(actor.session_id)) == 2


class _Elected(LastWriter):
    """Knows a server that died: what it reserved has to be confirmed."""

    def get(self) -> str:
        return "a server that died"


def _lost_and_given_to_an_edit(actor: Actor) -> tuple[Drive, Drive]:
    """Return an add and an edit with the same number, which a server lost in between."""
    actor.add("q2b", before="q2")
    actor.store.messages._database.last_writer = _Elected()
    adding = actor.adding("late").step()
    sessions = actor.store.messages._database.sessions._raw
    sessions.update_one({"_id": actor.session_id}, {"$inc": {"seq": -1}})
    return adding, actor.adding("q2c", before="q2").step(3)


@pytest.mark.promise("a number that was lost with its server and given to an edit is the edit's")
def test_an_add_whose_sequence_number_was_reassigned_reserves_again(actor: Actor) -> None:
    adding, editing = _lost_and_given_to_an_edit(actor)
    adding.finish()
    editing.finish()
    assert actor.read() == "q1 a1 q2c"
    assert actor.read(branch="late") == "q1 a1 q2b late"


def test_an_interrupted_add_with_a_reassigned_sequence_number_does_not_harm_the_edit(
    actor: Actor,
) -> None:
    adding, editing = _lost_and_given_to_an_edit(actor)
    adding.step()  # its message is inserted; it dies before it confirms the number
    editing.finish()
    assert actor.read() == "q1 a1 q2c"
    actor.add("late")
    assert actor.read() == "q1 a1 q2c"
    assert actor.read(branch="late") == "q1 a1 late"
    assert actor.client.message.count(actor.session_id) == 3


def test_a_read_shows_no_message_numbered_after_its_branch_table(actor: Actor) -> None:
    actor.add("q2b", before="q2")
    actor.read()  # from now on the client knows that the session has branched
    reading = Drive(actor.store.messages.read(actor.session_id)).step()
    actor.add("q2c", before="q2")
    assert [message.uuid for message in reading.finish()] == ["q1", "a1", "q2b"]


# Each of these has a test above that finds it.


def _without(name: str, key: str) -> Callable[[pytest.MonkeyPatch], None]:
    """Return what lets a call of the collections forget a condition."""
    original = getattr(Collection, name)

    def forgetful(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        kept = {field: value for field, value in query.items() if field != key}
        return original(self, kept, *arguments, **options)

    return lambda patch: patch.setattr(Collection, name, forgetful)


def _no_fence(patch: pytest.MonkeyPatch) -> None:
    def nothing(*_: object) -> Operation[None]:
        return
        yield

    patch.setattr(Marking, "fence", nothing)


def _no_flag(patch: pytest.MonkeyPatch) -> None:
    numbered = codecs.with_sequence_numbers
    unflagged = lambda session, bodies: numbered({**session, "branched": False}, bodies)  # noqa: E731
    patch.setattr(codecs, "with_sequence_numbers", unflagged)


def _open_last_range(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reads, "table_of", lambda session: ForkTable(session["forks"], 2**62))


def _taking_over(patch: pytest.MonkeyPatch) -> None:
    def settle(self: Any, session: Any, holder: Any, message: Any) -> Operation[bool]:
        yield from self._supersede(session, holder, live=True)
        return False

    patch.setattr(AsideInsertion, "_settle_live", settle)


@pytest.mark.promise("each seeded bug of branches is found")
@pytest.mark.parametrize(
    ("seed", "finds"),
    [
        (_no_fence, test_an_add_reserved_before_the_first_edit_is_flagged),
        (_no_fence, test_a_fork_completed_later_has_the_order_of_its_session),
        (_no_flag, test_a_replaced_message_stays_flagged),
        (
            _without("replace", "branched"),
            test_a_replacement_racing_the_first_edit_stays_flagged,
        ),
        (
            _open_last_range,
            test_a_read_shows_no_message_numbered_after_its_branch_table,
        ),
        (
            _without("update", "forks"),
            test_a_late_activation_keeps_messages_added_since,
        ),
        (_without("update", "turn"), test_a_late_switch_includes_messages_added_since),
        (
            _without("update", "turn"),
            test_an_add_whose_sequence_number_was_reassigned_reserves_again,
        ),
        (_taking_over, test_an_edit_does_not_take_over_messages_of_the_same_edit),
    ],
)
def test_seeded_bugs_are_found(
    actor: Actor,
    monkeypatch: pytest.MonkeyPatch,
    seed: Callable[[pytest.MonkeyPatch], None],
    finds: Callable[[Actor], None],
) -> None:
    seed(monkeypatch)
    with pytest.raises(AssertionError):
        finds(actor)
