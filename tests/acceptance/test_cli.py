"""``zepstore`` on a store: what a person sees and mends without writing Python."""

import json
import re
import shlex
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, message_to_dict
from pymongo import MongoClient

from langchain_zepstore import Memory, Message, Session, ZepClient
from langchain_zepstore.cli.main import main
from langchain_zepstore.embedded.server import EmbeddedServer
from langchain_zepstore.models import CreateUserRequest
from tests.support.commands import COMMAND
from tests.support.mongod import lasting_port
from tests.support.preloaded import Popen

ROOT = Path(__file__).parents[2]
MESSAGES = "indexes of messages"
EVIL = "\x1b]0;owned\x07\x1b[2J end"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(mongo_url: str, database_name: str, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command on a store of its own; return exit code, stdout and stderr."""

    def run(*arguments: str, url: str = mongo_url) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["--url", url, "--database", database_name, *arguments])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def store(mongo_url: str, database_name: str) -> Iterator[ZepClient]:
    """A store with a user, who has two sessions."""
    with ZepClient(mongo_url, database=database_name) as client:
        client.user.add(CreateUserRequest(user_id="ada", email="ada@example.org"))
        for session_id in ("boats", "trains"):
            client.memory.add_session(Session(session_id=session_id, user_id="ada"))
            said = [
                Message(role="user", content=f"I like {session_id}", uuid=f"{session_id}-1"),
                Message(role="assistant", content="So do I", uuid=f"{session_id}-2"),
            ]
            client.memory.add_memory(session_id, Memory(messages=said))
        yield client


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_sessions_are_listed_shown_deleted_and_restored(run: Run, store: ZepClient) -> None:
    code, out, _ = run("sessions", "list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["SESSION_ID", "boats", "trains"]
    _, out, _ = run("sessions", "recent", "--user", "ada", "--json")
    assert [each["session_id"] for each in lines(out)] == ["trains", "boats"]
    _, out, _ = run("sessions", "show", "boats", "--json")
    assert lines(out)[0]["user_id"] == "ada"
    code, out, err = run("sessions", "delete", "boats", "trains")
    assert (code, out, err) == (0, "", "deleted boats\ndeleted trains\n")
    _, out, _ = run("trash", "list", "--user", "ada", "--json")
    assert [each["session_id"] for each in lines(out)] == ["trains", "boats"]
    _, out, _ = run("messages", "list", "boats", "--deleted")
    assert "I like boats" in out
    assert run("sessions", "undelete", "boats", "--quiet") == (0, "", "")
    assert store.message.count("boats") == 2
    _, out, _ = run("sessions", "list", "--json")
    assert [each["session_id"] for each in lines(out)] == ["boats"]


def test_sessions_are_renamed_and_organized(run: Run, store: ZepClient) -> None:
    assert run("sessions", "rename", "boats", "The red boat") == (0, "", "changed boats\n")
    _, out, _ = run("sessions", "organize", "boats", "--pin", "--tag", "a", "--tag", "b", "--json")
    [changed] = lines(out)
    assert (changed["title"], changed["pinned"], changed["archived"]) == (
        "The red boat",
        True,
        False,
    )
    assert changed["tags"] == ["a", "b"]
    assert "The red boat" in run("sessions", "recent", "--tag", "b", "--pinned")[1]
    assert run("sessions", "recent", "--limit", "1", "--archived") == (0, "", "")
    assert len(lines(run("sessions", "recent", "--limit", "1", "--json")[1])) == 1
    run("sessions", "organize", "boats", "--unpin", "--archive", "--tag", "")
    found = store.memory.get_session("boats")
    assert (found.pinned, found.archived, found.tags) == (False, True, [])
    run("sessions", "rename", "boats", "")
    assert store.memory.get_session("boats").title is None
    assert run("sessions", "rename", "nowhere", "x")[0] == 3
    assert run("sessions", "organize", "boats")[0] == 2


def test_messages_are_added_listed_deleted_and_restored(run: Run, store: ZepClient) -> None:
    _, out, _ = run("messages", "add", "boats", "--role", "user", "--json", "--", "--quiet")
    [added] = lines(out)
    assert (added["role"], added["content"]) == ("user", "--quiet")
    _, out, _ = run("messages", "list", "boats", "--json")
    assert [each["content"] for each in lines(out)] == ["I like boats", "So do I", "--quiet"]
    assert run("messages", "delete", "boats", "boats-2")[0] == 0
    _, out, _ = run("messages", "tail", "boats", "-n", "2")
    assert [line.partition(": ")[2] for line in out.splitlines()] == ["I like boats", "--quiet"]
    assert run("messages", "undelete", "boats", "boats-2")[0] == 0
    assert store.message.count("boats") == 3


def test_users_are_listed_shown_and_deleted(run: Run, store: ZepClient) -> None:
    _, out, _ = run("users", "list")
    assert out.splitlines()[1].split()[:2] == ["ada", "ada@example.org"]
    _, out, _ = run("users", "show", "ada", "--json")
    assert lines(out)[0]["email"] == "ada@example.org"
    assert run("users", "delete", "ada")[0] == 0
    assert run("users", "show", "ada")[0] == 3


@pytest.mark.promise("destructive commands ask first, and need --yes without a terminal")
def test_sessions_and_users_are_erased_only_when_confirmed(run: Run, store: ZepClient) -> None:
    assert run("sessions", "erase", "boats")[0] == run("users", "erase", "ada")[0] == 2
    _, out, _ = run("users", "erase", "ada", "--dry-run", "--json")
    assert lines(out)[0]["sessions"] == 2
    assert lines(run("sessions", "erase", "boats", "--yes", "--json")[1])[0]["messages"] == 2
    assert run("sessions", "undelete", "boats")[0] == 3
    assert run("users", "erase", "ada", "--yes")[0] == 0
    assert run("users", "show", "ada")[0] == run("sessions", "show", "trains")[0] == 3


def test_a_search_finds_messages(run: Run, store: ZepClient) -> None:
    _, out, _ = run("search", "boats", "--user", "ada", "--limit", "1", "--json")
    assert lines(out)[0]["message"]["content"] == "I like boats"
    _, out, _ = run("search", "boats", "--session", "boats")
    assert "I like boats" in out
    assert run("search", "boats", "--session", "nowhere") == (0, "", "")


@pytest.mark.promise("destructive commands ask first, and need --yes without a terminal")
@pytest.mark.parametrize("command", [("trash", "empty"), ("purge",)], ids=" ".join)
def test_the_trash_is_emptied_only_when_confirmed(
    run: Run, store: ZepClient, command: tuple[str, ...]
) -> None:
    store.memory.delete_memory("boats")
    code, out, err = run(*command)
    assert (code, out) == (2, "")
    assert "--yes" in err
    _, out, _ = run(*command, "--yes", "--older-than", "1h", "--json")
    assert lines(out)[0]["sessions"] == 0
    _, out, _ = run(*command, "--yes", "--user", "bob", "--json")
    assert lines(out)[0]["sessions"] == 0
    _, out, _ = run(*command, "--yes", "--user", "ada", "--json")
    assert lines(out)[0]["messages"] == 2
    assert run("sessions", "undelete", "boats")[0] == 3


@pytest.mark.promise("`doctor` shows faults and exits 1; --mend mends the harmless ones")
def test_the_doctor_finds_and_repairs_a_missing_index(
    run: Run, store: ZepClient, mongo_url: str, database_name: str
) -> None:
    with MongoClient(mongo_url) as raw:
        raw[database_name].messages.drop_index("by_uuid")
    for _ in range(2):  # looking changes nothing
        code, out, _ = run("doctor", "--json")
        levels = {each["name"]: each["level"] for each in lines(out)}
        assert (code, levels[MESSAGES], levels["server"]) == (1, "fault", "ok")
    code, out, _ = run("doctor", "--quiet")
    assert code == 1
    assert "missing: by_uuid" in out
    assert "-> zepstore doctor --mend" in out
    assert "rights" not in out
    assert max(map(len, out.splitlines())) <= 80
    code, out, _ = run("doctor", "--mend", "--json")
    levels = {each["name"]: each["level"] for each in lines(out)}
    assert (levels[MESSAGES], code) == ("ok", int("fault" in levels.values()))
    assert "retention of messages" in run("doctor")[1]


def test_stats_count_sessions_messages_and_users(run: Run, store: ZepClient) -> None:
    store.memory.delete_memory("boats")
    _, out, _ = run("stats", "--json")
    [found] = lines(out)
    assert (found["sessions"], found["messages"], found["deleted_messages"]) == (1, 2, 2)
    _, out, _ = run("stats")
    shown = {
        line[: line.rindex("  ")].strip(): line.rpartition("  ")[2] for line in out.splitlines()
    }
    assert (shown["deleted_sessions"], shown["users"]) == ("1", "1")
    assert shown["index_bytes"].endswith("B")
    assert [name for name in shown if name.startswith("active on 20")] != []


@pytest.mark.promise("exit codes: 1 an error, 2 wrong usage, 3 not found, 4 unreachable")
def test_errors_print_one_line_and_set_the_exit_code(run: Run, store: ZepClient) -> None:
    for arguments, expected in (
        (("sessions", "show", "nowhere"), 3),
        (("messages", "list", "nowhere"), 3),
        (("messages", "delete", "boats", "none"), 3),
        (("messages", "add", "", "x"), 1),
        (("search", "", "--user", "ada"), 1),
    ):
        code, out, err = run(*arguments)
        assert (code, out) == (expected, ""), arguments
        assert err.startswith("zepstore: ")
        assert len(err.splitlines()) == 1
    unreachable = f"mongodb://127.0.0.1:{lasting_port()}/?serverSelectionTimeoutMS=100"
    assert run("sessions", "list", url=unreachable)[0] == 4


@pytest.mark.promise("terminal escapes in stored text are shown, never sent")
def test_stored_text_cannot_control_the_terminal(run: Run, store: ZepClient) -> None:
    store.memory.add_session(Session(session_id=EVIL, user_id="ada", metadata={EVIL: EVIL}))
    store.memory.add_memory(
        "evil", Memory(messages=[Message(role=EVIL, content="a\n" + EVIL, uuid=EVIL)])
    )
    for arguments in (
        ("sessions", "list"),
        ("sessions", "show", EVIL),
        ("messages", "list", "evil"),
        ("messages", "tail", "evil"),
        ("sessions", "delete", EVIL),
        ("sessions", "show", EVIL + "x"),
    ):
        _, out, err = run(*arguments)
        assert "owned" in out + err
        assert "\x1b" not in out + err
        assert "\x07" not in out + err


def test_tables_fit_80_columns_and_cut_contents(run: Run, store: ZepClient) -> None:
    long = Message(role="user", content="word " * 100, uuid="u" * 36)
    store.memory.add_memory("boats", Memory(messages=[long]))
    _, out, _ = run("messages", "list", "boats")
    assert max(map(len, out.splitlines())) <= 80
    assert "…" in out
    assert "u" * 36 in out


def command_line(url: str, database: str, *arguments: str) -> list[str]:
    return [*COMMAND, *arguments, "--url", url, "--database", database]


@pytest.mark.promise("Ctrl-C ends a command at any moment without a traceback")
def test_an_interrupt_while_waiting_is_quiet(
    mongo_url: str, database_name: str, store: ZepClient
) -> None:
    follow = command_line(mongo_url, database_name, "messages", "tail", "boats", "-f")
    process = Popen(follow, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout
    assert b"I like boats" in process.stdout.readline()
    assert b"So do I" in process.stdout.readline()
    store.memory.add_memory("boats", Memory(messages=[Message(role="user", content="new")]))
    assert b"new" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[1] == b""
    assert process.returncode == 130


@pytest.mark.promise("Ctrl-C ends a command at any moment without a traceback")
@pytest.mark.parametrize("seconds", [0, 0.3])
def test_an_interrupt_at_any_moment_is_quiet(
    mongo_url: str, database_name: str, store: ZepClient, seconds: float
) -> None:
    # Python's own start does not heed interrupts here: any traceback would be the command's.
    command = command_line(mongo_url, database_name, "messages", "tail", "boats", "-f")
    process = subprocess.Popen(
        ["sh", "-c", "trap '' INT; echo; exec \"$@\"", "sh", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    assert process.stdout.readline() == b"\n"
    time.sleep(seconds)
    deadline = time.monotonic() + 60
    while process.poll() is None:
        assert time.monotonic() < deadline
        process.send_signal(signal.SIGINT)
        time.sleep(0.01)
    assert process.communicate(timeout=60)[1] == b""
    assert process.returncode == 130


def test_a_closed_pipe_ends_the_output_quietly(
    mongo_url: str, database_name: str, store: ZepClient
) -> None:
    store.memory.add_memory(
        "boats", Memory(messages=[Message(role="user", content="x" * 1000)] * 500)
    )
    process = Popen(
        command_line(mongo_url, database_name, "messages", "list", "boats", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    assert process.stderr
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 1


@pytest.mark.promise("the recorded session of docs/cli.md runs, from an empty store on")
def test_the_session_recorded_in_the_docs_runs(
    mongo_url: str,
    database_name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = (ROOT / "docs" / "cli.md").read_text()
    recorded = page.partition("## A first session")[2].partition("## zepstore\n")[0]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZEPSTORE_URL", mongo_url)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with sqlite3.connect("chats.db") as chats:
        chats.execute(
            "CREATE TABLE message_store (id INTEGER PRIMARY KEY, session_id TEXT, message TEXT)"
        )
        for number, message in enumerate((HumanMessage("Which pier?"), AIMessage("The old one."))):
            row = (number, "old", json.dumps(message_to_dict(message)))
            chats.execute("INSERT INTO message_store VALUES (?, ?, ?)", row)
    chats.close()
    entries = re.findall(r"^\$ zepstore (.*)\n((?:[^$`].*\n)*)", recorded, re.MULTILINE)
    assert len(entries) >= 20
    for command, shown in entries:
        capsys.readouterr()
        code = main(["--database", database_name, *shlex.split(command)])
        out, err = capsys.readouterr()
        assert (code, words(out + err)) == (0, words(shown)), command


def words(text: str) -> list[str]:
    """What a command shows, but for what is another each time."""
    id_, time, size = r"[0-9a-f]{8}-[0-9a-f-]{27}", r"\d{4}-\d\d-\d\d( \d\d:\d\d)?", r"\d+ [kMG]B"
    machine = r"\(\d+%\)|\d+ s$|MongoDB [\d.]+|/\S+/zepstore"
    return re.sub(f"{id_}|{time}|{size}|{machine}", "X", text, flags=re.MULTILINE).split()


@pytest.mark.promise("backup and restore of the embedded server, as docs/operations.md has them")
def test_the_backup_commands_of_the_docs_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    [block] = [
        each for each in re.findall(r"```bash\n(.*?)```", page, re.DOTALL) if "import" in each
    ]
    other = f"embedded://{tmp_path / 'other'}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZEPSTORE_URL", f"embedded://{tmp_path / 'one'}")
    with ZepClient() as one, ZepClient(other) as two:
        said = [Message(role="user", content=text) for text in ("one", "two")]
        one.memory.add_memory("boats", Memory(messages=said))
        one.memory.add_memory("gone", Memory(messages=said))
        one.memory.delete_memory("gone")
        for line in block.splitlines():
            command = line.replace("embedded:///some/other/dir", other).split()
            assert command[0] == "zepstore"
            assert main(command[1:]) == 0, line
        two.memory.undelete_session("gone")
        one.memory.undelete_session("gone")
        for session_id in ("boats", "gone"):
            assert two.memory.get_memory(session_id) == one.memory.get_memory(session_id)


@pytest.mark.promise("the embedded server can be kept for mongosh and mongodump")
def test_the_embedded_server_runs_until_it_is_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--url", f"embedded://{tmp_path}")

    def mongod(command: str, *more: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["mongod", command, *options, *more])
        return code, *capsys.readouterr()

    assert mongod("path")[1] == f"{tmp_path}\n"
    assert mongod("uri")[0] == 4
    starter = EmbeddedServer(tmp_path, linger=0.1)
    starter.open()
    code, uri, _ = mongod("start")
    assert code == 0
    starter.close()
    time.sleep(1)  # longer than it would linger
    assert mongod("uri")[1] == uri
    with MongoClient(uri.strip()) as other:  # as mongosh and Compass would
        assert other.admin.command("ping")["ok"] == 1
    assert lines(mongod("status", "--json")[1])[0] | {"uri": ""} == {
        "directory": str(tmp_path),
        "running": True,
        "kept": True,
        "uri": "",
    }
    assert mongod("stop")[0] == 0
    deadline = time.monotonic() + 60
    while mongod("uri")[0] == 0:
        assert time.monotonic() < deadline
        time.sleep(0.2)
