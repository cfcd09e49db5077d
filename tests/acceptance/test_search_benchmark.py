"""The benchmark of searching, run small: the package's ranking finds more than the bare index."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.search", "--quick", *map(str, arguments)],
        check=False,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def shares(output: str, name: str) -> list[float]:
    [row] = re.findall(rf"^\| {name} \|(.*)\|$", output, re.MULTILINE)
    return [float(cell) for cell in row.split("|")]


def test_the_evidence_is_looked_for_among_the_results(tmp_path: Path) -> None:
    turns = [
        {"dia_id": f"D1:{n}", "speaker": "Ada", "text": text}
        for n, text in enumerate(["the boat is green", "the boat is old", "the whale and the boat"])
    ]
    asked = [
        {"question": "Which whale?", "evidence": ["D1:2"], "category": 1},
        {"question": "Nothing of it", "evidence": ["D1:0"], "category": 1},
        {"question": "Unanswerable", "evidence": ["D1:0"], "category": 5},
    ]
    data = {"sessions": [{"session": 1, "turns": turns}], "qa": asked}
    (tmp_path / "one.json").write_text(json.dumps(data))
    output = run(tmp_path)
    assert "2 questions" in output
    assert shares(output, "text") == shares(output, "the bare index") == [0.5, 0.5, 0.5]
    assert float(re.findall(r"^\| 1,000 \| ([\d.]+)", output, re.MULTILINE)[0]) > 0


def test_real_conversations_are_searched_better_than_by_the_bare_index(
    locomo_directory: Path | None,
) -> None:
    if locomo_directory is None:
        pytest.skip("the conversations are not at hand")
    output = run(locomo_directory)
    at_1, at_5, at_10 = shares(output, "text")
    assert (at_1, at_5, at_10) > tuple(shares(output, "the bare index"))
    assert at_1 > 0.33
    assert at_5 > 0.55
    assert at_10 > 0.63
