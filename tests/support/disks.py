"""Small disks, for tests to fill."""

import contextlib
import functools
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self

MEGABYTE = 1024 * 1024


class Disk:
    """A disk of so many megabytes at a directory; a context manager."""

    def __init__(self, directory: Path, megabytes: int) -> None:
        self.directory = directory
        self._size = f"size={megabytes}m"

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        _mount("-t", "tmpfs", "-o", f"{self._size},mode=700", "none", str(self.directory))
        return self

    def __exit__(self, *_: object) -> None:
        # Lazily: a process that has been killed may still be about to let go of it.
        subprocess.run(["umount", "-l", str(self.directory)], check=True)

    def resize(self, megabytes: int) -> None:
        """Give it another size."""
        self._size = f"size={megabytes}m"
        _mount("-o", f"remount,{self._size}", str(self.directory))

    def allow_writes(self, *, allow: bool) -> None:
        """Make it read-only, while nobody has a file open for writing, or writable again."""
        how = "rw" if allow else "ro"
        _mount("-o", f"remount,{how},{self._size}", str(self.directory))

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Leave no room meanwhile."""
        ballast = self.directory / "ballast"
        with ballast.open("wb", buffering=0) as file:
            for size in (MEGABYTE, 4096, 1):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)) == size:
                        pass
        try:
            yield
        finally:
            ballast.unlink()


@functools.cache
def why_no_disks() -> str:
    """Return why there can be no small disks here; nothing if there can."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "only root can mount a small disk"
    with tempfile.TemporaryDirectory() as name:
        tried = subprocess.run(
            ["mount", "-t", "tmpfs", "none", name], check=False, capture_output=True, text=True
        )
        if tried.returncode == 0:
            subprocess.run(["umount", name], check=True)
        return tried.stderr.strip()


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)
