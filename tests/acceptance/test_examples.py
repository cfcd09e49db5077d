"""The examples, as a user runs them: programs that store in a data directory."""

import json
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from pymongo import MongoClient

from langchain_zepstore import Memory, Message, Session, ZepClient
from langchain_zepstore.embedded.server import EmbeddedServer
from tests.support import preloaded
from tests.support.preloaded import EXAMPLES as IMPORTED
from tests.support.preloaded import Popen

EXAMPLES = Path(__file__).parents[2] / "examples"
INTERRUPTED_ELSEWHERE = pytest.mark.long("a test interrupts this example at later moments")
needs_signals = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")


def storing_in(directory: Path) -> dict[str, str]:
    """An environment in which the examples store in a directory."""
    return {
        **os.environ,
        "ZEPSTORE_URL": f"embedded://{quote(str(directory))}",
        "COLUMNS": "200",
        "PYTHONIOENCODING": "utf-8",
    }


def directory_of(environment: dict[str, str]) -> Path:
    return Path(unquote(environment["ZEPSTORE_URL"].removeprefix("embedded://")))


@pytest.fixture(scope="module")
def held_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An environment in which the examples find their server running."""
    directory = tmp_path_factory.mktemp("examples") / "store"
    server = EmbeddedServer(directory)
    server.open()
    yield storing_in(directory)
    server.close()


def empty(environment: dict[str, str]) -> None:
    """Drop the examples' databases."""
    server = EmbeddedServer(directory_of(environment))
    with MongoClient(server.open()) as client:
        for database in client.list_database_names():
            if database.startswith("zepstore_"):
                client.drop_database(database)
    server.close()


@pytest.fixture
def environment(held_environment: dict[str, str]) -> dict[str, str]:
    """An environment in which the examples find their server running, and their stores empty."""
    empty(held_environment)
    return dict(held_environment)


@pytest.fixture
def new_environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which the examples store in a directory of the test's own."""
    return storing_in(tmp_path / "store")


def start(
    environment: dict[str, str], example: str, *arguments: str | Path
) -> subprocess.Popen[str]:
    return Popen(
        [sys.executable, str(EXAMPLES / example), *map(str, arguments)],
        imported=IMPORTED,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def run(environment: dict[str, str], example: str, *arguments: str | Path) -> tuple[int, str, str]:
    process = start(environment, example, *arguments)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def succeed(environment: dict[str, str], example: str, *arguments: str | Path) -> str:
    code, out, err = run(environment, example, *arguments)
    assert (code, err) == (0, ""), out + err
    return out


def fail(environment: dict[str, str], example: str, *arguments: str | Path) -> str:
    code, out, err = run(environment, example, *arguments)
    assert code == 1, out + err
    assert "Traceback" not in err
    return err


# Runs examples one after the other, each as a program of its own, and says how each ended. A text
# to exit with is written to stderr, and the exit code is 1.
RUNNER = """
import contextlib, io, json, os, runpy, sys
ends = []
for path, url in json.load(sys.stdin):
    os.environ["ZEPSTORE_URL"] = url
    code, out, err = 0, io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_path(path, run_name="__main__")
        except SystemExit as ended:
            code = ended.code
    ends.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(ends))
"""
End = tuple[object, str, str]  # the exit code or text, stdout and stderr


def run_all(environment: dict[str, str], examples: list[tuple[str, str]]) -> list[End]:
    """Run examples, each with its URL, in one process, which imports the libraries once."""
    done = preloaded.run(
        [sys.executable, "-c", RUNNER],
        imported=IMPORTED,
        given=json.dumps([(str(EXAMPLES / example), url) for example, url in examples]),
        env=environment,
        timeout=240,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [(code, out, err) for code, out, err in json.loads(done.stdout)]


# Those that need no process of their own, and a store that cannot be used, for each sort of it.
TOGETHER = ("chain_memory.py", "agent_with_memory.py", "sessions.py")
UNUSABLE = [
    ("quickstart.py", "ftp://nowhere"),
    ("quickstart.py", "embedded:///dev/null"),
    ("chain_memory.py", "ftp://nowhere"),
    ("agent_with_memory.py", "embedded:///dev/null"),
    ("server_and_clients.py", "ftp://nowhere"),
    ("sessions.py", "embedded:///dev/null"),
]


@pytest.fixture(scope="module")
def ends(held_environment: dict[str, str]) -> dict[tuple[str, str], list[End]]:
    """How examples ended: on their store twice, in two processes, and on one that is unusable."""
    empty(held_environment)
    usable = [(example, held_environment["ZEPSTORE_URL"]) for example in TOGETHER]
    ends: dict[tuple[str, str], list[End]] = {}
    for examples in (usable + UNUSABLE, usable):
        for example, end in zip(examples, run_all(held_environment, examples), strict=True):
            ends.setdefault(example, []).append(end)
    return ends


@pytest.fixture
def outputs(
    ends: dict[tuple[str, str], list[End]], held_environment: dict[str, str]
) -> Callable[[str], list[str]]:
    """Return what the two runs of an example have printed; both must have succeeded."""

    def of(example: str) -> list[str]:
        runs = ends[example, held_environment["ZEPSTORE_URL"]]
        assert [(code, err) for code, _, err in runs] == [(0, "")] * 2, runs
        return [out for _, out, _ in runs]

    return of


QUICKSTART, CONVERSATIONS = "zepstore_quickstart", "zepstore_conversations"


def elsewhere(environment: dict[str, str], database: str) -> ZepClient:
    """Another client of an example's database."""
    return ZepClient(environment["ZEPSTORE_URL"], database=database)


# quickstart.py


@pytest.mark.promise("a conversation continued by another run; where the data is")
@pytest.mark.promise("the quickstart names, lists, deletes and undeletes")
def test_the_quickstart_continues_after_a_deletion(
    environment: dict[str, str],
) -> None:
    first = succeed(environment, "quickstart.py")
    assert str(directory_of(environment)) in first
    assert "2 messages" in first
    assert "this is visit 1" in first
    assert "1. quickstart: {'title': 'My first conversation', 'visits': 1}" in first
    assert "Deleted: 0 messages visible" in first
    assert "Undeleted: 2 messages" in first
    with elsewhere(environment, QUICKSTART) as client:
        client.memory.update_session(Session(session_id="quickstart", metadata={"mine": 1}))
        client.memory.delete_memory("quickstart")  # as an interrupted quickstart leaves it
    second = succeed(environment, "quickstart.py")
    assert "4 messages" in second
    assert "this is visit 1." in second
    assert "this is visit 2." in second
    assert "I remember 1 earlier visit(s)" in second
    assert "'mine': 1" in second
    assert "Undeleted: 4 messages" in second
    for _ in range(3):
        out = succeed(environment, "quickstart.py")
    assert "10 messages" in out
    assert "2 earlier ones" in out
    assert "this is visit 1." not in out
    assert "this is visit 5." in out


@pytest.mark.skipif(sys.platform != "linux", reason="XDG_DATA_HOME is for Linux")
def test_the_quickstart_without_a_url_stores_in_the_users_data_directory(
    environment: dict[str, str], tmp_path: Path
) -> None:
    del environment["ZEPSTORE_URL"]
    environment["XDG_DATA_HOME"] = str(tmp_path / "data home")
    out = succeed(environment, "quickstart.py")
    said = re.search(r"The data lives in (.*)\.\n", out)
    assert said, out
    assert Path(said[1]).is_relative_to(tmp_path / "data home")
    assert (Path(said[1]) / "db").is_dir()


def interruptible(environment: dict[str, str], example: str) -> subprocess.Popen[str]:
    """Start an example; until it has a handler of its own, it does not heed SIGINT."""
    return subprocess.Popen(
        ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", sys.executable, "-u", EXAMPLES / example],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def interrupted(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Send SIGINT until a process has ended; return its exit code and its stderr."""
    deadline = time.monotonic() + 60
    while process.poll() is None:
        assert time.monotonic() < deadline
        process.send_signal(signal.SIGINT)
        time.sleep(0.01)
    return process.returncode, process.communicate(timeout=60)[1]


@needs_signals
def test_an_interrupted_quickstart_ends_quietly_and_can_be_rerun(
    new_environment: dict[str, str],
) -> None:
    for lines, seconds in ((0, 0.3), (1, 0), (3, 0), (15, 0)):
        process = interruptible(new_environment, "quickstart.py")
        assert process.stdout
        for _ in range(lines):
            process.stdout.readline()
        time.sleep(seconds)
        code, err = interrupted(process)
        # 0: it was faster; -SIGINT: Python was shutting down, and had taken its handler away.
        assert code in {130, 0, -signal.SIGINT}
        assert err == ""
    out = succeed(new_environment, "quickstart.py")
    found = re.search(r"(\d+) messages", out)
    assert found, out
    assert int(found[1]) % 2 == 0, "half a turn was left"
    assert f"this is visit {int(found[1]) // 2}." in out


@needs_signals
@pytest.mark.parametrize(
    "example",
    [
        pytest.param("quickstart.py", marks=INTERRUPTED_ELSEWHERE),
        pytest.param("server_and_clients.py", marks=INTERRUPTED_ELSEWHERE),
        "sessions.py",
    ],
)
def test_ctrl_c_exits_an_example_with_code_130(
    new_environment: dict[str, str], example: str
) -> None:
    process = start(new_environment, example)
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")


@pytest.mark.parametrize("unusable", UNUSABLE, ids="-".join)
def test_an_error_prints_one_line_and_exits_with_1(
    ends: dict[tuple[str, str], list[End]], unusable: tuple[str, str]
) -> None:
    [(said, _, err)] = ends[unusable]
    assert err == ""
    assert isinstance(said, str)
    assert said.startswith("error: ")
    assert "\n" not in said


def test_an_error_goes_to_stderr(environment: dict[str, str]) -> None:
    err = fail({**environment, "ZEPSTORE_URL": "ftp://nowhere"}, "quickstart.py")
    assert err.startswith("error: ")
    assert err.count("\n") == 1


# chain_memory.py


@pytest.mark.promise("a chain with memory")
def test_a_chain_remembers_within_and_across_runs(outputs: Callable[[str], list[str]]) -> None:
    first, second = outputs("chain_memory.py")
    assert re.findall(r"given (\d+) messages", first) == ["2", "4", "6"]
    assert "6 messages are stored" in first
    assert re.findall(r"given (\d+) messages", second) == ["8", "10", "12"]
    assert "12 messages are stored" in second


# agent_with_memory.py


def test_an_agent_remembers_within_and_across_runs(outputs: Callable[[str], list[str]]) -> None:
    first, second = outputs("agent_with_memory.py")
    assert re.findall(r"remembers (\d+) messages", first) == ["0", "4", "0"]
    assert "   tool: The Hikari to Kyoto, at 9.\n" in first
    assert "UTC] human: Which trains go to Kyoto?" in first  # found in the other session
    assert "'Where did I want to go?': 4 messages" in first
    assert "'Which trains go to Kyoto?': 6 messages" in first
    assert "  human: Which trains go to Osaka?\n     ai: The Nozomi, at 10.\n" in first
    assert "['Which trains go to Kyoto?', 'Which trains go to Osaka?']" in first
    assert re.findall(r"remembers (\d+) messages", second) == ["6", "10", "4"]
    assert "'Which trains go to Kyoto?': 12 messages" in second


# load_conversations.py


def conversation(sessions: int = 3, turns: int = 5) -> dict:
    return {
        "speaker_a": "Ann",
        "speaker_b": "Ben",
        "sessions": [
            {
                "session": number,
                "date_time": f"12:0{number} am on {number} February, 2024",
                "turns": [
                    {
                        "dia_id": f"D{number}:{turn}",
                        "speaker": "Ann" if turn % 2 else "Ben",
                        "text": f"[bold]{turn}[/nothing] ünïcode 🙂\n$where.is{turn}",
                        **({"image_caption": "a photo of [a] dog"} if turn == 2 else {}),
                    }
                    for turn in range(1, turns + 1)
                ],
            }
            for number in range(1, sessions + 1)
        ],
        "qa": [],
    }


@pytest.fixture
def small_directory(tmp_path: Path) -> Path:
    """Two conversations of LoCoMo's shape: three sessions of five turns, one of one."""
    directory = tmp_path / "conversations"
    directory.mkdir()
    for name, data in (("7", conversation()), ("[b] 8", conversation(1, 1))):
        (directory / f"{name}.json").write_text(json.dumps(data), encoding="utf-8")
    (directory / "README.md").write_text("not a conversation")
    return directory


def rows(out: str) -> list[list[str]]:
    lines = (re.split(r"[│┃]", line) for line in out.splitlines() if line.startswith("│"))
    return [[cell.strip() for cell in line[1:4]] for line in lines]


@pytest.mark.promise("real conversations come back message by message")
def test_loaded_conversations_round_trip_on_every_run(
    environment: dict[str, str], small_directory: Path, tmp_path: Path
) -> None:
    expected = [["7", "3", "15"], ["[b] 8", "1", "1"], ["total", "4", "16"]]
    assert rows(succeed(environment, "load_conversations.py", small_directory)) == expected
    with elsewhere(environment, CONVERSATIONS) as client:
        assert client.user.get("locomo/7").metadata == {"speakers": ["Ann", "Ben"]}
        found = client.user.get_sessions("locomo/7")
        assert [s.session_id for s in found] == [f"locomo/7/session-{n}" for n in (1, 2, 3)]
        assert found[1].metadata == {"date": "12:02 am on 2 February, 2024"}
        client.user.delete("locomo/7")
    url = environment["ZEPSTORE_URL"]
    given = {**environment, "ZEPSTORE_URL": "", "XDG_DATA_HOME": str(tmp_path / "unused")}
    for variables, options in ((environment, ()), (given, ("--url", url))):
        out = succeed(variables, "load_conversations.py", small_directory, *options)
        assert rows(out) == expected
    assert not (tmp_path / "unused").exists()


@pytest.mark.promise("real conversations come back message by message")
def test_loading_locomo_stores_every_message(
    environment: dict[str, str], locomo_directory: Path | None
) -> None:
    if locomo_directory is None:
        pytest.skip("LoCoMo is not at hand")
    files = sorted(locomo_directory.glob("*.json"))
    expected = []
    for path in files:
        sessions = json.loads(path.read_text(encoding="utf-8"))["sessions"]
        turns = sum(len(session["turns"]) for session in sessions)
        expected.append([path.stem, f"{len(sessions)}", f"{turns:,}"])
    assert expected
    for _ in range(2):
        out = succeed(environment, "load_conversations.py", locomo_directory)
        assert rows(out)[:-1] == expected


SESSION = "locomo/7/session-2"


def add_a_message(client: ZepClient) -> None:
    client.memory.add_memory(SESSION, Memory(messages=[Message(role="", content="")]))


def change_metadata(client: ZepClient) -> None:
    client.memory.update_session(Session(session_id=SESSION, metadata={"more": 1}))


def add_a_session(client: ZepClient) -> None:
    client.memory.add_session(Session(session_id="another", user_id="locomo/7"))


@pytest.mark.promise("real conversations come back message by message")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (add_a_message, f"{SESSION}: 5 messages in the file, 6 in the store"),
        (change_metadata, f"{SESSION}, metadata:"),
        (add_a_session, "locomo/7: session another is only in the store"),
    ],
)
def test_a_difference_is_printed_and_exits_with_1(
    load: Callable[..., str | None],
    mongo_url: str,
    database_name: str,
    small_directory: Path,
    change: Callable[[ZepClient], None],
    said: str,
) -> None:
    url = mongo_url.replace("/?", f"/{database_name}?")
    assert load(small_directory, "--url", url) is None
    with ZepClient(url) as client:
        change(client)
    assert said in str(load(small_directory, "--url", url))


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str | None]:
    """``load_conversations.py`` in this process; returns what it exits with."""

    def loaded(*arguments: str | Path) -> str | None:
        path = str(EXAMPLES / "load_conversations.py")
        monkeypatch.setattr(sys, "argv", [path, *map(str, arguments)])
        try:
            runpy.run_path(path, run_name="__main__")
        except SystemExit as ended:
            return str(ended.code)
        return None

    return loaded


def broken(change: str) -> str:
    data = conversation()
    exec(change, {"data": data})
    return json.dumps(data)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "JSON"),
        ("[]", "the file must be an object"),
        ("\xff", "JSON"),
        (broken("del data['speaker_b']"), "speaker_b is missing"),
        (broken("data['sessions'] = {}"), "sessions must be a list"),
        (broken("data['sessions'][1] = 4"), "sessions[1] must be an object, not 4"),
        (broken("data['sessions'][1]['session'] = 1"), "sessions[1].session: 1 is there twice"),
        (broken("data['sessions'][2]['date_time'] = 'x'"), "sessions[2].date_time must be a date"),
        (broken("del data['sessions'][0]['turns']"), "sessions[0].turns is missing"),
        (
            broken("data['sessions'][0]['turns'][3]['text'] = None"),
            "sessions[0].turns[3].text must be a string, not None",
        ),
        (
            broken("data['sessions'][0]['turns'][3]['speaker'] = 'Eve'"),
            "sessions[0].turns[3].speaker must be speaker_a or speaker_b (Ann or Ben), not 'Eve'",
        ),
        (
            broken("data['sessions'][0]['turns'][3]['dia_id'] = 'D1:1'"),
            "sessions[0].turns[3].dia_id: 'D1:1' is there twice",
        ),
    ],
)
def test_a_malformed_file_stores_nothing_and_the_error_names_the_field(
    load: Callable[..., str | None],
    small_directory: Path,
    tmp_path: Path,
    text: str,
    named: str,
) -> None:
    path = small_directory / "z.json"
    path.write_text(text, encoding="latin-1" if text == "\xff" else "utf-8")
    err = load(small_directory, "--url", f"embedded://{tmp_path}/store")
    assert err
    assert err.startswith("error: ")
    assert "\n" not in err
    assert str(path) in err
    assert named in err
    assert not (tmp_path / "store").exists()


def test_a_directory_without_conversations_is_an_error(
    load: Callable[..., str | None], tmp_path: Path
) -> None:
    for directory in (tmp_path, tmp_path / "absent"):
        assert "no *.json files" in str(load(directory))


# sessions.py


@pytest.mark.promise("the calls of Zep's documentation run, sync and async on one client")
def test_the_sessions_example_can_be_run_repeatedly(
    outputs: Callable[[str], list[str]],
) -> None:
    for out in outputs("sessions.py"):
        assert "created:   {'lang': 'en', 'ui': {'theme': 'dark'}}" in out
        assert "{'lang': 'en', 'ui': {'theme': 'dark', 'font': 'large'}, 'title': 'Trains'}" in out
        assert "unset:     {'ui': {'font': 'large'}, 'title': 'Trains'}" in out
        assert "talked in: 2 messages" in out
        assert "deleted:   there is no session" in out
        assert "revived:   1 message\n" in out
        assert "['Which trains go to Kyoto?', 'The Hikari, at 9.', 'And back?']" in out
        assert "A page of 4 sessions" in out
        assert "All of them: 4" in out
        assert "Those with the number 2: 1" in out
        assert "  ['Engines', 'Poetry']\n  ['Numbers']\n" in out
        assert "of her sessions 3 are in the trash" in out
        assert "Purged: {'messages': 4, 'sessions': 7, 'users': 1}" in out


# server_and_clients.py


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> tuple[End, str]:
    """An interrupted run of the server example, and the output of a whole one after it."""
    environment = storing_in(tmp_path_factory.mktemp("served") / "store")
    process = start(environment, "server_and_clients.py")
    assert process.stdout
    said = process.stdout.readline() + process.stdout.readline()  # now it listens
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert is_closed(said)
    return (process.returncode, said, err), succeed(environment, "server_and_clients.py")


@needs_signals
def test_the_server_example_runs_with_every_client_and_stops(served: tuple[End, str]) -> None:
    _, out = served
    assert "  Which trains go to Kyoto?\n" in out
    assert "the history: ['human', 'human', 'ai']" in out
    assert "sidebar:   ['poems', 'travel']" in out
    assert "found:     ['Which trains go to Kyoto?']" in out
    assert "deleted:   0 messages" in out
    assert "undeleted: 3 messages" in out
    assert "walked through 3,000 messages" in out
    assert "Purged: {'messages': 3003, 'sessions': 2, 'users': 1}" in out
    assert is_closed(out)


@needs_signals
def test_an_interrupted_server_example_leaves_no_server_and_can_be_rerun(
    served: tuple[End, str],
) -> None:
    (code, _, err), out = served
    # As of the quickstart, above.
    assert code in {130, 0, -signal.SIGINT}
    assert err == "" or code != 130
    assert "undeleted: 3 messages" in out


def is_closed(said: str) -> bool:
    """Whether nothing listens any more where a server said that it did."""
    found = re.search(r"http://127\.0\.0\.1:(\d+)", said)
    assert found, said
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", int(found[1]))) != 0


@pytest.mark.long("it runs them all again")
def test_examples_do_not_change_each_others_sessions(environment: dict[str, str]) -> None:
    succeed(environment, "quickstart.py")
    with elsewhere(environment, QUICKSTART) as client:
        client.memory.delete_memory("quickstart")
        for example in ("chain_memory", "agent_with_memory", "sessions", "server_and_clients"):
            succeed(environment, f"{example}.py")
        client.memory.undelete_session("quickstart")
    out = succeed(environment, "quickstart.py")
    assert "4 messages" in out
    sessions = out.partition("The sessions:\n")[2].partition("\n\n")[0]
    assert sessions.splitlines() == [
        "  1. quickstart: {'title': 'My first conversation', 'visits': 2}"
    ]
