"""``zepstore export`` and ``import``: of our own, of ChatGPT and of Claude."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from langchain_zepstore import CreateUserRequest, Memory, Message, Session, ZepClient
from langchain_zepstore.cli.main import main
from tests.support.exports import START, chatgpt_conversation, claude_conversation, node

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(mongo_url: str, database_name: str, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command on a store of its own; return exit code, stdout and stderr."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["--url", mongo_url, "--database", database_name, *map(str, arguments)])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def store(mongo_url: str, database_name: str) -> Iterator[ZepClient]:
    with ZepClient(mongo_url, database=database_name) as client:
        yield client


def add(store: ZepClient, session_id: str, *contents: str, user_id: str | None = None) -> None:
    if user_id is not None:
        store.user.add(CreateUserRequest(user_id=user_id))
    store.memory.add_session(Session(session_id=session_id, user_id=user_id, title=session_id))
    said = [Message(role="user", content=each, uuid=each) for each in contents]
    store.memory.add_memory(session_id, Memory(messages=said))


def contents(store: ZepClient, session_id: str, **options: Any) -> list[str]:
    return [each.content for each in store.message.iter_messages(session_id, **options)]


def write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


def test_branches_are_listed_and_copied_to_a_new_session(run: Run, store: ZepClient) -> None:
    add(store, "s", "a", "b")
    store.memory.add_memory("s", Memory(messages=[Message(role="user", content="c")]), before="b")
    code, out, _ = run("sessions", "branches", "s", "--json")
    assert code == 0
    assert [json.loads(line)["is_active"] for line in out.splitlines()] == [False, True]
    assert "LAST_MESSAGE_ID" in run("sessions", "branches", "s")[1]
    copy = run("sessions", "fork", "s")[1].strip()
    assert contents(store, copy) == ["a", "c"]
    [session] = map(json.loads, run("sessions", "fork", "s", "--at", "b", "--json")[1].splitlines())
    assert contents(store, session["session_id"]) == ["a", "b"]
    assert run("sessions", "branches", "none")[0] == run("sessions", "fork", "none")[0] == 3


@pytest.mark.promise("an export round-trips through an import, on the command line as well")
def test_an_export_file_can_be_imported(run: Run, store: ZepClient, tmp_path: Path) -> None:
    add(store, "s", "a", "b", user_id="ada")
    add(store, "other", "x")
    file = tmp_path / "all.jsonl"
    file.write_text("what was there before")
    code, out, err = run("export", "-o", file)
    assert (code, out, err) == (0, "", f"wrote 7 lines to {file}\n")
    assert list(tmp_path.iterdir()) == [file]
    assert run("export")[1] == file.read_text()
    assert len(run("export", "--session", "s")[1].splitlines()) == 4
    assert run("export", "--user", "ada") == run("users", "export", "ada")
    store.user.erase("ada")
    for _ in range(2):
        code, out, _ = run("import", file, "--json")
        report = json.loads(out)
        assert code == 0
        assert (report["sessions"], report["messages"], report["refused"]) == (2, 3, 0)
    assert contents(store, "s") == ["a", "b"]
    assert store.memory.get_session("s").user_id == "ada"


def test_an_empty_export_is_not_found_and_writes_no_file(
    run: Run, store: ZepClient, tmp_path: Path
) -> None:
    assert run("export", "--user", "none", "-o", tmp_path / "x") == (
        3,
        "",
        "zepstore: there is nothing to export\n",
    )
    assert run("users", "export", "none")[0] == 3
    assert run("export", "--user", "a", "--session", "s")[0] == 2
    assert list(tmp_path.iterdir()) == []
    add(store, "s", "a")
    assert run("export", "-o", tmp_path / "none" / "x")[0] == 1


def test_invalid_lines_are_written_to_a_rejects_file_and_the_rest_imported(
    run: Run, store: ZepClient, tmp_path: Path
) -> None:
    add(store, "s", "a")
    lines = run("export")[1].splitlines()
    store.memory.erase_session("s")
    file = tmp_path / "export.jsonl"
    file.write_text("\n".join(["{bad", *lines, '{"type": "message"}']))
    code, _, err = run("import", file, "--user", "bob")
    assert code == 1
    assert f"{file}, 1: " in err
    assert f"{file}, {len(lines) + 2}: " in err
    rejected = Path(f"{file}.rejected.jsonl").read_text().splitlines()
    assert rejected == ["{bad", '{"type": "message"}']
    assert store.memory.get_session("s").user_id == "bob"
    assert contents(store, "s") == ["a"]


def test_an_import_can_assign_sessions_to_another_user(
    run: Run, store: ZepClient, tmp_path: Path
) -> None:
    add(store, "s", "a", user_id="ada")
    run("users", "export", "ada", "-o", tmp_path / "ada")
    store.user.erase("ada")
    assert run("import", tmp_path / "ada", "--user", "bob")[0] == 0
    assert [user.user_id for user in store.user.list()] == ["bob"]


@pytest.mark.promise("ChatGPT's export becomes sessions with titles, times and branches")
@pytest.mark.parametrize("is_zip", [False, True])
def test_a_chatgpt_export_is_imported_once(
    run: Run, store: ZepClient, tmp_path: Path, is_zip: bool
) -> None:
    file = write(tmp_path / "conversations.json", [chatgpt_conversation()])
    if is_zip:
        with ZipFile(tmp_path / "export.zip", "w") as archive:
            archive.write(file, "conversations.json")
        file = tmp_path / "export.zip"
    for _ in range(2):
        code, out, err = run("import", file, "--user", "ada", "--json")
        assert (code, err) == (0, "")
        assert json.loads(out)["messages"] == 7
    session = store.memory.get_session("boats")
    assert (session.title, session.user_id, session.archived) == ("About boats", "ada", True)
    assert session.created_at == datetime.fromtimestamp(1_700_000_000.123, UTC)
    assert contents(store, "boats") == [
        "Be kind",
        "Tell me of red boats",
        "search()",
        "found them",
        "They float",
    ]
    tree = {each.uuid: each for each in store.message.iter_messages("boats", all_branches=True)}
    assert {uuid: each.parent_uuid for uuid, each in tree.items()} == {
        "hidden": None,
        "q1": "hidden",
        "a1": "q1",
        "call": "q1",
        "tool": "call",
        "a2": "tool",
        "q2": "a1",
    }
    assert len(store.memory.branches("boats")) == 2
    assert tree["hidden"].metadata == {"hidden": True}
    assert tree["call"].metadata == {"recipient": "browser"}
    assert tree["tool"].role == "tool"
    assert tree["tool"].langchain == {
        "type": "tool",
        "data": {"tool_call_id": "tool", "name": "browser"},
    }
    assert tree["q2"].metadata == {"attachments": ["boat.pdf", "file_1"]}
    assert tree["q1"].created_at == session.created_at
    assert len(store.chat_history("boats").messages) == 5


@pytest.mark.promise("Claude's export becomes sessions with titles, times and branches")
def test_a_claude_export_is_imported(run: Run, store: ZepClient, tmp_path: Path) -> None:
    file = write(tmp_path / "conversations.json", [claude_conversation()])
    for _ in range(2):
        assert run("import", file)[0] == 0
    session = store.memory.get_session("trains")
    assert (session.title, session.user_id) == ("About trains", None)
    assert contents(store, "trains") == ["How fast is this one?", "I look it up"]
    assert len(store.memory.branches("trains")) == 2
    question, answer = store.memory.get_memory("trains").messages
    assert question.metadata == {"attachments": ["train.txt"], "files": ["train.png"]}
    assert question.created_at == datetime(2025, 1, 2, 3, 6, 5, 678000, UTC)
    said = store.chat_history("trains").messages[-1]
    assert said.tool_calls == [  # type: ignore[attr-defined]
        {"name": "lookup", "args": {"q": "ICE"}, "id": "t1", "type": "tool_call"}
    ]
    assert answer.uuid == "m4"


def test_a_later_export_adds_new_messages_only(run: Run, store: ZepClient, tmp_path: Path) -> None:
    nodes = [
        node("q1", None, "one", create_time=START),
        node("a1", "q1", "two", "assistant", create_time=START + 1),
    ]
    file = tmp_path / "conversations.json"
    run("import", write(file, [chatgpt_conversation(nodes=nodes)]))
    assert contents(store, "boats") == ["one", "two"]
    nodes.append(node("q2", "a1", "three", create_time=START + 2))
    assert run("import", write(file, [chatgpt_conversation(nodes=nodes)]))[0] == 0
    assert contents(store, "boats") == ["one", "two", "three"]
    nodes.append(node("q1b", None, "one again", create_time=START + 3))
    assert run("import", write(file, [chatgpt_conversation(nodes=nodes)]))[0] == 0
    assert contents(store, "boats") == ["one again"]
    assert contents(store, "boats", all_branches=True) == ["one", "two", "three", "one again"]
    store.memory.switch_branch("boats", "q2")
    assert contents(store, "boats") == ["one", "two", "three"]
    # A session that was continued here stays as it is.
    store.memory.add_memory("boats", Memory(messages=[Message(role="user", content="mine")]))
    nodes.append(node("a1b", "q1b", "late", "assistant", create_time=START + 4))
    code, _, err = run("import", write(file, [chatgpt_conversation(nodes=nodes)]))
    assert code == 1
    assert "was continued here" in err
    assert contents(store, "boats") == ["one", "two", "three", "mine"]


def test_unreadable_conversations_are_reported_by_number_and_kept(
    run: Run, store: ZepClient, tmp_path: Path
) -> None:
    circle = [node("a", "b", "x"), node("b", "a", "y")]
    bad = [
        {"mapping": []},
        7,
        chatgpt_conversation("circle", circle),
        {**chatgpt_conversation("x"), "title": 5},
    ]
    text = json.dumps([chatgpt_conversation(), *bad, chatgpt_conversation("trains")])
    file = tmp_path / "conversations.json"
    file.write_text(text.removesuffix("]") + ', {"broken": }')
    code, out, err = run("import", file, "--json")
    assert code == 1
    assert json.loads(out)["sessions"] == 2
    assert [line.split(": ")[0].rpartition(" ")[2] for line in err.splitlines()] == [
        "2",
        "3",
        "4",
        "5",
        "7",
    ]
    kept = Path(f"{file}.rejected.jsonl").read_text().splitlines()
    assert json.loads(kept[0]) == bad[0]
    assert len(kept) == 5
    assert run("import", write(tmp_path / "x.json", {"a": 1}))[0] == 1
    assert run("import", tmp_path / "none.json")[0] == 2


@pytest.mark.promise("RAG in two commands: import an export, search it")
def test_imported_messages_are_searched(run: Run, store: ZepClient, tmp_path: Path) -> None:
    file = write(tmp_path / "conversations.json", [chatgpt_conversation()])
    run("import", file, "--user", "ada")
    _, out, _ = run("search", "which boats float", "--user", "ada", "--limit", "1", "--json")
    assert json.loads(out)["session_title"] == "About boats"


@pytest.mark.promise("large exports are read in flat memory")
def test_an_export_is_read_one_conversation_at_a_time(tmp_path: Path) -> None:
    from langchain_zepstore.migration.readers.json_file import objects

    file = tmp_path / "large.json"
    text = json.dumps({"text": 'x"\\é' * 20_000, "list": [[1.5, None, True]] * 1000})
    file.write_text("[" + ",\n".join([text] * 30) + "]")
    read: list[int] = []
    for each in objects(file, read.append):
        assert each == json.loads(text)
        assert read[-1] <= (len(read) + 1) * 4 * len(text)
    assert len(read) > 10


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_only_on_a_terminal(
    run: Run, store: ZepClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, "s", "a")
    monkeypatch.setenv("TERM", "xterm")
    for quiet in (False, True):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        options = ["--quiet"] if quiet else []
        assert run("export", "-o", tmp_path / "x", *options)[0] == 0
        assert ("lines," in terminal.getvalue()) is not quiet
