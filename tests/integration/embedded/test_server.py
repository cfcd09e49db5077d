"""The embedded server among its users: started once, shared, gone after the last of them."""

import gc
import os
import shutil
import signal
import stat
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from langchain_zepstore.embedded import locks
from langchain_zepstore.embedded.server import EmbeddedServer
from langchain_zepstore.errors import StoreUnavailableError
from tests.support.embedded import LINGER, alive, child, connected, ended, mongod, mongods, until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX locks and signals")


def pid(uri: str) -> int:
    with connected(uri) as messages:
        return messages.database.client.admin.command("serverStatus")["pid"]


@pytest.mark.promise("any directory, found by its URL; building a client touches nothing")
def test_constructing_a_server_creates_nothing(home, monkeypatch, tmp_path):
    server = EmbeddedServer(home)
    assert server.directory == home
    server.close()
    assert not home.exists()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert EmbeddedServer().directory.name == "zepstore"
    assert list(tmp_path.iterdir()) == []
    monkeypatch.chdir(tmp_path)
    assert EmbeddedServer("here").directory == tmp_path / "here"


@pytest.mark.promise("twelve processes at once on a fresh directory share one mongod")
def test_concurrently_starting_processes_share_one_mongod(home, long):
    number = 12 if long else 5
    body = """
import pymongo
sys.stdin.read(1)
with pymongo.MongoClient(server.open(), w=1, journal=True) as client:
    for n in range(20):
        client.chat.messages.insert_one({"_id": f"{os.getpid()}-{n}"})
    print(client.admin.command("serverStatus")["pid"])
"""
    children = [child(home, body) for _ in range(number)]
    for process in children:
        process.stdin.write("!")
        process.stdin.flush()
    assert len({ended(process) for process in children}) == 1
    server = EmbeddedServer(home)
    with connected(server.open()) as messages:
        assert messages.count_documents({}) == 20 * number
    server.close()


def test_a_start_ahead_that_fails_is_reported_by_the_next_call_alone(home):
    home.write_text("a file")
    server = EmbeddedServer(home)
    server.open_soon()
    with pytest.raises(StoreUnavailableError, match="is a file"):
        server.open()
    home.unlink()
    assert server.open() == server.ensure()
    server.close()


def test_eight_threads_opening_one_server_share_it(home):
    server = EmbeddedServer(home)
    server.open_soon()
    with ThreadPoolExecutor(8) as threads:
        uris = set(threads.map(lambda _: server.open(), range(8)))
    assert uris == {server.ensure()}
    assert len(mongods(home)) == 1
    server.close()
    server.close()


@pytest.mark.promise("a second run pays no start")
def test_a_second_run_reuses_the_running_mongod(home):
    body = "print(server.open())"
    uri = ended(child(home, body, linger=60)).strip()
    first = mongod(home)
    assert ended(child(home, body)).strip() == uri
    assert mongod(home).pid == first.pid
    server = EmbeddedServer(home)
    assert server.open() == uri
    assert mongod(home).pid == first.pid
    server.close()


@pytest.mark.promise("Ctrl-C leaves it alone; two seconds after its last user it is gone")
@pytest.mark.parametrize(("way", "linger"), [("close", 2.0), ("kill", 0.5)])
def test_everything_stops_two_seconds_after_the_last_user(home, way, linger):
    assert EmbeddedServer(home)._linger == 2.0
    body = "server.open(); print('in', flush=True); sys.stdin.read(1); server.close()"
    user = child(home, body, linger=linger)
    assert user.stdout.readline() == "in\n"
    server = mongod(home)
    supervisor = server.parent()
    time.sleep(linger + 0.5)  # nothing may happen as long as there is a user
    assert alive(server)
    left = time.monotonic()
    if way == "kill":
        user.kill()
        user.communicate()
    else:
        user.communicate("!")
    until(lambda: not alive(server) and not alive(supervisor))
    assert time.monotonic() - left > linger * 0.9
    assert not (home / "run/mongod.sock").exists()  # stopped, not killed


def test_an_open_during_shutdown_starts_a_new_server(home):
    server = EmbeddedServer(home, linger=LINGER)
    with connected(server.open()) as messages:
        messages.insert_one({"_id": 1})
    first = mongod(home)
    server.close()
    first.suspend()  # so that stopping takes as long as we like
    with locks.passing(home / "run/users.lock") as lock:
        until(lambda: not _is_free(lock.fd))
    newcomer = threading.Thread(target=server.open)
    newcomer.start()
    newcomer.join(0.5)
    assert newcomer.is_alive()
    first.resume()
    newcomer.join(60)
    assert not newcomer.is_alive()
    assert mongod(home).pid != first.pid
    with connected(server.open()) as messages:
        assert messages.count_documents({}) == 1
    server.close()


def _is_free(lock):
    if locks.try_lock(lock, exclusive=False):
        locks.unlock(lock)
        time.sleep(0.5)  # the supervisor finds it free meanwhile
        return True
    return False


def test_an_unclosed_server_is_released_with_its_object(home):
    body = """
import gc
server.open()
del server
gc.collect()
print('out', flush=True)
sys.stdin.read(1)
"""
    user = child(home, body)
    assert user.stdout.readline() == "out\n"
    process = mongod(home)
    until(lambda: not alive(process))  # although the process lives
    assert user.poll() is None
    assert user.communicate("!")[1] == ""
    server = EmbeddedServer(home)
    server.open()
    lock = next(
        f.fd for f in psutil.Process().open_files() if f.path == str(home / "run/users.lock")
    )
    del server
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(lock)


@pytest.mark.promise("Ctrl-C leaves it alone; two seconds after its last user it is gone")
def test_ctrl_c_does_not_stop_mongod(home):
    user = child(
        home, "server.open(); print('in', flush=True); sys.stdin.read()", start_new_session=True
    )
    assert user.stdout.readline() == "in\n"
    server, supervisor = mongod(home), mongod(home).parent()
    os.killpg(user.pid, signal.SIGINT)
    assert "KeyboardInterrupt" in user.communicate(timeout=60)[1]
    other = EmbeddedServer(home)
    assert pid(other.open()) == server.pid
    # Even sent to the supervisor itself, as a terminal does to its foreground group.
    supervisor.send_signal(signal.SIGINT)
    supervisor.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert pid(other.ensure()) == server.pid
    other.close()


@pytest.mark.promise("a fork")
@pytest.mark.parametrize("leaver", ["parent", "child"])
def test_the_server_stays_while_parent_or_forked_child_uses_it(home, leaver):
    body = f"""
first = server.open()
forked = os.fork()
if bool(forked) == ({leaver!r} == "parent"):
    server.close()
    os._exit(0)
time.sleep(1)
assert server.open() == server.ensure() == first
print("served", flush=True)
sys.stdin.read(1)
if forked:
    os.waitpid(forked, 0)
"""
    user = child(home, body)
    first = until(lambda: mongods(home))[0]
    assert user.stdout.readline() == "served\n"
    assert mongod(home).pid == first.pid
    user.communicate("!")
    until(lambda: not alive(first))


@pytest.mark.promise("a fork")
def test_a_child_forked_during_the_start_does_not_hold_the_lock(home):
    body = """
import threading
threading.Thread(target=server.open).start()
lock = sys.argv[2] + "/run/server.lock"
def holds():
    return lock in [os.path.realpath(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")]
while not holds():
    pass
forked = os.fork()
if forked == 0:
    print(holds(), server._mutex.locked(), server.open() != "", flush=True)
    os._exit(0)
os.waitpid(forked, 0)
"""
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc to see descriptors")
    user = child(home, body)
    user.wait(60)
    assert user.stdout.readline() == "False False True\n"
    user.communicate()


def test_a_daemonized_process_can_reopen_the_server(home):
    body = """
server.open()
os.closerange(3, 100)
mine = os.open(os.devnull, os.O_RDONLY)
server.open()
server.close()
os.fstat(mine)
print("ok")
"""
    assert ended(child(home, body)) == "ok\n"


@pytest.mark.promise("any directory, found by its URL; building a client touches nothing")
@pytest.mark.parametrize("name", ["with spaces", "Gespräche 对话", "100%25 a+b&c'd\"$"])
def test_any_path_can_be_the_data_directory(root, name):
    server = EmbeddedServer(root / name)
    with connected(server.open()) as messages:
        messages.insert_one({"_id": 1})
        assert messages.count_documents({}) == 1
    assert (root / name / "run/mongod.sock").is_socket()
    server.close()


@pytest.mark.promise("a stale socket, a path too long for a socket")
@pytest.mark.parametrize("name", ["long" * 40, "a,b:c[d]", "tab\tin", "\udcff"])
def test_a_path_unusable_as_a_socket_address_uses_a_shared_private_one(root, name, monkeypatch):
    (root / "tmp").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(root / "tmp"))
    server = EmbeddedServer(root / name)
    with connected(server.open()) as messages:
        messages.insert_one({"_id": 1})
    [private] = (root / "tmp").iterdir()
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert (private / "mongod.sock").is_socket()
    (root / "other").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(root / "other"))
    other = EmbeddedServer(root / name)
    assert other.open() == server.open()
    assert list((root / "other").iterdir()) == []
    server.close()
    other.close()


@pytest.mark.promise("private to its user")
def test_a_private_directory_of_another_user_is_not_trusted(root, monkeypatch):
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    (root / "tmp").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(root / "tmp"))
    server = EmbeddedServer(root / ("long" * 40))
    server.open()
    [private] = (root / "tmp").iterdir()
    server.close()
    stopping = mongod(server.directory).parent()
    stopping.terminate()
    until(lambda: not alive(stopping))
    os.chown(private, 65534, 65534)
    with pytest.raises(StoreUnavailableError, match="uid 65534") as caught:
        server.open()
    assert str(private) in str(caught.value)
    private.rename(root / "away")
    private.symlink_to(root / "away")
    with pytest.raises(StoreUnavailableError, match="something else"):
        server.open()


def test_the_error_on_windows_asks_for_a_url(home, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(StoreUnavailableError, match=r"Windows; set \$ZEPSTORE_URL"):
        EmbeddedServer(home).open()


@pytest.mark.promise("private to its user")
def test_other_users_cannot_connect(home):
    server = EmbeddedServer(home)
    server.open()
    assert stat.S_IMODE((home / "run").stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "db").stat().st_mode) == 0o700
    assert [c.laddr for c in mongod(home).net_connections("unix") if c.laddr] == [
        str(home / "run/mongod.sock")
    ]
    assert mongod(home).net_connections("inet") == []
    server.close()


def test_a_deleted_data_directory_stops_its_server_and_a_new_one_starts_empty(home):
    server = EmbeddedServer(home)
    with connected(server.open()) as messages:
        messages.insert_one({"_id": 1})
    first, supervisor = mongod(home), mongod(home).parent()
    shutil.rmtree(home)
    until(lambda: not alive(first) and not alive(supervisor))
    with connected(server.ensure()) as messages:
        assert messages.count_documents({}) == 0
    assert server.open() == server.ensure()
    server.close()


def test_a_large_log_is_rotated_at_the_start(home):
    home.mkdir()
    with (home / "mongod.log").open("wb") as log:
        log.truncate((16 << 20) + 1)
    server = EmbeddedServer(home)
    server.open()
    assert (home / "mongod.log.old").stat().st_size > 16 << 20
    assert 0 < (home / "mongod.log").stat().st_size < 1 << 20
    server.close()
