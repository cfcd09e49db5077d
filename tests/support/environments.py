"""Python environments of their own, for programs that must meet no package of this one's."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.preloaded import clean_environment


def run(arguments: Sequence[str | Path], timeout: float, **variables: str) -> str:
    """Run a program that has to succeed, with variables in its environment; return what it says."""
    done = subprocess.run(
        arguments,
        check=False,
        env={**clean_environment(), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=timeout,
    )
    assert done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}"
    return done.stdout


def make_environment(directory: Path, requirements: Sequence[Sequence[str | Path]]) -> Path:
    """Install into an environment that is new, and return its interpreter.

    By uv, which takes seconds for what takes pip a minute; by pip where uv cannot (it knows nothing
    of how pip was told to find packages).

    Args:
        directory: Where it will be.
        requirements: The arguments of one pip after the other.
    """
    run([sys.executable, "-m", "venv", "--without-pip", directory], timeout=120)
    interpreter = directory / ("Scripts" if os.name == "nt" else "bin") / "python"
    for arguments in requirements:
        uv = ["-m", "uv", "pip", "install", "--quiet", "--python", interpreter, *arguments]
        pip = ["-m", "pip", "--python", interpreter, "install", "--quiet", "--no-compile"]
        try:
            run([sys.executable, *uv], timeout=120)
        except (AssertionError, subprocess.TimeoutExpired):
            run([sys.executable, *pip, *arguments], timeout=300)
    return interpreter


def versions_in(interpreter: Path) -> dict[str, str]:
    """Return the versions of what is installed in an environment."""
    listing = (
        "import importlib.metadata, json; "
        "print(json.dumps({d.name: d.version for d in importlib.metadata.distributions()}))"
    )
    versions: dict[str, str] = json.loads(run([interpreter, "-c", listing], timeout=60))
    return versions
