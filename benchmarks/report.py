"""Tables in Markdown, and the targets."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from benchmarks.crowds import Crowd, Writers

OURS, FLOOR, MONGODB, POSTGRES = "zepstore", "floor", "langchain-mongodb", "langchain-postgres"
MONGODB_WHOLE = "langchain-mongodb, reading all"
OURS_OVER_PYMONGO, AGENTS = "zepstore over pymongo", "Agents SDK's MongoDBSession"


@dataclass
class Run:
    """What was measured on one kind of deployment; milliseconds by contender."""

    title: str
    turns: dict[int, dict[str, float]] = field(default_factory=dict)
    works: dict[str, dict[str, float]] = field(default_factory=dict)
    crowds: dict[int, dict[str, Crowd]] = field(default_factory=dict)
    writers: Writers | None = None
    listing: dict[str, float] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)


def table(run: Run) -> str:
    """Return a run as Markdown."""
    rows = {f"turn at {length:,}": times for length, times in run.turns.items()} | run.works
    names = list(next(iter(rows.values())))
    parts = [f"## {run.title}", _grid("ms, median", rows, names)]
    crowd_names = list(next(iter(run.crowds.values())))
    rates: dict[str, Mapping[str, float]] = {}
    for length, crowds in run.crowds.items():
        sessions = f"sessions of {length:,}" if length else "fresh sessions"
        rates[f"{sessions}: turns/s"] = {name: crowd.rate for name, crowd in crowds.items()}
        rates[f"{sessions}: loop blocked, ms"] = {n: crowd.blocked for n, crowd in crowds.items()}
    parts.append(_grid("many sessions at once, async", rates, crowd_names))
    if run.writers:
        parts.append(
            f"Threads that write to one session: {run.writers.rate:,.0f} adds/s, the longest call "
            f"{run.writers.slowest:.2f} s."
        )
    if run.listing:
        parts.append(_grid("listing, ms", {k: {OURS: v} for k, v in run.listing.items()}, [OURS]))
    if run.memory:
        parts.append(_grid("memory", {"MB more for a long session": run.memory}, names))
    return "\n\n".join(parts)


def _grid(corner: str, rows: Mapping[str, Mapping[str, float]], names: list[str]) -> str:
    lines = [f"| {corner} | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    for label, figures in rows.items():
        lines.append(f"| {label} | " + " | ".join(_shown(figures.get(n)) for n in names) + " |")
    return "\n".join(lines)


def _shown(figure: float | None) -> str:
    if figure is None:
        return "-"
    return f"{figure:,.2f}" if figure < 10 else f"{figure:,.0f}"


@dataclass
class Verdict:
    """A target and what was measured; both sides come from the same run."""

    target: str
    figure: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether it was met."""
        return self.figure >= self.limit if self.at_least else self.figure <= self.limit


def verdicts(alone: Run, replica_set: Run, imports: float) -> str:
    """Say of each target whether it was met."""
    lines = ["## Targets", "| target | limit | measured | met |", "|---|---:|---:|---|"]
    found = [
        *_verdicts(alone, "alone", turn=0.15, add=0.08),
        *_verdicts(replica_set, "replica set", turn=0.2, add=0.04),
        Verdict("import, of langchain_core.messages", imports, 0.4),
    ]
    for verdict in found:
        sign = "≥" if verdict.at_least else "≤"
        met = "yes" if verdict.met else "**no**"
        lines.append(
            f"| {verdict.target} | {sign} {verdict.limit:g} | {verdict.figure:.3g} | {met} |"
        )
    return "\n".join(lines[:1]) + "\n\n" + "\n".join(lines[1:])


def _verdicts(run: Run, where: str, *, turn: float, add: float) -> Iterator[Verdict]:
    over_floor = {length: times[OURS] / times[FLOOR] for length, times in run.turns.items()}
    short, long = min(run.turns), 20_000 if 20_000 in run.turns else max(run.turns)
    yield Verdict(
        f"{where}: turn at {long:,} over its floor, of turn at {short} over its own",
        over_floor[long] / over_floor[short],
        1.15,
    )
    for length, ratio in over_floor.items():
        yield Verdict(f"{where}: turn at {length:,}, of the floor", ratio, 1.2)
    read, added, clear = run.works.values()
    yield Verdict(f"{where}: read, of the floor", read[OURS] / read[FLOOR], 1.15)
    for length, crowds in run.crowds.items():
        ours, floor = crowds[OURS], crowds[FLOOR]
        at = f"{where}: async, sessions of {length:,}"
        yield Verdict(f"{at}: turns/s, of the floor", ours.rate / floor.rate, 0.8, at_least=True)
        yield Verdict(f"{at}: loop blocked, of the floor", ours.blocked / floor.blocked, 1.0)
    if MONGODB in read:
        of = f"of {MONGODB}"
        for length, limit in ((short, 0.85), (long, turn)):
            times = run.turns[length]
            yield Verdict(f"{where}: turn at {length:,}, {of}", times[OURS] / times[MONGODB], limit)
        yield Verdict(f"{where}: read, {of}", read[OURS] / read[MONGODB], 0.6)
        yield Verdict(f"{where}: add, {of}", added[OURS] / added[MONGODB], add)
        yield Verdict(f"{where}: clear, {of}", clear[OURS] / clear[MONGODB], 2.5)
        fresh, long_ones = run.crowds.values()
        for crowds, who, of_whom, least in (
            (fresh, OURS, MONGODB, 1.0),
            (fresh, OURS_OVER_PYMONGO, MONGODB, 0.9),
            (long_ones, OURS, MONGODB_WHOLE, 3.0),
            (long_ones, OURS, AGENTS, 2.0),
        ):
            if of_whom in crowds:
                yield Verdict(
                    f"{where}: async, {'fresh' if crowds is fresh else 'long'} sessions: turns/s "
                    f"of {who}, of {of_whom}",
                    crowds[who].rate / crowds[of_whom].rate,
                    least,
                    at_least=True,
                )
    if POSTGRES in added:
        yield Verdict(f"{where}: add, of {POSTGRES}", added[OURS] / added[POSTGRES], 1.0)
    if run.listing:
        first, last, *_ = run.listing.values()
        yield Verdict(f"{where}: the last page of a list, of the first", last / first, 1.2)
    if run.writers:
        yield Verdict(
            f"{where}: writers on one session, adds/s", run.writers.rate, 800, at_least=True
        )
        yield Verdict(f"{where}: writers on one session, longest call, s", run.writers.slowest, 2)
