"""What those did who worked on a session, written down as they did it, readable after their death.

Each thread or task has a log of its own. An operation begins and ends in it; in between stands what
its steps brought back, as far as the checker of raw documents needs it.
"""

import contextlib
import json
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from langchain_zepstore import BadRequestError, NotFoundError
from langchain_zepstore.core.operation import Operation
from tests.support.copy_invariants import Copy
from tests.support.invariants import Story

ERASURES = ("erase_session", "erase_user")


class Log:
    """What one thread or task did, line by line."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(self, **line: Any) -> None:
        os.write(self._file, json.dumps({"at": time.monotonic(), **line}).encode() + b"\n")

    def close(self) -> None:
        os.close(self._file)


@contextlib.contextmanager
def telling(log: Log, name: str, **what: Any) -> Iterator[None]:
    """Write down that an operation begins and how it ends, unless its process dies in it."""
    log.write(begin=name, **what)
    try:
        yield
    except NotFoundError:
        log.write(end=name, missing=True, **what)
    except BadRequestError as error:
        if "already: give the new one another id" not in str(error):
            raise
        log.write(end=name, missing=True, **what)  # an edit of what was added again elsewhere
    else:
        log.write(end=name, **what)


def watched(operation: Operation[Any], see: Callable[[Any], None]) -> Operation[Any]:
    """Run an operation over any driver, and show what each of its steps brought back."""
    step: Callable[[], Any] = partial(next, operation)
    while True:
        try:
            yielded = step()
        except StopIteration as stop:
            return stop.value
        try:
            result = yield yielded
        except BaseException as error:  # noqa: BLE001 - the operation decides what it means
            step = partial(operation.throw, error)
        else:
            see(result)
            step = partial(operation.send, result)


def witness(log: Log, name: str, result: Any) -> None:
    """Write down which deletion an operation opened, joined or took back, if this step did it."""
    for document in _documents(result):
        undeletion, deletion = document.get("undeletion") or {}, document.get("deletion") or {}
        if name == "undelete" and "id" in undeletion and "message" not in undeletion:
            log.write(claimed=[document["uuid"], undeletion["id"]])
        if name == "delete" and deletion.get("open"):
            log.write(opened=[document["uuid"], deletion["id"], deletion["seq"]])


def _documents(answer: Any) -> list[dict[str, Any]]:
    """Return the documents in a server's answer to a command that updates one, or finds some."""
    if not isinstance(answer, dict):
        return []
    updated, cursor = answer.get("value"), answer.get("cursor")
    return [updated] if updated else cursor["firstBatch"] if cursor else []


def read_story(directory: Path) -> tuple[Story, Counter[str]]:
    """Read all logs in a directory: the story, and how often each kind of operation succeeded."""
    story, counts = Story(), Counter[str]()
    for path in sorted(directory.iterdir()):
        hand = _Hand(story, counts)
        for line in map(json.loads, path.read_text().splitlines()):
            hand.read(line)
        hand.is_done()
    return story, counts


class _Hand:
    """What one thread or task did, as it comes out of its log."""

    def __init__(self, story: Story, counts: Counter[str]) -> None:
        self._story = story
        self._counts = counts
        self._pending: dict[str, Any] | None = None
        self._opened: tuple[str, int, int] | None = None
        self._last_said: str | None = None

    def read(self, line: dict[str, Any]) -> None:
        if "begin" in line:
            self._begun(line)
        elif "claimed" in line:
            self._story.taken_back.add(tuple(line["claimed"]))
        elif "opened" in line:
            incarnation, count, last = line["opened"]
            self._opened = incarnation, count, last
            self._story.opened.add(self._opened)
        else:
            self._ended(line)

    def _begun(self, line: dict[str, Any]) -> None:
        self._pending, self._opened = line, None
        self._story.purged |= line["begin"] == "purge"
        if line["begin"] in ("again", "delete_message", "undelete_message"):
            self._story.touched.update(line["uuids"])

    def _ended(self, line: dict[str, Any]) -> None:
        self._note_span(line["at"], is_missing=line.get("missing", False))
        self._pending = None
        succeeded = not line.get("missing")
        self._counts[line["end"]] += succeeded
        if self._opened and succeeded:
            self._story.deletions.append(self._opened)
            self._story.deleted_by.setdefault(self._opened[:2], line["at"])
        if line["end"] == "edit" and succeeded:
            self._story.edits.append((line["before"], line["uuids"]))
            if line["uuids"] not in self._story.acknowledged:
                self._story.acknowledged.append(line["uuids"])
        if line["end"] == "add":
            self._story.acknowledged.append(line["uuids"])
            if self._last_said is not None:
                self._story.followed.append((self._last_said, line["uuids"][0]))
            self._last_said = line["uuids"][-1]

    def _note_span(self, ended: float, *, is_missing: bool = False) -> None:
        assert self._pending
        kind, begun = self._pending["begin"], self._pending["at"]
        if kind in ERASURES:
            self._story.erasures.append((begun, ended))
            if kind == "erase_user":
                self._story.user_erasures.append((begun, ended))
        elif kind == "fork":
            copy, at = self._pending["copy"], self._pending["at_message"]
            self._story.copies.append(Copy(copy, at, begun, ended, is_missing))
        elif kind in ("add", "again", "edit"):
            self._story.spans += [(uuid, begun, ended) for uuid in self._pending["uuids"]]

    def is_done(self) -> None:
        """Note what it died in."""
        if not self._pending:
            return
        self._note_span(math.inf)
        kind = self._pending["begin"]
        self._counts[f"abandoned {kind}"] += 1
        if kind == "add":
            self._story.abandoned.append(self._pending["uuids"])
        elif kind == "edit":
            self._story.abandoned_edits.append((self._pending["before"], self._pending["uuids"]))
        elif kind == "again":
            self._story.unsure.update(self._pending["uuids"])
        self._story.untold |= kind == "delete" and not self._opened
