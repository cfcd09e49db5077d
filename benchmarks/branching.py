"""What branches cost: turns, switches, edits and alternatives beside a linear session's turns.

Run it: ``python -m benchmarks.branching``. Three sessions have 20,000 messages each: one is linear,
one has branched 100 times, another one likewise and goes on to. All works are timed in turns, on
a mongod of its own unless ``--url`` names one.
"""

import argparse
import tempfile
from itertools import count
from pathlib import Path

from langchain_core.messages import AIMessage, HumanMessage

from benchmarks.timing import Work, side_by_side
from langchain_zepstore import Memory, Message, ZepClient
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.store import Store
from tests.support.mongod import Mongod

LINEAR, BRANCHED, CHANGED = "linear", "branched", "changed"
_WINDOW = 20
_number = count()


def grow(client: ZepClient, session_id: str, messages: int, branches: int) -> None:
    """Give a session so many messages, in runs at whose ends the last question is edited."""
    size = messages // branches
    for index in range(branches):
        said = [_message(f"{index}.{number}") for number in range(size)]
        client.memory.add_memory(session_id, Memory(messages=said))
        if session_id != LINEAR:
            edit = Memory(messages=[_message(f"{index}.edited")])
            client.memory.add_memory(session_id, edit, before=f"{index}.{size - 10}")


def _message(uuid: str) -> Message:
    return Message(role="user", content="Which of the boats that we saw is the fastest?", uuid=uuid)


def works(client: ZepClient, branches: int, last: int) -> dict[str, Work]:
    """Return the works by name."""
    histories = {name: client.chat_history(name, lastn=_WINDOW) for name in (LINEAR, BRANCHED)}

    def turn(name: str) -> None:
        assert len(histories[name].messages) > 1
        histories[name].add_messages([HumanMessage("Which?"), AIMessage("The trimaran.")])

    def cold_turn() -> None:
        client.run(forget)
        turn(BRANCHED)

    def edit() -> None:
        said = Memory(messages=[_message(f"new {next(_number)}")])
        client.memory.add_memory(CHANGED, said, before=f"{branches - 1}.edited")

    def switch() -> None:
        # Back and forth between an edited question and what it replaced.
        end = last if next(_number) % 2 else "edited"
        client.memory.switch_branch(CHANGED, f"{branches - 1}.{end}")

    def alternatives() -> None:
        assert len(client.message.alternatives(CHANGED, f"{branches // 2}.edited")) > 1

    return {
        "turn, linear": lambda: turn(LINEAR),
        "turn, branched": lambda: turn(BRANCHED),
        "turn, branched, first of a client": cold_turn,
        "switch": switch,
        "edit": edit,
        "alternatives": alternatives,
    }


def forget(store: Store) -> Operation[None]:
    """Let a client forget which sessions have branched."""
    store.messages._database.branched_sessions.clear()  # type: ignore[attr-defined]  # noqa: SLF001
    return
    yield


def main(arguments: list[str] | None = None) -> None:
    """Print the median of each work, and how many linear turns that is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--branches", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--url", help="a MongoDB to use instead of a mongod of its own")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as directory:
        mongod = None if options.url else Mongod(Path(directory)).start()
        try:
            with ZepClient(options.url or (mongod and mongod.url), database="branching") as client:
                for name in (LINEAR, BRANCHED, CHANGED):
                    grow(client, name, options.messages, options.branches)
                prepared = {
                    name: lambda work=work: work
                    for name, work in works(
                        client, options.branches, options.messages // options.branches - 1
                    ).items()
                }
                times = side_by_side(prepared, rounds=options.rounds, budget=60)
        finally:
            if mongod:
                mongod.stop()
    for name, milliseconds in times.items():
        print(f"{name:34} {milliseconds:6.2f} ms {milliseconds / times['turn, linear']:5.2f}")


if __name__ == "__main__":
    main()
