"""The keys of `zepstore serve`, from the environment or a file."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pymongo import MongoClient

from langchain_zepstore.cli.main import main
from tests.support.raw_http import Serve, request, serve

KEY, ALICE, READER, ALICES_READER = "whole-key", "alice-key", "reader-key", "alices-reader-key"


def ask_all(served: Serve, *keys: str) -> list[int]:
    return [
        served.ask(request("GET", "/api/v1/sessions", b"", f"Authorization: Bearer {key}"))[
            0
        ].status
        for key in keys
    ]


@pytest.mark.promise("keys, from the environment or a file, kept as hashes; both schemes")
def test_the_command_reads_keys_from_the_environment_and_logs_none(
    mongo_url: str, database_name: str, tmp_path: Path
) -> None:
    digest = hashlib.sha256(b"hashed-key").hexdigest()
    environment = {"ZEPSTORE_API_KEYS": f" first-key ,second-key,,sha256:{digest}"}
    options = ("--url", mongo_url, "--database", database_name)
    with serve(tmp_path, *options, environment=environment) as served:
        keys = ("first-key", "second-key", "hashed-key")
        assert ask_all(served, *keys, digest, f"sha256:{digest}", "", "first-key ,second-key") == [
            *(200, 200, 200),
            *(401, 401, 401, 401),
        ]
        body = b'{"messages": [{"role": "user", "content": "nobody is to read this"}]}'
        said = request(
            "POST",
            "/api/v1/sessions/a%0Ab%22/memory?token=in-the-query",
            body,
            "Authorization: Api-Key first-key",
            "Content-Type: application/json",
        )
        assert [answer.status for answer in served.ask(said)] == [200]
        assert [answer.status for answer in served.ask(request("GET", "/nowhere"))] == [401]
        assert served.stop() in {0, -15}
        names = [hashlib.sha256(key.encode()).hexdigest()[:8] for key in keys]
        assert [(each["status"], each["key"]) for each in served.accesses] == [
            *((200, name) for name in names),
            *[(401, None)] * 4,
            (200, names[0]),
            (401, None),
        ]
        last = served.accesses[-2]
        assert last["bytes_in"] == len(body)
        assert last["bytes_out"] == len(b"OK")
        assert (last["method"], last["route"]) == ("POST", "/api/v1/sessions/{session_id}/memory")
        assert last["path"] == "/api/v1/sessions/a%0Ab%22/memory"
        assert last["client"] == "127.0.0.1"
        for hidden in (*keys, "nobody is to read this", "in-the-query", "Traceback"):
            assert hidden not in served.log
    with MongoClient(mongo_url) as client:
        assert client[database_name].sessions.find_one({"_id": 'a\nb"'})


@pytest.mark.promise("keys, from the environment or a file, kept as hashes; both schemes")
def test_the_command_reads_keys_from_a_file(
    mongo_url: str, database_name: str, tmp_path: Path
) -> None:
    digest = hashlib.sha256(b"hashed-key").hexdigest()
    file = tmp_path / "keys.json"
    entries = [
        {"key": "file-key", "name": "the application"},
        {"key": f"sha256:{digest.upper()}", "user_id": "alice"},
        {"key": "reader-key", "read_only": True},
    ]
    file.write_text(json.dumps(entries))
    options = ("--url", mongo_url, "--database", database_name, "--api-keys", str(file))
    with serve(tmp_path, *options, environment={"ZEPSTORE_API_KEYS": "other-key"}) as served:
        assert ask_all(served, "file-key", "hashed-key", "reader-key", "other-key") == [
            *(200, 200, 200, 401),
        ]
        for key, status in (("file-key", 200), ("hashed-key", 403), ("reader-key", 200)):
            asked = request("GET", "/metrics", b"", f"Authorization: Bearer {key}")
            assert served.ask(asked)[0].status == status
        asked = request("POST", "/api/v1/sessions", b"{}", "Authorization: Bearer reader-key")
        assert served.ask(asked)[0].status == 403
        assert served.accesses[0]["key"] == "the application"


@pytest.fixture
def refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Run ``serve`` in this process where it cannot serve, and return what it writes."""
    monkeypatch.delenv("ZEPSTORE_API_KEYS", raising=False)

    def refused(*options: str) -> str:
        assert main(["serve", "--port", "0", *options]) == 1
        out, err = capsys.readouterr()
        return out + err

    return refused


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot read"),
        ('[{"key": "secret-key", "user": "alice"}]', "0.user"),
        ('[{"key": "secret-key"}', "no JSON"),
        ('["secret-key"]', "0"),
        ('{"key": "secret-key"}', "list"),
        ('[{"key": "secret-key", "read_only": "maybe"}]', "read_only"),
        ("[]", "no API keys"),
    ],
)
def test_a_file_without_valid_keys_is_refused_and_not_shown(
    refused: Callable[..., str], mongo_url: str, tmp_path: Path, content: str | None, said: str
) -> None:
    file = tmp_path / "keys.json"
    if content is not None:
        file.write_text(content)
    log = refused("--url", mongo_url, "--api-keys", str(file))
    assert said in log
    assert "secret-key" not in log
    assert "Traceback" not in log


@pytest.mark.promise("without keys it listens on loopback only, unless asked")
@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_the_command_refuses_a_public_address_without_keys(
    refused: Callable[..., str], mongo_url: str, host: str
) -> None:
    log = refused("--url", mongo_url, "--host", host)
    assert log.count("\n") == 1
    for cure in ("$ZEPSTORE_API_KEYS", "--api-keys", "127.0.0.1", "--insecure"):
        assert cure in log


@pytest.mark.promise("without keys it listens on loopback only, unless asked")
@pytest.mark.parametrize(
    ("options", "environment", "status"),
    [(["--insecure"], {}, 200), ([], {"ZEPSTORE_API_KEYS": "key"}, 401)],
)
def test_the_command_serves_a_public_address_with_keys_or_insecure(
    mongo_url: str, tmp_path: Path, options: list[str], environment: dict[str, str], status: int
) -> None:
    arguments = ("--url", mongo_url, "--host", "0.0.0.0", *options)
    with serve(tmp_path, *arguments, environment=environment) as served:
        assert served.ask(request("GET", "/api/v1/sessions"))[0].status == status
