"""Numbers for a reader."""

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def bytes_text(size: float) -> str:
    """Return a number of bytes in the unit that fits, such as ``1.5 GB``."""
    for unit in _UNITS[:-1]:
        if size < 1000:  # noqa: PLR2004
            return f"{size:.{0 if unit == 'bytes' or size >= 10 else 1}f} {unit}"  # noqa: PLR2004
        size /= 1000
    return f"{size:.1f} {_UNITS[-1]}"
