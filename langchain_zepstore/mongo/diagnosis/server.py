"""Findings about the server, from the answers to its own commands."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from langchain_zepstore.core.units import bytes_text
from langchain_zepstore.models import Finding

_MIN_MAJOR_VERSION = 6
_MAX_SKEW = timedelta(seconds=60)
_MIN_FREE, _MIN_COMFORTABLY_FREE = 0.05, 0.15  # of a disk
_COLLECTIONS = ("sessions", "messages", "users", "counters")
_DATA_ACTIONS = frozenset({"find", "insert", "update", "remove"})
_INDEX_ACTIONS = frozenset({"createIndex"})  # collMod only changes a retention

Answer = Mapping[str, Any]
"""A server's answer to a command."""


def server(hello: Answer, build: Answer, embedded: str | None) -> Finding:
    """Return the server's version, and whether it is alone, a replica set, mongos or a relative."""
    version = str(build.get("version", "unknown"))
    shape = "standalone server"
    if hello.get("msg") == "isdbgrid":
        shape = "sharded cluster (mongos)"
    elif "setName" in hello:
        shape = f"replica set {hello['setName']}"
    message = f"MongoDB {version}, {embedded or shape}"
    major = version.partition(".")[0]
    if not major.isdecimal() or int(major) < _MIN_MAJOR_VERSION:
        cure = f"use MongoDB {_MIN_MAJOR_VERSION}.0 or later"
        return Finding(name="server", level="fault", message=message, cure=cure)
    # MongoDB alone tells its allocator.
    if "ferretdb" in build or "allocator" not in build:
        message = f"a relative of MongoDB that says {version}, {shape}"
        cure = "use MongoDB itself: its relatives are not tested (docs/operations.md)"
        return Finding(name="server", level="warning", message=message, cure=cure)
    return Finding(name="server", level="ok", message=message)


def write_concern(concern: Answer) -> Finding:
    """Return whether acknowledged writes are durable."""
    shown = ", ".join(f"{name}={value}" for name, value in concern.items())
    if concern.get("w") == "majority" and concern.get("j"):
        return Finding(name="write concern", level="ok", message=shown)
    cure = "leave w and journal out of the URL: the default is w=majority, journal=true"
    return Finding(name="write concern", level="warning", message=shown, cure=cure)


def clock(hello: Answer) -> Finding:
    """Return by how much the clocks of client and server differ."""
    skew = abs(datetime.now(UTC) - hello["localTime"].replace(tzinfo=UTC))
    message = f"the clocks of client and server differ by {skew.total_seconds():.0f} s"
    if skew > _MAX_SKEW:
        cure = "set both by NTP: times of messages and the purge depend on them"
        return Finding(name="clock", level="warning", message=message, cure=cure)
    return Finding(name="clock", level="ok", message=message)


def rights(status: Answer, database: str) -> Finding:
    """Return whether the credentials allow what the package does in a database."""
    users = status["authInfo"].get("authenticatedUsers")
    if not users:
        return Finding(name="rights", level="ok", message="nobody has to log in")
    privileges = status["authInfo"].get("authenticatedUserPrivileges", ())
    missing: set[str] = set()
    for collection in _COLLECTIONS:
        granted = {
            action
            for each in privileges
            if _covers(each["resource"], database, collection)
            for action in each["actions"]
        }
        if "anyAction" not in granted:
            missing |= (_DATA_ACTIONS | _INDEX_ACTIONS) - granted
    if not missing:
        return Finding(name="rights", level="ok", message="these credentials may do what is needed")
    user, home = users[0]["user"], users[0]["db"]
    role = f'{{role: "readWrite", db: "{database}"}}'
    return Finding(
        name="rights",
        level="fault" if missing & _DATA_ACTIONS else "warning",
        message=f"these credentials lack {', '.join(sorted(missing))}",
        cure=f'db.getSiblingDB("{home}").grantRolesToUser("{user}", [{role}])',
    )


def _covers(resource: Answer, database: str, collection: str) -> bool:
    if resource.get("anyResource"):
        return True
    return resource.get("db") in ("", database) and resource.get("collection") in ("", collection)


def disk(sizes: Answer) -> Iterator[Finding]:
    """Yield how full the disk is, where the server says so."""
    total, used = sizes.get("fsTotalSize"), sizes.get("fsUsedSize")
    if not total or used is None:
        return
    free = 1 - used / total
    message = f"{bytes_text(total - used)} of {bytes_text(total)} are free ({free:.0%})"
    if free >= _MIN_COMFORTABLY_FREE:
        yield Finding(name="disk", level="ok", message=message)
        return
    yield Finding(
        name="disk",
        level="warning" if free >= _MIN_FREE else "fault",
        message=message,
        cure="make room, or a larger disk; zepstore trash empty removes what is deleted",
    )


def memory(status: Answer, index_bytes: int) -> Iterator[Finding]:
    """Yield whether the indexes fit into the server's cache, where it says how large that is."""
    cache = status.get("wiredTiger", {}).get("cache", {}).get("maximum bytes configured")
    if not cache:
        return
    message = f"indexes of {bytes_text(index_bytes)}, a cache of {bytes_text(cache)}"
    if index_bytes <= cache:
        yield Finding(name="memory", level="ok", message=message)
        return
    cure = "give mongod more memory (storage.wiredTiger.engineConfig.cacheSizeGB), or shard"
    yield Finding(name="memory", level="warning", message=message, cure=cure)
