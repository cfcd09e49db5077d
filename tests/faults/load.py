"""Writers under load, and an account of what they were told is stored."""

import asyncio
import itertools
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pymongo import MongoClient

from langchain_zepstore import Memory, Message, StoreUnavailableError, ZepClient
from tests.support.facade import Facade
from tests.support.invariants import Story, violations

T = TypeVar("T")

DRIVERS = {
    "sync": {},
    "motor": {"async_driver": "motor"},
    "pymongo-async": {"async_driver": "pymongo"},
}
TIMEOUT = 1.0  # of the clients: so short that calls do fail while a server is away
_ENDURANCE = 180.0  # seconds after which a writer that gets nowhere is a failed test


@asynccontextmanager
async def zep_on(url: str, driver: str) -> AsyncIterator[Facade]:
    """Give a client that is not patient."""
    client = ZepClient(url, timeout=TIMEOUT, **DRIVERS[driver])
    try:
        yield Facade(client, asynchronous=driver != "sync")
    finally:
        await client.aclose()


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and its answer: what one call adds.

    Attributes:
        writer: Whose.
        session_id: Where.
        contents: What is said, which nobody else says.
    """

    writer: str
    session_id: str
    contents: tuple[str, str]

    def memory(self, *, ids: bool) -> Memory:
        """Return what is to be added; with ids, each message's content is its id as well."""
        return Memory(
            messages=[
                Message(role=role, content=content, uuid=content if ids else None)
                for role, content in zip(("human", "ai"), self.contents, strict=True)
            ]
        )


class Load:
    """Writers that add turn after turn to a few sessions, over one client, and others beside them.

    A writer repeats a call that failed until it succeeds; without ids it never repeats one. Only
    ``StoreUnavailableError`` may come out of a call.

    Args:
        zep: The client all of them use: from threads if it is synchronous, else from tasks.
        name: What nobody else who writes is called.
        writers: How many.
        sessions: Where they write, each of them in all; may be changed meanwhile.
        ids: Whether the messages get ids.
        pause: Seconds that a writer rests after each turn.

    Attributes:
        acknowledged: The turns whose call returned, each writer's in that order.
        repeated: The contents of those that took more than one call.
        abandoned: The turns whose call failed and was not repeated.
        failures: What the calls that failed have said.
        moments: When calls returned.
    """

    def __init__(
        self,
        zep: Facade,
        name: str,
        writers: int,
        sessions: list[str],
        *,
        ids: bool = True,
        pause: float = 0,
    ) -> None:
        self.zep = zep
        self.name = name
        self.sessions = sessions
        self.acknowledged: list[Turn] = []
        self.repeated: set[str] = set()
        self.abandoned: list[Turn] = []
        self.failures: list[str] = []
        self.moments: list[float] = []
        self._ids = ids
        self._pause = pause
        self._done = threading.Event()
        self._counts = {f"{name} {number}": 0 for number in range(writers)}
        self._hands: list[asyncio.Future[None]] = []

    @property
    def going(self) -> bool:
        """Whether those who work may go on."""
        return not self._done.is_set()

    @asynccontextmanager
    async def running(
        self, *others: Callable[["Load"], Coroutine[Any, Any, None]]
    ) -> AsyncIterator["Load"]:
        """Let the writers and others work until the block ends; a failure of one is raised then."""
        work = [self._write(writer) for writer in self._counts] + [other(self) for other in others]
        with ThreadPoolExecutor(len(work)) as threads:
            for hand in work:
                if self.zep.asynchronous:
                    self._hands.append(asyncio.ensure_future(hand))
                else:
                    thread = threads.submit(asyncio.run, hand)
                    self._hands.append(asyncio.wrap_future(thread))
            try:
                yield self
            finally:
                self._done.set()
                await asyncio.wait(self._hands)
                self._raise_failures()

    def _raise_failures(self) -> None:
        errors = [hand.exception() for hand in self._hands if hand.done()]
        for error in filter(None, errors):
            raise error

    async def progress(self) -> None:
        """Wait until every writer has had one more turn acknowledged."""
        before, deadline = dict(self._counts), time.monotonic() + _ENDURANCE
        while any(self._counts[writer] == count for writer, count in before.items()):
            self._raise_failures()
            assert time.monotonic() < deadline, f"stuck: {self._counts}, {self.failures[-3:]}"
            await asyncio.sleep(0.02)

    async def insist(
        self,
        call: Callable[[], Awaitable[T]],
        *,
        done_before: type[Exception] | tuple[()] = (),
    ) -> T | None:
        """Repeat a call until it succeeds.

        Args:
            call: Makes it.
            done_before: What a repeated one raises when one before it was carried out after all.
        """
        deadline, is_repeated = time.monotonic() + _ENDURANCE, False
        while True:
            try:
                return await call()
            except StoreUnavailableError as error:
                self.failures.append(str(error))
                is_repeated = True
                if time.monotonic() > deadline:
                    raise
            except done_before:
                if not is_repeated:
                    raise
                return None
            await asyncio.sleep(0.02)

    async def add(self, turn: Turn) -> bool:
        """Add a turn and write down what became of it; whether it was acknowledged."""
        memory = turn.memory(ids=self._ids)
        try:
            await self.zep.memory.add_memory(turn.session_id, memory)
        except StoreUnavailableError as error:
            self.failures.append(str(error))
            if not self._ids:
                self.abandoned.append(turn)
                return False
            self.repeated.update(turn.contents)
            await self.insist(lambda: self.zep.memory.add_memory(turn.session_id, memory))
        self.moments.append(time.monotonic())
        self.acknowledged.append(turn)
        return True

    async def _write(self, writer: str) -> None:
        for number in itertools.count():
            if not self.going:
                return
            session_id = self.sessions[number % len(self.sessions)]
            turn = Turn(writer, session_id, (f"{writer}.{number}?", f"{writer}.{number}!"))
            self._counts[writer] += await self.add(turn)
            await asyncio.sleep(self._pause)

    async def contents(self, session_id: str) -> list[str]:
        """Return what the client shows of a session, page by page."""

        async def read() -> list[str]:
            pages = self.zep.message.each("iter_messages", session_id)
            return [message.content async for message in pages]

        return await self.insist(read) or []

    def story(self, session_id: str) -> Story:
        """Return what happened to a session, for the checker of the raw documents."""
        acknowledged, abandoned = (
            [list(turn.contents) for turn in turns if turn.session_id == session_id]
            for turns in (self.acknowledged, self.abandoned)
        )
        return Story(acknowledged=acknowledged, abandoned=abandoned)

    def gaps(self, events: Sequence[float]) -> list[float]:
        """Return the longest time between two acknowledged writes from each event to the next."""
        pairs = list(itertools.pairwise(sorted(self.moments)))
        ends = [*events[1:], float("inf")]
        return [
            max((late - early for early, late in pairs if event < late <= end), default=0)
            for event, end in zip(events, ends, strict=True)
        ]


@dataclass
class Audit:
    """What is wrong with what the database holds after a load; each list empty if all is well.

    Attributes:
        lost: Messages that were acknowledged and are not there.
        doubled: Messages that are there more than once.
        torn: Turns whose messages do not stand together, or of which only one is there.
        disordered: Pairs of turns of a writer that stand the other way round.
        violations: What the checker of the raw documents says.
        landed: Abandoned turns that are there nevertheless.
    """

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    torn: list[Turn] = field(default_factory=list)
    disordered: list[tuple[Turn, Turn]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    landed: list[Turn] = field(default_factory=list)

    @property
    def problems(self) -> dict[str, Any]:
        """Return some of what is wrong, by name."""
        return {name: found[:5] for name, found in vars(self).items() if name != "landed" and found}

    def shown(self, load: Load, session_id: str, contents: list[str]) -> None:
        """Check what the client shows of a session."""
        places = {content: place for place, content in enumerate(contents)}
        times = Counter(contents)
        last: dict[str, Turn] = {}
        for turn in load.acknowledged:
            if turn.session_id == session_id:
                self._stands(turn, places, times)
                self.lost += [content for content in turn.contents if content not in places]
                before = last.setdefault(turn.writer, turn)
                if places.get(before.contents[0], -1) > places.get(turn.contents[0], -1):
                    self.disordered.append((before, turn))
                last[turn.writer] = turn
        abandoned = (turn for turn in load.abandoned if turn.session_id == session_id)
        self.landed += [turn for turn in abandoned if self._stands(turn, places, times)]

    def _stands(self, turn: Turn, places: dict[str, int], times: Counter[str]) -> bool:
        """Whether any of a turn is there; all of it has to be then, once and together."""
        found = [places[content] for content in turn.contents if content in places]
        if found and found != [found[0], found[0] + 1]:
            self.torn.append(turn)
        self.doubled += [content for content in turn.contents if times[content] > 1]
        return bool(found)

    def stored(self, session_id: str, contents: list[str], url: str, story: Story) -> None:
        """Check the raw documents of a session, given what the client shows of it."""
        with MongoClient(url) as client:
            session = client.zepstore.sessions.find_one({"_id": session_id})
            # By content, which the writers know also where they left the ids to the store.
            messages = [
                {**document, "uuid": document.get("content", document["uuid"])}
                for document in client.zepstore.messages.find({"session_id": session_id})
            ]
        self.violations += violations(session, messages, contents, story)


async def audited(load: Load, url: str, storms: Collection[str] = ()) -> Audit:
    """Check all that a load was told is stored, through its client and in the raw documents.

    Args:
        load: What it was told.
        url: Of the database, for reading the raw documents.
        storms: Sessions that others deleted and undeleted meanwhile. What of them is shown nobody
            knows, and a turn that was added again may come back in two places.
    """
    audit = Audit()
    for session_id in {turn.session_id for turn in load.acknowledged + load.abandoned}:
        contents = await load.contents(session_id)
        story = load.story(session_id)
        if session_id in storms:
            story.touched = load.repeated
        else:
            audit.shown(load, session_id, contents)
        audit.stored(session_id, contents, url, story)
    return audit
