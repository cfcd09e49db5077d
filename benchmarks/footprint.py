"""What a process pays: for importing a package, and in memory for a long session."""

import resource
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from statistics import median

_CORE = "import langchain_core.messages"
_OURS = "from langchain_zepstore import ZepClient, ZepChatMessageHistory"


def import_ratio(rounds: int) -> tuple[float, float]:
    """Compare imports, each in a process of its own.

    Returns:
        The time of ``import langchain_core.messages`` in milliseconds, and how much the package
        adds to it, as a part of that.
    """
    times: dict[str, list[float]] = {"": [], _CORE: [], f"{_CORE}; {_OURS}": []}
    for _ in range(rounds):
        for statement, taken in times.items():
            taken.append(_seconds(statement))
    nothing, core, both = (median(taken) for taken in times.values())
    return (core - nothing) * 1000, (both - core) / (core - nothing)


def _seconds(statement: str) -> float:
    program = f"import time; t = time.perf_counter(); {statement or 'pass'}\n"
    program += "print(time.perf_counter() - t)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    return float(done.stdout)


def peak_memory(name: str, url: str, *, length: int, added: int) -> float:
    """Return the megabytes by which a process grows that reads a session and adds to it.

    Args:
        name: A contender's.
        url: Where.
        length: How many messages it reads.
        added: How many it adds in one call.
    """
    for work in ("grow", "read"):  # each in a process of its own
        command = [sys.executable, "-m", "benchmarks.footprint", name, url, work]
        command += [str(length), str(added)]
        done = subprocess.run(command, capture_output=True, check=True)
    return float(done.stdout)


def _grown_by(name: str, url: str, work: str, length: int, added: int) -> float:
    from benchmarks.contenders import opened  # noqa: PLC0415 - it imports everything
    from benchmarks.works import said  # noqa: PLC0415

    contender = opened(name, url)
    if work == "grow":
        contender.grow("short", said(10))
        contender.grow("long", said(length))
    before = peak()
    if work == "read":
        assert len(contender.history("short").messages) == 10  # connections, caches
        history = contender.history("long")
        before = peak()
        assert len(history.messages) == length
        history.add_messages(said(added))
    contender.close()
    return peak() - before


def peak() -> float:
    """Return the most memory that this process has had, in megabytes."""
    # Not ru_maxrss where that can be helped: on Linux a child begins with its parent's.
    with suppress(OSError), Path("/proc/self/status").open() as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    print(_grown_by(*sys.argv[1:4], *map(int, sys.argv[4:])))
