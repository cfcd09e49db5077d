"""Databases that take no writes: what the caller is told, and that nothing happens twice."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pymongo import MongoClient

from tests.faults.concurrent_clients import check_story, choir, each, refused, say, seen, started
from tests.support.disks import Disk, why_no_disks
from tests.support.embedded import stopped
from tests.support.mongod import Mongod, ReplicaSet


@pytest.mark.skipif(bool(why_no_disks()), reason=why_no_disks())
def test_an_embedded_server_reports_a_read_only_disk_and_keeps_its_data(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    url = f"embedded://{home}"
    with Disk(home, 64) as disk:
        try:
            with choir(url) as voices:
                said = each(voices, say, "before")
            stopped(home)
            disk.allow_writes(allow=False)
            with choir(url) as voices:
                for complaint in each(voices, refused, "meanwhile"):
                    assert "Read-only file system" in complaint
                    assert str(home) in complaint
                disk.allow_writes(allow=True)
                said += each(voices, say, "after")
            check_story(url, said, [])
        finally:
            stopped(home)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    with started(Mongod(tmp_path_factory.mktemp("alone"))) as mongod:
        yield mongod


def test_a_read_only_mongod_serves_reads_and_reports_refused_writes(alone: Mongod) -> None:
    url = alone.url.replace("/?", "/read_only?")
    with choir(url) as voices:
        said = each(voices, say, "before")
        alone.stop()
        alone.options = ("--queryableBackupMode",)
        alone.start()
        assert {len(found) for found in each(voices, seen)} == {6}
        for complaint in each(voices, refused, "meanwhile"):
            assert "is read-only at the moment" in complaint
        alone.stop()
        alone.options = ()
        alone.start()
        said += each(voices, say, "after")
        check_story(url, said, [])


def test_writes_to_a_locked_mongod_fail_in_time_and_can_be_retried(alone: Mongod) -> None:
    url = alone.url.replace("/?", "/locked?")
    with (
        choir(url) as patient,
        choir(url, patience=3) as hasty,
        MongoClient(url) as admin,
        ThreadPoolExecutor(1) as threads,
    ):
        said = each(patient, say, "before")
        each(hasty, seen)
        admin.admin.command("fsync", lock=True)
        try:
            assert {len(found) for found in each(patient, seen)} == {6}
            start = time.monotonic()
            waiting = threads.submit(each, patient, say, "patiently")
            for complaint in each(hasty, refused, "hastily"):
                assert "did not answer in time" in complaint
            assert time.monotonic() - start < 20
            assert not waiting.done()
        finally:
            admin.admin.command("fsyncUnlock")
        said += waiting.result()
        said += each(patient, say, "hastily")
        check_story(url, said, [])
        for found in each(patient, seen):
            assert sorted(found) == sorted(uuid for ids in said for uuid in ids)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaSet]:
    """A primary and a secondary."""
    pair = ReplicaSet(tmp_path_factory.mktemp("pair"), size=2).start()
    yield pair
    pair.stop()


def test_blocked_writes_are_reported_and_reads_served(pair: ReplicaSet) -> None:
    url = pair.url.replace("/?", "/blocked?")
    with choir(url) as voices, MongoClient(pair.url) as admin:
        said = each(voices, say, "before")
        admin.admin.command("setUserWriteBlockMode", 1, **{"global": True})
        try:
            for complaint in each(voices, refused, "meanwhile"):
                assert "is read-only at the moment" in complaint
                assert "User writes blocked" in complaint
                assert "clusterTime" not in complaint
            assert {len(found) for found in each(voices, seen)} == {6}
        finally:
            admin.admin.command("setUserWriteBlockMode", 1, **{"global": False})
        said += each(voices, say, "after")
        check_story(url, said, [])


def test_a_direct_secondary_serves_reads_and_reports_refused_writes(pair: ReplicaSet) -> None:
    url = pair.url.replace("/?", "/secondary?")
    with choir(url) as voices:
        said = each(voices, say, "before")
    pair.wait_until_equal()
    [secondary] = [member for member in pair.members if member is not pair.primary()]
    with choir(secondary.url.replace("/?", "/secondary?")) as voices:
        assert {len(found) for found in each(voices, seen)} == {6}
        for complaint in each(voices, refused, "meanwhile"):
            assert "is no primary" in complaint
            assert "name the replica set in the URL" in complaint
    check_story(url, said, [])
