"""This package beside its peers: one run, one machine.

``python -m benchmarks.peers`` starts a mongod, alone and as a replica set of one, and PostgreSQL
and Redis where they are installed; prints tables in Markdown; draws a chart; and says of each
target whether it was met. ``--quick`` does the same with small numbers, to see that it works.

Peers: langchain-mongodb on the same mongod, langchain-postgres, langchain-community's history on a
Redis list and on SQLite; and the floor, which is the same driver calls by hand. All of them are
timed in turns. Each has a history built once, so that nobody pays for building it; peers that know
no window read everything to show the last 20.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from benchmarks import crowds, footprint, servers, works
from benchmarks.chart import draw
from benchmarks.contenders import (
    AgentsSession,
    Contender,
    Floor,
    LangchainMongodb,
    LangchainMongodbWhole,
    LangchainPostgres,
    RedisList,
    Sqlite,
    Zepstore,
    ZepstoreOverPymongo,
)
from benchmarks.listing import listing
from benchmarks.report import Run, table, verdicts


@dataclass(frozen=True)
class Sizes:
    """How much is done."""

    lengths: Sequence[int] = (10, 1000, 20_000, 200_000)
    rounds: int = 100
    budget: float = 4.0
    read: int = 1000
    add: int = 1000
    clear: int = 10_000
    crowd: int = 64
    crowd_seconds: float = 3.0
    crowd_length: int = 500
    writers: int = 32
    sessions: int = 100_000
    of_user: int = 10_000
    memory: tuple[int, int] = (20_000, 1000)
    imports: int = 11


_IMPORTING = (
    "Importing langchain_core.messages takes {:,.0f} ms, and the package {:.2f} times that on top."
)

_QUICK = Sizes(
    lengths=(10, 100),
    rounds=5,
    budget=0.3,
    read=50,
    add=50,
    clear=50,
    crowd=8,
    crowd_seconds=0.1,
    crowd_length=20,
    writers=4,
    sessions=500,
    of_user=100,
    memory=(200, 20),
    imports=1,
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it works")
    parser.add_argument(
        "--same-only", action="store_true", help="not once more with the peers' defaults"
    )
    parser.add_argument("--output", type=Path, help="a directory for peers.md and peers.png")
    options = parser.parse_args(arguments)
    sizes = _QUICK if options.quick else Sizes()
    with tempfile.TemporaryDirectory() as name:
        runs = [
            measured(
                Path(name) / f"{replica_set}-{durable}",
                sizes,
                replica_set=replica_set,
                durable=durable,
            )
            for durable in ([True] if options.same_only else [True, False])
            for replica_set in (False, True)
        ]
    core, added = footprint.import_ratio(sizes.imports)
    text = "\n\n".join(
        [
            *(table(run) for run in runs),
            _IMPORTING.format(core, added),
            verdicts(runs[0], runs[1], added),
        ]
    )
    print(text)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "peers.md").write_text(text + "\n")
        draw(runs[:2], options.output / "peers.png")


def measured(directory: Path, sizes: Sizes, *, replica_set: bool, durable: bool) -> Run:
    """Measure everything on one kind of deployment.

    Args:
        directory: Where servers keep their data.
        sizes: How much.
        replica_set: A replica set of one, or a mongod alone.
        durable: With the same write concern for all, or with the peers' defaults.
    """
    deployment = "a replica set of one" if replica_set else "a mongod alone"
    concern = "the same durability for all" if durable else "the peers' defaults"
    run = Run(f"On {deployment}, {concern}")
    with _contenders(directory, replica_set=replica_set, durable=durable) as (url, contenders):
        print(f"\n{run.title} …", flush=True)
        _one_by_one(run, contenders, sizes, longest=durable)
        _at_once(run, contenders, sizes)
        if durable:
            zepstore = contenders[0]
            assert isinstance(zepstore, Zepstore)
            run.listing = listing(
                zepstore, url, sessions=sizes.sessions, of_user=sizes.of_user, rounds=sizes.rounds
            )
            length, added = sizes.memory
            run.memory = {
                c.name: footprint.peak_memory(c.name, c.url, length=length, added=added)
                for c in contenders
            }
    return run


def _one_by_one(run: Run, contenders: Sequence[Contender], sizes: Sizes, *, longest: bool) -> None:
    for length in sizes.lengths if longest else sizes.lengths[:-1]:
        run.turns[length] = _reported(
            f"turn at {length:,}",
            works.turns(contenders, length, rounds=sizes.rounds, budget=sizes.budget),
        )
    for name, work, count, rounds in (
        ("read", works.reading, sizes.read, 40),
        ("add", works.adding, sizes.add, 9),
        ("clear", works.clearing, sizes.clear, 5),
    ):
        run.works[f"{name} {count:,}"] = _reported(
            f"{name} {count:,}", work(contenders, count, rounds=rounds, budget=sizes.budget)
        )


def _at_once(run: Run, contenders: Sequence[Contender], sizes: Sizes) -> None:
    with ExitStack() as stack:
        asynchronous = crowded(contenders)
        for contender in asynchronous:
            if contender not in contenders:
                stack.callback(contender.close)
        for length in (0, sizes.crowd_length):
            run.crowds[length] = crowds.side_by_side(
                asynchronous,
                tasks=sizes.crowd,
                length=length,
                seconds=sizes.crowd_seconds,
                rounds=3,
            )
            rates = {name: crowd.rate for name, crowd in run.crowds[length].items()}
            _reported(f"turns/s of {sizes.crowd} sessions of {length:,}", rates)
    zepstore = contenders[0]
    assert isinstance(zepstore, Zepstore)
    run.writers = crowds.writers(zepstore, count=sizes.writers, seconds=sizes.crowd_seconds)


def crowded(contenders: Sequence[Contender]) -> list[Contender]:
    """Return those that are compared on an event loop, and others that are compared only there."""
    asynchronous = [c for c in contenders if c.has_crowds]
    asynchronous.append(ZepstoreOverPymongo(contenders[0].url))
    asynchronous += [
        LangchainMongodbWhole(c.url, durable=c.durable)
        for c in contenders
        if isinstance(c, LangchainMongodb)
    ]
    if find_spec("agents") is None:
        print("skipped: the Agents SDK (pip install openai-agents)", flush=True)
    else:
        asynchronous.append(AgentsSession(contenders[0].url))
    return asynchronous


def _reported(what: str, figures: dict[str, float]) -> dict[str, float]:
    print(f"  {what}: " + ", ".join(f"{k} {v:,.2f}" for k, v in figures.items()), flush=True)
    return figures


@contextmanager
def _contenders(
    directory: Path, *, replica_set: bool, durable: bool
) -> Iterator[tuple[str, list[Contender]]]:
    with ExitStack() as stack:
        for name in ("mongod", "postgres", "redis"):
            (directory / name).mkdir(parents=True)
        url = stack.enter_context(servers.mongod(directory / "mongod", replica_set=replica_set))
        contenders: list[Contender] = [Zepstore(url), Floor(url)]
        if _is_there("langchain_mongodb"):
            contenders.append(LangchainMongodb(url, durable=durable))
        if _is_there("langchain_postgres", "psycopg"):
            with _skipping("langchain-postgres"):
                place = stack.enter_context(servers.postgres(directory / "postgres"))
                contenders.append(LangchainPostgres(place))
        if _is_there("langchain_community", "redis"):
            with _skipping("the Redis list"):
                place = servers.redis(directory / "redis", durable=durable)
                contenders.append(RedisList(stack.enter_context(place)))
        if _is_there("langchain_community", "sqlalchemy"):
            contenders.append(Sqlite(f"sqlite:///{directory / 'sqlite.db'}"))
        for contender in contenders:
            stack.callback(contender.close)
        yield url, contenders


def _is_there(*packages: str) -> bool:
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        names = ", ".join(missing).replace("_", "-")
        print(f"skipped: {names} (pip install {names.replace(',', '')})", flush=True)
    return not missing


@contextmanager
def _skipping(name: str) -> Iterator[None]:
    try:
        yield
    except servers.MissingServerError as reason:
        print(f"skipped: {name}: {reason}", flush=True)


if __name__ == "__main__":
    main()
