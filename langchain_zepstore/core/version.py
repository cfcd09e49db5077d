"""The package's version."""

from functools import cache


@cache
def package_version() -> str:
    """Return the version that is installed; reading it takes milliseconds, once per process."""
    from importlib.metadata import version  # noqa: PLC0415 - takes long to import

    return version("langchain-zepstore")
