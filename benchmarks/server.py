"""The server beside the same calls without it: one run, one machine.

``python -m benchmarks.server`` starts a mongod and ``zepstore serve`` on it, once with one process
and once with two; prints tables in Markdown; and says of each target whether it was met.
``--quick`` does the same with small numbers, to see that it works.

Beside the server stand the same calls made directly, and a bare framework: FastAPI on uvicorn with
a route that answers a constant as long as the server's answer. All of them are loaded in turns, by
processes of their own. They share the machine's cores with each other and with mongod: only ratios
mean something.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from uuid import uuid4

import httpx

from benchmarks import load, servers, works
from benchmarks.contenders import Zepstore
from benchmarks.load import ADD, READ, Taken
from benchmarks.report import Verdict
from langchain_zepstore import ZepClient
from tests.support.mongod import free_port

CONNECTIONS = (1, 16, 64)
_AT = 16  # connections at which targets are judged, and all are compared
_LENGTH = 100
_PATIENCE = 30.0

ONE, TWO, BARE, DIRECT = "one process", "two processes", "bare framework", "direct"
Row = tuple[str, str]
"""What is called, and whom."""


@dataclass(frozen=True)
class Sizes:
    """How much is done."""

    seconds: float = 2.5
    rounds: int = 5
    turns: int = 200


_QUICK = Sizes(seconds=0.25, rounds=1, turns=5)


class OverHttp(Zepstore):
    """This package, with a server between it and the database."""

    name = "over HTTP"

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = ZepClient(url)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it works")
    parser.add_argument("--output", type=Path, help="a file for what is printed")
    options = parser.parse_args(arguments)
    sizes = _QUICK if options.quick else Sizes()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        directory = Path(name)
        url = stack.enter_context(servers.mongod(directory, replica_set=False))
        one = stack.enter_context(_zepstore(url, directory, workers=1))
        two = stack.enter_context(_zepstore(url, directory, workers=2))
        direct = Zepstore(url)
        stack.callback(direct.close)
        turns = _turns(direct, f"http://127.0.0.1:{one}", sizes)
        sessions = [str(uuid4()) for _ in range(max(CONNECTIONS))]
        for session_id in sessions:
            direct.grow(session_id, works.said(_LENGTH))
        where = f"http://127.0.0.1:{one}{load.path(sessions[0])}"
        answer = httpx.get(where, params={"lastn": works.WINDOW}).raise_for_status().content
        bare = stack.enter_context(_bare(answer))
        loads = _Loads(url, {ONE: one, TWO: two, BARE: bare}, sessions, sizes)
        rates = loads.measured()
    text = "\n\n".join([_turn_table(turns), _table(rates, len(answer)), _verdicts(rates)])
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")


def _turns(direct: Zepstore, url: str, sizes: Sizes) -> dict[str, float]:
    over_http = OverHttp(url)
    try:
        return works.turns([direct, over_http], _LENGTH, rounds=sizes.turns, budget=60)
    finally:
        over_http.close()


class _Loads:
    """All loads, each on a server or a client.

    Args:
        url: The mongod's.
        ports: Of the servers, by name.
        sessions: Those that are read.
        sizes: How much.
    """

    def __init__(
        self, url: str, ports: Mapping[str, int], sessions: Sequence[str], sizes: Sizes
    ) -> None:
        self._url = url
        self._ports = ports
        self._sessions = sessions
        self._sizes = sizes

    def measured(self) -> dict[Row, dict[int, Taken]]:
        """Return what each got done, by the number of connections; medians of rounds."""
        # Processes that live through all rounds: to start one takes longer than a round.
        with _process() as generator, _process() as caller:
            calls: dict[tuple[Row, int], Callable[[], Taken]] = {}
            for kind, whom, connections in self._rows():
                call = partial(caller, load.direct, self._url)
                if whom != DIRECT:
                    call = partial(generator, load.over_http, self._ports[whom])
                calls[(kind, whom), connections] = partial(self._taken, call, kind, connections)
            rounds: dict[tuple[Row, int], list[Taken]] = {name: [] for name in calls}
            chance = random.Random(0)  # noqa: S311 - no secret
            for number in range(self._sizes.rounds):
                print(f"round {number + 1} of {self._sizes.rounds} …", flush=True)
                for name in chance.sample(list(calls), len(calls)):
                    rounds[name].append(calls[name]())
        table: dict[Row, dict[int, Taken]] = {}
        for (row, connections), taken in rounds.items():
            table.setdefault(row, {})[connections] = _median(taken)
        return table

    def _rows(self) -> Iterator[tuple[str, str, int]]:
        for kind in (READ, ADD):
            for whom in (ONE, TWO, BARE, DIRECT):
                if (kind, whom) != (ADD, BARE):
                    for connections in CONNECTIONS if whom in {ONE, BARE} else (_AT,):
                        yield kind, whom, connections

    def _taken(self, call: Callable[..., Taken], kind: str, connections: int) -> Taken:
        sessions = self._sessions[:connections]
        if kind == ADD:
            sessions = [str(uuid4()) for _ in sessions]
        return call(kind, sessions, self._sizes.seconds)


def _median(taken: Sequence[Taken]) -> Taken:
    return Taken(
        rate=median(one.rate for one in taken),
        middle=median(one.middle for one in taken),
        slow=median(one.slow for one in taken),
    )


@contextmanager
def _process() -> Iterator[Callable[..., Taken]]:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        yield lambda *call: pool.submit(*call).result()


@contextmanager
def _zepstore(url: str, directory: Path, *, workers: int) -> Iterator[int]:
    """Run ``zepstore serve`` as it comes, with its log, and yield its port."""
    port = free_port()
    command = [sys.executable, "-m", "langchain_zepstore.cli", "serve", "--url", url]
    command += ["--port", str(port), "--workers", str(workers)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ZEPSTORE_")}
    with (directory / f"serve-{workers}.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            _wait(f"http://127.0.0.1:{port}/readyz", lambda: process.poll() is None)
            yield port
        finally:
            process.terminate()
            process.wait()


@contextmanager
def _bare(answer: bytes) -> Iterator[int]:
    port = free_port()
    process = get_context("spawn").Process(target=load.bare, args=(port, answer))
    process.start()
    try:
        _wait(f"http://127.0.0.1:{port}{load.path('any')}", process.is_alive)
        yield port
    finally:
        process.terminate()
        process.join()


def _wait(url: str, lives: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        with suppress(httpx.TransportError):
            if httpx.get(url).is_success:
                return
        if not lives() or time.monotonic() > deadline:
            raise RuntimeError(f"nobody answers at {url}")
        time.sleep(0.05)


def _turn_table(turns: Mapping[str, float]) -> str:
    direct, over_http = turns[Zepstore.name], turns[OverHttp.name]
    ratio = over_http / direct
    return "\n".join(
        [
            "## A turn: the last 20 messages are read, 2 are saved",
            "",
            "| | direct, ms | over HTTP, ms | ratio |",
            "|---|---:|---:|---:|",
            f"| sync, sessions of {_LENGTH} | {direct:.2f} | {over_http:.2f} | {ratio:.2f} |",
        ]
    )


def _table(rates: Mapping[Row, Mapping[int, Taken]], size: int) -> str:
    head = "".join(f" {n}: calls/s | p50, ms | p99, ms |" for n in CONNECTIONS)
    lines = [
        f"## Many at once: {READ} reads {works.WINDOW} messages ({size:,} bytes), {ADD} adds 2",
        "",
        f"| connections |{head}",
        "|---|" + "---:|" * 3 * len(CONNECTIONS),
    ]
    for (kind, whom), by_connections in rates.items():
        cells = [_cells(by_connections.get(connections)) for connections in CONNECTIONS]
        lines.append(f"| {kind}, {whom} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cells(taken: Taken | None) -> str:
    if taken is None:
        return "- | - | -"
    return f"{taken.rate:,.0f} | {taken.middle:.2f} | {taken.slow:.2f}"


def _verdicts(rates: Mapping[Row, Mapping[int, Taken]]) -> str:
    lines = ["## Targets", "", "| target | limit | measured | met |", "|---|---:|---:|---|"]
    for kind, share in ((READ, 0.85), (ADD, 0.75)):
        ours, direct = rates[kind, ONE][_AT], rates[kind, DIRECT][_AT]
        at = f"{kind} at {_AT} connections"
        for verdict in (
            Verdict(f"{at}: of the direct rate", ours.rate / direct.rate, share, at_least=True),
            Verdict(f"{at}: p99, of p50", ours.slow / ours.middle, 2),
        ):
            sign, met = "≥" if verdict.at_least else "≤", "yes" if verdict.met else "**no**"
            lines.append(
                f"| {verdict.target} | {sign} {verdict.limit:g} | {verdict.figure:.3g} | {met} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
