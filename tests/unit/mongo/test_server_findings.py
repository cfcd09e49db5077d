"""Findings about servers that no test can start: old ones, relatives, full disks, wrong clocks."""

from datetime import UTC, datetime, timedelta

import pytest

from langchain_zepstore.mongo.diagnosis.server import clock, disk, memory, server

MONGODB = {"version": "7.0.28", "allocator": "tcmalloc"}


@pytest.mark.parametrize(
    ("hello", "build", "level", "words"),
    [
        ({}, MONGODB, "ok", "standalone"),
        ({"setName": "rs0"}, MONGODB, "ok", "replica set rs0"),
        ({"msg": "isdbgrid"}, MONGODB, "ok", "mongos"),
        ({}, {**MONGODB, "version": "5.0.31"}, "fault", "5.0.31"),
        ({}, {**MONGODB, "ferretdb": {"version": "v2"}}, "warning", "relative"),
        ({"setName": "rs0"}, {"version": "8.0.0"}, "warning", "relative"),
        ({}, {}, "fault", "unknown"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_server_products_are_recognized(hello, build, level, words) -> None:
    finding = server(hello, build, None)
    assert (finding.level, words in finding.message) == (level, True)
    assert (finding.cure is None) == (level == "ok")


@pytest.mark.parametrize(("used", "level"), [(500, "ok"), (900, "warning"), (990, "fault")])
def test_a_full_disk_is_a_finding(used, level) -> None:
    [finding] = disk({"fsTotalSize": 1000, "fsUsedSize": used})
    assert finding.level == level


def test_indexes_larger_than_the_cache_are_a_finding() -> None:
    status = {"wiredTiger": {"cache": {"maximum bytes configured": 2**28}}}
    assert [each.level for each in memory(status, 2**27)] == ["ok"]
    [finding] = memory(status, 2**29)
    assert (finding.level, finding.message) == ("warning", "indexes of 537 MB, a cache of 268 MB")


def test_missing_server_statistics_give_no_finding() -> None:
    assert [*disk({}), *memory({}, 1)] == []


@pytest.mark.parametrize(("minutes", "level"), [(0, "ok"), (5, "warning"), (-5, "warning")])
def test_a_wrong_clock_is_a_finding(minutes, level) -> None:
    assert clock({"localTime": datetime.now(UTC) + timedelta(minutes=minutes)}).level == level
