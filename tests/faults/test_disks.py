"""Disks that fill up: what the caller is told, and what is kept."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from langchain_zepstore import Memory, StoreUnavailableError
from langchain_zepstore.embedded.binary import find_mongod
from tests.faults.concurrent_clients import (
    SESSION,
    Voice,
    check_story,
    choir,
    each,
    refused,
    say,
    seen,
    started,
    turn,
)
from tests.support.disks import MEGABYTE, Disk, why_no_disks
from tests.support.embedded import stopped
from tests.support.mongod import Mongod

Report = Callable[[str], None]

needs_disks = pytest.mark.skipif(bool(why_no_disks()), reason=why_no_disks())


@dataclass
class Account:
    """What a writer was told: which turns are stored, which call failed, how, and how soon."""

    writer: str
    acknowledged: list[list[str]] = field(default_factory=list)
    failed: Memory = field(default_factory=Memory)
    complaint: str = ""
    seconds: float = 0

    @property
    def failed_ids(self) -> list[str]:
        return [message.uuid or "" for message in self.failed.messages]


async def fill(voice: Voice) -> Account:
    """Add turn after turn until there is no more room."""
    account = Account(voice.name)
    for number in range(10_000):
        memory = turn(f"{voice.name} {number}?", f"{voice.name} {number}!", size=50_000)
        start = time.monotonic()
        try:
            await voice.zep.memory.add_memory(SESSION, memory)
        except StoreUnavailableError as error:
            account.failed, account.complaint = memory, str(error)
            account.seconds = time.monotonic() - start
            return account
        account.acknowledged.append([message.uuid or "" for message in memory.messages])
    raise AssertionError("there is room for everything")


async def again(voice: Voice, failed: dict[str, Memory]) -> None:
    await voice.zep.memory.add_memory(SESSION, failed[voice.name])


def check_accounts(url: str, voices: list[Voice], accounts: list[Account]) -> int:
    """Check what is there, repeat what failed, check again; return how many turns there are."""
    acknowledged = [ids for account in accounts for ids in account.acknowledged]
    failed = [account.failed_ids for account in accounts]
    check_story(url, acknowledged, failed)
    each(voices, again, {account.writer: account.failed for account in accounts})
    check_story(url, acknowledged + failed, [])
    [everything] = {tuple(found) for found in each(voices, seen)}
    assert sorted(everything) == sorted(uuid for ids in acknowledged + failed for uuid in ids)
    return len(acknowledged)


# mongod may answer that there is no room, or give up on the way, or be gone already.
FULL = "its disk is full .*; make room|its log says why: a full disk|lost the connection"


def fill_up(mongod: Mongod, make_room: Callable[[], None], report: Report) -> None:
    """Write until there is no more room, make some, start again, and look for what was stored."""
    with choir(f"{mongod.url}&serverSelectionTimeoutMS=1000") as voices:
        accounts = each(voices, fill)
        make_room()
        mongod.stop()
        mongod.start()
        turns = check_accounts(mongod.url, voices, accounts)
    for account in accounts:
        assert re.search(FULL, account.complaint)
        assert account.seconds < 30
    report(f"a full disk: {turns} turns acknowledged, none lost, none doubled, none halved")


@needs_disks
def test_a_full_disk_loses_nothing(tmp_path: Path, report: Report) -> None:
    with Disk(tmp_path / "db", 24) as disk, started(Mongod(tmp_path)) as mongod:

        def make_room() -> None:
            assert "No space left on device" in (tmp_path / "mongod.log").read_text()
            disk.resize(400)

        fill_up(mongod, make_room, report)


def test_a_file_size_limit_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, long: bool, report: Report
) -> None:
    if not hasattr(psutil.Process, "rlimit"):
        pytest.skip("this system cannot limit the files of a process that runs")
    if not (long or why_no_disks()):
        pytest.skip("a small disk shows it as well")
    binary = find_mongod(scratch=tmp_path)
    patient = tmp_path / "mongod"  # the signal would kill it before it hears that there is no room
    patient.write_text(f"#!/bin/sh\ntrap '' XFSZ\nexec '{binary.path}' \"$@\"\n")
    patient.chmod(0o755)
    monkeypatch.setenv("ZEPSTORE_MONGOD", str(patient))
    for name, value in binary.environment.items():
        monkeypatch.setenv(name, value)
    with started(Mongod(tmp_path)) as mongod:
        assert mongod.process
        most = 6 * MEGABYTE, psutil.RLIM_INFINITY
        psutil.Process(mongod.process.pid).rlimit(psutil.RLIMIT_FSIZE, most)
        fill_up(mongod, lambda: None, report)


@needs_disks
def test_a_disk_too_small_for_a_new_database_is_reported_as_full(tmp_path: Path) -> None:
    journal = tmp_path / "journal"  # without room for that, mongod gives up
    journal.mkdir()
    with Disk(tmp_path / "db", 64) as disk:
        (tmp_path / "db" / "journal").symlink_to(journal)
        with started(Mongod(tmp_path)) as mongod, choir(mongod.url) as voices:
            with disk.full():
                for complaint in each(voices, refused, "hello"):
                    assert "its disk is full (28: No space left on device); make room" in complaint
            said = each(voices, say, "hello")
            assert {len(found) for found in each(voices, seen)} == {len(said) * 2}


@needs_disks
def test_an_embedded_server_reports_a_full_disk_and_loses_nothing(
    tmp_path: Path, report: Report
) -> None:
    home = tmp_path / "home"
    with Disk(home, 26) as disk, choir(f"embedded://{home}") as voices:
        try:
            accounts = each(voices, fill)
            for account in accounts:
                assert "No space left on device" in account.complaint
                assert str(home) in account.complaint
            disk.resize(400)
            turns = check_accounts(f"embedded://{home}", voices, accounts)
            report(f"a full disk below an embedded server: {turns} turns acknowledged, none lost")
        finally:
            stopped(home)
