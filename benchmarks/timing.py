"""Timing several contenders side by side."""

import random
import time
from collections.abc import Callable, Mapping
from statistics import median

Work = Callable[[], object]
Prepare = Callable[[], Work]

_FEWEST = 3


def side_by_side(works: Mapping[str, Prepare], *, rounds: int, budget: float) -> dict[str, float]:
    """Time works in turns, so that all of them meet the same noise.

    Args:
        works: By name, what prepares one piece of work and returns it; only the work is timed.
        rounds: How often each of them is done at most.
        budget: Seconds after which one that is slow takes part no more, after three rounds.

    Returns:
        The median of each, in milliseconds.
    """
    times: dict[str, list[float]] = {name: [] for name in works}
    for prepare in works.values():
        prepare()()  # connections, caches
    chance = random.Random(0)  # noqa: S311 - no secret
    for _ in range(rounds):
        # In any order: whoever comes after one on the same server finds it awake.
        for name in chance.sample(list(works), len(works)):
            if len(times[name]) >= _FEWEST and sum(times[name]) > budget:
                continue
            work = works[name]()
            begun = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - begun)
    return {name: median(taken) * 1000 for name, taken in times.items()}
