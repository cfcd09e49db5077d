"""What the data takes on disk and in the server's cache."""

from pymongo.database import Database

from benchmarks.scale.growing import Document
from benchmarks.scale.report import Report, megabytes

_SIZES = "Sizes after a checkpoint, MB: on disk, without what is free for reuse in the files"


def measure(database: Database[Document], report: Report) -> None:
    """Enter the sizes of every collection and index."""
    total = free = 0
    for kind in ("messages", "sessions", "users"):
        told = database.command("collStats", kind, indexDetails=True)
        total += told["totalSize"]
        data = told["storageSize"] - told["freeStorageSize"]
        indexes = {}
        for name, size in told["indexSizes"].items():
            file = told["indexDetails"][name]["block-manager"]
            indexes[name] = size - file["file bytes available for reuse"]
        all_indexes = sum(indexes.values())
        free += told["totalSize"] - data - all_indexes
        report.put(_SIZES, kind, f"{told['count']:,}")
        report.put(_SIZES, f"{kind}: BSON, not compressed", megabytes(told["size"]))
        report.put(_SIZES, f"{kind}: data", megabytes(data))
        report.put(_SIZES, f"{kind}: all indexes", megabytes(all_indexes))
        for name, size in indexes.items():
            report.put(_SIZES, f"{kind}: index {name}", megabytes(size))
        each = [size / max(1, told["count"]) for size in (told["size"], data, all_indexes)]
        row = f"{kind}: bytes for one: BSON, data, indexes"
        report.put(_SIZES, row, " + ".join(f"{size:,.0f}" for size in each))
    report.put(_SIZES, "all files, of that free", f"{megabytes(total)} / {megabytes(free)}")
    cache = database.client.admin.command("serverStatus")["wiredTiger"]["cache"]
    used, limit = cache["bytes currently in the cache"], cache["maximum bytes configured"]
    report.put(
        _SIZES, "in WiredTiger's cache, of at most", f"{megabytes(used)} / {limit / 1e6:,.0f}"
    )
