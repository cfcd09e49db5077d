"""Many hands on one session, pausing and dying between any two steps.

Run it: ``python -m tests.support.races --rounds 1000``. Each round forks two processes with four
threads each, which add, edit, rewind, switch, fork, delete, undelete, organize, preview and purge
at random on one session, in every second round through its user's view, where they erase as well;
between the driver calls of every operation they pause, and in about half of the rounds a process
dies at one of them. Then the raw documents are checked. At the end of a round everything is erased.
"""

import argparse
import contextlib
import math
import os
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from bson.json_util import dumps

from langchain_zepstore import (
    BadRequestError,
    Memory,
    Message,
    NotFoundError,
    Session,
    ZepClient,
)
from langchain_zepstore.core.arguments import RecentQuery, SessionChanges
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.managers import erasure
from tests.support.copy_invariants import copy_violations
from tests.support.invariants import Story, violations
from tests.support.messages import parts_of
from tests.support.mongod import Mongod
from tests.support.operation_log import Log, read_story, telling, watched, witness

PROCESSES = 2
THREADS = 4
LONGEST_PAUSE = 0.006
KINDS: dict[str, float] = {
    "add": 10,
    "again": 3,
    "edit": 6,
    "edit_again": 2,
    "rewind": 1,
    "switch": 3,
    "fork": 3,
    "delete": 4,
    "undelete": 4,
    "delete_message": 2,
    "undelete_message": 1,
    "update_message": 1,
    "rename": 1,
    "organize": 1,
    "preview": 3,
    "purge": 2,
}
BRANCHING = {**KINDS, "edit": 12, "switch": 8, "rewind": 3, "fork": 5, "delete": 0.3, "purge": 0.3}
"""The same with few deletions."""
ERASING = {**KINDS, "erase_session": 2, "erase_user": 1.5}
"""The same through the user's view, with erasures."""

ON_MINE = ("again", "delete_message", "undelete_message", "update_message")


class Stepper:
    """Runs operations step by step, with a pause or a death after any of them."""

    def __init__(self, client: ZepClient, chance: random.Random, log: Log, dies_at: int) -> None:
        self.client = client
        self._chance = chance
        self._log = log
        self._steps_left = dies_at

    def run(self, call: Callable[[Any], Operation[Any]], name: str, **what: Any) -> None:
        with telling(self._log, name, **what):
            self.client.run(lambda store: watched(call(store), partial(self._after_step, name)))

    def _after_step(self, name: str, result: Any) -> None:
        witness(self._log, name, result)
        self._steps_left -= 1
        if self._steps_left == 0:
            os._exit(9)
        if self._chance.random() < 0.6:
            time.sleep(self._chance.uniform(0, LONGEST_PAUSE))


def act(
    stepper: Stepper,
    session_id: str,
    chance: random.Random,
    name: str,
    kinds: dict[str, float],
) -> None:
    """Do a few random things to a session."""
    mine: list[list[str]] = []
    edits: list[tuple[str, list[str]]] = []
    for number in range(chance.randint(3, 7)):
        kind = chance.choices(list(kinds), list(kinds.values()))[0]
        if kind == "add" or (kind in ON_MINE and not mine):
            mine.append([f"{name}.{number}.{index}" for index in range(chance.randint(1, 3))])
            stepper.run(adding(session_id, mine[-1]), "add", uuids=mine[-1])
        elif kind in ("edit", "edit_again"):
            if kind == "edit" or not edits:
                uuids = [f"{name}.{number}.{index}" for index in range(chance.randint(1, 2))]
                before = next(
                    each
                    for each in iter(lambda: any_message(mine, chance), None)
                    if each not in uuids
                )
                edits.append((before, uuids))
                mine.append(uuids)
            before, uuids = chance.choice(edits) if kind == "edit_again" else edits[-1]
            edit = adding(session_id, uuids, before)
            stepper.run(edit, "edit", uuids=uuids, before=before)
        elif kind in ("rewind", "switch"):
            stepper.run(changing(kind, session_id, any_message(mine, chance)), kind)
        elif kind == "fork":
            at = any_message(mine, chance) if chance.random() < 0.5 else None
            copy = f"{session_id} copy {name}.{number}"
            stepper.run(forking(session_id, at, copy), kind, copy=copy, at_message=at)
        elif kind == "again":
            uuids = chance.choice(mine)
            stepper.run(adding(session_id, uuids), "again", uuids=uuids)
        elif kind in ON_MINE:
            uuid = chance.choice(chance.choice(mine))
            stepper.run(on_message(kind, session_id, uuid), kind, uuids=[uuid])
        else:
            stepper.run(on_session(kind, session_id, f"{name}.{number}"), kind)


def owner_of(session_id: str) -> str:
    """The user of a round's session."""
    return f"owner of {session_id}"


def on_message(kind: str, session_id: str, uuid: str) -> Callable[[Any], Operation[Any]]:
    """One of the operations in ``ON_MINE`` but ``again``."""
    if kind == "update_message":
        return lambda store: store.messages.update(session_id, uuid, content=f"{uuid} updated")
    return lambda store: getattr(store.deletion, kind)(session_id, uuid)


def on_session(kind: str, session_id: str, name: str) -> Callable[[Any], Operation[Any]]:
    """An operation on a session as a whole."""
    if kind == "rename":
        rename = Session(session_id=session_id, metadata={name: name})
        return lambda store: store.sessions.update(rename, ())
    if kind == "organize":
        changes = SessionChanges(title=name, tags=[name], pinned=True)
        return lambda store: store.sessions.organize(session_id, changes)
    if kind == "preview":
        query = RecentQuery(limit=3, preview=True)
        return lambda store: store.sessions.recent(query)
    if kind == "purge":
        return purging(None)
    threads = erasure.Threads(None, is_async=False)
    if kind == "erase_session":
        return erasure.erase_session(session_id, False, threads, is_view=True)
    if kind == "erase_user":
        return erasure.erase_user(owner_of(session_id), False, threads)
    return lambda store: getattr(store.deletion, f"{kind}_session")(session_id)


def purging(older_than: timedelta | None) -> Callable[[Any], Operation[Any]]:
    return lambda store: store.deletion.purge(older_than)


def any_message(mine: list[list[str]], chance: random.Random) -> str:
    """An id of one's own, or one that another may have used."""
    if mine and chance.random() < 0.4:
        return chance.choice(chance.choice(mine))
    return f"{chance.choice('pq')}{chance.randrange(THREADS)}.{chance.randrange(4)}.0"


def changing(method: str, session_id: str, uuid: str) -> Callable[[Any], Operation[None]]:
    return lambda store: getattr(store.branches, method)(session_id, uuid)


def forking(session_id: str, at: str | None, copy: str) -> Callable[[Any], Operation[Any]]:
    return lambda store: store.branches.fork(session_id, at, copy)


def adding(
    session_id: str, uuids: list[str], before: str | None = None
) -> Callable[[Any], Operation[Any]]:
    memory = Memory(messages=[Message(role="user", content=uuid, uuid=uuid) for uuid in uuids])
    return lambda store: store.messages.add(session_id, parts_of(memory), before=before)


def work(
    url: str,
    session_id: str,
    seed: str,
    directory: Path,
    name: str,
    kinds: dict[str, float],
) -> None:
    """One process of a round."""
    chance = random.Random(seed)
    dies_at = chance.randint(1, 60) if chance.random() < 0.3 else 0
    with ZepClient(url) as whole:
        whole.message.count(session_id)
        client = whole.for_user(owner_of(session_id)) if kinds is ERASING else whole
        with ThreadPoolExecutor(THREADS) as threads:
            done = []
            for index in range(THREADS):
                its = random.Random(f"{seed} {index}")
                log = Log(directory / f"{name}{index}")
                stepper = Stepper(client, its, log, dies_at // THREADS)
                done.append(threads.submit(act, stepper, session_id, its, f"{name}{index}", kinds))
        for each in done:
            each.result()


def play(url: str, client: ZepClient, seed: str) -> tuple[list[str], Counter[str]]:
    """Play one round and return the violations, and what happened how often."""
    session_id = f"race {uuid4()}"
    kinds = random.Random(f"{seed} kinds").choice([KINDS, BRANCHING, ERASING, ERASING])
    client.for_user(owner_of(session_id)).memory.add_session(Session(session_id=session_id))
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        children = []
        for index in range(PROCESSES):
            pid = os.fork()
            if not pid:
                status = 1
                try:
                    work(url, session_id, f"{seed} {index}", directory, "pq"[index], kinds)
                    status = 0
                except BaseException:  # noqa: BLE001 - it is the child's end
                    traceback.print_exc()
                os._exit(status)
            children.append(pid)
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
        story, counts = read_story(directory)
    counts["deaths"] += codes.count(9)
    wrong = [f"a process ended with {code}" for code in codes if code not in (0, 9)]
    wrong += check_copies(client, session_id, story)
    wrong += check_erased(client, session_id, story)
    wrong += check(client, session_id, story)
    wrong += check_after(client, session_id, story)
    client.memory.erase_session(session_id)
    client.user.erase(owner_of(session_id))
    if session_id in everything(client):
        wrong.append("something is left at the end")
    return wrong, counts


def check_copies(client: ZepClient, session_id: str, story: Story) -> list[str]:
    """Complete the forks whose process died, check all, and erase their copies."""
    database, wrong = client.run(_raw), []
    sessions, messages = database["sessions"], database["messages"]
    for copy in story.copies:
        fork = sessions.find_one({"_id": copy.session_id, "uuid": {"$exists": True}})
        if copy.ended == math.inf and fork and "forking_from" in fork["metadata"]:
            try:
                client.run(forking(session_id, copy.at, copy.session_id))
            except NotFoundError:
                copy = replace(copy, is_missing=True)  # noqa: PLW2901
            fork = sessions.find_one({"_id": copy.session_id})
        if copy.ended < math.inf or fork:
            copied = messages.find({"session_id": copy.session_id}).to_list()
            source = sessions.find_one({"_id": session_id})
            said = messages.find({"session_id": session_id}).to_list()
            wrong += copy_violations(copy, fork, copied, source, said, story)
        client.memory.erase_session(copy.session_id)
    return wrong


def check_erased(client: ZepClient, session_id: str, story: Story) -> list[str]:
    """Check that nothing is left of what was erased, and forget that it was said."""
    if story.has_killed_erasures():
        client.for_user(owner_of(session_id)).memory.erase_session(session_id)
        client.user.erase(owner_of(session_id))
        story.erasures.append((math.inf, math.inf))
    text = everything(client)
    wrong = [f"{uuid} is erased and there" for uuid in story.erased() if f'"{uuid}' in text]
    session = client.run(_raw)["sessions"].find_one({"_id": session_id})
    story.forget_erased(session and session.get("uuid"))
    return wrong


def everything(client: ZepClient) -> str:
    """All documents of all collections."""
    database = client.run(_raw)
    names = database.list_collection_names()
    return "\n".join(dumps(database[name].find()) for name in names)


def check(client: ZepClient, session_id: str, story: Story) -> list[str]:
    """Check what the database holds of a session now."""
    database = client.run(_raw)
    session = database["sessions"].find_one({"_id": session_id})
    messages = database["messages"].find({"session_id": session_id}).to_list()
    visible = [message.uuid or "" for message in client.memory.get_memory(session_id).messages]
    tree = client.message.iter_messages(session_id, 7, all_branches=True)
    parents = {message.uuid or "": message.parent_uuid for message in tree}
    wrong = violations(session, messages, visible, story, parents)
    for each in client.memory.recent_sessions(3, preview=True).sessions:
        last = each.last_message and each.last_message.uuid
        shown = each.message_count, last
        if each.session_id == session_id and shown != (len(visible), (visible or [None])[-1]):
            wrong.append(f"a preview shows {shown}, visible are {visible}")
    return wrong


def _raw(store: Any) -> Operation[Any]:
    return store.messages._messages._raw.database
    yield


def check_after(client: ZepClient, session_id: str, story: Story) -> list[str]:
    """Finish what the dead have begun, then delete and undelete once more, exactly."""
    for uuids in story.abandoned:
        client.run(adding(session_id, uuids))
    for before, uuids in story.abandoned_edits:
        with contextlib.suppress(NotFoundError, BadRequestError):
            client.run(adding(session_id, uuids, before))
            story.acknowledged.append(uuids)
            story.edits.append((before, uuids))
    story.abandoned_edits = []
    story.touched.update(uuid for uuids in story.abandoned for uuid in uuids)
    story.acknowledged += story.abandoned
    story.abandoned = []
    with contextlib.suppress(NotFoundError):
        client.memory.undelete_session(session_id)
    with contextlib.suppress(NotFoundError):
        client.memory.delete_memory(session_id)
    before = check(client, session_id, story)
    hidden = client.memory.get_memory(session_id).messages
    with contextlib.suppress(NotFoundError):
        client.memory.undelete_session(session_id)
    story.deletions = []
    restored = [message.uuid for message in client.memory.get_memory(session_id).messages]
    client.memory.add_memory(session_id, Memory(messages=[Message(role="user", content="!")]))
    client.memory.delete_memory(session_id)
    client.memory.undelete_session(session_id)
    again = [message.uuid for message in client.memory.get_memory(session_id).messages]
    wrong = [f"after the round: {violation}" for violation in before]
    if hidden:
        wrong.append(f"a deleted session shows {hidden}")
    if again[:-1] != restored:
        wrong.append(f"undelete brought back {again}, deleted were {restored}")
    return wrong + check(client, session_id, story)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", default=str(time.time()))
    parser.add_argument("--url", help="a MongoDB to use instead of a mongod of its own")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as directory:
        mongod = None if options.url else Mongod(Path(directory)).start()
        url = options.url or (mongod.url if mongod else "")
        try:
            return race(url, options.rounds, options.seed)
        finally:
            if mongod:
                mongod.stop()


def race(url: str, rounds: int, seed: str) -> int:
    """Play rounds and print what happened; return the number of violations."""
    begun, total, found = time.monotonic(), Counter[str](), 0
    with ZepClient(url) as client:
        client.message.count("warm")
        for number in range(1, rounds + 1):
            wrong, counts = play(url, client, f"{seed} {number}")
            total += counts
            found += len(wrong)
            for violation in wrong:
                print(f"round {number} (seed {seed!r}): {violation}", flush=True)
            if number % 100 == 0 or number == rounds:
                seconds = time.monotonic() - begun
                print(
                    f"{number} rounds, {found} violations, {seconds:.0f} s: {dict(total)}",
                    flush=True,
                )
    return found


if __name__ == "__main__":
    sys.exit(bool(main()))
