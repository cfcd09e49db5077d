"""The arguments that a client was built from."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from langchain_zepstore.core.embedder import check_embeddings
from langchain_zepstore.core.urls import check_scheme, is_http
from langchain_zepstore.core.validation import check_timeout, checked_period
from langchain_zepstore.errors import BadRequestError

if TYPE_CHECKING:
    from datetime import timedelta

    from langchain_core.embeddings import Embeddings

AsyncDriver = Literal["motor", "pymongo"]

_LANGUAGES = frozenset(
    """
    danish dutch english finnish french german hungarian italian none norwegian portuguese romanian
    russian spanish swedish turkish
    """.split()  # noqa: SIM905 - as a list it would take fifteen lines
)
_SERVER_SETTINGS = ("database", "embeddings", "language", "retention")


@dataclass(frozen=True, slots=True, repr=False)
class Settings:
    """The arguments of a client, checked; ``ZepClient`` describes them.

    Attributes:
        url: The URL; ``None`` where clients of MongoDB's drivers were passed in.

    Raises:
        BadRequestError: One of them cannot be used, or they contradict each other.
    """

    url: str | None
    api_key: str | None = None
    database: str | None = None
    client: Any = None
    async_client: Any = None
    async_driver: AsyncDriver = "motor"
    embeddings: Embeddings | None = None
    language: str | None = None
    retention: timedelta | None = None
    timeout: float = 10.0

    def __post_init__(self) -> None:
        if self.url is not None:
            check_scheme(self.url)
        if self.async_driver not in ("motor", "pymongo"):
            raise BadRequestError(
                f"async_driver must be 'motor' or 'pymongo', not {self.async_driver!r}"
            )
        check_timeout(self.timeout)
        if self.retention is not None:
            checked_period(self.retention, "retention")
        if is_http(self.url):
            for name in _SERVER_SETTINGS:
                if getattr(self, name) is not None:
                    raise BadRequestError(f"{name} is the server's to choose, not a client's")
        elif self.url is not None and self.has_clients:
            raise BadRequestError("pass a URL, or clients of MongoDB's drivers, not both")
        self._check_database()
        if self.embeddings is not None:
            check_embeddings(self.embeddings)

    @property
    def has_clients(self) -> bool:
        """Whether the caller passed a driver's client in."""
        return self.client is not None or self.async_client is not None

    def arguments(self) -> dict[str, Any]:
        """Return the arguments from which the same settings can be built."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def _check_database(self) -> None:
        name, language = self.database, self.language
        # MongoDB's rule for every platform.
        if name is not None and not (
            isinstance(name, str) and re.fullmatch(r"[^/\\. \"$*<>:|?\0]{1,63}", name)
        ):
            raise BadRequestError(f"{name!r} cannot be the name of a database of MongoDB")
        if language is not None and str(language) not in _LANGUAGES:
            raise BadRequestError(
                f"language must be one of {', '.join(sorted(_LANGUAGES))}, not {language!r}"
            )
